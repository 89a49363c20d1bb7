"""How far a map is: a snapshot for whoever draws, and who draws it for `progress=True`.

    Meter ──Progress──▶ Bars (bars.py)   on a terminal, if rich is there
                        Cell             in a notebook
                        PlainLines       anywhere else: logs, pipes, dumb terminals

The command line shows its runs by the same three.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import potok

__all__ = ["Cell", "Display", "Meter", "PlainLines", "Progress", "choose_display", "worker_states"]

INTERVAL = 1.0  # seconds between two plain lines
REDRAWN = 0.2  # seconds between two pictures of a notebook's cell
SPAN: Final = 10.0  # seconds, at least, that the pace is measured over: what a journal knew went faster
LOOKED: Final = 0.5  # seconds between two looks at the workers
SHOWN_WORKERS: Final = 8


class Progress(NamedTuple):
    """A map's state after a result was given out."""

    done: int  # results given out, failures included
    failed: int
    total: int | None  # None where the input can't tell its length
    seconds: float  # since the first result was asked for
    over: bool  # nothing will follow
    eta: float | None = None  # seconds that the rest will take, at the pace of late
    workers: tuple[str, ...] = ()  # what each of them does, where that is known

    @property
    def rate(self) -> float:
        """Items a second, over all."""
        return self.done / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        return f"{self.done}{of} items{self.failures}, {self.seconds:.1f} s, {self.pace}{self.left}"

    @property
    def pace(self) -> str:
        """The rate, as it is shown."""
        return f"{self.rate:.0f} items/s" if self.rate >= 10 else f"{self.rate:.2g} items/s"

    @property
    def failures(self) -> str:
        """How many failed, as it is shown: nothing, if none."""
        return f", {self.failed} failed" if self.failed else ""

    @property
    def left(self) -> str:
        """The time that the rest will take, as it is shown: nothing, if nobody knows."""
        if self.eta is None or self.over:
            return ""
        minutes, seconds = divmod(round(self.eta), 60)
        hours, minutes = divmod(minutes, 60)
        return f", {hours}:{minutes:02}:{seconds:02} left" if hours else f", {minutes}:{seconds:02} left"

    @property
    def crew(self) -> tuple[str, ...]:
        """The first workers, and how many there are besides."""
        more = len(self.workers) - SHOWN_WORKERS
        return self.workers if more <= 0 else (*self.workers[:SHOWN_WORKERS], f"and {more} more")


class Meter:
    """Counts, and tells. Who says what the workers do (`look_at`) is not asked for every item."""

    __slots__ = (
        "_before",
        "_begin",
        "_done",
        "_failed",
        "_look",
        "_look_due",
        "_mark",
        "_tell",
        "_total",
        "_workers",
    )

    def __init__(self, tell: Callable[[Progress], object], total: int | None) -> None:
        self._tell = tell
        self._total = total
        self._done = self._failed = 0
        self._begin = time.monotonic()
        self._before = self._mark = (
            0.0,
            0,
        )  # seconds, and what was done then: the pace is measured from `_before`
        self._look: Callable[[], tuple[str, ...]] | None = None
        self._look_due = 0.0
        self._workers: tuple[str, ...] = ()

    def look_at(self, workers: Callable[[], tuple[str, ...]]) -> None:
        """Ask there what each of the workers does."""
        self._look = workers

    def count(self, failed: bool) -> None:
        """One more result was given out."""
        self._done += 1
        self._failed += failed
        self._tell(self._now(over=False))

    def finish(self) -> None:
        """That was all."""
        self._tell(self._now(over=True))

    def _now(self, over: bool) -> Progress:
        seconds = time.monotonic() - self._begin
        if self._look is not None and not over and seconds >= self._look_due:
            self._look_due = seconds + LOOKED
            self._workers = self._look()
        workers = () if over else self._workers
        return Progress(self._done, self._failed, self._total, seconds, over, self._eta(seconds), workers)

    def _eta(self, seconds: float) -> float | None:
        if self._total is None:
            return None
        if seconds - self._mark[0] >= SPAN:
            self._before, self._mark = self._mark, (seconds, self._done)
        then, done = self._before
        left = max(0, self._total - self._done)
        return left * (seconds - then) / (self._done - done) if self._done > done else None


