"""Skynet: 100,000 processes that add up their numbers.

    python examples/csp/skynet.py                  # 100,000 leaves, on coroutines

A process starts ten others, each of these ten more, until there are enough; the last ones write their number, and each
of the others writes the sum of what its ten have written. (Source: https://github.com/atemerev/skynet.)

A process costs a few kilobytes and some tens of microseconds: there is no reason to be sparing of them.
"""

import argparse
import time

from potok.csp import Channel, Parallel, Spawn, process
from potok.csp.channels import ChannelEndWrite


@process
def skynet(cout: ChannelEndWrite, number: int, size: int) -> None:
    """Write the sum of `size` numbers from this one on."""
    if size == 1:
        cout(number)
        return
    channel = Channel()
    cin = +channel
    part = size // 10
    Spawn([skynet(-channel, number + i * part, part) for i in range(10)])
    cout(sum(cin() for _ in range(10)))


@process
def root(size: int) -> int:
    """Start it, and read the sum."""
    channel = Channel()
    cin = +channel
    Spawn(skynet(-channel, 0, size))
    return int(cin())


def main(size: int) -> None:
    """Add up, and say how long it took."""
    began = time.perf_counter()
    [total] = Parallel(root(size), on="coroutines")
    print(f"{size} processes have added up to {total}")
    print(f"in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="a power of ten")
    main(parser.parse_args().size)
