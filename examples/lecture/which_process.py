"""See where tasks run: each on *processes* has a process to itself, all others are in this one.

    python examples/lecture/which_process.py --on processes

What a task returns is the task's result, so nothing has to be printed from inside, in whatever order: the numbers come
out as they were put in.
"""

import argparse
import os

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")


def double(number: int) -> tuple[int, int]:
    """Return twice the number, and who has worked it out."""
    return number * 2, os.getpid()


def main(on: str) -> None:
    """Double five numbers at once."""
    with potok.scope(on=on) as scope:
        tasks = [(number, scope.start(double, number)) for number in (5, 10, 15, 20, 25)]
        for number, task in tasks:
            doubled, pid = task.result()
            where = "this process" if pid == os.getpid() else f"process {pid}"
            print(f"{number} doubled to {doubled} by {where}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
