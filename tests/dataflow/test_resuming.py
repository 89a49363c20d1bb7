"""A map with a journal goes on where it was: nothing recorded is worked on again, and nothing is lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.dataflow.journal import Journal, function_name


def note(item: tuple[int, str]) -> int:
    """Fails with 3 the first time; a file for each call."""
    number, folder = item
    calls = len(list(Path(folder).glob(f"{number}.*")))
    Path(folder, f"{number}.{calls}").touch()
    if number == 3 and calls == 0:
        raise ValueError("not yet")
    return 2 * number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where calls leave their files."""
    made = tmp_path / "calls"
    made.mkdir()
    return made


def calls(folder: Path) -> dict[int, int]:
    """How often the function was called with each number."""
    told: dict[int, int] = {}
    for file in folder.iterdir():
        number = int(file.name.split(".")[0])
        told[number] = told.get(number, 0) + 1
    return told


def test_second_map_works_on_nothing(on: str, folder: Path, tmp_path: Path) -> None:
    """But on what has failed; results come from the journal, in order or not."""
    items = [(n, str(folder)) for n in range(10)]
    journal = tmp_path / "journal"
    first = list(potok.map(note, items, on=on, workers=2, on_error="return", journal=journal))
    assert [x for x in first if isinstance(x, int)] == [2 * n for n in range(10) if n != 3]
    assert list(potok.map(note, items, on=on, workers=2, journal=journal)) == list(range(0, 20, 2))
    assert calls(folder) == {n: 1 + (n == 3) for n in range(10)}
    again = potok.map(note, iter(items), on=on, workers=2, journal=str(journal), ordered=False)
    assert sorted(again) == list(range(0, 20, 2))
    assert calls(folder) == {n: 1 + (n == 3) for n in range(10)}


def test_recorded_failures_can_stay(on: str, folder: Path, tmp_path: Path) -> None:
    """With a journal that does not retry them; its owner closes it."""
    items = [(n, str(folder)) for n in range(5)]
    with suppress(ValueError):
        list(potok.map(note, items, on=on, journal=tmp_path / "journal", workers=1, window=1))
    with Journal.open(tmp_path / "journal", function_name(note), retry_failed=False) as journal:
        got = list(potok.map(note, items, on=on, on_error="return", journal=journal))
        bad = got[3]
        assert (bad.index, bad.item, str(bad.error), bad.attempts) == (3, items[3], "not yet", 1)
        with pytest.raises(ValueError, match="not yet"):
            list(potok.map(note, items, on=on, journal=journal))
        assert journal.count() == (4, 1)
    assert calls(folder)[3] == 1


def test_new_items_among_recorded_ones(pooled: str, folder: Path, tmp_path: Path) -> None:
    items = [(n, str(folder)) for n in range(0, 40, 2) if n != 3]
    assert len(list(potok.map(note, items, on=pooled, workers=2, journal=tmp_path / "j"))) == 20
    wider = [(n, str(folder)) for n in range(40) if n != 3]
    got = list(potok.map(note, wider, on=pooled, workers=2, journal=tmp_path / "j"))
    assert got == [2 * n for n in range(40) if n != 3]
    assert set(calls(folder).values()) == {1}


def test_async_reading_and_writing(folder: Path, tmp_path: Path) -> None:
    async def anote(item: tuple[int, str]) -> int:
        return note(item)

    async def main() -> list[Any]:
        items = [(n, str(folder)) for n in range(10, 20)]
        return [r async for r in potok.map(anote, items, journal=tmp_path / "j")]

    assert potok.run(main) == potok.run(main) == list(range(20, 40, 2))
    assert set(calls(folder).values()) == {1}


def test_leaving_early_records_what_was_done(pooled: str, folder: Path, tmp_path: Path) -> None:
    """What was given out is never worked on again; an endless input is pulled no further than the window."""

    def items() -> Iterator[tuple[int, str]]:
        return ((n, str(folder)) for n in count(10))

    with potok.map(note, items(), on=pooled, workers=2, window=8, journal=tmp_path / "j") as results:
        assert list(islice(results, 10)) == list(range(20, 40, 2))
    before = calls(folder)
    with potok.map(note, items(), on=pooled, workers=2, window=8, journal=tmp_path / "j") as results:
        assert list(islice(results, 10)) == list(range(20, 40, 2))
    assert all(calls(folder)[n] == before[n] == 1 for n in range(10, 20))


PROGRAM = """
import sys, os, potok
sys.path.insert(0, {here!r})
from test_resuming import note
items = [(n, {folder!r}) for n in range(10, 60)]
for result in potok.map(note, items, on={on!r}, workers=2, journal={journal!r}):
    print(result, flush=True)
"""


@pytest.mark.parametrize("kill_at", [0, 7, 30])
def test_killed_run_goes_on_where_it_was(on: str, kill_at: int, folder: Path, tmp_path: Path) -> None:
    """SIGKILL at any moment: what it had given out is not worked on again, the rest is."""
    told = {
        "here": str(Path(__file__).parent),
        "folder": str(folder),
        "on": on,
        "journal": str(tmp_path / "j"),
    }
    command = [sys.executable, "-c", PROGRAM.format(**told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        given = [killed.stdout.readline() for _ in range(kill_at)]
        os.kill(killed.pid, signal.SIGKILL)
        given += killed.stdout.readlines()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.split() == [str(2 * n) for n in range(10, 60)]
    assert all(calls(folder)[10 + at] == 1 for at in range(len(given)))


def test_journal_that_is_none(tmp_path: Path) -> None:
    """Wrong arguments are named at the call; what is no journal, with the first result."""
    with pytest.raises(TypeError, match="journal must be"):
        potok.map(note, [], journal=7)  # type: ignore[arg-type]
    (tmp_path / "text").write_text("this is no journal" * 100, encoding="utf-8")
    with pytest.raises(potok.PotokError, match="no journal"):
        list(potok.map(str, [1], journal=tmp_path / "text"))


def test_items_without_a_key(pooled: str, tmp_path: Path) -> None:
    """End the map with an error that names the item."""
    with pytest.raises(potok.PotokError, match="lambda"):
        list(potok.map(str, [1, lambda: 0], on=pooled, journal=tmp_path / "j"))
