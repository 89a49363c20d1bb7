"""`import potok` is cheap: every program pays for it, every worker process once more."""

import json
import subprocess
import sys

import pytest

OPTIONAL = (
    "argparse",
    "asyncio",
    "cloudpickle",
    "concurrent.futures",
    "joblib",
    "multiprocessing",
    "numpy",
    "rich",
    "ssl",
    "uvloop",
)


@pytest.fixture(scope="module")
def imported() -> set[str]:
    program = "import json, sys, potok; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", OPTIONAL)
def test_import_does_without(imported: set[str], module: str) -> None:
    """What only some programs need is imported by those."""
    assert module not in imported


def test_import_does_without_the_command_line(imported: set[str]) -> None:
    """A library user never pays for the command line."""
    assert not {name for name in imported if name.startswith("potok.cli")}
