"""What a map survives: items that fail now and then, that take too long, that kill their worker, again and again."""

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.dataflow import plan as plan_module


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Second tries come soon (workers in other processes have forked before, and take their time)."""
    monkeypatch.setattr(plan_module, "BACK_OFF", 0.001)


def fail_at_first(item: tuple[int, str]) -> int:
    """Fails at the first two calls with an odd number; a file knows."""
    number, folder = item
    seen = Path(folder, f"{number}.{len(list(Path(folder).glob(f'{number}.*')))}")
    seen.touch()
    if number % 2 and not seen.name.endswith(".2"):
        raise ValueError(f"not yet: {seen.name}")
    return number


async def afail_at_first(item: tuple[int, str]) -> int:
    return fail_at_first(item)


@pytest.mark.parametrize("fn", [fail_at_first, afail_at_first])
def test_failed_items_are_tried_again(fn: Any, on: str, tmp_path: Path) -> None:
    """As often as was said; the others are called once."""
    if on == "inline" and fn is afail_at_first:
        pytest.skip("a coroutine that waits, here for its second try, has nobody to wake it on inline")
    items = [(n, str(tmp_path)) for n in range(4)]
    assert list(potok.map(fn, items, on=on, workers=2, retries=2)) == [0, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 2 * 1 + 2 * 3


def test_item_that_never_succeeds(on: str, tmp_path: Path) -> None:
    """Is reported with its last error and how often it was tried."""
    (fine, bad) = potok.map(
        fail_at_first, [(0, str(tmp_path)), (1, str(tmp_path))], on=on, retries=1, on_error="return"
    )
    assert fine == 0
    assert (bad.attempts, str(bad.error)) == (2, "not yet: 1.1")
    with pytest.raises(ValueError, match=r"not yet: 1\.2|not yet: 1\.3") as caught:
        list(potok.map(refuse, [7], on=on, retries=3))
    assert caught.value.__notes__[-1] == "in potok.map: item 0 (7), tried 4 times"


def test_every_retry_has_its_pause(on_near: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one as well, wherever the first try was."""
    before: list[int] = []
    monkeypatch.setattr(plan_module, "pause_before", lambda attempt: before.append(attempt) or 0.0)
    with pytest.raises(ValueError, match="not yet"):
        list(potok.map(refuse, [7], on=on_near, retries=2))
    assert before == [2, 3]


def refuse(item: int) -> None:
    raise ValueError("not yet: 1.2")


def park(item: int) -> int:
    if item == 1:
        potok.Event().wait()
    return item


async def await_for_ever(item: int) -> int:
    if item == 1:
        await asyncio.get_running_loop().create_future()
    return item


@pytest.mark.parametrize("fn", [park, await_for_ever])
def test_item_that_waits_too_long(fn: Any, pooled: str) -> None:
    """Is cancelled where it waits, and reported; the others are there."""
    got = list(potok.map(fn, range(6), on=pooled, workers=2, timeout=0.2, on_error="return"))
    assert [x for x in got if isinstance(x, int)] == [0, 2, 3, 4, 5]
    assert isinstance(got[1].error, TimeoutError)
    assert "0.2 s" in str(got[1].error)


def hang(item: int) -> tuple[int, int]:
    if item == 3:
        time.sleep(3600)
    return item, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_item_that_hangs_is_killed_and_not_the_run(workers: int) -> None:
    """On processes: also one that never looks up. Its worker is replaced; whatever else it had is worked on."""
    got = list(potok.map(hang, range(12), on="processes", workers=workers, timeout=0.3, on_error="return"))
    assert isinstance(got[3], potok.BadItem)
    assert isinstance(got[3].error, TimeoutError)
    assert [x[0] for x in got if isinstance(x, tuple)] == [0, 1, 2, *range(4, 12)]


def hang_once(item: tuple[int, str]) -> int:
    number, folder = item
    if number == 2 and not Path(folder, "was here").exists():
        Path(folder, "was here").touch()
        time.sleep(3600)
    return number


def test_item_that_hung_is_tried_again(tmp_path: Path) -> None:
    items = [(n, str(tmp_path)) for n in range(5)]
    assert list(potok.map(hang_once, items, on="processes", workers=2, timeout=0.5, retries=1)) == list(
        range(5)
    )


def die_often(item: int) -> int:
    if item % 10 == 7:
        logging.getLogger("mine").warning("about to take a lot of memory")
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize("ordered", [True, False])
def test_many_items_that_kill(ordered: bool) -> None:
    """Each is found, told with its last words, and nothing else is lost or doubled."""
    with potok.logs("WARNING"):
        got = list(
            potok.map(die_often, range(60), on="processes", workers=2, on_error="return", ordered=ordered)
        )
    bad = [x for x in got if isinstance(x, potok.BadItem)]
    assert sorted(b.item for b in bad) == [7, 17, 27, 37, 47, 57]
    assert all(isinstance(b.error, potok.WorkerDied) and b.attempts == 2 for b in bad)
    assert all("MiB of memory" in str(b) and b.error.memory > 0 for b in bad)
    assert any("a lot of memory" in event for event in bad[0].error.last_events)
    good = [x for x in got if not isinstance(x, potok.BadItem)]
    assert sorted(good) == [x for x in range(60) if x % 10 != 7]
    if ordered:
        assert good == sorted(good)


