"""Lanes between processes: items that no message tells of, beside everything that is told."""

import contextlib
import gc
import os
import random
import signal
from typing import Any

import pytest

import potok
from potok.remote.lanes import LANES

ON = potok.processes(preload=("pytest",))
ROUNDS = 200


def echo(rx: potok.Receiver[Any], tx: potok.Sender[Any]) -> None:
    for item in rx:
        tx.send(item)


def mixed_items(count: int) -> list[Any]:
    """Such as a lane takes, and such as go by a message: too big for it, or with more to them than their bytes."""
    kinds = [7, "text", b"bytes", 1.5, None, (1, 2), {"a": [1]}, b"1" * 40_000, b"1" * 200_000, potok.Event()]
    chosen = random.Random(count)
    return [(n, chosen.choice(kinds)) if n % 3 else n for n in range(count)]


@pytest.mark.stress
def test_all_sorts_of_items_keep_their_order_there_and_back() -> None:
    there, here = potok.channel(10), potok.channel(10)
    items = mixed_items(150)
    with potok.scope(on=ON) as s:
        s.start(echo, there[1], here[0])
        s.start(send_each, there[0], items, on="threads")
        got = list(here[1])
    assert [item[0] if isinstance(item, tuple) else item for item in got] == list(range(150))
    assert [type(item[1]) for item in got if isinstance(item, tuple)] == [
        type(item[1]) for item in items if isinstance(item, tuple)
    ]


def send_each(tx: potok.Sender[Any], items: Any) -> None:
    for item in items:
        tx.send(item)


def send_to_each(txs: list[potok.Sender[int]], go: potok.Receiver[None]) -> None:
    for n in range(ROUNDS):
        for tx in txs:
            tx.send(n)
        go.recv()


@pytest.mark.stress
@pytest.mark.parametrize("backwards", [False, True])
def test_items_of_several_channels_come_in_the_order_in_which_a_task_sent_them(backwards: bool) -> None:
    """Some of these channels have a lane, the others have none: nothing overtakes."""
    channels = [potok.channel(10) for _ in range(4)]
    if backwards:
        channels.reverse()
    go, gone = potok.channel(10)
    with potok.scope(on=ON) as s:
        s.start(send_to_each, [tx for tx, _ in channels], gone)
        for n in range(ROUNDS):
            assert channels[-1][1].recv() == n
            assert [rx.recv_nowait() for _, rx in channels[:-1]] == [n] * 3
            go.send(None)


def close_and_tell(ends: list[potok.Sender[int]], tx: potok.Sender[int], go: potok.Receiver[None]) -> None:
    for n, end in enumerate(ends):
        end.close()
        tx.send(n)
        go.recv()


@pytest.mark.stress
def test_item_does_not_overtake_the_end_of_another_channel() -> None:
    channels = [potok.channel(1) for _ in range(50)]
    tx, rx = potok.channel(10)
    go, gone = potok.channel(10)
    with potok.scope(on=ON) as s:
        s.start(close_and_tell, [end for end, _ in channels], tx, gone)
        for n, (_, closed) in enumerate(channels):
            assert rx.recv() == n
            with pytest.raises(potok.ClosedError):
                closed.recv_nowait()
            go.send(None)


@pytest.mark.stress
def test_lanes_are_used_again_by_one_channel_after_the_other() -> None:
    """A worker has but two in each direction; each channel is another one, and so is each epoch of an end."""
    with potok.scope(on=potok.processes(workers=1, preload=("pytest",))) as s:
        for turn in range(30):
            ends = [(potok.channel(3), potok.channel(potok.UNBOUNDED)) for _ in range(1 + turn % 3)]
            tasks = [s.start(echo, there[1], here[0]) for there, here in ends]
            for there, _ in ends:
                s.start(send_each, there[0], range(turn * 10), on="threads")
            assert [list(here[1]) for _, here in ends] == [list(range(turn * 10))] * len(ends)
            for task in tasks:
                task.result()


@pytest.mark.stress
def test_many_threads_of_the_program_receive_what_comes_by_lanes() -> None:
    """One may look at the lanes while others wait: who waits is told."""
    tx, rx = potok.channel(5)
    with potok.scope(on="threads") as s:
        for number in range(2):
            s.start(send_each, tx.clone(), range(number, 600, 2), on=ON)
        tx.close()
        takers = [s.start(list, rx.clone()) for _ in range(4)]
        rx.close()
    got = [task.result() for task in takers]
    assert sorted(item for items in got for item in items) == list(range(600))


