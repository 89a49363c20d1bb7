"""Share one list: what a task appends, the others see.

    python examples/lecture/shared_list.py --on processes

`multiprocessing` needs a Manager for it, a process of its own that holds the list. Here the list stays where it is;
what tasks elsewhere do with it comes to it, one step at a time. `for` goes over a snapshot of it.
"""

import argparse

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")
Record = tuple[str, int]


def insert(record: Record, records: potok.Shared[list[Record]]) -> None:
    """Append a record."""
    records.append(record)
    print("A new record was added", flush=True)


def show(records: potok.Shared[list[Record]]) -> None:
    """Print all of them."""
    for name, score in records:
        print(f"Name: {name}, score: {score}", flush=True)


def main(on: str) -> None:
    """Have one task insert, and then another show."""
    records = potok.share([("Computers", 1), ("History", 5), ("Hindi", 9)])
    with potok.scope(on=on) as scope:
        scope.start(insert, ("English", 3), records).join()
        scope.start(show, records)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
