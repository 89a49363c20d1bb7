"""Results as JSON Lines: one record an item, each written whole, at once."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from potok.cli import UsageError
from potok.cli.inputs import Inputs

__all__ = ["Records", "stdout_apart"]

STDOUT, STDERR = 1, 2


@contextmanager
def stdout_apart() -> Iterator[BinaryIO]:
    """Keep stdout for what is written to the stream that this gives out; what anybody else prints goes to stderr.

    That is so for this process and those that it starts meanwhile. Where stdout is not the process's own descriptor,
    but what somebody has put in its place, nothing is changed.
    """
    stdout = sys.stdout
    try:
        is_own = stdout.fileno() == STDOUT
    except (OSError, ValueError):
        is_own = False
    if not is_own:
        yield stdout.buffer
        return
    stdout.flush()
    stream = open(os.dup(STDOUT), "wb")  # noqa: PTH123, SIM115 - a descriptor, closed below
    try:
        if sys.stderr is not None:
            os.dup2(STDERR, STDOUT)
        else:  # it is closed: nobody hears what is printed
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, STDOUT)
            os.close(nowhere)
        with redirect_stdout(sys.stderr):
            yield stream
    finally:
        with suppress(OSError):  # what was printed past `sys.stdout` above
            stdout.flush()
        os.dup2(stream.fileno(), STDOUT)
        with suppress(OSError):  # whoever wrote a record has flushed it, and knows already
            stream.close()


class Records:
    """Where records go: a file, or `stdout`. `warn` is told, once, that something could not be written as JSON.

    Records are in UTF-8 whatever the locale, as JSON has to be.
    """

    def __init__(
        self, path: str | None, stdout: BinaryIO, inputs: Inputs, warn: Callable[[str], None]
    ) -> None:
        self._stack = ExitStack()
        self._warn: Callable[[str], None] | None = warn
        self._called = "the results" if path is None else repr(path)
        self._is_broken = False
        self._stream = stdout
        if path is not None:
            self._stream = self._stack.enter_context(_created(path, inputs))

    def result(self, index: int, item: Any, value: Any) -> None:
        """Write what the function returned for an item."""
        self._write(index, item, f'"result": {self._encoded(value, index)}')

    def error(self, index: int, item: Any, error: BaseException) -> None:
        """Write how an item failed."""
        told = {"type": type(error).__name__, "message": str(error)}
        self._write(index, item, f'"error": {self._encoded(told, index)}')

    def _write(self, index: int, item: Any, outcome: str) -> None:
        record = f'{{"index": {index}, "input": {self._encoded(item, index)}, {outcome}}}\n'
        # Only lone surrogates are not UTF-8; their backslashed form is JSON's own.
        try:
            self._stream.write(record.encode("utf-8", "backslashreplace"))
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._is_broken = True
            raise UsageError(f"{self._called} can't be written: {error.strerror}") from None

    def _encoded(self, value: Any, index: int) -> str:
        def instead(part: Any) -> str:
            self._tell(part, index)
            return _repr(part)

        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, default=instead)
        except (
            TypeError,
            ValueError,
            RecursionError,
        ):  # a key that is no string, nan, a cycle: not for `default`
            self._tell(value, index)
            return json.dumps(_repr(value), ensure_ascii=False)

    def _tell(self, value: Any, index: int) -> None:
        if self._warn is not None:
            self._warn(
                f"what can't be JSON is written as its repr (first in item {index}: {_repr(value)[:60]}, "
                f"of type {type(value).__name__})"
            )
            self._warn = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._stack.close()
        except OSError as late:  # some file systems tell it only now
            if not self._is_broken:
                raise UsageError(f"{self._called} can't be written: {late.strerror}") from None


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - the value's own fault, and no reason to stop
        return f"<{type(value).__name__} whose repr failed: {type(error).__name__}>"


def _created(path: str, inputs: Inputs) -> BinaryIO:
    if any(_is_same(path, other) for other in inputs.files()):
        raise UsageError(
            f"the output {path!r} is one of the inputs, and would be overwritten before it is read"
        )
    try:
        return Path(path).open("wb")
    except OSError as error:
        raise UsageError(f"{path!r} can't be written: {error.strerror}") from None


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)  # noqa: PTH121 - a path that is not there is an answer, too
    except OSError:
        return False
