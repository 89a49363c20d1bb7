"""What is to be said of how a program has ended.

By hand, `python judging.py [PATTERN…]` runs the programs whose names contain a pattern, and prints what each has told
and what is wrong with that.
"""

import argparse
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "programs")]

from catalogue import Program, load  # noqa: E402 - found from here on

Outcome = dict[str, str]


def outcomes(names: Sequence[str], *options: str) -> Iterator[Outcome]:
    """Run these programs, and tell how each has ended."""
    command = [sys.executable, str(HERE / "run_program.py"), *options, *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    assert process.returncode == 0


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
    parser.add_argument("--limit", default="30", help="seconds for each program")
    parser.add_argument("--times", type=int, default=1, help="how often each is run")
    parser.add_argument("--quiet", action="store_true", help="nothing of what is right")
    parser.add_argument("patterns", nargs="*", default=[""])
    given = parser.parse_args()
    programs = load()
    names = [name for name in programs if any(pattern in name for pattern in given.patterns)]
    for outcome in outcomes(names * given.times, "--limit", given.limit):
        wrong = complaint(programs[outcome["name"]], outcome)
        if wrong or not given.quiet:
            text = textwrap.indent(outcome["message"], "    ")
            print(f"{outcome['outcome']:9}{outcome['name']}  {wrong and 'WRONG: ' + wrong}\n{text}")  # noqa: T201


if __name__ == "__main__":
    main()
