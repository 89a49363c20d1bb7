"""Names of tasks: unique by themselves, or given.

    python examples/lecture/task_names.py --on processes

A task knows its name wherever it runs, and the one who has started it does, too: `potok.tasks()`, error messages and
`WorkerDied` speak of tasks by their names.
"""

import argparse

import potok

EXECUTORS = ("processes", "interpreters", "threads", "coroutines", "inline", "simulated")


def double(number: int) -> str:
    """Return a line that says who has doubled the number."""
    return f"{number} doubled to {number * 2} by {potok.current_task().name}"


def main(on: str) -> None:
    """Double some numbers, one of them in a task with a name of its own."""
    with potok.scope(on=on) as scope:
        tasks = [scope.start(double, number) for number in (5, 10, 15, 20, 25)]
        tasks.append(scope.start(double, 2, name="Test"))
        for task in tasks:
            print(task.result())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
