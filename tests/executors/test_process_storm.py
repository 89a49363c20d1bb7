"""*processes*, killed at random moments: no hang, nothing doubled, nothing lost but what dead tasks had taken."""

import os
import random
import signal
from pathlib import Path

import pytest

import potok

STORMED = potok.processes(preload=("pytest",))
KILLS = 30  # in a run; `make stress` repeats each, at other moments
ITEMS = 40
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)


def forward(
    rx: potok.Receiver[int],
    tx: potok.Sender[int],
    lock: potok.Lock,
    selects: bool,
    work: int,
    begun: potok.Barrier,
) -> int:
    """Take items, one way or another, work on each, pass it on under a lock."""
    begun.wait()
    done = 0
    while True:
        try:
            item = potok.select(rx).value if selects else rx.recv()
        except potok.ClosedError:
            return done
        sum(range(work))
        try:
            with lock:
                tx.send(item)
        except potok.AbandonedLock:
            lock.recover()
            tx.send(item)
        done += 1


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(KILLS))
def test_storm(request: pytest.FixtureRequest, seed: int) -> None:
    """One of two workers is killed while both forward items: what arrives came once, and little is missing.

    A task takes one item at a time, so at most one can be lost with it.
    """
    salt = 0 if os.environ.get("CI") else random.getrandbits(32)
    request.node.add_report_section("setup", "salt", str(salt))  # it is shown if this fails
    chance = random.Random(f"{request.node.name} {salt}")
    number, spins = chance.choice(SIGNALS), chance.randrange(20_000)
    selects, work = chance.random() < 0.5, chance.choice((0, 0, 10_000))
    in_tx, in_rx = potok.channel(seed % 4)
    out_tx, out_rx = potok.channel(seed % 3)
    lock, begun = potok.Lock(), potok.Barrier(3)
    moment = chance.randrange(ITEMS - 10)  # while both have something to do
    got: list[int] = []
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=STORMED, on_fail="collect") as s:
        workers = [s.start(forward, in_rx, out_tx, lock, selects, work, begun) for _ in range(2)]
        begun.wait()  # one that is killed before it begins is only started again, on another worker
        pids = [worker.pid for worker in workers]
        feeder = s.start(feed, in_tx, on="threads")
        with pytest.raises(potok.ClosedError):  # the cause: the death of a task that sent
            for item in out_rx:
                if len(got) == moment:
                    for _ in range(spins):
                        pass
                    os.kill(pids[seed % 2], number)
                got.append(item)
        feeder.join()
    (died,) = [error for error in caught.value.exceptions if isinstance(error, potok.WorkerDied)]
    assert (died.pid, died.signal) == (pids[seed % 2], number)
    assert died.last_events
    assert not Path(f"/proc/{died.pid}").exists()
    assert len(got) == len(set(got))
    assert len(set(range(ITEMS)) - set(got)) <= 1


def feed(tx: potok.Sender[int]) -> None:
    for item in range(ITEMS):
        tx.send(item)


def pass_on(rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
    for item in rx:
        tx.send(item)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(10))
def test_storm_in_the_middle_of_a_flow(request: pytest.FixtureRequest, seed: int) -> None:
    """One worker forwards as fast as it can, and is killed: what it had taken and not sent is at most one item."""
    salt = 0 if os.environ.get("CI") else random.getrandbits(32)
    request.node.add_report_section("setup", "salt", str(salt))
    chance = random.Random(f"{request.node.name} {salt}")
    capacity = chance.choice((1, 5, 100))
    (in_tx, in_rx), (out_tx, out_rx) = potok.channel(capacity), potok.channel(capacity)
    moment, spins = chance.randrange(800), chance.randrange(2000)
    items = chance.choice((list(range(1000)), [(n,) for n in range(1000)]))  # as they are, and packed
    got: list[object] = []
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=STORMED, on_fail="collect") as s:
        worker = s.start(pass_on, in_rx.clone(), out_tx)
        feeder = s.start(send_all, in_tx, items, on="threads")
        with pytest.raises(potok.ClosedError):
            for item in out_rx:
                got.append(item)
                if len(got) == moment + 1:
                    for _ in range(spins):
                        pass
                    os.kill(worker.pid, signal.SIGKILL)
        rest = list(in_rx)
        feeder.join()
    (died,) = caught.value.exceptions
    assert isinstance(died, potok.WorkerDied)
    assert got == items[: len(got)]
    assert rest == items[len(items) - len(rest) :]
    assert len(items) - len(got) - len(rest) in (0, 1)


def send_all(tx: potok.Sender[object], items: list[object]) -> None:
    with tx:
        for item in items:
            tx.send(item)
