"""Start a function several times at once, with and without an argument, and wait until all are done.

    python examples/lecture/start_tasks.py --on processes

With `multiprocessing` one keeps a list of processes, to join each of them at the end. Here the block is that list: it
ends when every task in it has ended, and if one fails the others are stopped and the error comes out of the block.
"""

import argparse

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")


def print_continent(continent: str = "Asia") -> None:
    """Print a line."""
    print(f"The name of the continent is: {continent}", flush=True)


def main(on: str) -> None:
    """Start four tasks, in no particular order."""
    with potok.scope(on=on) as scope:
        scope.start(print_continent)
        for continent in ("America", "Europe", "Africa"):
            scope.start(print_continent, continent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
