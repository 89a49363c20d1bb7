"""A coroutine made of a generator (`send`, `close`); and the same as a task with a channel.

    python examples/lecture/generator_coroutine.py --on coroutines

A generator that is sent values has to be started by a `next` of its own, works in the thread of whoever sends, and can
wait for nothing but its sender. A task at the end of a channel is an ordinary loop: it starts by itself, runs wherever
it is told to, several may send to it, and when the last of them has closed its end the loop ends.
"""

import argparse
from collections.abc import Generator

import potok

EXECUTORS = ("coroutines", "threads", "processes", "interpreters", "simulated")
NAMES = ("James", "Dear James")


def search(prefix: str) -> Generator[None, str, None]:
    """Print the names that are sent if the prefix is in them."""
    print(f"Searching prefix: {prefix}")
    try:
        while True:
            name = yield
            if prefix in name:
                print(name)
    finally:
        print("Closing coroutine!!", flush=True)


def search_received(prefix: str, names: potok.Receiver[str]) -> None:
    """Print the names that are received if the prefix is in them."""
    print(f"Searching prefix: {prefix}", flush=True)
    for name in names:
        if prefix in name:
            print(name, flush=True)
    print("Closing the task", flush=True)


def main(on: str) -> None:
    """Send the names both ways."""
    searching = search("Dear")
    next(searching)
    for name in NAMES:
        searching.send(name)
    searching.close()

    sender, receiver = potok.channel()
    with potok.scope(on=on) as scope:
        scope.start(search_received, "Dear", receiver)
        with sender:
            for name in NAMES:
                sender.send(name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
