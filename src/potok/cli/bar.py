"""The bar that a run shows on a terminal. Imports rich, so it is imported only where a bar is drawn."""

import os
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Bar"]


class Bar:
    """A bar with counts, rate and the time that is left; pulsing where the end is not known. A `View`."""

    def __init__(self, title: str, total: int | None) -> None:
        # NO_COLOR takes the colours away in rich, but leaves bold: no style at all, then.
        color_system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        console = Console(stderr=True, highlight=False, color_system=color_system)
        self._title = title
        self._drawn = _Drawn(self, *_columns(total), console=console, transient=True)
        self._task = self._drawn.add_task(title, total=total, rate="")
        self._done = self._failed = 0
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        self._drawn.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._drawn.stop()

    def show(self, done: int, failed: int) -> None:
        """Note the numbers. They are looked at ten times a second, as the bar is drawn."""
        self._done, self._failed = done, failed

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._drawn.console.print(f"{self._title}: {text}", markup=False, soft_wrap=True)

    def bring_up_to_date(self) -> None:
        """Give rich the numbers of this moment."""
        seconds = time.monotonic() - self._begin
        rate = f"{self._done / seconds:.0f}/s" if seconds > 0 else ""
        failures = f", {self._failed} failed" if self._failed else ""
        self._drawn.update(self._task, completed=self._done, rate=rate + failures)


class _Drawn(Progress):
    """Progress that asks for its numbers when it is drawn: an update for each item costs more than many an item."""

    def __init__(self, bar: Bar, *columns: ProgressColumn, console: Console, transient: bool) -> None:
        super().__init__(*columns, console=console, transient=transient)
        self._bar = bar

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what is drawn, called by rich in a thread of its own."""
        if self.tasks:
            self._bar.bring_up_to_date()
        return super().get_renderables()


def _columns(total: int | None) -> list[ProgressColumn]:
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    ]
    columns.append(TimeElapsedColumn())
    if total is not None:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    return columns
