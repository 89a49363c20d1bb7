"""What INPUT on the command line stands for: a stream of items, pulled as it is needed.

    -                     the lines of standard input
    pattern with * ? [    the paths of the files it matches, sorted; ** matches any depth
    name.jsonl .ndjson    the JSON value of each line
    name.csv .tsv         the rows below the first, as dicts whose keys are the first
    any other file        its lines, without their ends
    any name, --paths     the name itself

A pattern that is also the name of a file means that file. Everything is checked before the first item is worked on.
"""

import csv
import glob
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from potok.cli import UsageError

__all__ = ["Inputs", "find_inputs"]

KINDS = {".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv"}
"""What a file is by the end of its name; any other is lines."""


class Source(NamedTuple):
    """One INPUT, understood."""

    kind: str  # "stdin", "paths", "json", "csv", "lines"
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

    @property
    def reads_stdin(self) -> bool:
        """Whether some items come from standard input, which may never end."""
        return any(source.kind == "stdin" for source in self._sources)

    @property
    def lines_of(self) -> list[str]:
        """The files whose lines are items."""
        return [source.name for source in self._sources if source.kind == "lines"]

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
    if names.count("-") > 1:
        raise UsageError("- is standard input, which can be read once only: name it once")
    return Inputs([_source(name, paths) for name in names])


def _source(name: str, paths: bool) -> Source:
    if name == "-":
        return Source("stdin", name)
    if not os.path.lexists(name):
        if re.search(r"[*?\[]", name):
            return Source("paths", name, _expand(name))
        raise UsageError(
            f"no such file: {name!r}. INPUT is a file of lines, a .jsonl or .csv file, a quoted pattern for paths "
            f"such as 'data/**/*.txt', or - for stdin"
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
    return Source(KINDS.get(Path(name).suffix, "lines"), name)


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
            match source.kind:
                case "json":
                    yield from _values(file, source.name)
                case "csv":
                    yield from _rows(file, source.name)
                case _:
                    yield from (_text(line) for line in _lines(file))
    except OSError as error:
        raise UsageError(f"{source.name!r} can't be read: {error.strerror}") from None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines with their ends, and without the mark that some editors begin a file with."""
    for number, line in enumerate(file):
        yield line if number else line.removeprefix(b"\xef\xbb\xbf")


def _text(line: bytes) -> str:
    """Bytes that are no UTF-8 survive the way into a `str` and out again, as in file names."""
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def _values(file: BinaryIO, name: str) -> Iterator[Any]:
    """JSON Lines."""
    for number, line in enumerate(map(_text, _lines(file)), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:  # whose own words name a line, too: the first of this one
                told = f"{error.msg}, column {error.colno}"
                raise UsageError(f"{name}, line {number}, is not JSON: {told}") from None
            except (ValueError, RecursionError) as error:  # more digits, or brackets, than Python takes
                raise UsageError(f"{name}, line {number}, can't be read as JSON: {error}") from None


def _rows(file: BinaryIO, name: str) -> Iterator[dict[str, str]]:
    """CSV, or TSV by its name. A row that does not fit its header is an error: to guess would shift its values."""
    text = (line.decode("utf-8", "surrogateescape") for line in _lines(file))
    rows = csv.reader(text, delimiter="\t" if name.endswith(".tsv") else ",", strict=True)
    try:
        header = next(rows, [])
        if twice := [column for column in header if header.count(column) > 1]:
            raise UsageError(
                f"{name}: the first row must name each column once, and names {twice[0]!r} twice"
            )
        for row in rows:
            if len(row) == len(header):
                yield dict(zip(header, row, strict=True))
            elif row:
                told = f"has {len(row)} fields, where the first row names {len(header)}"
                raise UsageError(f"{name}, line {rows.line_num}, {told}")
    except csv.Error as error:
        raise UsageError(f"{name}, line {rows.line_num}, is not CSV: {error}") from None
