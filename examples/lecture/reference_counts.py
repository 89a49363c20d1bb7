"""Count references: what the GIL guards; and what a task holds of what it was given.

    python examples/lecture/reference_counts.py --on threads

CPython frees an object as its last reference goes, and each new name, each container that holds it changes a number in
the object: two threads that did so at once without a lock would break that number. It is what the GIL is for. A task
in the same address space is given the object itself, and what it changes is changed; a task elsewhere is given a copy,
with a count of its own. As long as the task runs potok holds what it was given; then it lets go.
"""

import argparse
import sys

import potok

EXECUTORS = ("threads", "coroutines", "processes", "interpreters", "simulated")


def hold(thing: list[int], held: potok.Event, enough: potok.Event) -> None:
    """Change what was given, and hold it until it is enough."""
    thing.append(1)
    held.set()
    enough.wait()


def change(before: int, now: int) -> str:
    """The difference, with its sign."""
    return f"{now - before:+d}" if now != before else "0"


def count_names() -> None:
    """Show what adds a reference, and what takes it away."""
    a: list[int] = []
    at_first = sys.getrefcount(a)
    print(f"references to a new list, as sys.getrefcount counts them: {at_first}")
    b = a
    print(f"a second name: {change(at_first, sys.getrefcount(a))}")
    box = [a, a]
    print(f"two places in a list: {change(at_first, sys.getrefcount(a))}")
    del b, box
    print(f"all of them deleted: {change(at_first, sys.getrefcount(a))}")


def count_none() -> None:
    """Show an object that is never counted, from Python 3.12 on."""
    before = sys.getrefcount(None)
    many = [None] * 1000
    counted = sys.getrefcount(None) - before
    print(f"{len(many)} places for None: {'counted' if counted > 500 else 'not counted, it is immortal'}")


def main(on: str) -> None:
    """Count here, and while a task holds the list."""
    count_names()
    count_none()
    thing: list[int] = []
    at_first = sys.getrefcount(thing)
    held, enough = potok.Event(), potok.Event()
    with potok.scope(on=on) as scope:
        scope.start(hold, thing, held, enough)
        held.wait()
        print(f"while a task on {on} has it: {change(at_first, sys.getrefcount(thing))}")
        enough.set()
    print(f"after the task: {change(at_first, sys.getrefcount(thing))}")
    print(f"the task appended to {'this list' if thing else 'a copy'}: {thing}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
