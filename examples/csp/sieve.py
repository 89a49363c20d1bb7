"""The sieve of Eratosthenes, as a pipeline that grows: a process for each prime.

    python examples/csp/sieve.py --below 1000

A counter writes 2, 3, 4, ... Whoever gets a number first has got a prime: it shows it, spawns its successor, and
passes on only what its prime does not divide. When the counter has ended it retires its channel, and so do all others,
one after the other: no process has to know how many there are.
"""

import argparse

from potok.csp import Channel, ChannelRetireException, Parallel, Spawn, process, retire
from potok.csp.channels import ChannelEndRead, ChannelEndWrite


@process
def count(cout: ChannelEndWrite, below: int) -> None:
    """Write all candidates."""
    for number in range(2, below):
        cout(number)
    retire(cout)


@process
def sieve(cin: ChannelEndRead, primes: ChannelEndWrite) -> None:
    """Tell of the first number, which is prime, and pass on those of the others that it does not divide."""
    prime = cin()
    primes(prime)
    rest = Channel(f"not divided by {prime}")
    cout = -rest
    Spawn(sieve(+rest, primes))
    try:
        while True:
            number = cin()
            if number % prime:
                cout(number)
    finally:
        retire(cout)


@process
def show(cin: ChannelEndRead) -> list[int]:
    """Gather the primes."""
    primes = []
    try:
        while True:
            primes.append(cin())
    except ChannelRetireException:
        return primes


def main(on: str, below: int) -> None:
    """Print the primes below a number."""
    numbers, primes = Channel("numbers"), Channel("primes")
    *_, found = Parallel(count(-numbers, below), sieve(+numbers, -primes), show(+primes), on=on)
    print(*found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="coroutines", choices=("coroutines", "threads", "processes"))
    parser.add_argument("--below", type=int, default=60)
    arguments = parser.parse_args()
    main(arguments.on, arguments.below)
