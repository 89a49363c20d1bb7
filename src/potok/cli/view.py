"""What a run says on stderr while it goes on: the progress, if it was asked for, and notes in between."""

import sys

from potok.dataflow.progress import Display, Progress, choose_display

__all__ = ["Notes", "choose_view"]


def choose_view(title: str, progress: bool, results_on_terminal: bool) -> Display:
    """The library's own display where progress is wanted; no bar where results are printed on the terminal."""
    return choose_display(title, last=False, lines=results_on_terminal) if progress else Notes(title)


class Notes:
    """A `Display` that shows nothing but the notes."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __call__(self, progress: Progress) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Print a line."""
        print(f"{self._title}: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is held."""
