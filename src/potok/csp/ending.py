"""How a network ends: retired channels, poisoned ones, and the errors of whoever misuses the vocabulary.

A channel whose last writer (or last reader) has retired is *retired*: what is buffered is still read, then every
operation raises `ChannelRetireException`. A *poisoned* one raises `ChannelPoisonException` at once, for everybody. A
process that does not catch them ends, and passes the news on by the ends among its arguments. Both are `ClosedError`,
so a program that mixes the vocabularies catches either by that.
"""

from __future__ import annotations

from typing import Any

import potok

__all__ = ["ChannelPoisonException", "ChannelRetireException", "FatalException", "InfoException", "why_ended"]


class ChannelRetireException(potok.ClosedError):
    """Nobody is left on the other side of the channel, or this very end was retired."""

    def __init__(
        self, message: str = "the channel is retired", *, cause: object = None, arm: Any = None
    ) -> None:
        super().__init__(message, cause=cause, arm=arm)


class ChannelPoisonException(potok.ClosedError):
    """The channel was poisoned; `cause` is by whom, or the error of the process that has failed with an end of it."""

    def __init__(
        self, message: str = "the channel is poisoned", *, cause: object = None, arm: Any = None
    ) -> None:
        super().__init__(message, cause=cause, arm=arm)


class InfoException(potok.PotokError, TypeError):
    """A name of the vocabulary was used in a way that can't work; the message says in which to use it."""


class FatalException(potok.PotokError):
    """Never raised: it is there for the `except` clauses that name it."""


def why_ended(error: potok.ClosedError, arm: Any = None) -> potok.ClosedError:
    """What a closed end means here: retired where it closed without a cause, else poisoned."""
    error.__traceback__ = (
        None  # its frames refer to it: what they hold (ends, items) would live until a collection
    )
    if error.cause is None:
        return ChannelRetireException(str(error), arm=arm)
    return ChannelPoisonException(str(error), cause=error.cause, arm=arm)
