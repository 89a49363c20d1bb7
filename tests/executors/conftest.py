"""Programs of their own, for what only a whole process shows."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[2] / "src")
PATIENCE = 50.0  # seconds; only a failing test waits that long

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Runs a program as a script, with a `__main__` of its own; what it has printed through pipes, how it ended."""

    def run(text: str, *args: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(text))
        return subprocess.run(
            [sys.executable, str(script), *args],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": SRC},
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def printed(program: Program) -> Callable[..., str]:
    """What a program prints that ends well and has nothing to say on stderr."""

    def run(text: str, *args: str) -> str:
        done = program(text, *args)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run
