"""Keep others out with a lock, so that what belongs together is printed together.

    python examples/lecture/one_at_a_time.py --on processes

The same lock for tasks of any kind. It is handed over in the order in which it was asked for. Should a worker process
die while it has it, whoever comes next gets `AbandonedLock` instead of waiting for ever.
"""

import argparse

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")


def print_twice(item: object, lock: potok.Lock) -> None:
    """Print the item on two lines, with nobody else's in between."""
    with lock:
        print(f"first {item}", flush=True)
        potok.sleep(0)  # others would have their turn now
        print(f"second {item}", flush=True)


def main(on: str) -> None:
    """Have three tasks print."""
    lock = potok.Lock()
    with potok.scope(on=on) as scope:
        for item in ("tango", "foxtrot", 10):
            scope.start(print_twice, item, lock)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
