"""Share named values, and change them so that nothing is lost.

    python examples/lecture/shared_namespace.py --on processes

A function that is given to `atomic` runs where the values are, alone with them: here ten tasks change them at once, and
every change counts. `ns.x += 1` on the other hand reads and then writes, and what another task has written between the
two is lost. First the simulated executor finds an order in which that happens; then two busy tasks show how often it
does here, on potok's namespace and on that of a `multiprocessing` Manager; and then it is said why.
"""

import argparse
import itertools
import multiprocessing
from typing import Any

import potok
from potok.testing import simulated

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")
TIMES = 500

BETWEEN = "and what others do may come between the two"
SELDOM = "and threads take turns every 5 ms: seldom just between the two"
NEVER = "but here no other task has its turn between the two: so it is, but nobody promises it"
WHY = {
    "processes": BETWEEN,
    "interpreters": BETWEEN,
    "threads": SELDOM,
    "coroutines": NEVER,
    "inline": NEVER,
    "simulated": BETWEEN,
}


def change(ns: Any) -> None:
    """Add to one value, multiply another: nobody sees the first done and the second not."""
    ns.x += 5
    ns.y *= 10


def change_shared(ns: potok.Namespace) -> None:
    """Have the values changed where they are."""
    ns.atomic(change)


def add(ns: Any, times: int) -> None:
    """Add by `+=`."""
    for _ in range(times):
        ns.x += 1


def add_shared(ns: potok.Namespace, times: int) -> None:
    """Have the adding done where the value is."""
    for _ in range(times):
        ns.atomic(add, 1)


def added(task: Any, times: int, on: Any = None) -> int:
    """What two tasks have made of 0."""
    ns = potok.Namespace(x=0)
    with potok.scope(on=on) as scope:
        for _ in range(2):
            scope.start(task, ns, times)
    return int(ns.x)


def force() -> None:
    """Find an order in which an addition is lost."""
    for seed in itertools.count():
        executor = simulated(seed=seed)
        if potok.run(added, add, 1, on=executor) == 1:
            print(f"forced: 0 + 1 + 1 = 1, in this order: {', '.join(executor.schedule)}")
            return


def lost(result: int) -> str:
    """How many additions are missing."""
    return f"lost {2 * TIMES - result} of {2 * TIMES}"


def add_with(other: Any, ns: Any, times: int) -> None:
    """Begin when the other writer does."""
    other.wait()
    add(ns, times)


def add_by_manager() -> int:
    """Have two processes add to the namespace of a Manager."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        ns, both = manager.Namespace(x=0), context.Barrier(2)
        writers = [context.Process(target=add_with, args=(both, ns, TIMES)) for _ in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        return int(ns.x)


def main(on: str) -> None:
    """Change a namespace in ten tasks; then see what `+=` loses."""
    ns = potok.Namespace(x=1, y=1)
    print("before", ns)
    with potok.scope(on=on) as scope:
        for _ in range(10):
            scope.start(change_shared, ns)
    print("after", ns)

    force()
    print(f"measured on {on}, ns.x += 1: {lost(added(add, TIMES, on))}")
    print(f"measured on {on}, atomic: {lost(added(add_shared, TIMES, on))}")
    if on == "processes":
        print(f"measured, a Manager's ns.x += 1: {lost(add_by_manager())}")
    print(f"why: += is a reading and a writing, {WHY[on]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
