"""What each executor costs: the figures of `potok.adviser.costs`, measured on this machine.

    python benchmarks/auto_costs.py            # prints a table to compare with, or to put there

Each row is measured in fresh processes, and the least of them is shown: what disturbs a measurement only adds to it.

first run   from `potok.map` to the first result, the plain loop's taken off; "warm" when it is done again
an item     a trivial function over 20,000 items and over 200,000, the difference, the plain loop's taken off
a batch     items of 8 ms, which go out one by one: what 100 of them take longer than the plain loop's share of them
a byte      bytes there and back, of 1 MiB and of 8: the difference
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import repeat

import potok

WORKERS = 2
MIB = 1 << 20


def double(x: int) -> int:
    """Something trivial."""
    return x * 2


async def adouble(x: int) -> int:
    """The same as a coroutine."""
    return x * 2


def rest(seconds: float) -> None:
    """Take that long without needing a core."""
    time.sleep(seconds)


def same(value: bytes) -> bytes:
    """There and back."""
    return value


def _took(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _map(on: str, fn: Callable[..., object], items: object) -> None:
    for _ in potok.map(fn, items, on=on, workers=1 if on == "inline" else WORKERS):  # type: ignore[call-overload]
        pass


def _trivial(on: str) -> Callable[..., object]:
    return adouble if on == "coroutines" else double


def measure(on: str, quick: bool) -> tuple[float, float, float, float, float]:
    """Seconds: cold, warm, an item, a batch, a byte."""
    fn, scale = _trivial(on), 100 if quick else 1
    cold = _took(lambda: next(potok.map(fn, [1], on=on, workers=WORKERS)))
    warm = min(_took(lambda: next(potok.map(fn, [1], on=on, workers=WORKERS))) for _ in range(5))
    few, many = 20_000 // scale, 200_000 // scale
    loop = (_loop(many) - _loop(few)) / (many - few)
    item = (_took(lambda: _map(on, fn, range(many))) - _took(lambda: _map(on, fn, range(few)))) / (many - few)
    if on == "coroutines":
        return cold, warm, item - loop, 0.0, 0.0
    count, seconds = max(4, 100 // scale), 0.008
    alone = _took(lambda: [rest(seconds) for _ in range(count)]) / count
    workers = 1 if on == "inline" else WORKERS
    batch = _took(lambda: _map(on, rest, repeat(seconds, count))) * workers / count - alone
    small, large = bytes(MIB), bytes(8 * MIB)
    times = max(2, 20 // scale)
    longer = _took(lambda: _map(on, same, repeat(large, times))) - _took(
        lambda: _map(on, same, repeat(small, times))
    )
    return cold, warm, item - loop, batch, longer / times / (2 * 7 * MIB)


def _loop(count: int) -> float:
    def run() -> None:
        for x in range(count):
            double(x)

    return _took(run)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work, once: does it run?")
    parser.add_argument("--reps", type=int, default=5, help="fresh processes for each row (default 5)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()
    if args.child:
        print(*measure(args.child, args.quick))
        return
    print(f"{'':14}{'cold ms':>10}{'warm ms':>10}{'item µs':>10}{'batch µs':>10}{'byte ns':>10}")
    for on in ("inline", "coroutines", "threads", "interpreters", "processes"):
        command = [sys.executable, __file__, "--child", on, *(["--quick"] if args.quick else [])]
        runs = [
            subprocess.run(command, capture_output=True, text=True, check=False)
            for _ in range(1 if args.quick else args.reps)
        ]
        good = [[float(word) for word in run.stdout.split()] for run in runs if run.returncode == 0]
        if not good:
            print(f"{on:14}absent: {(runs[0].stderr.splitlines() or ['?'])[-1][:90]}")
            continue
        cold, warm, item, batch, byte = (min(column) for column in zip(*good, strict=True))
        figures = cold * 1e3, warm * 1e3, item * 1e6, batch * 1e6, byte * 1e9
        print(f"{on:14}" + "".join(f"{figure:>10.3f}" for figure in figures))


if __name__ == "__main__":
    main()
