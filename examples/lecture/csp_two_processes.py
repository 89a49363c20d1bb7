"""Run two processes of CSP in parallel.

    python examples/lecture/csp_two_processes.py --on threads

The program of the lecture, with one line changed: `from potok.csp import …` takes the place of `from pycsp.parallel
import *`. Under PyCSP the two lines may run into one another, and a process runs where its decorator says. Here a
process says nothing of where it runs, `Parallel` does: on threads, coroutines, interpreters or processes.
"""

import argparse

import potok
from potok.csp import Parallel, process

EXECUTORS = ("threads", "coroutines", "processes", "interpreters")


@process
def P1() -> None:  # noqa: N802 - PyCSP's habit
    """Wait, and say so."""
    potok.sleep(0.01)
    print("P1 exiting\n", end="", flush=True)


@process
def P2() -> None:  # noqa: N802
    """Do the same."""
    potok.sleep(0.01)
    print("P2 exiting\n", end="", flush=True)


def main(on: str) -> None:
    """Run both, and go on when both have ended."""
    Parallel(P1(), P2(), on=on)
    print("Terminating")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
