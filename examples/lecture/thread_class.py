"""Threads as a class; and which numbers are prime.

    python examples/lecture/thread_class.py --on threads

The lecture derives from `threading.Thread` to give a thread something to know. A task is any function with arguments,
and the method of an object is one: the class knows nothing of threads, and its objects run anywhere. In the lecture the
second class prints a global `x` instead of its own `self.x`, and the test for primes is commented out, for a thread
returns nothing. A task has a result: here the numbers are tested, and each answer stands next to its number.
"""

import argparse
import math
from dataclasses import dataclass

import potok

EXECUTORS = ("threads", "coroutines", "processes", "interpreters", "inline", "simulated")


@dataclass(frozen=True)
class Countdown:
    """Counts down from a number, with a delay before each step."""

    name: str
    start: int
    delay: float

    def run(self) -> None:
        """Count."""
        print(f"Starting {self.name}\n", end="", flush=True)
        for number in range(self.start, 0, -1):
            potok.sleep(self.delay)
            print(f"{self.name} counting down: {number}\n", end="", flush=True)
        print(f"Finished {self.name}\n", end="", flush=True)


def is_prime(number: int) -> bool:
    """Try every odd divisor up to the square root."""
    if number < 2 or number % 2 == 0:
        return number == 2
    return all(number % divisor for divisor in range(3, math.isqrt(number) + 1, 2))


def main(on: str) -> None:
    """Count down twice at once; then test five numbers at once."""
    with potok.scope(on=on) as scope:
        for name, delay in (("A", 0.01), ("B", 0.02)):
            scope.start(Countdown(name, 5, delay).run)
    with potok.scope(on=on) as scope:
        tasks = {number: scope.start(is_prime, number) for number in (2, 193, 323, 1327, 433785907)}
        for number, task in tasks.items():
            print(f"{number} is {'prime' if task.result() else 'not prime'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    main(parser.parse_args().on)
