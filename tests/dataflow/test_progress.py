"""How far a map is: told after each result, and once more at its end, however that comes about."""

import re

import pytest

import potok
from potok.dataflow.progress import Progress


def picky(x: int) -> int:
    if x == 1:
        raise ValueError(x)
    return x


def test_told_after_each_result_and_at_the_end(on: str) -> None:
    """Counts of results and failures, and the total where the input knows its length."""
    told: list[Progress] = []
    list(potok.map(picky, [0, 1, 2], on=on, on_error="return", progress=told.append))
    assert [(p.done, p.failed, p.total, p.over) for p in told] == [
        (1, 0, 3, False),
        (2, 1, 3, False),
        (3, 1, 3, False),
        (3, 1, 3, True),
    ]
    assert all(p.seconds >= 0 and p.rate >= 0 for p in told)


@pytest.mark.parametrize(
    ("iterables", "total"), [(([1], [1, 2]), 1), ((iter([1]), [1, 2]), None), (((),), 0)]
)
def test_total(iterables: tuple[list[int], ...], total: int | None) -> None:
    """The shortest input counts; one that can't tell leaves it open."""
    told: list[Progress] = []
    list(potok.map(lambda *_: None, *iterables, on="inline", progress=told.append))
    assert told[-1].total == total


def test_end_is_told_once_when_it_comes_early(on: str) -> None:
    """After an error, after `close`."""
    told: list[Progress] = []
    results = potok.map(picky, [0, 1, 2], on=on, progress=told.append)
    with pytest.raises(ValueError, match="1"):
        list(results)
    results.close()
    assert [(p.done, p.failed, p.over) for p in told] == [(1, 0, False), (2, 1, False), (2, 1, True)]


def test_plain_lines_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`progress=True` prints one line every now and then, and one at the end; nothing on stdout."""
    monkeypatch.setattr("potok.dataflow.progress.INTERVAL", 0.0)
    list(potok.map(picky, [0, 1], on="inline", on_error="return", progress=True))
    streams = capsys.readouterr()
    assert streams.out == ""
    first, second, last = streams.err.splitlines()
    assert re.fullmatch(r"potok\.map: 1/2 items, \d+\.\d s, \d+ items/s", first)
    assert re.fullmatch(r"potok\.map: 2/2 items, 1 failed, \d+\.\d s, \d+ items/s", second)
    assert last.startswith("potok.map: 2/2 items, 1 failed")
