"""Count down in one piece, and in two halves at once, on each executor: what the GIL makes of it.

    python examples/lecture/gil_countdown.py                     # on all executors that there are here
    python examples/lecture/gil_countdown.py --on processes --count 50000000

The lecture shows that two threads are no faster than one. (Before Python 3.2, whose GIL was given up after every
hundred steps, they were slower by far, and that is what is still told.) Here threads are first forced to ask for the
GIL as often as they can; then all is measured as it is, in turns with the plain loop; and then it is said why.
Processes and interpreters have a GIL each, and take half the time, if two cores are free.
"""

import argparse
import os
import sys
import time

import potok

EXECUTORS = ("coroutines", "threads", "interpreters", "processes")
TURNS = 5


def countdown(number: int) -> None:
    """Count down to 0, one by one."""
    while number > 0:
        number -= 1


def in_halves(number: int, on: str) -> None:
    """Count in two tasks at once."""
    with potok.scope(on=on) as scope:
        for _ in range(2):
            scope.start(countdown, number // 2)


def seconds(number: int, on: str) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    if on == "plain loop":
        countdown(number)
    elif on == "threads, forced to switch":
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            in_halves(number, "threads")
        finally:
            sys.setswitchinterval(usual)
    else:
        in_halves(number, on)
    return time.perf_counter() - begin


def why_not(on: str) -> str | None:
    """Start the workers; if there can't be any here, say why."""
    try:
        in_halves(2, on)
    except potok.PotokError as error:
        return str(error).partition(":")[0]
    return None


def why() -> str:
    """Why it comes out so."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return f"this Python has no GIL: two threads use two of {os.cpu_count()} cores"
    return (
        "only the thread that has the GIL runs Python. It gives it up 5 ms after another has asked: rarely enough to "
        "cost next to nothing, but the two never count at the same time. Another process, or interpreter, has another "
        f"GIL and can use another core: there are {os.cpu_count()}, and it helps as far as they are free"
    )


def main(on: str | None, number: int) -> None:
    """Count alone, and on each executor; the best of five turns."""
    print(f"counting down from {number}, best of {TURNS}:")
    executors = []
    for name in (on,) if on else EXECUTORS:
        if missing := why_not(name):
            print(f"two tasks on {name}: not here, {missing}")
        else:
            executors += [name] if name != "threads" else ["threads, forced to switch", name]
    turns = [{name: seconds(number, name) for name in ("plain loop", *executors)} for _ in range(TURNS)]
    best = {name: min(turn[name] for turn in turns) for name in turns[0]}
    alone = best.pop("plain loop")
    print(f"one task, the plain loop: {alone:.3f} s")
    for name, measured in best.items():
        print(f"two tasks on {name}: {measured:.3f} s, {measured / alone:.2f} times as long")
    print(f"why: {why()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", choices=EXECUTORS, help="only this one")
    parser.add_argument("--count", type=int, default=3_000_000)
    args = parser.parse_args()
    main(args.on, args.count)
