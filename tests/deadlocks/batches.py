"""Runs programs in a few interpreters at once, a batch in each, one program after another; ends what hangs.

By hand, `python batches.py [PATTERN…]` runs those whose name contains a pattern, and prints what each of them says and
what is wrong with that.
"""

import argparse
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROGRAMS = str(Path(__file__).parent / "programs")
if PROGRAMS not in sys.path:
    sys.path.insert(0, PROGRAMS)

from catalogue import Program, load  # noqa: E402 - found from here on

LIMIT = 30.0
"""Seconds that a program may take, with the start of its interpreter; only one that hangs takes that long."""

AT_ONCE = 3  # interpreters; mostly they wait
SIZE = 12  # programs, at most, that share one

SCRIPT = Path(__file__).parent / "run_program.py"

Outcome = dict[str, str]


def run(names: Sequence[str], limit: float = LIMIT) -> Iterator[Outcome]:
    """How these programs have ended."""
    batches = -(-len(names) // SIZE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcomes in pool.map(lambda first: run_batch(names[first::batches], limit), range(batches)):
            yield from outcomes


def run_batch(names: Sequence[str], limit: float) -> list[Outcome]:
    """Run these one after another in one interpreter; what is left after one that hangs or dies, in the next."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(names):
        outcomes += _run_in_one(names[len(outcomes) :], limit)
    return outcomes


def _run_in_one(names: Sequence[str], limit: float) -> list[Outcome]:
    """The outcomes up to the first that is none of the program's own."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen([sys.executable, SCRIPT, *names], stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        outcomes = [json.loads(line) for line in _lines(process.stdout, limit)]
        if len(outcomes) < len(names):
            hangs = process.poll() is None
            process.send_signal(signal.SIGABRT)  # faulthandler shows where it is
            code = process.wait()
            errors.seek(0)
            told = f"exit status {code}, stderr:\n" + errors.read().decode(errors="replace")
            outcome = "hang" if hangs else "error"
            outcomes.append({"name": names[len(outcomes)], "outcome": outcome, "message": told})
    return outcomes


def _lines(pipe: Any, limit: float) -> Iterator[bytes]:
    """The lines that come through the pipe, until it ends or the next takes too long."""
    begun = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(limit) and (got := os.read(pipe.fileno(), 1 << 16)):
            *whole, begun = (begun + got).split(b"\n")
            yield from whole


def complaint(program: Program, outcome: Outcome) -> str:
    """What is wrong with how it has ended; "" if nothing is.

    The message of a deadlock has a line for each task of the cycle, with its name and what it waits for, and none that
    begins with somebody who goes on.
    """
    got, text = outcome["outcome"], outcome["message"]
    if not program.kind:
        return "" if got == "fine" else f"it ought to end well, and the outcome is {got}"
    if got != "deadlock":
        return f"it ought to end in DeadlockError, and the outcome is {got}"
    for name, what in program.waits.items():
        if not re.search(rf"(?im)\b{name}\b.*\b({what})", text):
            return f"the message names no {name} that waits for {what}"
    strangers = [name for name in program.spared if re.search(rf"(?m)^\W*{name}\b", text)]
    return f"the message has {strangers} wait" if strangers else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for each program")
    parser.add_argument("--times", type=int, default=1, help="how often each is run")
    parser.add_argument("--quiet", action="store_true", help="nothing of what is right")
    parser.add_argument("patterns", nargs="*", default=[""])
    given = parser.parse_args()
    programs = load()
    names = [name for name in programs if any(pattern in name for pattern in given.patterns)]
    for outcome in run(names * given.times, given.limit):
        wrong = complaint(programs[outcome["name"]], outcome)
        if wrong or not given.quiet:
            text = textwrap.indent(outcome["message"], "    ")
            print(f"{outcome['outcome']:9}{outcome['name']}  {wrong and 'WRONG: ' + wrong}\n{text}")  # noqa: T201


if __name__ == "__main__":
    main()
