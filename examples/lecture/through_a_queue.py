"""Hand a value over through a queue.

    python examples/lecture/through_a_queue.py --on processes

`potok.Queue` has the methods of `queue.Queue`, between tasks of any kind. A value is fixed when `put` returns: what
the sender changes afterwards does not reach the receiver. (For a new program choose a channel: see `no_sentinel.py`.)
"""

import argparse
from typing import Any

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")


def put_some(queue: potok.Queue[Any]) -> None:
    """Put three things, as one item."""
    queue.put([42, None, "hello"])


def main(on: str) -> None:
    """Get what the task has put."""
    queue: potok.Queue[Any] = potok.Queue()
    with potok.scope(on=on) as scope:
        scope.start(put_some, queue)
        print(queue.get())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
