"""What a run has done so far, and how it is told at its end."""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import potok
from potok.cli import UsageError
from potok.cli.inputs import Inputs
from potok.cli.journals import RunJournal
from potok.cli.records import Records
from potok.dataflow.progress import Display

__all__ = ["SCHEMA", "Tally"]

SCHEMA = 1
"""Version of the `--json` summary. It grows when a reader of the old one would misread the new one."""

SHOWN_FAILURES = 5


class Tally:
    """Counts outcomes as they are written. What came out of the journal is counted apart, too."""

    def __init__(self, journal: RunJournal | None) -> None:
        self.done = self.failed = 0
        self.recalled = self.recalled_failed = 0
        self.interrupted = self.halted = self.broken = False
        self.not_found = 0  # items that failed because a file is not there
        self.unwritten = False  # the last of those that are counted has no record: that could not be written
        self.explained = ""  # why the items were worked on where they were
        self._journal = journal
        self._begin = time.monotonic()

    @property
    def fresh(self) -> tuple[int, int]:
        """How many were worked on in this run, and how many of these failed."""
        return self.done - self.recalled, self.failed - self.recalled_failed

    def take(self, outcome: Any, records: Records, view: Display) -> None:
        """Write one outcome and count it."""
        is_bad = isinstance(outcome, potok.BadItem)
        index, item = outcome.item if is_bad else outcome[:2]
        # Before it is written: Ctrl-C may come as soon as somebody has read the record, and the summary be short of it.
        self.done += 1
        self.failed += is_bad
        self.not_found += is_bad and isinstance(outcome.error, FileNotFoundError)
        if self._journal is not None and index in self._journal.recalled:
            self._journal.recalled.discard(index)
            self.recalled += 1
            self.recalled_failed += is_bad
        if is_bad:
            self._note_failure(view, index, item, outcome.error)
        try:
            if is_bad:
                records.error(index, item, outcome.error)
            else:
                records.result(*outcome)
        except UsageError:  # a disk is full
            self.unwritten = True
            raise

    def _note_failure(self, view: Display, index: int, item: Any, error: BaseException) -> None:
        if self.failed <= SHOWN_FAILURES:
            view.note(f"item {index} ({_short(item)}) failed: {_told(error)}")
        elif self.failed == SHOWN_FAILURES + 1:
            view.note("more items failed; their errors are in the results only")

    def show(self, args: argparse.Namespace, path: str | None, inputs: Inputs) -> None:
        """Print the summary, and how to go on."""
        seconds = time.monotonic() - self._begin
        rate = self.done / seconds if seconds > 0 else 0.0
        command = self._command(args)
        if args.json:
            summary = {
                "version": SCHEMA,
                "function": args.function,
                "items": self.done,
                "failed": self.failed,
                "from_journal": self.recalled,
                "seconds": round(seconds, 6),
                "items_per_second": round(rate, 3),
                "interrupted": self.interrupted,
                "halted": self.halted,
                "broken": self.broken,
                "output": path,
                "journal": args.journal,
                "explained": self.explained,
                "go_on": command,
            }
            print(json.dumps(summary), file=sys.stderr if path is None else sys.stdout, flush=True)
            return
        state = "interrupted after " if self.interrupted else "halted after " if self.halted else ""
        state = "broken off after " if self.broken else state
        known = f" ({self.recalled} from the journal)" if self.recalled else ""
        where = "" if path is None else f"; results in {path}"
        where = "; the last is not in the results" if self.unwritten else where
        items = "1 item" if self.done == 1 else f"{self.done} items"
        failures = f"{self.failed} failed" if self.failed else "none failed"
        _say(f"{state}{items}{known}, {failures}, {seconds:.2f} s, {rate:.0f} items/s{where}")
        if args.progress and args.on == "auto":
            _say(self.explained)
        self._advise(args, command)
        files = inputs.lines_of
        if files and self.done == self.not_found > 0:  # what a pattern comes to that the shell has expanded
            whose = repr(files[0]) + (f" and {len(files) - 1} more INPUT" if len(files) > 1 else "")
            _say(
                f"every item failed with FileNotFoundError: the items are the lines of {whose}. If the files "
                f"themselves are meant, quote the pattern ('data/*.txt'), or use --paths"
            )

    def _command(self, args: argparse.Namespace) -> str | None:
        """The line that goes on from here; None where there is no journal, or nothing to do."""
        if args.journal is None or not (self._is_cut_short or self.failed):
            return None
        retries = self.halted or not self._is_cut_short
        flag = "--retry-failed" if retries else "--resume"
        known = {"--retry-failed"} if retries else {"--resume", "--retry-failed"}
        verb, *rest = args.argv
        return shlex.join([*_program(), verb, *([] if known & set(rest) else [flag]), *rest])

    def _advise(self, args: argparse.Namespace, command: str | None) -> None:
        if command is not None:
            aim = "to go on" if self._is_cut_short else "to try the failed items again"
            stdin = " (with the same standard input)" if "-" in args.inputs else ""
            _say(f"{aim}{stdin}: {command}")
        elif self.interrupted:
            _say("with --journal FILE a run can be interrupted, and gone on with by --resume")

    @property
    def _is_cut_short(self) -> bool:
        return self.interrupted or self.halted or self.broken


def _program() -> list[str]:
    """How this program was called."""
    if Path(sys.argv[0]).name == "__main__.py":
        return [Path(sys.executable).name, "-m", "potok"]
    return ["potok"]


def _say(text: str) -> None:
    print(f"potok map: {text}", file=sys.stderr, flush=True)


def _told(error: BaseException) -> str:
    """The error in one line, with where it was raised."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("raised in ")]
    where = f" ({notes[-1].removeprefix('raised in ')})" if notes else ""
    return f"{type(error).__name__}: {error}".splitlines()[0] + where


def _short(item: Any) -> str:
    text = str(item)
    return text if len(text) <= 80 else text[:77] + "..."
