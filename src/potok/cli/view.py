"""What a run says on stderr while it goes on: bars on a terminal, plain lines elsewhere, and notes in between."""

import os
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["View", "choose_view"]

INTERVAL = 2.0  # seconds between two plain lines


class View(Protocol):
    """A context manager that is shown how far the run is."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, done: int, failed: int) -> None:
        """So many items have been worked on, so many of them in vain."""

    def note(self, text: str) -> None:
        """Print a line that stays."""


def choose_view(title: str, total: int | None, progress: bool, results_on_terminal: bool) -> View:
    """The view that suits this stderr; bars only where nothing else is printed on the terminal meanwhile."""
    if not progress:
        return Silent(title)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not results_on_terminal:
        from potok.cli.bar import Bar  # imports rich

        return Bar(title, total)
    return Lines(title, total)


class Silent:
    """Notes only."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.flush()

    def show(self, done: int, failed: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Print a line."""
        print(f"{self._title}: {text}", file=sys.stderr, flush=True)


class Lines(Silent):
    """A plain line every other second: for logs, pipes and dumb terminals."""

    def __init__(self, title: str, total: int | None) -> None:
        super().__init__(title)
        self._of = "" if total is None else f" of {total}"
        self._begin = time.monotonic()
        self._due = self._begin + INTERVAL

    def show(self, done: int, failed: int) -> None:
        """Print a line if it is time to."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + INTERVAL
            failures = f", {failed} failed" if failed else ""
            self.note(f"{done}{self._of} items{failures}, {done / (now - self._begin):.0f} items/s")
