"""The lecture's programs that force a bad schedule and then measure: the schedules are held, the figures are not."""

import re
from collections.abc import Iterable

import pytest
from programs import printed, runs

ORDERS = """\
3: +1 reads 2, ×2 reads 2, ×2 writes 4, +1 writes 3
3: ×2 reads 2, +1 reads 2, ×2 writes 4, +1 writes 3
4: +1 reads 2, ×2 reads 2, +1 writes 3, ×2 writes 4
4: ×2 reads 2, +1 reads 2, +1 writes 3, ×2 writes 4
5: ×2 reads 2, ×2 writes 4, +1 reads 4, +1 writes 5
6: +1 reads 2, +1 writes 3, ×2 reads 3, ×2 writes 6
"""

SECONDS = r"\d+\.\d\d\d s"


def match(lines: Iterable[str], patterns: Iterable[str]) -> None:
    """Line by line, and as many."""
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


@pytest.mark.parametrize(("path", "on"), runs("lecture/race.py"))
def test_race(path: str, on: str) -> None:
    """All orders of two readings and two writings, on every executor the same; `atomic` loses nothing, ever."""
    told = printed(path, "--on", on)
    assert told.startswith(ORDERS)
    counted, *lines = told.removeprefix(ORDERS).splitlines()
    assert re.fullmatch(r"\d+ schedules, 6 orders: 3 2x, 4 2x, 5 1x, 6 1x", counted)
    if on == "simulated":
        assert lines == []
        return
    variable = [
        rf"on {on}, a variable, {how}: lost \d+ of 600000" for how in (r"c \+= 1", r"c = one_more\(c\)")
    ]
    often = [f"{pattern}, switching every 1e-06 s" for pattern in variable] if on == "threads" else []
    shared = [
        rf"on {on}, potok.Value, c \+= 1: lost \d+ of 1000",
        f"on {on}, potok.Value, atomic: lost 0 of 1000",
    ]
    match(lines, [*variable, *often, *shared, "why: .+"])


@pytest.mark.parametrize(("path", "on"), runs("lecture/low_level_threads.py"))
def test_low_level_threads(path: str, on: str) -> None:
    """A schedule that mixes the lines is found; a line that is one write is always whole; both tasks end."""
    lines = printed(path, "--on", on, "--delay", "0.001").splitlines()
    match(
        lines[:5],
        [
            r"forced, with print: '.*tickThread-.*'",
            "forced, with one write a line: whole in 100 of 100 schedules",
            r"measured, with print: \d+ of 10000 lines mixed",
            r"measured, with one write a line: \d+ of 10000 lines mixed",
            "why: .+",
        ],
    )
    match(
        sorted(lines[5:]),
        [rf"Thread-{n}: \w+ \w+ +\d+ \d\d:\d\d:\d\d \d{{4}}" for n in (1, 2) for _ in range(5)],
    )


@pytest.mark.parametrize(("path", "on"), runs("lecture/shared_namespace.py"))
def test_shared_namespace(path: str, on: str) -> None:
    """What is done by `atomic` is exact, and an order is found in which `+=` loses an addition."""
    patterns = [
        re.escape("before Namespace(x=1, y=1)"),
        re.escape("after Namespace(x=51, y=10000000000)"),
        r"forced: 0 \+ 1 \+ 1 = 1, in this order: (main|added-1|add-1|add-2)(, (main|added-1|add-1|add-2))+",
        rf"measured on {on}, ns.x \+= 1: lost \d+ of 1000",
        f"measured on {on}, atomic: lost 0 of 1000",
        *([r"measured, a Manager's ns.x \+= 1: lost \d+ of 1000"] if on == "processes" else []),
        "why: .+",
    ]
    match(printed(path, "--on", on).splitlines(), patterns)


@pytest.mark.parametrize(("path", "on"), runs("lecture/reference_counts.py"))
def test_reference_counts(path: str, on: str) -> None:
    """Names and places count; after the task nothing is held; it has the list itself, or a copy."""
    is_copy = on in ("processes", "interpreters")
    patterns = [
        r"references to a new list, as sys.getrefcount counts them: \d",
        r"a second name: \+1",
        r"two places in a list: \+3",
        "all of them deleted: 0",
        "1000 places for None: (not counted, it is immortal|counted)",
        rf"while a task on {on} has it: (0|\+\d)",
        "after the task: 0",
        rf"the task appended to {'a copy' if is_copy else 'this list'}: \[{'' if is_copy else '1'}\]",
    ]
    match(printed(path, "--on", on).splitlines(), patterns)


def counted_on(on: str) -> list[str]:
    here = rf"two tasks on {on}: {SECONDS}, \d+\.\d\d times as long"
    forced = rf"two tasks on threads, forced to switch: {SECONDS}, \d+\.\d\d times as long"
    return [forced, here] if on == "threads" else [here]


@pytest.mark.parametrize(("path", "on"), runs("lecture/gil_countdown.py"))
def test_gil_countdown(path: str, on: str) -> None:
    """The plain loop, and the executor that was asked for."""
    told = printed(path, "--on", on, "--count", "20000").splitlines()
    first = ["counting down from 20000, best of 5:", f"one task, the plain loop: {SECONDS}"]
    match(told, [*first, *counted_on(on), "why: .+"])


def test_gil_countdown_everywhere() -> None:
    """Without `--on` it is all of them; what this Python can't do is said."""
    told = printed("lecture/gil_countdown.py", "--count", "20000")
    for on in ("coroutines", "threads", "interpreters", "processes"):
        assert re.search(rf"^two tasks on {on}: ({SECONDS}, |not here, .* Python 3.14)", told, re.MULTILINE)
