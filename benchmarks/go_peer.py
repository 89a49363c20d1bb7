"""Build and run a Go source of this folder: the far mark, where a `go` is installed."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

SOURCES = Path(__file__).parent / "go"


def printed_by(source: str) -> Callable[[], float]:
    """Return a measurement: the number that go/`source` prints. Building it is not part of the number."""

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "program")
            subprocess.run(["go", "build", "-o", program, SOURCES / source], check=True)
            return float(subprocess.run([program], check=True, capture_output=True).stdout)

    return measure
