"""A map on *processes*: batches, what can't be pickled, workers that die, and nobody left behind."""

import gc
import os
import signal
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar

import pytest

import potok
from potok.dataflow.batched import Batched
from potok.dataflow.board import Board, Hand
from potok.dataflow.intake import Intake
from potok.dataflow.mapping import Options, _plan
from potok.remote import crew
from potok.testing import wait_all_parked


def double(x: int) -> int:
    return 2 * x


def pid_of(_: int) -> int:
    return os.getpid()


def test_short_items_travel_in_batches_and_come_in_order() -> None:
    """Thousands of them, in order or as they come; an input without end is pulled no further than the window."""
    assert list(potok.map(double, range(5000), on="processes", workers=2)) == list(range(0, 10_000, 2))
    got = list(potok.map(double, range(5000), on="processes", workers=2, ordered=False))
    assert sorted(got) == list(range(0, 10_000, 2))
    with potok.map(double, count(), on="processes", workers=2) as results:
        assert list(islice(results, 300)) == list(range(0, 600, 2))


def test_all_items_that_wait_count() -> None:
    """Whether they make a lot: also where the first of them are few, as they were left over or given back."""
    options = Options("processes", 2, True, 10, "auto", 0, None, None, "raise", None)
    board = Board(_plan(double, False, options, "map"))
    board.add((0, list(range(12)), 0))
    assert len(board.cut()[1]) == 10
    assert not board.can_spare_lot()
    board.add((12, list(range(12, 20)), 0))
    assert board.waiting() == 10
    assert board.can_spare_lot()
    lot = board.cut()
    assert lot == (10, list(range(10, 20)), 0)
    board.put_back(lot)
    assert board.waiting() == 10


def test_who_appends_the_last_item_that_was_wanted_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of those that wait with it are together, as they were left over or given back."""
    rung: list[int] = []
    monkeypatch.setattr(Batched, "_ring", lambda work: rung.append(work._board.waiting()))
    options = Options("processes", 2, True, "auto", "auto", 0, None, None, "raise", None)
    work = Batched(_plan(double, False, options, "map"), Intake(iter(())))
    work._board.add((0, list(range(12)), 0))
    work._board.hungry = 16
    for first in (12, 14):
        work._send(first, [first, first + 1])
    assert rung == [16]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_window_holds_with_batches(window: int) -> None:
    """No more items are pulled and not given out than the window allows."""
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for item in range(200):
            pulled += 1
            yield item

    for given, result in enumerate(potok.map(double, items(), on="processes", workers=2, window=window)):
        assert result == 2 * given
        assert pulled <= given + 1 + window


def test_workers_are_other_processes_and_no_more_than_asked_for() -> None:
    """Also where the executor says how many."""
    for options in ({"on": "processes", "workers": 2}, {"on": potok.processes(workers=2)}):
        pids = set(potok.map(pid_of, range(500), **options))
        assert os.getpid() not in pids
        assert 1 <= len(pids) <= 2


class PickyError(Exception):
    """One that can't be made again from what pickle keeps of it."""

    def __init__(self, item: int, why: str) -> None:
        super().__init__(f"{item}: {why}")


class OtherError(Exception):
    """One that pickle takes for something else."""

    def __reduce__(self) -> Any:
        return str, ("no error",)


def picky(x: int) -> Any:
    if x == 3:
        raise PickyError(x, "odd")
    if x == 4:
        raise OtherError("even")
    return threading.Lock() if x == 5 else x


def test_what_cannot_travel_is_an_error_of_its_item() -> None:
    """A result that can't be pickled, an exception that can't be unpickled: the other items of the batch are fine."""
    got = list(potok.map(picky, range(40), on="processes", workers=1, on_error="return"))
    assert [item for item in got if isinstance(item, int)] == [x for x in range(40) if x not in (3, 4, 5)]
    for at, told in ((3, "3: odd"), (4, "even"), (5, "lock")):
        assert isinstance(got[at], potok.BadItem)
        assert (got[at].index, got[at].item) == (at, at)
        assert told in str(got[at].error)


def failing_at(x: int) -> Any:
    return PickyError(x, "odd") if x in (3, 4, 30) else x


