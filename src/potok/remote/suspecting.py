"""Telling the program that tasks here may be deadlocked with others: see `deadlocks`, imported when needed."""

from __future__ import annotations

from typing import Any

from potok.kernel.pulse import beyond, neighbours
from potok.remote.home import Home, home
from potok.remote.link import Link

__all__: list[str] = []


def _suspect() -> None:
    """Nothing was found in this space alone. Called by who has been parked for a while."""
    if home.space:
        home.pass_on(0, "suspect")
    elif home.links:
        _survey(None)


def _survey(link: Link | None) -> None:
    from potok.remote.deadlocks import survey

    survey()


def _serve_parked(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    from potok.remote.deadlocks import rows_here

    link.answer(number, rows_here(args[0]))


def _serve_holders(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    from potok.remote.holding import holders_here

    link.answer(number, holders_here(args[0]))


def _tell(link: Link, task: int, stamp: tuple[int, float], message: str) -> None:
    from potok.remote.deadlocks import tell

    tell(task, stamp, message)


home.space_ops["parked"] = _serve_parked
home.space_ops["holders"] = _serve_holders
home.note_ops["suspect"] = _survey
home.note_ops["deadlock"] = _tell
beyond.append(_suspect)
neighbours.append(lambda: bool(home.links))
