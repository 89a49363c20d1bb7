"""The lecture's programs print what they should, wherever their tasks run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "lecture"

NAMES = """\
5 doubled to 10 by double-1
10 doubled to 20 by double-2
15 doubled to 30 by double-3
20 doubled to 40 by double-4
25 doubled to 50 by double-5
2 doubled to 4 by Test
"""

RECORDS = """\
A new record was added
Name: Computers, score: 1
Name: History, score: 5
Name: Hindi, score: 9
Name: English, score: 3
"""

CONSUMED = """\
data found to be processed: 5, doubled: 10
data found to be processed: 10, doubled: 20
data found to be processed: 13, doubled: 26
data found to be processed: -1, doubled: -2
"""

EXACTLY = {
    "task_names.py": NAMES,
    "through_a_queue.py": "[42, None, 'hello']\n",
    "through_a_pipe.py": "the parent received [42, None, 'hello']\nthe task received ['hello', None, 42]\n",
    "shared_list.py": RECORDS,
    "shared_namespace.py": "before Namespace(x=1, y=1)\nafter Namespace(x=51, y=10000000000)\n",
    "pool.py": "[10, 20, 40]\n",
}
"""What the programs print whose output hangs on no order."""

every_executor = pytest.mark.parametrize("on", ["processes", "threads", "coroutines"])


def printed(name: str, on: str) -> str:
    """The output of one program, which ends by itself, without a warning."""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", FOLDER / name, "--on", on],
        capture_output=True,
        text=True,
        env=buffered | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@every_executor
@pytest.mark.parametrize("name", EXACTLY)
def test_prints_exactly(name: str, on: str) -> None:
    assert printed(name, on) == EXACTLY[name]


@every_executor
def test_start_tasks(on: str) -> None:
    """A line from each task, whole."""
    lines = printed("start_tasks.py", on).splitlines()
    places = ("Africa", "America", "Asia", "Europe")
    assert sorted(lines) == [f"The name of the continent is: {place}" for place in places]


@every_executor
def test_which_process(on: str) -> None:
    """On processes each task has one to itself; elsewhere it is the program's."""
    lines = printed("which_process.py", on).splitlines()
    told = [re.fullmatch(r"(\d+) doubled to (\d+) by (.+)", line) for line in lines]
    assert [(m[1], m[2]) for m in told if m] == [(str(n), str(2 * n)) for n in (5, 10, 15, 20, 25)]
    where = {m[3] for m in told if m}
    if on == "processes":
        assert "this process" not in where
    else:
        assert where == {"this process"}


@every_executor
def test_one_at_a_time(on: str) -> None:
    """The two lines of each task follow one another."""
    lines = printed("one_at_a_time.py", on).splitlines()
    pairs = [(lines[i].split(), lines[i + 1].split()) for i in range(0, len(lines), 2)]
    assert all(
        (first[0], second[0]) == ("first", "second") and first[1] == second[1] for first, second in pairs
    )
    assert sorted(first[1] for first, _ in pairs) == ["10", "foxtrot", "tango"]


@every_executor
def test_no_sentinel(on: str) -> None:
    """The consumer has everything in order, -1 like any other, and the program ends."""
    lines = printed("no_sentinel.py", on).splitlines(keepends=True)
    lines.remove("Creating data and sending it\n")
    assert "".join(lines) == CONSUMED


def test_every_program_is_tested() -> None:
    here = {*EXACTLY, "start_tasks.py", "which_process.py", "one_at_a_time.py", "no_sentinel.py"}
    tested = {*here, "logs.py"}  # in `test_lecture_logs.py`
    assert {path.name for path in FOLDER.glob("*.py")} == tested