@pytest.mark.parametrize("options", [{}, {"batch": 1}, {"batch": 7}, {"ordered": False}, {"timeout": 60}])
def test_result_that_cannot_be_read_here_is_an_error_of_its_item(options: dict[str, Any]) -> None:
    """It can be pickled, but not unpickled: it is reported, nobody waits for it, and the other items are fine."""
    for workers in (1, 2):
        results = potok.map(
            failing_at, range(40), on="processes", workers=workers, on_error="return", **options
        )
        got = dict(results.numbered())
        assert [at for at in range(40) if got[at] != at] == [3, 4, 30]
        for at in (3, 4, 30):
            assert (got[at].index, got[at].item) == (at, at)
            assert isinstance(got[at].error, potok.RemoteError)
            assert "PickyError" in str(got[at].error)


class Held:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return "Held()"


def hold(_: int) -> Any:
    return {"a": [1, Held()]}


def test_what_cannot_travel_is_named_with_the_path_to_the_culprit() -> None:
    """As the user knows it: the item, the result, the function; nothing of what potok sends it in."""
    (bad,) = potok.map(str, [Held()], on="processes", on_error="return")
    assert str(bad.error).startswith("the item Held() can't go to another address space: at .lock (TypeError")
    (bad,) = potok.map(hold, [1], on="processes", on_error="return")
    told = "the result {'a': [1, Held()]} can't go to another address space: at ['a'][1].lock (TypeError"
    assert str(bad.error).startswith(told)
    lock = threading.Lock()

    def guarded(_: int) -> bool:
        return lock.locked()

    with pytest.raises(
        potok.RemoteError, match=r"^the function guarded can't go .*: at \.<lock> \(TypeError"
    ):
        list(potok.map(guarded, [1], on="processes"))


def unread_then_stuck(x: int) -> Any:
    if x == 1:
        threading.Event().wait()
    return PickyError(x, "odd")


def test_time_out_after_a_result_that_cannot_be_read_here() -> None:
    """The time-out is that of the item that takes too long, though the answer before it was lost."""
    results = potok.map(
        unread_then_stuck, range(3), on="processes", workers=1, batch=1, timeout=0.2, on_error="return"
    )
    assert [type(bad.error) for bad in results] == [potok.RemoteError, TimeoutError, potok.RemoteError]


def test_function_that_cannot_travel_is_refused() -> None:
    """At the first result, with the name of what is in the way."""
    lock = threading.Lock()

    def guarded(x: int) -> int:
        with lock:
            return x

    with pytest.raises(potok.RemoteError, match="lock"):
        list(potok.map(guarded, range(3), on="processes"))


def test_error_says_where_it_was_raised_over_there() -> None:
    """Its traceback comes along as a note: the frames themselves stay where they were."""
    with pytest.raises(ZeroDivisionError) as caught:
        list(potok.map(divide_by, [0], on="processes"))
    told = "".join(caught.value.__notes__)
    assert "in divide_by" in told
    assert "1 // x" in told


def divide_by(x: int) -> int:
    return 1 // x


def die_at_50(x: int) -> int:
    if x == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_item_that_kills_its_worker_is_found() -> None:
    """It alone is reported, with how often it was tried; everything else is there, and nothing twice."""
    for workers in (1, 2):
        got = list(potok.map(die_at_50, range(200), on="processes", workers=workers, on_error="return"))
        assert [item for item in got if isinstance(item, int)] == [x for x in range(200) if x != 50]
        bad = got[50]
        assert isinstance(bad, potok.BadItem)
        assert (bad.index, bad.item, bad.attempts) == (50, 50, 2)
        assert isinstance(bad.error, potok.WorkerDied)
        assert bad.error.signal == signal.SIGKILL


def test_item_that_kills_its_worker_is_raised_in_its_turn() -> None:
    got: list[int] = []
    with pytest.raises(potok.WorkerDied, match="SIGKILL") as caught:
        got.extend(potok.map(die_at_50, range(200), on="processes", workers=2))
    assert got == list(range(50))
    assert caught.value.__notes__[-1] == "in potok.map: item 50 (50), tried 2 times"


def wait_for_the_end(x: int, begun: potok.Event, ended: potok.Sender[str]) -> None:
    begun.set()
    try:
        potok.Event().wait()
    except potok.Cancelled as reason:
        ended.send_nowait(str(reason))
        raise


