"""A race: one task adds 1 to a number, the other doubles it. What comes out, and how often?

    python examples/lecture/race.py --on threads

Each task reads the number and then writes it. The lecture draws three of the orders in which that can happen. Here the
simulated executor runs every schedule there is, depth first, so the list of orders is complete: 5 and 6 if one task
comes after the other, 3 and 4 if both have read before one of them writes.

Then it is measured here. Two threads that do `c += 1` hardly ever lose anything on Python 3.10 and newer. That is no
promise: with a call between reading and writing they do. `atomic` loses nothing, on any executor.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import potok
from potok.testing import simulated

EXECUTORS = ("threads", "coroutines", "processes", "interpreters", "simulated")
TIMES, SHARED_TIMES = 300_000, 500


class EveryOrder:
    """A strategy for the simulated executor: the next schedule turns off at the last step that can still be another."""

    def __init__(self) -> None:
        self._path: list[list[int]] = []  # of each step: what is taken, of how many
        self._depth = 0

    def begin(self) -> None:
        """Start again from the first step."""
        self._depth = 0

    def pick(self, runnable: Sequence[str], current: str | None) -> int:  # noqa: ARG002 - who runs does not matter
        """Choose who runs next."""
        return self.number(len(runnable))

    def number(self, n: int) -> int:
        """Choose one of so many."""
        if self._depth == len(self._path):
            self._path.append([0, n])
        self._depth += 1
        return self._path[self._depth - 1][0]

    def go_on(self) -> bool:
        """Turn to the next schedule; False after the last."""
        while self._path and self._path[-1][0] + 1 == self._path[-1][1]:
            self._path.pop()
        if self._path:
            self._path[-1][0] += 1
        return bool(self._path)


def race() -> tuple[str, int]:
    """Let two tasks change one number; what they did in which order, and what came out."""
    x, order = 2, []

    def change(name: str, function: Callable[[int], int]) -> None:
        nonlocal x
        seen = x
        order.append(f"{name} reads {seen}")
        potok.checkpoint()  # here the other may have its turn
        x = function(seen)
        order.append(f"{name} writes {x}")

    with potok.scope() as scope:
        scope.start(change, "+1", lambda number: number + 1)
        scope.start(change, "×2", lambda number: number * 2)
    return ", ".join(order), x


def enumerate_orders() -> None:
    """Run every schedule, and print each order once with its outcome."""
    strategy, schedules, outcomes = EveryOrder(), 0, dict[str, int]()
    executor = simulated(strategy)
    while schedules == 0 or strategy.go_on():
        order, outcome = potok.run(race, on=executor)
        outcomes[order] = outcome
        schedules += 1
    for order, outcome in sorted(outcomes.items(), key=lambda item: (item[1], item[0])):
        print(f"{outcome}: {order}")
    counted = ", ".join(
        f"{outcome} {times}x" for outcome, times in sorted(Counter(outcomes.values()).items())
    )
    print(f"{schedules} schedules, {len(outcomes)} orders: {counted}")


def add(counter: Any, times: int) -> None:
    """Add by `+=`: read, then write."""
    for _ in range(times):
        counter.value += 1


def one_more(number: int) -> int:
    """Return the next number."""
    return number + 1


def add_by_call(counter: Any, times: int) -> None:
    """The same, with a call between reading and writing."""
    for _ in range(times):
        counter.value = one_more(counter.value)


def add_atomically(counter: Any, times: int) -> None:
    """Have the whole of it done where the number is, alone with it."""
    for _ in range(times):
        counter.atomic(add, 1)


def lost(task: Callable[[Any, int], None], counter: Any, times: int, on: str) -> str:
    """How many additions are missing after two tasks have added at once."""
    with potok.scope(on=on) as scope:
        for _ in range(2):
            scope.start(task, counter, times)
    return f"lost {2 * times - counter.value} of {2 * times}"


def measure(on: str) -> None:
    """Count what is lost here; on threads also while they are made to switch as often as they can."""
    usual = sys.getswitchinterval()
    for interval in (usual, 1e-6) if on == "threads" else (usual,):
        sys.setswitchinterval(interval)
        try:
            plain = lost(add, SimpleNamespace(value=0), TIMES, on)
            by_call = lost(add_by_call, SimpleNamespace(value=0), TIMES, on)
        finally:
            sys.setswitchinterval(usual)
        often = "" if interval == usual else f", switching every {interval:g} s"
        print(f"on {on}, a variable, c += 1: {plain}{often}")
        print(f"on {on}, a variable, c = one_more(c): {by_call}{often}")
    print(f"on {on}, potok.Value, c += 1: {lost(add, potok.Value(0), SHARED_TIMES, on)}")
    print(f"on {on}, potok.Value, atomic: {lost(add_atomically, potok.Value(0), SHARED_TIMES, on)}")


def why(on: str) -> str:
    """Why it comes out so."""
    if on in ("processes", "interpreters"):
        return (
            "each task has added to a copy of the variable, and ours is untouched; a potok.Value is one for all, "
            "but its += is a message that reads and a message that writes"
        )
    if on == "coroutines":
        return "coroutines take turns only where they park, and `c += 1` on a variable does not"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "without a GIL both threads really run at once, and read before the other has written"
    return (
        "since Python 3.10 a thread gives the GIL up only at the end of a loop's turn and in calls; between the "
        "reading and the writing of `c += 1` there is neither, in one_more(c) there is"
    )


def main(on: str) -> None:
    """Force it, measure it, say why."""
    enumerate_orders()
    if on != "simulated":
        measure(on)
        print(f"why: {why(on)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