def send_as_it_changes(tx: potok.Sender[Any]) -> None:
    item: dict[str, Any] = {"n": 0, "seen": []}
    for n in range(100):
        item["n"] = n
        item["seen"].append(n)
        del item["seen"][:-3]
        tx.send(item)
        tx.send(item["seen"])
    twice = [1]
    tx.send((twice, twice, bytearray(b"2")))


@pytest.mark.stress
@pytest.mark.parametrize("relayed", [False, True])
def test_container_is_as_it_was_when_it_was_sent(relayed: bool) -> None:
    """Also one that is in it twice, and on its way from one worker to another."""
    there, here = potok.channel(10), potok.channel(10)
    with potok.scope(on=ON) as s:
        s.start(send_as_it_changes, there[0])
        if relayed:
            s.start(echo, there[1], here[0])
        *got, (first, second, third) = here[1] if relayed else there[1]
    seen = [list(range(max(0, n - 2), n + 1)) for n in range(100)]
    assert got[::2] == [{"n": n, "seen": seen[n]} for n in range(100)]
    assert got[1::2] == seen
    assert first is second
    assert (first, third) == ([1], bytearray(b"2"))


def receive_then_die(rx: potok.Receiver[int], tx: potok.Sender[int], count: int) -> None:
    for _ in range(count):
        tx.send(rx.recv())
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.stress
def test_what_a_killed_task_had_sent_by_a_lane_arrives_and_what_it_had_not_taken_goes_back() -> None:
    there, here = potok.channel(1000), potok.channel(1000)
    send_each(there[0], range(600))
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=ON) as s:
        s.start(receive_then_die, there[1].clone(), here[0], 417)
    assert isinstance(caught.value.exceptions[0], potok.WorkerDied)
    assert [here[1].recv_nowait() for _ in range(417)] == list(range(417))
    assert [there[1].recv_nowait() for _ in range(183)] == list(range(417, 600))


@pytest.mark.stress
def test_what_lies_in_a_lane_as_the_last_receiver_closes_is_reported() -> None:
    lost: list[int] = []
    tx, rx = potok.channel(100, undelivered=lost.append)
    with potok.scope(on=ON) as s:
        task = s.start(send_each, tx, range(90))
        got = [rx.recv() for _ in range(30)]
        task.result()
        rx.close()
    assert got + lost == list(range(90))


