"""Talk both ways through a pipe.

    python examples/lecture/through_a_pipe.py --on processes

What one end sends the other receives. The end that is given to the task is the task's: it is closed as the task ends,
however it ends, so the parent is never left waiting for an answer that cannot come any more.
"""

import argparse
from typing import Any

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "simulated")


def answer(end: potok.Pipe[Any]) -> None:
    """Send a list, and print what comes back."""
    end.send([42, None, "hello"])
    print("the task received", end.recv(), flush=True)


def main(on: str) -> None:
    """Send back in reverse what comes."""
    here, there = potok.pipe()
    with potok.scope(on=on) as scope:
        scope.start(answer, there)
        received = here.recv()
        print("the parent received", received, flush=True)
        here.send(received[::-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
