"""The bar of a map on a terminal. Imports rich, so it is imported only where a bar is drawn.

A thread of rich's redraws it ten times a second, so that an item that takes long does not stop the clock; the map only
leaves its numbers here, for to draw after each item would cost more than many an item. That thread holds the picture
and not the `Bars`: a map that nobody refers to any more takes its bar away, whatever became of it.
"""

import os
import sys
import weakref
from collections.abc import Iterable
from typing import Literal

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Drawing
from rich.text import Text

from potok.dataflow.progress import Progress

__all__ = ["Bars"]


class Bars:
    """A bar with counts, rate, failures, the time that is left, and a line for each worker; pulsing without a total."""

    def __init__(self, title: str = "potok.map", *, last: bool = True) -> None:
        # NO_COLOR takes the colours away in rich, but leaves bold: no style at all, then.
        color_system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        self._title = title
        self._console = Console(stderr=True, highlight=False, color_system=color_system)
        self._picture = _Picture(title, self._console, transient=not last)
        self.close = weakref.finalize(self, self._picture.stop)

    def __call__(self, progress: Progress) -> None:
        """Note the numbers; the last ones are drawn at once, and stay."""
        picture = self._picture
        is_first, picture.latest = picture.latest is None, progress
        if is_first:
            picture.begin(progress)
        if progress.over:
            self.close()

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(f"{self._title}: {text}", markup=False, soft_wrap=True)


class _Picture(Drawing):
    """What is drawn. It asks for its numbers as it is."""

    def __init__(self, title: str, console: Console, *, transient: bool) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            TimeElapsedColumn(),
        )
        self.latest: Progress | None = None
        self._title = title
        # What is printed meanwhile goes above the bar, unless it goes elsewhere, as into a file.
        super().__init__(
            *columns,
            console=console,
            transient=transient,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
        )

    def begin(self, progress: Progress) -> None:
        """Appear."""
        self.add_task(self._title, total=progress.total, told="")
        self.start()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the parts of the picture, called by rich in a thread of its own."""
        crew: tuple[str, ...] = ()
        if (progress := self.latest) is not None:
            told = f"{progress.pace}{progress.failures}{progress.left}"
            self.update(self.task_ids[0], completed=progress.done, told=told)
            crew = progress.crew
        yield from super().get_renderables()
        yield from (Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in crew)
