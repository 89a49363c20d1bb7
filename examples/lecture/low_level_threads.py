"""Start tasks that no block waits for; and why the lines of two threads run into one another.

    python examples/lecture/low_level_threads.py --on threads

The lecture starts two threads with `_thread.start_new_thread`: their lines get mixed, `while 1: pass` keeps a core busy
so that the program does not end under them, and only Ctrl-C ends it. `print` writes the text and then the newline: two
steps, between which another thread may write. Here the simulated executor is made to switch at just that moment, then
plain threads show how often it happens on this machine, and then come the two tasks: `potok.start` gives a task that is
owned (its errors are told, `join` waits for it, the end of the program ends it), and a line that is written in one step
stays whole.
"""

import argparse
import itertools
import os
import threading
import time
from typing import Any

import potok
from potok.testing import simulated

EXECUTORS = ("threads", "coroutines", "processes", "interpreters")
LINES = 10_000


class Screen:
    """Keeps what is written; before each write another task may have its turn."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Append the text."""
        potok.checkpoint()
        self.text += text


def print_line(name: str, screen: Any) -> None:
    """Print in two writes, as `print` does by itself."""
    print(f"{name}: tick", file=screen)


def write_line(name: str, screen: Any) -> None:
    """Print in one write: the newline is part of the text."""
    screen.write(f"{name}: tick\n")


def two_lines(task: Any) -> str:
    """What is on the screen when two tasks have printed a line each."""
    screen = Screen()
    with potok.scope() as scope:
        scope.start(task, "Thread-1", screen)
        scope.start(task, "Thread-2", screen)
    return screen.text


def is_whole(text: str) -> bool:
    """Whether each line is one that somebody has printed."""
    return all(line in ("Thread-1: tick\n", "Thread-2: tick\n") for line in text.splitlines(keepends=True))


def force() -> None:
    """Find a schedule that mixes the lines; then try the cure on as many."""
    for seed in itertools.count():
        text = potok.run(two_lines, print_line, on=simulated(seed=seed))
        if not is_whole(text):
            break
    print(f"forced, with print: {text!r}")
    executor = simulated(seed=0)
    whole = sum(is_whole(potok.run(two_lines, write_line, on=executor)) for _ in range(100))
    print(f"forced, with one write a line: whole in {whole} of 100 schedules")


def measure(task: Any) -> int:
    """How many lines of two plain threads come out mixed, on a stream that is not buffered (as under `python -u`)."""
    received: list[str] = []
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe, os.fdopen(writer, "w") as stream:
        stream.reconfigure(write_through=True)

        def write(name: str) -> None:
            for _ in range(LINES // 2):
                task(name, stream)

        reading = threading.Thread(target=lambda: received.extend(pipe))
        writing = [threading.Thread(target=write, args=(name,)) for name in ("Thread-1", "Thread-2")]
        for thread in (reading, *writing):
            thread.start()
        for thread in writing:
            thread.join()
        stream.close()
        reading.join()
    return sum(not is_whole(line) for line in received)


def tell_time(name: str, delay: float) -> None:
    """Tell the time five times."""
    for _ in range(5):
        potok.sleep(delay)
        print(f"{name}: {time.ctime()}\n", end="", flush=True)


def main(on: str, delay: float) -> None:
    """Force it, measure it, and do it better."""
    force()
    print(f"measured, with print: {measure(print_line)} of {LINES} lines mixed")
    print(f"measured, with one write a line: {measure(write_line)} of {LINES} lines mixed")
    print(
        "why: print writes the text, then the newline; another thread may write between the two", flush=True
    )
    tasks = [potok.start(tell_time, f"Thread-{n}", n * delay, on=on) for n in (1, 2)]
    for task in tasks:
        task.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds; 2 in the lecture")
    args = parser.parse_args()
    main(args.on, args.delay)
