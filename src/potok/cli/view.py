"""What a run says on stderr while it goes on: bars on a terminal, plain lines elsewhere, and notes in between."""

import os
import sys
import time
from types import TracebackType
from typing import Any, Literal, Protocol, Self

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


class Bar:
    """A bar with counts, rate and the time that is left; pulsing where the end is not known."""

    def __init__(self, title: str, total: int | None) -> None:
        from rich import progress
        from rich.console import Console

        # NO_COLOR takes the colours away in rich, but leaves bold: no style at all, then.
        color_system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        console = Console(stderr=True, highlight=False, color_system=color_system)
        columns: list[progress.ProgressColumn] = [
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(),
        ]
        if total is not None:
            columns += [progress.TextColumn("left"), progress.TimeRemainingColumn()]
        self._title = title
        self._progress = progress.Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(title, total=total, rate="")
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, done: int, failed: int) -> None:
        """Move the bar; it is drawn ten times a second, whatever happens here."""
        seconds = time.monotonic() - self._begin
        rate = f"{done / seconds:.0f}/s" if seconds > 0 else ""
        failures = f", {failed} failed" if failed else ""
        self._progress.update(self._task, completed=done, rate=rate + failures)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(f"{self._title}: {text}", markup=False, soft_wrap=True)
