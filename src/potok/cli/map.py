"""`potok map`: apply a function to every input, several at a time, and write the results as JSON Lines."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from typing import Any, BinaryIO

import potok
from potok.cli import UsageError
from potok.cli.functions import find_function
from potok.cli.halting import read_halt
from potok.cli.inputs import Inputs, find_inputs
from potok.cli.journals import RunJournal, open_journal
from potok.cli.numbers import count
from potok.cli.preview import show_plan
from potok.cli.records import Records, stdout_apart
from potok.cli.tally import Tally
from potok.cli.view import choose_view
from potok.dataflow.colour import is_async
from potok.dataflow.plan import Auto
from potok.dataflow.progress import Display, Progress

FINE, SOME_FAILED, WORKER_LOST, INTERRUPTED = 0, 1, 4, 130

EXECUTORS = ("auto", "threads", "coroutines", "interpreters", "processes", "inline")

UNSTOPPABLE = {"threads": "a thread", "interpreters": "an interpreter", "inline": "the plain loop"}
"""Where a function goes on for as long as it likes, unless it awaits."""

EPILOG = """\
FUNCTION takes one argument, the item, and may be def or async def. A module is looked for in the current folder
first. Functions of the standard library will do if they take what INPUT gives: os.path:getsize of paths, json:loads
or builtins:len of lines, ast:literal_eval, statistics:mean of JSON arrays. An item is never converted: hashlib:sha256
takes bytes and gets a str, so all its items fail; and what it returns is no JSON. Two lines of your own in a file do
it: def digest(line): return hashlib.sha256(line.encode()).hexdigest()   and   potok map digests.py:digest lines.txt

INPUT, one or more:
  'dir/**/*.py'    a quoted pattern: the path of each file that it matches, sorted; ** matches any depth
  name.jsonl       (or .ndjson) the JSON value of each line
  name.csv         (or .tsv) each row as a dict; its keys are the first row, its values are strings
  any other file   each of its lines, a str without the line's end
  -                the lines of standard input
  --paths NAME     with --paths, a name that is no pattern is an item itself and is not read

Each record is one line: {"index": 0, "input": ..., "result": ...}, or "error": {"type": ..., "message": ...} in
place of the result. They are written as they are completed, each whole and at once, so that what was done before
an interruption is there. What can't be JSON is written as its repr, which is said once. While records go to stdout,
what the function prints there goes to stderr.

A journal makes a run that can be killed at any moment and gone on with:
  --journal F                  begin one; refuses a file that has records of an earlier run
  --journal F --resume         write out what F knows, failures too, and work on the rest
  --journal F --retry-failed   the same, but the failed items are worked on again
Items are known by what they are, not by their place. It holds pickles: resume from your own journals only.

--halt: 3 or soon,3 begins no more items after 3 failures, and lets those run that were given to workers; now,3 cancels
them. 3% is a share of the items worked on, once they are so many that one failure is no more than it (34).
Failures out of the journal don't count.

exit codes:
  0    fine
  1    some items failed; an item that kills its worker is one of them, and the worker is replaced
  2    usage, or an input, the results or a journal that can't be read or written
  4    workers were lost for good: they can't be started, or die before they have begun an item
  130  interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `potok map`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("function", metavar="FUNCTION", help="package.module:function or path/to/file.py:function")
    add("inputs", metavar="INPUT", nargs="+", help="where the items come from: see below")
    add("-o", "--output", metavar="FILE", help="write the results there instead of stdout")
    add("-j", "--jobs", metavar="N", type=count, help="work on N items at a time, at most")
    add(
        "--on",
        choices=EXECUTORS,
        default="auto",
        help="the executor; by default what is measured to be best; inline is the plain loop",
    )
    add("--keep-order", action="store_true", help="write the results in the order of the inputs")
    add("--paths", action="store_true", help="take names of files as items; do not read the files")
    add("--retries", metavar="N", type=_retries, default=0, help="try an item that failed N times again")
    add("--timeout", metavar="SECONDS", type=_positive, help="give an item up, as failed, after so long")
    add("--rate", metavar="R", type=_positive, help="begin R items a second, at most")
    add(
        "--halt",
        metavar="WHEN",
        type=read_halt,
        help="stop after so many failures: 3, 3%%, soon,3 or now,3 (see below)",
    )
    add("--journal", metavar="FILE", help="keep a record there, for --resume")
    add("--resume", action="store_true", help="go on from the journal")
    add("--retry-failed", action="store_true", help="go on from the journal, and try its failures again")
    add(
        "--dry-run",
        action="store_true",
        help="show the function, the executor and the first items; run nothing",
    )
    add("--progress", action="store_true", help="show on stderr how far it is")
    add(
        "--json",
        action="store_true",
        help="print the summary as JSON: on stdout if the results go to a FILE, else on stderr",
    )


def _retries(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"N must be a whole number >= 0, not {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number > 0, not {text!r}")
    return number


def run(args: argparse.Namespace) -> int:
    """Run the map to its end and return the exit code."""
    # A function out of a shell's line may do anything to the process it runs in: ours is not the place to try it.
    on = Auto(in_worker=True) if args.on == "auto" else args.on
    try:
        if args.on != "auto":
            potok.scope(on=on)
    except potok.PotokError as error:  # an executor that this Python can't have
        raise UsageError(f"--on {args.on}: {error}") from None
    path = None if args.output == "-" else args.output
    view = choose_view("potok map", args.progress, path is None and sys.stdout.isatty())
    with stdout_apart() if path is None or args.json else nullcontext(sys.stdout.buffer) as stdout:
        fn = find_function(args.function)
        inputs = find_inputs(args.inputs, args.paths)
        _check_timeout(args, fn)
        job, failure = (None, None) if args.dry_run else _work(args, fn, on, inputs, path, stdout, view)
    if job is None:
        show_plan(args, fn, inputs)
        return FINE
    job.tally.show(args, path, inputs)
    if failure is not None:
        raise failure
    return job.code


