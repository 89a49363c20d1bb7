"""`--dry-run`: what a run would do. Runs nothing, writes nothing."""

import argparse
import inspect
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import potok
from potok.cli import UsageError
from potok.cli.inputs import Inputs
from potok.cli.journals import RunJournal, check
from potok.dataflow.journal import function_name

__all__ = ["show_plan"]

SCHEMA = 1
SHOWN_ITEMS = 5


def show_plan(args: argparse.Namespace, fn: Callable[..., Any], inputs: Inputs) -> None:
    """Print it on stdout. The inputs are read to their end to be counted and checked; not so standard input."""
    check(args)
    items = iter(inputs)
    first = list(itertools.islice(items, SHOWN_ITEMS))
    total = None if inputs.reads_stdin and len(first) == SHOWN_ITEMS else len(first) + sum(1 for _ in items)
    recorded = _recorded(args, fn)
    if args.json:
        plan = {
            "version": SCHEMA,
            "function": args.function,
            "source": _source(fn),
            "on": args.on,
            "items": total,
            "first": first,
            "journal": recorded,
        }
        print(json.dumps(plan))
        return
    print(f"function   {args.function} ({_source(fn)})")
    print(f"executor   {args.on}{'' if args.jobs is None else f', {args.jobs} items at a time'}")
    print(f"items      {'at least ' + str(len(first)) if total is None else total}")
    for index, item in enumerate(first):
        text = repr(item)
        print(f"{index:>8}   {text if len(text) <= 100 else text[:97] + '...'}")
    if args.journal is not None:
        known = f"{recorded[0]} done, {recorded[1]} failed" if recorded else "a new one"
        print(f"journal    {args.journal} ({known})")


def _recorded(args: argparse.Namespace, fn: Callable[..., Any]) -> tuple[int, int] | None:
    """How many items the journal has of each sort; None where there is none."""
    if args.journal is None or not Path(args.journal).exists():
        return None
    try:
        with RunJournal.open(args.journal, function_name(fn)) as journal:
            return journal.count()
    except potok.PotokError as error:
        raise UsageError(str(error)) from error


def _source(fn: Callable[..., Any]) -> str:
    kind = "async def" if inspect.iscoroutinefunction(fn) else "def"
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return f"{kind}, {code.co_filename}, line {code.co_firstlineno}" if code is not None else "built in"
