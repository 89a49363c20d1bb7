"""The lecture's programs print what they should, wherever their tasks run: those whose output is the same each time."""

import re
from collections.abc import Iterable

import pytest
from programs import printed, runs

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

SEARCHED = """\
Searching prefix: Dear
Dear James
Closing coroutine!!
Searching prefix: Dear
Dear James
Closing the task
"""

EXACTLY = {
    "lecture/task_names.py": NAMES,
    "lecture/through_a_queue.py": "[42, None, 'hello']\n",
    "lecture/through_a_pipe.py": (
        "the parent received [42, None, 'hello']\nthe task received ['hello', None, 42]\n"
    ),
    "lecture/shared_list.py": RECORDS,
    "lecture/pool.py": "[10, 20, 40]\n",
    "lecture/generator_coroutine.py": SEARCHED,
}
"""What the programs print whose output hangs on no order."""


def on_its_executors(path: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("path", "on"), runs(path))


@pytest.mark.parametrize(("path", "on"), runs(*EXACTLY))
def test_prints_exactly(path: str, on: str) -> None:
    assert printed(path, "--on", on) == EXACTLY[path]


@on_its_executors("lecture/start_tasks.py")
def test_start_tasks(path: str, on: str) -> None:
    """A line from each task, whole."""
    lines = printed(path, "--on", on).splitlines()
    places = ("Africa", "America", "Asia", "Europe")
    assert sorted(lines) == [f"The name of the continent is: {place}" for place in places]


@on_its_executors("lecture/which_process.py")
def test_which_process(path: str, on: str) -> None:
    """On processes each task has one to itself; elsewhere it is the program's."""
    lines = printed(path, "--on", on).splitlines()
    told = [re.fullmatch(r"(\d+) doubled to (\d+) by (.+)", line) for line in lines]
    assert [(m[1], m[2]) for m in told if m] == [(str(n), str(2 * n)) for n in (5, 10, 15, 20, 25)]
    where = {m[3] for m in told if m}
    if on == "processes":
        assert "this process" not in where
    else:
        assert where == {"this process"}


@on_its_executors("lecture/one_at_a_time.py")
def test_one_at_a_time(path: str, on: str) -> None:
    """The two lines of each task follow one another."""
    lines = printed(path, "--on", on).splitlines()
    pairs = [(lines[i].split(), lines[i + 1].split()) for i in range(0, len(lines), 2)]
    assert all(
        (first[0], second[0]) == ("first", "second") and first[1] == second[1] for first, second in pairs
    )
    assert sorted(first[1] for first, _ in pairs) == ["10", "foxtrot", "tango"]


@on_its_executors("lecture/no_sentinel.py")
def test_no_sentinel(path: str, on: str) -> None:
    """The consumer has everything in order, -1 like any other, and the program ends."""
    lines = printed(path, "--on", on).splitlines(keepends=True)
    lines.remove("Creating data and sending it\n")
    assert "".join(lines) == CONSUMED


def lines_with(word: str, lines: Iterable[str]) -> list[str]:
    return [line for line in lines if word in line.split()]


@on_its_executors("lecture/thread_class.py")
def test_thread_class(path: str, on: str) -> None:
    """Each counts down in its order, whatever the other does; then the primes, in the order of the numbers."""
    lines = printed(path, "--on", on).splitlines()
    for name in ("A", "B"):
        counted = [f"{name} counting down: {number}" for number in (5, 4, 3, 2, 1)]
        assert lines_with(name, lines) == [f"Starting {name}", *counted, f"Finished {name}"]
    primes = {2: True, 193: True, 323: False, 1327: True, 433785907: True}
    assert lines[14:] == [f"{number} is {'' if prime else 'not '}prime" for number, prime in primes.items()]


@on_its_executors("lecture/csp_two_processes.py")
def test_csp_two_processes(path: str, on: str) -> None:
    """Both have ended before the program goes on, and their lines are whole."""
    *both, last = printed(path, "--on", on).splitlines()
    assert (sorted(both), last) == (["P1 exiting", "P2 exiting"], "Terminating")
