"""The journal of a run from the command line: what `--journal`, `--resume` and `--retry-failed` mean."""

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import potok
from potok.cli import UsageError
from potok.dataflow.journal import Journal, Key, Recorded, function_name

__all__ = ["RunJournal", "open_journal"]


class RunJournal(Journal):
    """A journal keyed by the input alone, of a map whose items are (index, input) and whose values begin with both.

    So a run whose inputs have moved, because a line was put in before them, finds them again.
    """

    recalled: set[int]
    """The indexes of the items whose outcome was found here, and was not yet written out."""

    def look_up(self, item: Any) -> tuple[Key, Recorded | None]:
        """What is known of an input, in the shape of this map's values."""
        index, value = item
        key, recorded = super().look_up(value)
        if recorded is not None:
            self.recalled.add(index)
            if recorded.ok:
                recorded = recorded._replace(value=(index, value, recorded.value))
        return key, recorded

    def record(self, outcomes: Iterable[tuple[Key, bool, Any, int]]) -> None:
        """Add outcomes, without what belongs to this run alone."""
        super().record((key, ok, told[2] if ok else told, tries) for key, ok, told, tries in outcomes)


def open_journal(
    args: argparse.Namespace, fn: Callable[..., Any], note: Callable[[str], None]
) -> RunJournal | None:
    """The journal that the arguments ask for, if they do. Raises UsageError where they can't be meant."""
    check(args)
    if args.journal is None:
        return None
    goes_on = args.resume or args.retry_failed
    is_new = not Path(args.journal).exists()
    try:
        journal = RunJournal.open(args.journal, function_name(fn), retry_failed=args.retry_failed)
    except potok.PotokError as error:
        raise UsageError(str(error)) from error
    journal.recalled = set()
    done, failed = journal.count()
    if not goes_on and done + failed:
        journal.close()
        raise UsageError(
            f"the journal {args.journal!r} has {done + failed} items of an earlier run: go on from there with "
            f"--resume, or with --retry-failed to try its {failed} failed ones again, too; or name another file"
        )
    if goes_on and is_new:
        note(f"there is no journal {args.journal!r} yet: this run begins one")
    return journal


def check(args: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other."""
    if args.journal is None:
        if args.resume or args.retry_failed:
            flag = "--resume" if args.resume else "--retry-failed"
            raise UsageError(f"{flag} goes on from a journal: say which with --journal FILE")
    elif args.output is not None and os.path.realpath(args.output) == os.path.realpath(args.journal):
        raise UsageError(f"the journal and the output are the same file: {args.journal!r}")
