"""Log from tasks, and see them come and go.

    python examples/lecture/logs.py --on processes

The lecture has `multiprocessing.log_to_stderr()`: each process writes to stderr on its own, and what a child logs with
`logging` itself goes nowhere. Here all records go to the handlers of the program, whole and in order, those of a worker
that is killed next included; so do lines that say when a worker was started, what it runs, and how it has ended.
On threads and coroutines the same program logs as any other does.
"""

import argparse
import logging

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")

logger = logging.getLogger("printer")


def print_item(item: object, lock: potok.Lock) -> None:
    """Print what was passed on, and say so in the log."""
    with lock:
        print(item, flush=True)
    logger.info("printed %r", item)


def main(on: str) -> None:
    """Let three tasks print, and log what they do."""
    logging.basicConfig(
        level=logging.INFO, format="[%(levelname)s/%(processName)s] %(taskName)s: %(message)s"
    )
    lock = potok.Lock()
    with potok.logs("INFO"), potok.scope(on=on) as scope:
        for item in ("tango", "foxtrot", 10):
            scope.start(print_item, item, lock)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
