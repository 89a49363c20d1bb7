"""The examples, where each makes sense, and how a test runs one there."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from potok.lessons import LESSONS

FOLDER = Path(__file__).parents[2] / "examples"

EXECUTORS = ("inline", "coroutines", "threads", "interpreters", "processes", "simulated")

BY_MAP = ("inline", "coroutines", "threads", "interpreters", "processes")
"""Where a `def` function makes sense that `potok map` is given."""

ANYWHERE_CSP = ("coroutines", "threads", "processes")

RUNS_ON = {f"lecture/{lesson.name}.py": lesson.executors for lesson in LESSONS} | {
    "csp/commstime.py": ANYWHERE_CSP,
    "csp/mandelbrot.py": ANYWHERE_CSP,
    "csp/monte_carlo.py": ANYWHERE_CSP,
    "csp/philosophers.py": (*ANYWHERE_CSP, "simulated"),  # simulated: the naive ones
    "csp/sieve.py": ANYWHERE_CSP,
    "csp/skynet.py": ("coroutines",),  # a hundred thousand processes
    "csp/token_ring.py": ANYWHERE_CSP,
    "csp/web_server.py": ("coroutines", "threads"),
    "fetch_pages.py": ("coroutines",),
    "hash_stdlib.py": BY_MAP,
    "parse_stdlib.py": BY_MAP,
    "pipeline.py": ("coroutines", "threads", "processes"),  # one for each of its stages
    "primes.py": BY_MAP,
}
"""Every example, and the executors on which it makes sense: the tests run it there, README.md shows it."""


def runs(*paths: str) -> list[Any]:
    """Parameters `path, on` for a test: each of these on each of its executors."""
    return [
        pytest.param(path, on, marks=_needs(on), id=f"{path}-{on}") for path in paths for on in RUNS_ON[path]
    ]


def _needs(on: str) -> tuple[pytest.MarkDecorator, ...]:
    if on != "interpreters":
        return ()
    return (pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters need Python 3.14"),)


def command(path: str, *options: str, dev: bool = True) -> list[str]:
    """What runs it, with warnings as errors; and in Python's development mode, which is slower to start."""
    return [sys.executable, "-W", "error", *(["-X", "dev"] if dev else []), str(FOLDER / path), *options]


def environment() -> dict[str, str]:
    """As a user has it: output to a pipe is buffered."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {"PYTHONIOENCODING": "utf-8"}


def printed(path: str, *options: str, dev: bool = True) -> str:
    """The output of one program, which ends by itself, without a warning."""
    done = subprocess.run(
        command(path, *options, dev=dev), capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout
