"""The simulated executor: every switch chosen, every schedule replayable, time virtual."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

import potok
from potok.testing import simulated


def race() -> int:
    """Two tasks change one number in two steps each: +1 and *2, starting at 2."""
    cell = [2]

    def add() -> None:
        seen = cell[0]
        potok.checkpoint()
        cell[0] = seen + 1

    def double() -> None:
        seen = cell[0]
        potok.checkpoint()
        cell[0] = seen * 2

    with potok.scope() as s:
        s.start(add)
        s.start(double)
    return cell[0]


def test_random_schedules_reach_every_outcome_of_a_race() -> None:
    """All four orders of two read-then-write pairs are found: 3, 4, 5 and 6, and nothing else."""
    executor = simulated(seed=7)
    assert set(Counter(potok.run(race, on=executor) for _ in range(200))) == {3, 4, 5, 6}


def test_a_recorded_schedule_replays_exactly() -> None:
    """The steps of a run, given back, lead to the same result by the same steps."""
    executor = simulated(seed=1)
    for _ in range(50):
        result, steps = potok.run(race, on=executor), list(executor.schedule)
        again = simulated(steps)
        assert potok.run(race, on=again) == result
        assert list(again.schedule) == steps


def test_the_same_seed_gives_the_same_schedules() -> None:
    """Schedule k of a seed is the same whenever it is run."""

    def schedules(seed: int) -> list[list[str]]:
        executor = simulated(seed=seed)
        return [potok.run(race, on=executor) and list(executor.schedule) for _ in range(10)]

    assert schedules(3) == schedules(3)
    assert schedules(3) != schedules(4)


def test_fair_choices_are_steps_of_the_schedule() -> None:
    """A select among ready arms asks the strategy, records the choice and replays it."""

    def choose() -> list[int]:
        (a, ra), (b, rb) = potok.channel(4), potok.channel(4)
        with a, b, ra, rb:
            for n in range(4):
                a.send(n)
                b.send(n)
            return [potok.select(ra, rb).index for _ in range(4)]

    executor = simulated(seed=5)
    picked = potok.run(choose, on=executor)
    assert any(step.startswith("choice ") for step in executor.schedule)
    assert potok.run(choose, on=simulated(list(executor.schedule))) == picked


def test_a_replay_that_takes_another_way_says_so() -> None:
    """A step that can't be taken is an error that names the step and who could run."""
    executor = simulated(seed=1)
    potok.run(race, on=executor)
    wrong = ["nobody-1", *executor.schedule[1:]]
    with pytest.raises(potok.PotokError, match=r"step 1 runs 'nobody-1', but only .* can run"):
        potok.run(race, on=simulated(wrong))


def test_time_is_virtual() -> None:
    """A thousand hours pass at once, deadlines in order, and the clock agrees."""
    order: list[str] = []

    def nap(name: str, hours: float) -> None:
        potok.sleep(hours * 3600)
        order.append(name)

    def naps() -> None:
        with potok.scope() as s:
            s.start(nap, "long", 1000)
            s.start(nap, "short", 1)
            with pytest.raises(TimeoutError), potok.timeout(3600 * 500):
                potok.sleep(3600 * 999)
            order.append("timeout")

    began = time.monotonic()
    potok.run(naps, on=simulated())
    assert order == ["short", "timeout", "long"]
    assert time.monotonic() - began < 1000 * 3600


def test_a_deadlock_is_found_and_told_at_the_park_points() -> None:
    """Two tasks that send before they receive: DeadlockError in both, with who waits for what."""
    told: list[str] = []

    def meet(tx: Any, rx: Any) -> None:
        try:
            tx.send(1)
            rx.recv()
        except potok.DeadlockError as error:
            told.append(str(error))
            raise

    def program() -> None:
        (a, ra), (b, rb) = potok.channel(), potok.channel()
        with potok.scope() as s:
            s.start(meet, a, rb)
            s.start(meet, b, ra)

    for seed in range(20):
        told.clear()
        with pytest.raises(ExceptionGroup) as caught:
            potok.run(program, on=simulated(seed=seed))
        assert caught.group_contains(potok.DeadlockError)
        assert told
        assert "meet-1 waits: send" in told[0]
        assert "meet-2 waits: send" in told[0]


def test_deadlock_of_the_function_itself_leaves_run_bare() -> None:
    """`run` raises the function's own DeadlockError, not a group."""

    def program() -> None:
        _tx, rx = potok.channel()
        rx.recv()

    with pytest.raises(potok.DeadlockError, match="program-1 waits: recv"):
        potok.run(program, on=simulated())


def test_async_def_tasks_are_scheduled_too() -> None:
    """Both colours in one simulation; a foreign await is refused, for there is no event loop."""

    async def produce(tx: Any) -> None:
        for n in range(3):
            await tx.asend(n)

    async def consume() -> list[int]:
        tx, rx = potok.channel()
        async with potok.scope() as s:
            s.start(produce, tx)
            return [item async for item in rx]

    for seed in range(20):
        assert potok.run(consume, on=simulated(seed=seed)) == [0, 1, 2]


def test_a_strategy_of_ones_own_decides() -> None:
    """Three methods are all it takes; `pick` sees who can run, by name."""

    class Lowest:
        def begin(self) -> None:
            self.seen: set[str] = set()

        def pick(self, runnable: Any, current: str | None) -> int:
            self.seen.update(runnable)
            return min(range(len(runnable)), key=lambda i: runnable[i])

        def number(self, n: int) -> int:
            return 0

    strategy = Lowest()
    assert potok.run(race, on=simulated(strategy)) == potok.run(race, on=simulated(strategy))
    assert {"add-1", "double-1"} <= strategy.seen


def test_a_simulation_is_no_place_for_root_tasks_or_event_loops() -> None:
    """What nobody would run is refused with a reason."""
    with pytest.raises(potok.PotokError, match="nobody would run"):
        potok.start(race, on=simulated())
