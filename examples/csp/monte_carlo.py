"""π by throwing darts: a farm of workers, fed and gathered by channels.

    python examples/csp/monte_carlo.py --on processes --workers 4

A producer hands out bags of darts, workers throw them at a square and count those that hit the circle in it, and a
consumer adds up. Whoever is free takes the next bag: a rendezvous with ten readers is a queue of work already. The
producer retires its channel when the bags are given out; the workers end one by one, and with the last the consumer.
"""

import argparse
import random

from potok.csp import Channel, ChannelRetireException, Parallel, process, retire
from potok.csp.channels import ChannelEndRead, ChannelEndWrite


@process
def produce(jobs: ChannelEndWrite, bags: int, darts: int) -> None:
    """Hand out bags, each with a seed of its own."""
    for seed in range(bags):
        jobs((seed, darts))
    retire(jobs)


@process
def throw(jobs: ChannelEndRead, results: ChannelEndWrite) -> None:
    """Throw the darts of each bag; count the hits."""
    while True:
        seed, darts = jobs()
        dice = random.Random(seed)
        hits = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(darts))
        results((hits, darts))


@process
def consume(results: ChannelEndRead) -> tuple[int, float]:
    """Add up; return how many darts were thrown, and what they say of π."""
    hits = darts = 0
    try:
        while True:
            more, thrown = results()
            hits, darts = hits + more, darts + thrown
    except ChannelRetireException:
        return darts, 4 * hits / darts


def main(on: str, workers: int, bags: int, darts: int) -> None:
    """Throw them all, and print the result: the same on every executor, as each bag has its seed."""
    jobs, results = Channel("jobs"), Channel("results")
    *_, (thrown, pi) = Parallel(
        produce(-jobs, bags, darts),
        workers * throw(+jobs, -results),
        consume(+results),
        on=on,
    )
    print(f"{thrown} darts say that pi is about {pi:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="processes", choices=("coroutines", "threads", "processes"))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--bags", type=int, default=20)
    parser.add_argument("--darts", type=int, default=1000, help="in each bag")
    arguments = parser.parse_args()
    main(arguments.on, arguments.workers, arguments.bags, arguments.darts)
