"""Apply a function to many values with a few workers.

    python examples/lecture/pool.py --on processes

The results come in the order of the values, as they are ready. No pool has to be closed: the workers end with the loop.
"""

import argparse

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")


def double(number: int) -> int:
    """Return twice the number."""
    return number * 2


def main(on: str) -> None:
    """Double three numbers."""
    print(list(potok.map(double, [5, 10, 20], on=on, workers=3)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
