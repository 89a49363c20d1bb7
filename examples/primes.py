"""Which numbers are prime? And how long does it take to count down from 50 million?

    python examples/primes.py                        # auto: potok measures, and says what it chose
    python examples/primes.py --on threads           # what the GIL makes of it
    potok map examples/primes.py:is_prime_text numbers.txt

The numbers of a lecture on concurrency, which starts a thread for each and never tests them. Here they are tested, by
trial division: 2 takes no time, 433785907 some, and 9007199254740881 a second or more. So no chunk of equal length is
an equal share of the work, and items are given out as workers come free.
"""

import argparse
import math
import time

import potok

NUMBERS = [2, 193, 323, 1327, 433785907, 1000000007, 1000000011, 99999999977, 10**12 + 39, 10**12 + 61]
COUNT = 2_000_000
EXECUTORS = ("inline", "threads", "coroutines", "interpreters", "processes")


def is_prime(number: int) -> bool:
    """Try every odd divisor up to the square root."""
    if number < 2 or number % 2 == 0:
        return number == 2
    return all(number % divisor for divisor in range(3, math.isqrt(number) + 1, 2))


def is_prime_text(line: str) -> bool:
    """Do the same for a line of a file."""
    return is_prime(int(line))


def countdown(number: int) -> int:
    """Count down to 0, one by one."""
    while number > 0:
        number -= 1
    return number


def main(on: str) -> None:
    """Test the numbers, then count down: in one piece, and in parts at a time."""
    results = potok.map(is_prime, NUMBERS, on=on)
    for number, prime in zip(NUMBERS, results, strict=True):
        print(f"{number} is {'prime' if prime else 'not prime'}")
    begin = time.perf_counter()
    countdown(COUNT)
    alone = time.perf_counter() - begin
    begin = time.perf_counter()
    counted = potok.map(countdown, [COUNT // 8] * 8, on=on)
    left = sum(counted)
    together = time.perf_counter() - begin
    print(f"counted down to {left}: {alone:.2f} s in one piece, {together:.2f} s in eight")
    print(counted.explain())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="auto", choices=("auto", *EXECUTORS))
    main(parser.parse_args().on)
