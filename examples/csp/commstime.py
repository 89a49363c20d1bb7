"""CommsTime: how long does a communication take?

    python examples/csp/commstime.py --on coroutines --rounds 100000

Four processes in a circle send each other numbers: Prefix begins with 0, Delta2 copies what comes to Successor, which
adds one and sends it round again, and to a consumer, which counts the time. It is the oldest benchmark of the CSP
libraries (occam's, JCSP's, PyCSP's): each round is four communications, and nothing else to speak of.

The consumer poisons its channel when it has enough; that goes round, and all of them end.
"""

import argparse
import time

from potok.csp import Channel, Delta2, Parallel, Prefix, Successor, poison, process
from potok.csp.channels import ChannelEndRead

HOPS = 4


@process
def consume(cin: ChannelEndRead, rounds: int) -> tuple[int, float]:
    """Read so many numbers; return the last, and the microseconds that a communication took."""
    cin()
    began = time.perf_counter()
    for _ in range(rounds):
        last = cin()
    took = time.perf_counter() - began
    poison(cin)
    return last, took / rounds / HOPS * 1e6


def main(on: str, rounds: int) -> None:
    """Let the numbers go round."""
    a, b, c, d = Channel("a"), Channel("b"), Channel("c"), Channel("d")
    *_, (last, microseconds) = Parallel(
        Prefix(+c, -a, prefix=0),
        Delta2(+a, -b, -d),
        Successor(+b, -c),
        consume(+d, rounds),
        on=on,
    )
    print(f"after {rounds} rounds on {on} the number is {last}")
    print(f"{microseconds:.1f} µs for a communication")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="coroutines", choices=("coroutines", "threads", "processes"))
    parser.add_argument("--rounds", type=int, default=1000)
    arguments = parser.parse_args()
    main(arguments.on, arguments.rounds)