def _check_timeout(args: argparse.Namespace, fn: Callable[..., Any]) -> None:
    """Refuse a time-out that a function which hangs would never notice."""
    if args.timeout is not None and args.on in UNSTOPPABLE and not is_async(fn):
        raise UsageError(
            f"--timeout can't end what a def function does with --on {args.on}: {UNSTOPPABLE[args.on]} can't be "
            f"stopped; take --on processes, where a worker that goes on all the same is killed, or --on auto"
        )


def _work(
    args: argparse.Namespace,
    fn: Callable[..., Any],
    on: Any,
    inputs: Inputs,
    path: str | None,
    stdout: BinaryIO,
    view: Display,
) -> tuple["Job", UsageError | None]:
    """Do it all but for the summary. Returns also what made it end early, if that is an error."""
    with ExitStack() as stack:
        stack.enter_context(closing(view))
        journal = open_journal(args, fn, view.note)
        if journal is not None:
            stack.enter_context(journal)
        job = Job(args, Feed(inputs), view, journal)
        job.prepare(fn, on)
        records = stack.enter_context(Records(path, stdout, inputs, view.note))
        return job, job.work(records)


class Feed:
    """The inputs with their indexes, until it is stopped."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.total = inputs.total
        self.stopped = False

    def __len__(self) -> int:
        """Raises: TypeError where that takes reading the inputs, as what has no length does."""
        if self.total is None:
            raise TypeError("nobody has counted the inputs")
        return self.total

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for pair in enumerate(self._inputs):
            if self.stopped:
                return
            yield pair


class Job:
    """One run of the map."""

    def __init__(
        self, args: argparse.Namespace, feed: Feed, view: Display, journal: RunJournal | None
    ) -> None:
        self.tally = Tally(journal)
        self.code = FINE
        self._args = args
        self._feed = feed
        self._view = view
        self._journal = journal
        self._results: Any = None

    def prepare(self, fn: Callable[..., Any], on: Any) -> None:
        """Make the map, of which nothing runs yet. Raises UsageError for options that do not go together."""
        args = self._args
        try:
            self._results = potok.starmap(
                _labelled(fn),
                self._feed,
                on=on,
                workers=args.jobs,
                ordered=args.keep_order,
                retries=args.retries,
                timeout=args.timeout,
                rate=args.rate,
                on_error="return",
                progress=self._view if args.progress else False,
                journal=self._journal,
            )
        except (
            TypeError,
            ValueError,
            potok.PotokError,
        ) as error:  # a timeout where nothing can be stopped, for one
            raise UsageError(str(error)) from error

    def work(self, records: Records) -> UsageError | None:
        """Write the results as they come. Sets the exit code; returns what made it end early, if that is an error."""
        if self._args.progress:
            self._view(Progress(0, 0, self._feed.total, 0.0, over=False))
        try:
            for outcome in self._results:
                self.tally.take(outcome, records, self._view)
                if self._must_halt() and self._args.halt.now:
                    break
            self.code = SOME_FAILED if self.tally.failed else FINE
        except KeyboardInterrupt:
            self.tally.interrupted = True
            self.code = INTERRUPTED
        except potok.WorkerDied as error:
            self.tally.broken = True
            self.code = WORKER_LOST
            self._view.note(f"error: {error}")
        except (UsageError, potok.PotokError) as error:  # an input can't be read after all, a disk is full
            self.tally.broken = True
            return UsageError(str(error))
        finally:
            self.tally.explained = self._results.explain()
            self._results = None  # cancels what runs, and does not wait for it: a thread can't be stopped
        return None

    def _must_halt(self) -> bool:
        tally = self.tally
        if self._args.halt is not None and self._args.halt.is_due(*tally.fresh):
            self._feed.stopped = tally.halted = True
        return tally.halted


def _labelled(fn: Callable[..., Any]) -> Callable[[int, Any], Any]:  # noqa: C901 - it is one value that travels
    """The function of the same colour that gives its item back with the result: they come in any order.

    It goes to workers by value, and with it only what it refers to: so that these need not import us, nothing global.
    """

    def mark(error: Exception) -> None:
        """Note where it was raised: a traceback neither travels nor is recorded."""
        trace = error.__traceback__ and error.__traceback__.tb_next  # the first frame is ours
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            error.add_note(f"raised in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}")

    def left(leaving: SystemExit) -> Exception:
        """It would end the run, and its worker, without a word."""
        return RuntimeError(f"the function called sys.exit({leaving.code!r})")

    async def alabelled(index: int, item: Any) -> Any:
        try:
            return index, item, await fn(item)
        except SystemExit as leaving:
            raise left(leaving) from None
        except Exception as error:
            mark(error)
            raise

    def labelled(index: int, item: Any) -> Any:
        try:
            return index, item, fn(item)
        except SystemExit as leaving:
            raise left(leaving) from None
        except Exception as error:
            mark(error)
            raise

    chosen = alabelled if is_async(fn) else labelled
    chosen.__name__ = getattr(fn, "__name__", type(fn).__name__)  # as messages and explanations call it
    return chosen