def worker_states(name: str) -> tuple[str, ...]:
    """What the workers of a map do whose tasks are called `name.1`, `name.2` and so on."""
    return tuple(_state(info, name) for info in potok.tasks() if info.name.startswith(f"{name}."))


def _state(info: Any, name: str) -> str:
    number = info.name.removeprefix(f"{name}.")
    pid = f" (pid {info.task.pid})" if info.task.pid not in (None, os.getpid()) else ""
    doing = f"waits for {info.waits_for}, {info.since:.1f} s" if info.waits_for else info.task.state()
    return f"{number}{pid}: {doing}"


# ── who shows it ────────────────────────────────────────────────────────────────────────────────────────────────


class Display(Protocol):
    """Shows the progress that it is called with, until one says that it is over."""

    def __call__(self, progress: Progress, /) -> None: ...  # noqa: D102 - the class says it

    def note(self, text: str) -> None:
        """Print a line that stays."""

    def close(self) -> None:
        """Draw no more. Idempotent."""


def choose_display(title: str = "potok.map", *, last: bool = True, lines: bool = False) -> Display:
    """The display that suits where we are.

    Args:
        title: what every line begins with.
        last: leave how it ended; not for those who print a summary of their own.
        lines: plain lines in any case: something else is printed on the terminal meanwhile.
    """
    if _in_notebook():
        return Cell(title)
    if not lines and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from potok.dataflow.bars import Bars  # imports rich
        except ImportError:
            return PlainLines(title, last=last)
        return Bars(title, last=last)
    return PlainLines(title, last=last)


def _in_notebook() -> bool:
    """Whether IPython runs here with a kernel: in a terminal it has none."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


class PlainLines:
    """A line on stderr every second, and one at the end."""

    __slots__ = ("_due", "_last", "_title")

    def __init__(self, title: str = "potok.map", *, last: bool = True) -> None:
        self._title = title
        self._last = last
        self._due = INTERVAL

    def __call__(self, progress: Progress) -> None:
        """Print the progress if it is time to."""
        if self._last if progress.over else progress.seconds >= self._due:
            self._due = progress.seconds + INTERVAL
            crew = f" [{'; '.join(progress.crew)}]" if progress.workers else ""
            self.note(f"{progress}{crew}")

    def note(self, text: str) -> None:
        """Print a line."""
        sys.stderr.write(f"{self._title}: {text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Nothing is held."""


class Cell:
    """A bar in the output of a notebook's cell, redrawn in place by the thread that reads the results."""

    __slots__ = ("_due", "_handle", "_title")

    def __init__(self, title: str = "potok.map") -> None:
        self._title = title
        self._due = 0.0
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        """Draw the progress if it is time to."""
        if not progress.over and progress.seconds < self._due:
            return
        self._due = progress.seconds + REDRAWN
        from IPython.display import HTML, display

        picture = HTML(_as_html(self._title, progress))
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def note(self, text: str) -> None:
        """Print a line."""
        sys.stderr.write(f"{self._title}: {text}\n")

    def close(self) -> None:
        """Nothing is held."""


def _as_html(title: str, progress: Progress) -> str:
    """A bar, the numbers, and a line for each worker; in the notebook's own colours."""
    import html

    value = "" if progress.total is None and not progress.over else f' value="{progress.done}"'
    most = progress.done if progress.total is None else progress.total
    told = html.escape(f"{title}: {progress}")
    crew = "".join(f"<div><small>{html.escape(line)}</small></div>" for line in progress.crew)
    return f'<div><progress{value} max="{max(1, most)}"></progress> <span>{told}</span>{crew}</div>'
