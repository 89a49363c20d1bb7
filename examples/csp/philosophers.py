"""The dining philosophers: a deadlock with its name, and three cures.

    python examples/csp/philosophers.py naive
    python examples/csp/philosophers.py order --on threads          # or butler, or either

Five philosophers sit round a table, a fork between each two. Who wants to eat needs both forks beside him. In `naive`
each takes the left one first: sooner or later all of them hold one fork, and wait for ever for the other. Here it runs
on the simulated executor, which chooses every switch from a seed: some schedule ends in the deadlock, the same one each
time, and the error says who waits for what.

The cures. `order`: forks are numbered, and everybody takes the one with the lower number first, so nobody waits in a
circle. `butler`: only four may sit at the table at a time. `either`: take whichever fork is free first, by an
alternation, and put it back if the other one is not free.

A fork is a channel with a buffer for one item: the fork lies in it. It is taken by reading, put back by writing.
"""

import argparse
from collections.abc import Callable

from potok import DeadlockError
from potok.csp import (
    AltSelect,
    Channel,
    InputGuard,
    OutputGuard,
    Parallel,
    PriSelect,
    Process,
    SkipGuard,
    process,
)
from potok.csp.channels import ChannelEndRead, ChannelEndWrite
from potok.testing import simulated

SEATS = 5


def lay_table() -> list[Channel]:
    """Put a fork between each two seats: fork i is at the left of seat i, and at the right of the one before."""
    forks = [Channel(f"fork {number}", buffer=1) for number in range(1, SEATS + 1)]
    for fork in forks:
        (-fork)("a fork")
    return forks


@process
def philosopher(take: tuple[ChannelEndRead, ...], put: tuple[ChannelEndWrite, ...], meals: int) -> int:
    """Take the first fork, then the second, and eat; so many times."""
    for _ in range(meals):
        first, second = take[0](), take[1]()
        put[0](first)
        put[1](second)
    return meals


def at(first: Channel, second: Channel, meals: int) -> Process:
    """Seat a philosopher, who takes this fork first and that one second."""
    return philosopher((+first, +second), (-first, -second), meals)


def naive(forks: list[Channel], meals: int) -> list[Process]:
    """Everybody takes the left fork first."""
    return [at(forks[i], forks[i - 1], meals) for i in range(SEATS)]


def in_order(forks: list[Channel], meals: int) -> list[Process]:
    """Everybody takes the fork with the lower number first."""
    return [at(forks[min(i, (i - 1) % SEATS)], forks[max(i, (i - 1) % SEATS)], meals) for i in range(SEATS)]


@process
def guest(
    sit: ChannelEndRead,
    leave: ChannelEndWrite,
    take: tuple[ChannelEndRead, ...],
    put: tuple[ChannelEndWrite, ...],
    meals: int,
) -> int:
    """Eat as everybody does, but only while having a seat."""
    for _ in range(meals):
        seat = sit()
        first, second = take[0](), take[1]()
        put[0](first)
        put[1](second)
        leave(seat)
    return meals


@process
def butler(sit: ChannelEndWrite, leave: ChannelEndRead, leaves: int) -> None:
    """Give out one seat less than there are; stay until all have left."""
    free = SEATS - 1
    while leaves:
        guards: list[InputGuard | OutputGuard] = [InputGuard(leave)]
        if free:
            guards.append(OutputGuard(sit, "a seat"))
        chosen, _ = AltSelect(guards)
        free += 1 if chosen is leave else -1
        leaves -= chosen is leave


def with_butler(forks: list[Channel], meals: int) -> list[Process]:
    """Everybody asks for a seat first."""
    sit, leave = Channel("sit"), Channel("leave")
    pairs = [(forks[i], forks[i - 1]) for i in range(SEATS)]
    guests = [guest(+sit, -leave, (+left, +right), (-left, -right), meals) for left, right in pairs]
    return [*guests, butler(-sit, +leave, SEATS * meals)]


@process
def polite(takes: list[ChannelEndRead], puts: list[ChannelEndWrite], meals: int) -> int:
    """Take the fork that is free first; put it back if the other one is not."""
    eaten = 0
    while eaten < meals:
        taken, fork = AltSelect([InputGuard(take) for take in takes])
        mine = takes.index(taken)
        got, other = PriSelect(InputGuard(takes[1 - mine]), SkipGuard())
        if got is takes[1 - mine]:
            eaten += 1
            puts[1 - mine](other)
        puts[mine](fork)
    return eaten


def either(forks: list[Channel], meals: int) -> list[Process]:
    """Nobody holds one fork while waiting for the other."""
    pairs = [(forks[i], forks[i - 1]) for i in range(SEATS)]
    return [polite([+left, +right], [-left, -right], meals) for left, right in pairs]


CURES: dict[str, Callable[[list[Channel], int], list[Process]]] = {
    "order": in_order,
    "butler": with_butler,
    "either": either,
}


def show_deadlock(meals: int) -> None:
    """Look for a schedule that ends in the deadlock, and print what it says."""
    for seed in range(1000):
        try:
            Parallel(naive(lay_table(), meals), on=simulated(seed=seed))
        except ExceptionGroup as group:
            deadlocks = [error for error in group.exceptions if isinstance(error, DeadlockError)]
            print(f"schedule {seed}: {deadlocks[0]}")
            return
    print("no schedule ended in a deadlock")


def main(way: str, on: str, meals: int) -> None:
    """Let them eat in that way."""
    if way == "naive":
        show_deadlock(meals)
        return
    eaten = Parallel(CURES[way](lay_table(), meals), on=on)[:SEATS]
    print(f"{way}: each has eaten", *eaten)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("way", nargs="?", default="naive", choices=("naive", *CURES))
    parser.add_argument("--on", default="coroutines", choices=("coroutines", "threads", "processes"))
    parser.add_argument("--meals", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.way, arguments.on, arguments.meals)
