"""The programs that map functions over real input do what they say, wherever they work."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import FOLDER, runs

HERE = Path(json.__file__).parent
"""A folder of the standard library."""

needs_aiohttp = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None, reason="aiohttp is not installed"
)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
        timeout=55,
    )


def test_files_are_parsed_and_counted() -> None:
    """The example's own main, over one folder; it says what was chosen and why."""
    done = run(FOLDER / "parse_stdlib.py", HERE)
    assert done.returncode == 0, done.stderr
    files = len(list(HERE.rglob("*.py")))
    assert f"nodes in {files} files; 0 could not be parsed" in done.stdout
    assert "map over count_nodes" in done.stdout


FUNCTIONS = {"parse_stdlib.py": "count_nodes", "hash_stdlib.py": "digest"}


@pytest.mark.parametrize(("path", "on"), [*runs(*FUNCTIONS), ("parse_stdlib.py", "auto")])
def test_functions_for_the_command_line(path: str, on: str, tmp_path: Path) -> None:
    """Each file is one record; none fails."""
    out = tmp_path / "out.jsonl"
    function = f"{FOLDER / path}:{FUNCTIONS[path]}"
    done = run("-m", "potok", "map", function, f"{HERE}/*.py", "-o", out, "--on", on)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert sorted(record["input"] for record in records) == sorted(str(path) for path in HERE.glob("*.py"))
    assert all("result" in record for record in records)


@pytest.mark.parametrize(("path", "on"), [*runs("primes.py"), ("primes.py", "auto")])
def test_primes_and_countdown(path: str, on: str) -> None:
    done = run(FOLDER / path, "--on", on)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[:5] == [
        "2 is prime",
        "193 is prime",
        "323 is not prime",
        "1327 is prime",
        "433785907 is prime",
    ]
    assert any(line.startswith("counted down to 0: ") for line in told)


@needs_aiohttp
def test_pages_are_fetched() -> None:
    """Every page, and the three lists with their titles."""
    done = run(FOLDER / "fetch_pages.py", "--pages", "60")
    assert (done.returncode, done.stderr) == (0, "")
    assert "50: compsci, number 1" in done.stdout
    assert done.stdout.count("DONE: ") == 3
    assert done.stdout.splitlines()[-1] == f"60 of 60 pages, {sum(range(57))} words"


@needs_aiohttp
def test_fetching_is_interrupted_once() -> None:
    """Ctrl-C: how far it was, exit code 130, no traceback."""
    program = [sys.executable, FOLDER / "fetch_pages.py", "--pages", "100000", "--at-a-time", "3"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("DONE"):
                break
        process.send_signal(signal.SIGINT)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert "of 100000 pages" in rest
    assert "Traceback" not in errors


@needs_aiohttp
def test_pipeline_stores_every_page() -> None:
    done = run(FOLDER / "pipeline.py", "--pages", "60")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "60 pages stored, with 60 titles\n"
