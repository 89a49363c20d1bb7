"""Buffered channels between processes: what is under way belongs to the channel until a task takes it."""

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

import potok
from potok.testing import wait_all_parked

FLOWING = potok.processes(preload=("pytest",))


def take(rx: potok.Receiver[int], count: int) -> list[int]:
    """Receive so many, fast, so that more may come unasked."""
    return [rx.recv() for _ in range(count)]


def send_each(tx: potok.Sender[int], items: range) -> None:
    for item in items:
        tx.send(item)


def send_then_die(tx: potok.Sender[int], items: range) -> None:
    for item in items:
        tx.send(item)
    os.kill(os.getpid(), signal.SIGKILL)


def take_then_die(rx: potok.Receiver[int], count: int) -> None:
    for _ in range(count):
        rx.recv()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.stress
def test_what_a_task_did_not_take_is_there_for_the_next() -> None:
    """A task elsewhere that ends leaves in the channel whatever had come for it unasked, in its order."""
    tx, rx = potok.channel(100)
    with potok.scope(on=FLOWING) as s, tx:
        send_each(tx, range(100))
        assert s.start(take, rx.clone(), 30).result() == list(range(30))
        assert [rx.recv_nowait() for _ in range(70)] == list(range(30, 100))


@pytest.mark.stress
def test_what_was_under_way_as_a_task_ended_is_received_once() -> None:
    """Tasks take turns at a channel that is being filled: what comes too late for one of them is the next one's."""
    tx, rx = potok.channel(200)
    got: list[int] = []
    with potok.scope(on=FLOWING) as s:
        s.start(send_each, tx, range(6000), on="threads")
        for _ in range(100):
            got += s.start(take, rx, 30).result()
            got += [rx.recv() for _ in range(30)]
        rx.close()
    assert got == list(range(6000))


@pytest.mark.stress
def test_items_that_were_sent_arrive_though_the_sender_was_killed() -> None:
    """`send` has returned: the item is sent, whatever becomes of the worker in the next moment."""
    tx, rx = potok.channel(2000)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=FLOWING) as s:
        s.start(send_then_die, tx, range(1500))
    assert isinstance(caught.value.exceptions[0], potok.WorkerDied)
    assert [rx.recv_nowait() for _ in range(1500)] == list(range(1500))
    rx.close()


@pytest.mark.stress
def test_items_that_a_killed_task_did_not_take_stay_in_the_channel() -> None:
    """Exactly those that it took are gone with it."""
    tx, rx = potok.channel(1000)
    send_each(tx, range(1000))
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=FLOWING) as s:
        s.start(take_then_die, rx.clone(), 641)
    assert isinstance(caught.value.exceptions[0], potok.WorkerDied)
    assert [rx.recv_nowait() for _ in range(359)] == list(range(641, 1000))
    tx.close()


@pytest.mark.stress
def test_capacity_counts_what_is_under_way() -> None:
    """A sender waits once `capacity` items were sent and not taken, wherever they are."""
    tx, rx = potok.channel(3)
    with potok.scope(on=FLOWING) as s:
        feeder = s.start(send_each, tx.clone(), range(10), on="threads")
        assert s.start(take, rx.clone(), 4).result() == [0, 1, 2, 3]
        wait_all_parked()
        assert not feeder.done()
        assert [rx.recv_nowait() for _ in range(3)] == [4, 5, 6]
        assert [rx.recv() for _ in range(3)] == [7, 8, 9]
        tx.close()


@pytest.mark.stress
def test_a_receiver_that_waits_gets_what_another_holds_unwanted() -> None:
    """What came unasked to a worker that is busy is called back as soon as somebody else waits for it."""
    with twenty_taken_and_more_held() as rx:
        assert [rx.recv() for _ in range(80)] == list(range(20, 100))


@contextlib.contextmanager
def twenty_taken_and_more_held() -> Iterator[potok.Receiver[int]]:
    """Of a hundred items a task elsewhere has taken the first twenty, fast, and waits for something else."""
    tx, rx = potok.channel(100)
    go_tx, go = potok.channel()
    with potok.scope(on=FLOWING) as s, tx:
        send_each(tx, range(100))
        busy = s.start(take_and_wait, rx.clone(), 20, go)
        wait_all_parked()
        yield rx
        go_tx.send(None)
        assert busy.result() == list(range(20))


def take_and_wait(rx: potok.Receiver[int], count: int, go: potok.Receiver[None]) -> list[int]:
    got = take(rx, count)
    go.recv()
    return got


@pytest.mark.stress
@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_share_what_comes(workers: int) -> None:
    """Each item is received once, and nobody starves."""
    tx, rx = potok.channel(10)
    with potok.scope(on=FLOWING) as s:
        takers = [s.start(take_all, rx.clone()) for _ in range(workers)]
        rx.close()
        with tx:
            send_each(tx, range(300))
        got = [taker.result() for taker in takers]
    assert sorted(item for part in got for item in part) == list(range(300))
    assert all(part == sorted(part) for part in got)


def take_all(rx: potok.Receiver[int]) -> list[int]:
    return list(rx)


@pytest.mark.stress
def test_a_select_with_a_default_looks_at_each_arm() -> None:
    """An item that lies at home is found by a select that does not wait, whatever its other arms are."""
    tx, rx = potok.channel(2)
    lock = potok.Lock()
    with potok.scope(on=FLOWING) as s, tx, rx, lock:
        tx.send(1)
        assert s.start(pick, lock, rx.clone()).result() == 1


def pick(lock: potok.Lock, rx: potok.Receiver[int]) -> int | None:
    got = potok.select(lock, rx, default=None)
    return None if got is None else got.value


@pytest.mark.stress
def test_a_receiver_that_does_not_wait_finds_a_moment_later_what_another_holds_unwanted() -> None:
    """It may be told that nothing is there, but not for ever."""
    with twenty_taken_and_more_held() as rx:
        got: list[int] = []
        while len(got) < 80:
            with contextlib.suppress(potok.WouldBlock):
                got.append(rx.recv_nowait())
                continue
            wait_all_parked()
            got.append(rx.recv_nowait())
        assert sorted(got) == list(range(20, 100))