def test_leaving_early_cancels_the_rest_and_waits() -> None:
    """Functions that wait meet the cancellation before the block is left."""
    begun = potok.Event()
    ended, told = potok.channel(potok.UNBOUNDED)

    def items() -> Iterator[tuple[int, potok.Event, Any]]:
        for item in range(2):
            yield item, begun, ended

    with potok.starmap(wait_for_the_end, items(), on="processes", workers=1) as results:

        def leave() -> None:
            begun.wait()
            scope.cancel()

        with potok.scope(on="threads") as scope:
            scope.start(leave)
            next(results)
    assert told.recv_nowait().startswith("cancelled")
    ended.close()


def test_map_inside_of_a_worker() -> None:
    """A task on processes maps on processes."""
    with potok.scope(on="processes") as s:
        assert s.start(map_there).result() == [0, 2, 4]


def map_there() -> list[int]:
    return list(potok.map(double, range(3), on="processes", workers=1))


class NoticedError(Exception):
    """Knows which of its kind are alive."""

    alive: ClassVar[weakref.WeakSet[Exception]] = weakref.WeakSet()

    def __init__(self, item: int) -> None:
        super().__init__(item)
        self.alive.add(self)


def fail_or_count(item: int) -> int:
    gc.disable()  # the worker is let go after this
    if item < 10:
        raise NoticedError(item)
    return len(NoticedError.alive)


def test_errors_of_items_that_failed_do_not_outlive_their_batch() -> None:
    """A worker keeps none of them, nor what their frames knew, until a garbage collector comes by."""
    on = potok.processes(workers=1, max_tasks_per_worker=1)
    told = list(potok.map(fail_or_count, range(200), on=on, on_error="return"))
    assert all(isinstance(bad, potok.BadItem) for bad in told[:10])
    assert told[-1] == 0


