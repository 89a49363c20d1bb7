"""*processes*, killed at random moments: no hang, nothing doubled, nothing lost but what dead tasks had taken."""

import os
import random
import signal

import pytest

import potok

STORMED = potok.processes(preload=("pytest",))
KILLS = 30
ITEMS = 40


def forward(rx: potok.Receiver[int], tx: potok.Sender[int], lock: potok.Lock) -> int:
    """Take items, pass them on under a lock."""
    done = 0
    for item in rx:
        try:
            with lock:
                tx.send(item)
        except potok.AbandonedLock:
            lock.recover()
            tx.send(item)
        done += 1
    return done


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(KILLS))
def test_storm(seed: int) -> None:
    """One of two workers is killed while both forward items: what arrives came once, and little is missing.

    A task takes one item at a time, so at most one can be lost with it.
    """
    chance = random.Random(seed)
    in_tx, in_rx = potok.channel(seed % 4)
    out_tx, out_rx = potok.channel(seed % 3)
    lock = potok.Lock()
    moment = chance.randrange(ITEMS - 10)  # while both have something to do
    got: list[int] = []
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=STORMED, on_fail="collect") as s:
        workers = [s.start(forward, in_rx, out_tx, lock) for _ in range(2)]
        pids = [worker.pid for worker in workers]
        feeder = s.start(feed, in_tx, on="threads")
        with pytest.raises(potok.ClosedError):  # the cause: the death of a task that sent
            for item in out_rx:
                if len(got) == moment:
                    os.kill(pids[seed % 2], signal.SIGKILL)
                got.append(item)
        feeder.join()
    assert caught.group_contains(potok.WorkerDied)
    assert len(got) == len(set(got))
    assert len(set(range(ITEMS)) - set(got)) <= 1


def feed(tx: potok.Sender[int]) -> None:
    for item in range(ITEMS):
        tx.send(item)