def in_a_fork(rx: potok.Receiver[Any]) -> int:
    """Have a copy of this process take whatever it can. Its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            with contextlib.suppress(potok.PotokError, potok.ClosedError, potok.WouldBlock):
                for _ in range(20):
                    rx.recv_nowait()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def take_beside_a_fork(rx: potok.Receiver[str]) -> list[int]:
    got = []
    for item in rx:
        got.append(int(item))
        if got[-1] % 100 == 50:
            assert in_a_fork(rx) == 0
    return got


def texts(count: int) -> list[str]:
    """So long that few of them fill a lane."""
    return [f"{n:3000}" for n in range(count)]


@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # 3.12 and newer: it has several threads
def test_fork_takes_nothing_from_its_parent() -> None:
    there, here = potok.channel(100), potok.channel(100)
    with potok.scope(on=ON) as s:
        taken = s.start(take_beside_a_fork, there[1])
        s.start(send_each, there[0], texts(300), on="threads")
        assert taken.result() == list(range(300))
        s.start(send_each, here[0], texts(300))
        assert take_beside_a_fork(here[1]) == list(range(300))


def first_and_last(rx: potok.Receiver[Any], looks: int) -> list[Any]:
    for _ in range(looks):
        with contextlib.suppress(potok.WouldBlock):
            rx.recv_nowait()
            raise AssertionError("nothing was sent")
    got = []
    for item in rx:
        got.append(item[0])
        if item[1] is not None:
            item[1].close()
    return got


@pytest.mark.stress
def test_handles_that_were_sent_before_the_channel_went_elsewhere_arrive() -> None:
    """They are packed as they go: also where that is said in one breath with something else."""
    for _ in range(10):
        tx, rx = potok.channel(100)
        with potok.scope(on=ON) as s:
            ends = [potok.channel(1)[0] if n % 3 == 0 else None for n in range(60)]
            send_each(tx, enumerate(ends))
            takers = [s.start(first_and_last, rx.clone(), 0) for _ in range(2)]
            send_each(tx, [(n, None) for n in range(60, 90)])
            tx.close()
            rx.close()
        assert sorted(n for task in takers for n in task.result()) == list(range(90))


def numbers_taken(rx: potok.Receiver[int]) -> list[int]:
    return list(rx)


@pytest.mark.stress
def test_receivers_in_two_processes_each_get_items_in_the_order_in_which_they_were_sent() -> None:
    """What lies unwanted with one of them is older than what comes by the lane for the other."""
    tx, rx = potok.channel(200)
    with potok.scope(on="threads") as s:
        s.start(send_each, tx, range(600), on=ON)
        takers = [s.start(numbers_taken, rx.clone(), on=on) for on in (ON, "coroutines", "threads")]
        rx.close()
    got = [task.result() for task in takers]
    assert [sorted(numbers) for numbers in got] == got
    assert sorted(n for numbers in got for n in numbers) == list(range(600))


def lanes_left(*_: object) -> list[list[int]]:
    from potok.remote.home import home

    return [sorted(free) for free in home.page._free_lanes.values()]


def test_lanes_are_given_back_as_the_last_end_is_closed() -> None:
    """Not some time, when the collector comes by."""
    with potok.scope(on=potok.processes(workers=1, preload=("pytest",))) as s:
        before = s.start(lanes_left).result()
        for _ in range(5):
            there, here = potok.channel(3), potok.channel(3)
            task = s.start(echo, there[1], here[0])
            send_each(there[0], range(2))
            there[0].close()
            assert list(here[1]) == [0, 1]
            task.result()
        assert s.start(lanes_left).result() == before


def echo_some(rx: potok.Receiver[Any], tx: potok.Sender[Any], count: int) -> list[bool]:
    """Whether each direction goes by a lane."""
    for _ in range(count):
        tx.send(rx.recv())
    ends: list[Any] = [rx._end, tx._end]
    return [end.machine.near(end).lane is not None for end in ends]


@pytest.mark.stress
@pytest.mark.parametrize("capacity", [3, potok.UNBOUNDED])
def test_channel_that_comes_again_has_lanes_again(capacity: Any) -> None:
    """What stands for it there has let go of them; other channels have had them meanwhile."""
    again = potok.channel(capacity), potok.channel(capacity)
    with potok.scope(on=potok.processes(workers=1, preload=("pytest",))) as s:
        for turn in range(30):
            others = [(potok.channel(3), potok.channel(3)) for _ in range(turn % 3)]
            for there, here in (again, *others):
                task = s.start(echo_some, there[1].clone(), here[0].clone(), 20)
                s.start(send_each, there[0].clone(), range(turn, turn + 20), on="threads")
                assert [here[1].recv() for _ in range(20)] == list(range(turn, turn + 20))
                assert task.result() == [True, True]


def keep_in_a_cycle(ends: list[Any]) -> None:
    """Leave open ends to the collector, which finds all that belongs to the channel at once."""
    rx, tx = ends  # they came in a list: those that are arguments would be closed as the task ends
    for _ in range(5):
        tx.send(rx.recv())
    kept: list[Any] = [rx, tx]
    kept.append(kept)


def collect(*_: object) -> list[list[int]]:
    gc.collect()
    return lanes_left()


@pytest.mark.stress
def test_no_lane_is_given_back_twice_where_the_collector_finds_the_ends() -> None:
    """It finalizes the channel, and then the ends, which have it live again for a moment; or the other way round."""
    with potok.scope(on=potok.processes(workers=1, preload=("pytest",))) as s:
        for _ in range(20):
            there, here = potok.channel(3), potok.channel(3)
            task = s.start(keep_in_a_cycle, [there[1], here[0]])
            for n in range(5):
                there[0].send(n)
                assert here[1].recv() == n
            task.result()
            left = s.start(collect).result()
            assert all(len(set(free)) == len(free) for free in left)
        everything = [list(range(LANES))] * 2 if LANES else []
        # Whoever handles messages there gives them back.
        assert any(s.start(collect).result() == everything for _ in range(1000))
