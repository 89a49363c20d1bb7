"""A token that goes round in a ring of processes.

    python examples/csp/token_ring.py --elements 1000 --rounds 10

Each process adds one to the token and passes it on. The root counts the rounds; then it retires its ends, and that goes
round as the token did.
"""

import argparse

from potok.csp import Channel, Parallel, process, retire
from potok.csp.channels import ChannelEndRead, ChannelEndWrite


@process
def element(cin: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Add one, and pass the token on."""
    while True:
        cout(cin() + 1)


@process
def root(cin: ChannelEndRead, cout: ChannelEndWrite, rounds: int) -> int:
    """Send the token round, so many times."""
    token = 0
    for _ in range(rounds):
        cout(token + 1)
        token = cin()
    retire(cout, cin)
    return token


def main(on: str, elements: int, rounds: int) -> None:
    """Close the ring, and let the token go."""
    ring = Channel() * elements
    others = [element(+ring[i - 1], -ring[i]) for i in range(1, elements)]
    token, *_ = Parallel(root(+ring[-1], -ring[0], rounds), others, on=on)
    print(f"after {rounds} rounds past {elements} processes the token is {token}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="coroutines", choices=("coroutines", "threads", "processes"))
    parser.add_argument("--elements", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.on, arguments.elements, arguments.rounds)
