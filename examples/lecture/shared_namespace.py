"""Share named values, and change them so that nothing is lost.

    python examples/lecture/shared_namespace.py --on processes

`ns.x += 5` reads and then writes: between the two another task may have written, and what it wrote is lost. A Manager
loses a fifth of the additions of two busy writers that way. A function that is given to `atomic` runs where the values
are, alone with them: here ten tasks add at once, and every addition counts.
"""

import argparse
from typing import Any

import potok


def change(ns: Any) -> None:
    """Add to one value, multiply another: nobody sees the first done and the second not."""
    ns.x += 5
    ns.y *= 10


def change_shared(ns: potok.Namespace) -> None:
    """Have the values changed where they are."""
    ns.atomic(change)


def main(on: str) -> None:
    """Change a namespace in ten tasks."""
    ns = potok.Namespace(x=1, y=1)
    print("before", ns)
    with potok.scope(on=on) as scope:
        for _ in range(10):
            scope.start(change_shared, ns)
    print("after", ns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="processes", choices=("processes", "threads", "coroutines"))
    main(parser.parse_args().on)
