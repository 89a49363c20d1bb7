"""A producer and a consumer; and no sentinel.

    python examples/lecture/no_sentinel.py --on processes

With a queue the producer has to send a value that means "the end" (-1 in the lecture, which then can't be data, and
whose identity, tested with `is`, is lost between processes). A channel has ends. The producer's is closed as the
producer ends, and then the consumer's loop ends: also if the producer fails, or its process is killed, and then the
loop ends with that error.
"""

import argparse
from collections.abc import Iterable

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "simulated")


def create(data: Iterable[int], items: potok.Sender[int]) -> None:
    """Send the data."""
    print("Creating data and sending it", flush=True)
    for item in data:
        items.send(item)


def consume(items: potok.Receiver[int]) -> None:
    """Work on what comes: here, double it."""
    for item in items:
        print(f"data found to be processed: {item}, doubled: {item * 2}", flush=True)


def main(on: str) -> None:
    """Let one create what the other consumes."""
    sender, receiver = potok.channel()
    with potok.scope(on=on) as scope:
        scope.start(create, [5, 10, 13, -1], sender)
        scope.start(consume, receiver)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