def test_no_more_workers_than_the_executor_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there do the work, the items of one that has died included; nobody asks again and again."""
    asked = 0
    hire = crew.Crew._hire

    def counted(self: crew.Crew) -> Any:
        nonlocal asked
        asked += 1
        return hire(self)

    monkeypatch.setattr(crew.Crew, "_hire", counted)
    on = potok.processes(max_workers=1)
    got = list(potok.map(die_at_50, range(200), on=on, workers=2, on_error="return"))
    assert [at for at in range(200) if got[at] != at] == [50]
    assert asked < 20


def hold_on(hold: potok.Event | None) -> None:
    if hold is not None:
        with potok.shield():
            hold.wait()


def test_map_waits_for_workers_of_one_that_is_over() -> None:
    """Where the executor allows no more, and they are about to end: no map fails as another has just been read."""
    executor = potok.processes(workers=1, max_workers=1)
    hold = potok.Event()
    for _ in potok.map(hold_on, [None, hold], on=executor, batch=1):
        wait_all_parked()
        break

    def inputs() -> Iterator[int]:
        yield 1
        wait_all_parked()
        hold.set()

    assert list(potok.map(double, inputs(), on=executor)) == [2]
    for _ in range(20):
        assert list(potok.map(double, range(3), on=executor, workers=2)) == [0, 2, 4]


def test_room_is_made_for_items_that_are_tried_alone() -> None:
    """Where the executor allows no more workers than there are, also if that shows only now."""
    on = potok.processes(workers=2, max_workers=1)
    with potok.map(pid_unless_odd, range(6), on=on, on_error="return", batch=2, window=2) as results:
        got = list(results)
    assert [at for at in range(6) if not isinstance(got[at], int)] == [3]


def test_no_more_workers_than_asked_for_where_results_cannot_be_read() -> None:
    """Items that are tried alone are tried by a worker that is there."""
    results = potok.map(pid_unless_odd, range(40), on="processes", workers=1, on_error="return", batch=20)
    assert len({got for got in results if isinstance(got, int)}) == 1


def pid_unless_odd(x: int) -> Any:
    return PickyError(x, "odd") if x == 3 else os.getpid()


def test_a_worker_is_described_while_it_is_given_more() -> None:
    """The dispatcher is another thread, which does not wait until the caller has looked."""

    class Items(list[int]):
        def __len__(self) -> int:
            hand.lots.append((2, [2], 0))  # between any two steps of whoever looks
            return 1

    task = potok.start(os.getpid)
    task.result()
    hand = Hand(1, task, potok.channel()[0])
    hand.lots.extend([(0, Items(), 0), (1, [1], 0)])
    assert "2 items in hand" in hand.describe()
    hand.tx.close()


def come_up(folder: str) -> None:
    """Wait to be let, but for the first worker."""
    try:
        Path(folder, "first").touch(exist_ok=False)
    except FileExistsError:
        Path(folder, "gate").read_bytes()


needs_gate = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the gate is a named pipe")


@pytest.fixture
def one_is_up(tmp_path: Path) -> Any:
    """An executor of which one worker has come up; others do when something is written to the gate in `tmp_path`."""
    os.mkfifo(tmp_path / "gate")
    executor = potok.processes(initializer=partial(come_up, str(tmp_path)))
    with potok.map(double, range(3), on=executor, workers=1) as first:
        assert list(first) == [0, 2, 4]
    return executor


@needs_gate
def test_nothing_waits_for_a_worker_that_is_yet_to_come_up(tmp_path: Path, one_is_up: Any) -> None:
    """Another one takes it all."""
    with potok.map(double, range(500), on=one_is_up, workers=2) as results:
        assert list(results) == list(range(0, 1000, 2))
        (tmp_path / "gate").write_bytes(b"")


def meet(barrier: potok.Barrier | None) -> None:
    if barrier is not None:
        barrier.wait()


@pytest.mark.parametrize("before", [1, 3, 8])
def test_the_last_items_go_to_all_workers_whatever_a_few_before_them_took(before: int) -> None:
    """Here each waits for the other: one worker that had both would wait for ever."""
    barrier = potok.Barrier(2)
    inputs = [None] * before + [barrier] * 2
    assert list(potok.map(meet, inputs, on="processes", workers=2)) == [None] * len(inputs)


def answer(hold: potok.Event, done: potok.Event) -> None:
    hold.wait()
    done.set()


@needs_gate
def test_idle_worker_is_given_what_comes_while_another_one_comes_up(tmp_path: Path, one_is_up: Any) -> None:
    """The newcomer was started for an item that the first worker could take before it."""
    hold, free = potok.Event(), potok.Event()
    free.set()

    def inputs() -> Iterator[tuple[potok.Event, potok.Event]]:
        done = [potok.Event() for _ in range(10)]
        yield hold, done[0]
        yield free, done[1]
        hold.set()
        done[1].wait()
        for event in done[2:]:
            yield free, event
            with potok.timeout(10):
                event.wait()

    with potok.starmap(answer, inputs(), on=one_is_up, workers=3) as results:
        try:
            assert list(results) == [None] * 10
        finally:
            (tmp_path / "gate").write_bytes(b"")


def test_dispatcher_may_have_ended_before_it_is_told_of_the_end_of_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It sees that the input has ended, and that all is done, or lost, while its caller is about to ring."""
    gate, ring = potok.Event(), Batched._ring

    def ring_late(work: Batched) -> None:
        if work._board.input_ended:
            gate.set()
            assert work._reins is not None
            work._reins.owner.join()
        ring(work)

    def at_gate(x: int) -> int:
        gate.wait()
        return x

    monkeypatch.setattr(Batched, "_ring", ring_late)
    assert list(potok.map(at_gate, [1], on="processes")) == [1]
    lock = threading.Lock()
    with pytest.raises(potok.RemoteError, match="the function"):
        list(potok.map(lambda x: (x, lock), [1], on="processes"))


def test_workers_are_free_when_all_is_done_and_not_when_all_is_read() -> None:
    """Another map can have them."""
    executor = potok.processes(workers=2, max_workers=2)
    with potok.map(double, range(6), on=executor, batch=1) as results:
        assert list(islice(results, 5)) == [0, 2, 4, 6, 8]
        wait_all_parked()
        assert list(potok.map(double, range(6), on=executor)) == [0, 2, 4, 6, 8, 10]
        assert list(results) == [10]


def test_workers_are_free_where_the_input_ends_while_results_are_at_hand() -> None:
    """The workers are told at once, and not when the reader has to wait next."""
    executor = potok.processes(workers=2, max_workers=2)
    with potok.map(double, iter(range(5)), on=executor, batch=1, window=4) as results:
        assert next(results) == 0
        wait_all_parked()
        assert list(islice(results, 2)) == [2, 4]
        wait_all_parked()
        assert list(potok.map(double, range(6), on=executor)) == [0, 2, 4, 6, 8, 10]
        assert list(results) == [6, 8]
