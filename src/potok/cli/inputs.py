"""What INPUT on the command line stands for: a stream of items, pulled as it is needed.

    -                     the lines of standard input
    pattern with * ? [    the paths of the files it matches, sorted; ** matches any depth
    name.jsonl .ndjson    the JSON value of each line
    any other file        its lines, without their ends
    any name, --paths     the name itself

A pattern that is also the name of a file means that file. Everything is checked before the first item is worked on.
"""

import glob
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from potok.cli import UsageError

__all__ = ["Inputs", "find_inputs"]

JSON_LINES = (".jsonl", ".ndjson")


class Source(NamedTuple):
    """One INPUT, understood."""

    kind: str  # "stdin", "paths", "json", "lines"
    name: str
    paths: Sequence[str] = ()


class Inputs:
    """The items of all INPUTs, one after another. Iterated once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    @property
    def total(self) -> int | None:
        """How many items there will be; None where that takes reading the files."""
        if all(source.kind == "paths" for source in self._sources):
            return sum(len(source.paths) for source in self._sources)
        return None

    def __iter__(self) -> Iterator[Any]:
        for source in self._sources:
            yield from _items(source)

    def files(self) -> Iterator[str]:
        """Every file that will be read, here or by the function."""
        for source in self._sources:
            yield from (
                source.paths if source.kind == "paths" else [source.name] if source.kind != "stdin" else []
            )


def find_inputs(names: Sequence[str], paths: bool) -> Inputs:
    """Understand every INPUT. Raises UsageError for what is not there, cannot be read, or matches nothing."""
    return Inputs([_source(name, paths) for name in names])


def _source(name: str, paths: bool) -> Source:
    if name == "-":
        return Source("stdin", name)
    if not os.path.lexists(name):
        if re.search(r"[*?\[]", name):
            return Source("paths", name, _expand(name))
        raise UsageError(
            f"no such file: {name!r}. INPUT is a file of lines, a .jsonl file, a quoted pattern for paths such as "
            f"'data/**/*.txt', or - for stdin"
        )
    if paths:
        return Source("paths", name, [name])
    if Path(name).is_dir():
        pattern = str(Path(name, "**", "*"))
        raise UsageError(
            f"{name!r} is a folder; write {pattern!r} with its quotes for the files in it, or use --paths"
        )
    if not os.access(name, os.R_OK):
        raise UsageError(f"{name!r} can't be read: permission denied")
    return Source("json" if name.endswith(JSON_LINES) else "lines", name)


def _expand(pattern: str) -> Sequence[str]:
    found = sorted(path for path in glob.iglob(pattern, recursive=True) if not Path(path).is_dir())  # noqa: PTH207 - strings
    if not found:
        raise UsageError(f"no file matches {pattern!r}")
    return found


def _items(source: Source) -> Iterator[Any]:
    if source.kind == "paths":
        yield from source.paths
        return
    try:
        with sys.stdin.buffer if source.kind == "stdin" else Path(source.name).open("rb") as file:
            for number, line in enumerate(file, 1):
                text = _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
                if source.kind != "json":
                    yield text
                elif text.strip():
                    yield _value(text, source.name, number)
    except OSError as error:
        raise UsageError(f"{source.name!r} can't be read: {error.strerror}") from None


def _text(line: bytes) -> str:
    """Bytes that are no UTF-8 survive the way into a `str` and out again, as in file names."""
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _value(text: str, name: str, number: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name}, line {number}, is not JSON: {error}") from None