def die_once(item: tuple[int, str]) -> int:
    number, folder = item
    if number == 5 and not Path(folder, "was here").exists():
        Path(folder, "was here").touch()
        os._exit(3)
    return number


def test_worker_that_died_by_chance_costs_nothing(tmp_path: Path) -> None:
    """Whose item succeeds alone, in a fresh worker."""
    items = [(n, str(tmp_path)) for n in range(20)]
    assert list(potok.map(die_once, items, on="processes", workers=2)) == list(range(20))


def die_then_take_long(item: tuple[int, str]) -> int:
    number, folder = item
    if number == 5000:
        if Path(folder, "was here").exists():
            time.sleep(3)
        else:
            Path(folder, "was here").touch()
            os._exit(3)
    return number


def test_nobody_spins_while_a_suspect_is_tried(tmp_path: Path) -> None:
    """The dispatcher waits for the worker that tries it, though there is plenty to give out to the others."""
    began = time.process_time()
    items = [(n, str(tmp_path)) for n in range(60_000)]
    results = potok.map(die_then_take_long, items, on="processes", workers=1, window=60_000)
    assert list(results) == list(range(60_000))
    assert time.process_time() - began < 2  # of this process: the three that a worker sleeps are not


class Unsendable:
    def __reduce__(self) -> Any:
        raise TypeError("not me")


class Unreceivable:
    def __reduce__(self) -> Any:
        return refuse, (1,)


@pytest.mark.parametrize("kind", [Unsendable, Unreceivable])
def test_items_that_cannot_travel_are_errors_of_their_own(kind: type) -> None:
    """Whether they can't be pickled here or not be made again there."""
    items = [0, 1, kind(), 3, kind(), *range(5, 30)]
    got = list(potok.map(str, items, on="processes", workers=2, on_error="return"))
    assert [x for x in got if isinstance(x, str)] == [str(x) for x in items if isinstance(x, int)]
    assert all(isinstance(got[at], potok.BadItem) and got[at].item is items[at] for at in (2, 4))


def never_up() -> None:
    os._exit(9)


def test_workers_that_never_come_up_end_the_map() -> None:
    """After a few of them, with what became of the last."""
    with pytest.raises(potok.PotokError, match=r"9|initializer"):
        list(potok.map(str, range(10), on=potok.processes(workers=2, initializer=never_up)))


def test_rate_spaces_the_starts(pooled: str) -> None:
    """The eighth try begins no sooner than seven steps after the map."""
    begin = time.monotonic()
    starts = sorted(potok.map(note_time, range(8), on=pooled, workers=4, rate=50.0, ordered=False))
    assert len(starts) == 8
    assert starts[-1] - begin >= 7 / 50.0


def note_time(_: int) -> float:
    return time.monotonic()


def test_rate_holds_for_async_functions() -> None:
    async def note(_: int) -> float:
        return time.monotonic()

    begin = time.monotonic()
    starts = sorted(potok.map(note, range(5), rate=50.0))
    assert starts[-1] - begin >= 4 / 50.0


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batch_is_as_large_as_was_said(batch: int) -> None:
    assert list(potok.map(str, range(50), on="processes", workers=2, batch=batch)) == [
        str(x) for x in range(50)
    ]


def cancel_myself(item: int) -> int:
    if item == 3:
        potok.current_task().cancel("I give up")
        potok.checkpoint()
    return item


def test_function_that_cancels_its_own_worker(pooled: str) -> None:
    """Fails with that; another worker goes on with the rest."""
    got = list(potok.map(cancel_myself, range(10), on=pooled, workers=1, on_error="return"))
    assert [x for x in got if isinstance(x, int)] == [0, 1, 2, *range(4, 10)]
    assert isinstance(got[3].error, potok.TaskCancelled)


@pytest.mark.parametrize("options", [{"retries": 1}, {"rate": 1000}, {"retries": 1, "rate": 1000}])
def test_retries_and_rate_hold_no_event_loop_up(on: str, options: dict[str, Any]) -> None:
    """Read by `async for`, a map waits by awaiting, also where a `def` function runs in the reader's own task."""

    async def read() -> list[Any]:
        return [got async for got in potok.map(divmod, [7, 8], [0, 1], on=on, on_error="return", **options)]

    for run in (potok.run(read), asyncio.run(read())):
        assert run[0].attempts == options.get("retries", 0) + 1
        assert run[1] == (8, 0)
