"""`potok map`: apply a function to every input, several at a time, and write the results as JSON Lines."""

import argparse
import inspect
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import potok
from potok.cli import UsageError
from potok.cli.functions import find_function
from potok.cli.inputs import Inputs, find_inputs
from potok.cli.records import Records
from potok.cli.view import View, choose_view

SCHEMA = 1
"""Version of the `--json` summary. It grows when a reader of the old one would misread the new one."""

FINE, SOME_FAILED, INTERRUPTED = 0, 1, 130
SHOWN_FAILURES = 5

EPILOG = """\
FUNCTION takes one argument and may be def or async def. A module is looked for in the current folder first;
functions of the standard library will do: os.path:getsize, json:loads.

INPUT, one or more:
  'dir/**/*.py'    a quoted pattern: the path of each file that it matches, sorted; ** matches any depth
  name.jsonl       (or .ndjson) the JSON value of each line
  any other file   each of its lines, without the line's end
  -                the lines of standard input
  --paths NAME     with --paths, a name that is no pattern is an item itself and is not read

Each record is one line: {"index": 0, "input": ..., "result": ...}, or "error": {"type": ..., "message": ...} in
place of the result. They are written as they are completed, each whole and at once, so that what was done before
an interruption is there. What can't be JSON is written as its repr.

exit codes: 0 fine, 1 some items failed, 2 usage or an input that can't be read, 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `potok map`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "function", metavar="FUNCTION", help="package.module:function or path/to/file.py:function"
    )
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="where the items come from: see below")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the results there instead of stdout")
    parser.add_argument("-j", "--jobs", metavar="N", type=_count, help="work on N items at a time, at most")
    parser.add_argument(
        "--on",
        choices=("threads", "coroutines", "interpreters", "processes", "inline"),
        help="the executor; by default threads for def, coroutines for async def; inline is the plain loop",
    )
    parser.add_argument(
        "--keep-order", action="store_true", help="write the results in the order of the inputs"
    )
    parser.add_argument(
        "--paths", action="store_true", help="take names of files as items; do not read the files"
    )
    parser.add_argument("--progress", action="store_true", help="show on stderr how far it is")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the summary as JSON: on stdout if the results go to a FILE, else on stderr",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"N must be a whole number >= 1, not {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Run the map to its end and return the exit code."""
    try:
        potok.scope(on=args.on)
    except potok.PotokError as error:  # an executor that this Python can't have
        raise UsageError(f"--on {args.on}: {error}") from None
    fn = find_function(args.function)
    inputs = find_inputs(args.inputs, args.paths)
    path = None if args.output == "-" else args.output
    view = choose_view("potok map", inputs.total, args.progress, path is None and sys.stdout.isatty())
    tally = Tally()
    with Records(path, inputs, view.note) as records:
        try:
            with view:
                for outcome in _results(fn, inputs, args):
                    tally.take(outcome, records, view)
        except KeyboardInterrupt:
            tally.interrupted = True
        except UsageError:  # an input turned out to be unreadable half-way
            tally.show(args, path)
            raise
    tally.show(args, path)
    if tally.interrupted:
        return INTERRUPTED
    return SOME_FAILED if tally.failed else FINE


def _results(fn: Callable[..., Any], inputs: Inputs, args: argparse.Namespace) -> Any:
    return potok.starmap(
        _labelled(fn),
        enumerate(inputs),
        on=args.on,
        workers=args.jobs,
        ordered=args.keep_order,
        on_error="return",
    )


def _labelled(fn: Callable[..., Any]) -> Callable[[int, Any], Any]:
    """The function of the same colour that gives its item back with the result: they come in any order."""
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None)):  # noqa: B004

        async def alabelled(index: int, item: Any) -> Any:
            return index, item, await fn(item)

        return alabelled

    def labelled(index: int, item: Any) -> Any:
        return index, item, fn(item)

    return labelled


class Tally:
    """What was done so far, and how it is told."""

    def __init__(self) -> None:
        self.done = self.failed = 0
        self.interrupted = False
        self._begin = time.monotonic()

    def take(self, outcome: Any, records: Records, view: View) -> None:
        """Write one outcome and count it."""
        if isinstance(outcome, potok.BadItem):
            index, item = outcome.item
            self.failed += 1
            if self.failed <= SHOWN_FAILURES:
                view.note(f"item {index} ({_short(item)}) failed: {_told(outcome.error)}")
            elif self.failed == SHOWN_FAILURES + 1:
                view.note("more items failed; their errors are in the results only")
            records.error(index, item, outcome.error)
        else:
            records.result(*outcome)
        self.done += 1
        view.show(self.done, self.failed)

    def show(self, args: argparse.Namespace, path: str | None) -> None:
        """Print the summary."""
        seconds = time.monotonic() - self._begin
        rate = self.done / seconds if seconds > 0 else 0.0
        if args.json:
            summary = {
                "version": SCHEMA,
                "function": args.function,
                "items": self.done,
                "failed": self.failed,
                "seconds": round(seconds, 6),
                "items_per_second": round(rate, 3),
                "interrupted": self.interrupted,
                "output": path,
            }
            print(json.dumps(summary), file=sys.stderr if path is None else sys.stdout, flush=True)
            return
        state = "interrupted after " if self.interrupted else ""
        where = "" if path is None else f"; results in {path}"
        items = "1 item" if self.done == 1 else f"{self.done} items"
        failures = f"{self.failed} failed" if self.failed else "none failed"
        print(
            f"potok map: {state}{items}, {failures}, {seconds:.2f} s, {rate:.0f} items/s{where}",
            file=sys.stderr,
            flush=True,
        )


def _told(error: BaseException) -> str:
    """The error in one line, with where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}".splitlines()[0] + where


def _short(item: Any) -> str:
    text = str(item)
    return text if len(text) <= 80 else text[:77] + "..."
