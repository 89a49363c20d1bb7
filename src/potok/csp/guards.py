"""What a select may choose from, and what is done then: guards with their actions."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from types import FrameType
from typing import Any

import potok
from potok.csp.channels import ChannelEndRead, ChannelEndWrite, moved
from potok.csp.ending import InfoException

__all__ = [
    "Choice",
    "Guard",
    "InputGuard",
    "OutputGuard",
    "Skip",
    "SkipGuard",
    "Timeout",
    "TimeoutGuard",
    "act",
    "checked",
    "choice",
]


class Guard:
    """What all guards share: `subject` is what a select returns if it chooses this one."""

    subject: Any
    action: Any
    writes = False

    def arm(self) -> Any:
        """What potok's select takes; None for a guard that is always ready, after all others."""
        raise NotImplementedError


class InputGuard(Guard):
    """Ready when an item can be read by this end; then it is read."""

    def __init__(self, ch_end_read: Any, action: Any = None) -> None:
        if not isinstance(ch_end_read, ChannelEndRead):
            raise InfoException(
                f"InputGuard takes an end that reads, as channel.reader(), not {ch_end_read!r}"
            )
        self.subject = ch_end_read
        self.action = checked(action)

    def arm(self) -> Any:
        """A receive."""
        return self.subject.port()


class OutputGuard(Guard):
    """Ready when `msg` can be written by this end; then it is written."""

    writes = True

    def __init__(self, ch_end_write: Any, msg: Any, action: Any = None) -> None:
        if not isinstance(ch_end_write, ChannelEndWrite):
            raise InfoException(
                f"OutputGuard takes an end that writes, as channel.writer(), not {ch_end_write!r}"
            )
        self.subject = ch_end_write
        self.msg = msg
        self.action = checked(action)

    def arm(self) -> Any:
        """A send."""
        return self.subject.port().sending(moved(self.msg))


class SkipGuard(Guard):
    """Always ready: with it, a select never waits."""

    def __init__(self, action: Any = None) -> None:
        self.subject = self
        self.action = checked(action)

    def arm(self) -> Any:
        """None."""
        return None


class TimeoutGuard(Guard):
    """Ready so many seconds after the select has begun."""

    def __init__(self, seconds: float, action: Any = None) -> None:
        if type(seconds) not in (int, float) or math.isnan(seconds):
            raise InfoException(f"TimeoutGuard takes a number of seconds, not {seconds!r}")
        self.subject = self
        self.seconds = seconds
        self.action = checked(action)

    def arm(self) -> Any:
        """A timer; of no time at all, it is a skip."""
        return potok.after(self.seconds) if self.seconds > 0 else None


Skip = SkipGuard
Timeout = TimeoutGuard


class Choice:
    """A function and its arguments, as an action. Made by a function under `@choice`."""

    def __init__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def bound(self) -> Callable[..., Any]:
        """The function with its arguments."""
        return functools.partial(self.fn, *self.args, **self.kwargs)


def choice(func: Callable[..., Any]) -> Callable[..., Choice]:
    """Make a function one that makes actions.

    `InputGuard(cin, action=add(total))` calls `add(total, channel_input=item)`.
    """

    @functools.wraps(func)
    def make(*args: Any, **kwargs: Any) -> Choice:
        return Choice(func, *args, **kwargs)

    make.makes_choice = True  # type: ignore[attr-defined]
    return make


def checked(action: Any) -> Any:
    """An action, if it is one. Raises InfoException."""
    if getattr(action, "makes_choice", False):
        raise InfoException(
            f"@choice function {action.__name__} is to be called: action={action.__name__}(...)"
        )
    if action is None or isinstance(action, Choice | str) or callable(action):
        return action
    raise InfoException(f"an action is a function, a @choice, a string of code or None, not {action!r}")


def act(guard: Guard, action: Any, item: Any, frame: FrameType | None) -> None:
    """Do what was to be done if this guard was chosen.

    A function gets the item as `channel_input`, or as its only argument where it has none of that name; of a guard
    that reads nothing, only if it takes `channel_input`. A string is run in a copy of the caller's namespace.
    """
    if action is None:
        return
    if isinstance(action, str):
        _run_code(action, {} if guard.writes else {"channel_input": item}, frame)
        return
    function = action.bound() if isinstance(action, Choice) else action
    if not guard.writes and _takes_input(function):
        function(channel_input=item)
    elif isinstance(guard, InputGuard):
        function(item)
    else:
        function()


def _takes_input(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some of C's tell nobody
        return False
    return "channel_input" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _run_code(code: str, names: dict[str, Any], frame: FrameType | None) -> None:
    scope: dict[str, Any] = {} if frame is None else frame.f_globals
    local = {**({} if frame is None else frame.f_locals), **names}
    where = (
        "a guard's action"
        if frame is None
        else f"{frame.f_code.co_filename}, action at line {frame.f_lineno}"
    )
    exec(compile(code, where, "exec"), scope, local)  # noqa: S102 - code of the program itself, as it asks for
