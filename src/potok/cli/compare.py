"""`potok compare`: measure a function on each executor against the plain loop, and say which one pays off."""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import potok
from potok.cli import UsageError
from potok.cli.functions import find_function
from potok.cli.inputs import Inputs, find_inputs
from potok.cli.numbers import count
from potok.cli.records import stdout_apart

FINE, SOME_FAILED = 0, 1
EXECUTORS = ("inline", "threads", "coroutines", "interpreters", "processes")

EPILOG = """\
FUNCTION and INPUT are as in `potok map` (see `potok map --help`). The function is called with each input many times
over: don't compare one that must do what it does only once. What it prints goes to stderr.

The same inputs go through the best plain loop, `for x in inputs: function(x)`, and through each executor, in turns. Of
the inputs so many are taken as fit into the budget. The results must be those of the plain loop.

  time        median of the timed runs, and half the way from the least to the most of them
  speed-up    of the plain loop; effic. (efficiency) is speed-up / workers
  CPU         seconds of this program and its workers for one run
  GIL         share of the moments at which a thread of this program that wants the GIL has to wait for it
  pickling    share of the CPU seconds that go into pickling arguments and results
  start       what the first run, with new workers, takes longer until its first result
  memory      what a run needs at its peak, beyond what was there before

exit codes: 0 fine, 1 some items failed, 2 usage or an input that can't be read, 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `potok compare`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "function", metavar="FUNCTION", help="package.module:function or path/to/file.py:function"
    )
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="where the items come from")
    parser.add_argument(
        "--on",
        metavar="NAME[,NAME]",
        type=Names(EXECUTORS),
        action="extend",
        help=f"the executors: {', '.join(EXECUTORS)}; by default all that can run the function",
    )
    parser.add_argument(
        "-j",
        "--workers",
        metavar="N",
        type=count,
        help="work on N items at a time; by default as `potok map`",
    )
    parser.add_argument(
        "--reps", metavar="N", type=count, help="timed runs of each; by default 5 if they fit"
    )
    parser.add_argument(
        "--budget",
        metavar="SECONDS",
        type=_seconds,
        default=20.0,
        help="what all may take, about; default 20",
    )
    parser.add_argument(
        "--paths", action="store_true", help="take names of files as items; do not read the files"
    )
    parser.add_argument(
        "--html", metavar="FILE", help="also write a report with charts: one page, for a browser"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, for programs")


class Names:
    """Reads some of several names, with commas between them."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = choices  # read by completion, too

    def __call__(self, text: str) -> list[str]:
        """Raises: ArgumentTypeError that names the one that is none of them."""
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in self.choices:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(self.choices)}")
        return names


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"SECONDS must be a number > 0, not {text!r}")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Measure, print the table and return the exit code."""
    with stdout_apart():  # the function may print, and is called many times over
        fn = find_function(args.function)
        inputs = find_inputs(args.inputs, args.paths)
        if args.html:
            _check_writable(args.html, inputs)
        comparison = potok.compare(
            fn,
            _Counted(inputs),
            on=args.on and list(dict.fromkeys(args.on)),
            workers=args.workers,
            reps=args.reps,
            budget=args.budget,
            progress=_tell,
        )
    if not comparison.items:
        raise UsageError("there are no items in the INPUT")
    if args.html:
        try:
            comparison.save(args.html)
        except OSError as error:
            raise UsageError(f"{args.html!r} can't be written: {error.strerror}") from None
        _tell(f"the report is in {args.html}")
    if args.json:
        print(json.dumps(comparison.to_dict(), indent=2, allow_nan=False))
    elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _draw(comparison)
    else:
        print(comparison)
    return SOME_FAILED if comparison.failed else FINE


class _Counted:
    """Inputs whose number, where it is known, is known to whoever iterates them."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def __iter__(self) -> Any:
        return iter(self._inputs)

    def __length_hint__(self) -> int:
        total = self._inputs.total
        return NotImplemented if total is None else total


def _tell(line: str) -> None:
    print(f"potok compare: {line}", file=sys.stderr, flush=True)


def _check_writable(path: str, inputs: Inputs) -> None:
    """Before all that work, and without touching what is there."""
    folder = Path(path).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(path).is_dir():
        raise UsageError(f"{path!r} can't be written: no such folder, or no permission")
    if any(
        Path(other).exists() and Path(path).exists() and Path(path).samefile(other)
        for other in inputs.files()
    ):
        raise UsageError(f"the report {path!r} is one of the inputs, and would overwrite it")


def _draw(comparison: Any) -> None:
    """The same for a terminal: what to take stands out."""
    from rich.console import Console
    from rich.text import Text

    # NO_COLOR takes the colours away in rich, but leaves bold: no style at all, then.
    color_system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, soft_wrap=True, color_system=color_system)
    head, *lines = comparison.table()
    console.print(Text(comparison.heading()), Text(""), Text(head, style="dim"), sep="\n")
    taken = comparison.taken
    for row, line in zip(comparison.measured, lines, strict=True):
        console.print(Text(line, style="green" if row is taken else ""))
    console.print()
    for remark in comparison.remarks():
        console.print(Text(f"note: {remark}", style="dim"))
    console.print(Text(str(comparison.verdict), style="bold"))
