"""Signal handlers that raise: our own for Ctrl-C, and what those of users may hit.

Ctrl-C is one clean cancellation of the main thread's outermost scope; a second one interrupts at once. The handler is
in place only while the main thread is inside a scope, and only over Python's default one. No KeyboardInterrupt is
raised inside potok's own code: the scope that was cancelled raises it as it is left.

Python runs handlers in the main thread, between any two of its steps. Where one may raise, that thread leaves to others
what must not be left half done.
"""

from __future__ import annotations

import signal
from importlib import import_module
from types import FrameType
from typing import Any

from potok.kernel.cancelling import cancel_scope
from potok.kernel.carrier import in_main_thread
from potok.kernel.current import carrier
from potok.machines.scope import ScopeMachine

__all__ = [
    "REASON",
    "getsignal",
    "guard_main",
    "harmless",
    "may_raise",
    "numbers",
    "raise_pending",
    "release_main",
    "signals_come",
    "was_interrupted",
]

REASON = "interrupted by Ctrl-C"

_outermost: ScopeMachine | None = None


def guard_main(scope: ScopeMachine) -> None:
    """Called as a scope is entered: if it is the main thread's outermost, Ctrl-C cancels it from now on."""
    global _outermost
    if _outermost is not None or not in_main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _on_interrupt)
        except ValueError:  # in a sub-interpreter, whose main thread gets no signals
            return
        _outermost = scope


def release_main(scope: ScopeMachine) -> None:
    """Called as the scope has been left."""
    global _outermost
    if _outermost is scope:
        _outermost = None
        if signal.getsignal(signal.SIGINT) is _on_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def was_interrupted(scope: ScopeMachine) -> bool:
    """Whether Ctrl-C is why this scope was cancelled."""
    return scope.reason is not None and scope.reason[0] is REASON


def _on_interrupt(number: int, frame: FrameType | None) -> Any:
    global _pending
    scope = _outermost
    if scope is None or not cancel_scope(scope, REASON):
        leads = carrier().leads
        if leads is None:
            raise KeyboardInterrupt
        _pending = KeyboardInterrupt()  # raised as soon as nothing is half done
        leads()


harmless: list[Any] = [_on_interrupt]
"""Handlers that raise nothing while their thread leads (see `potok.remote.board`), and that are not the user's."""

_pending: KeyboardInterrupt | None = None
getsignal = getattr(signal, "_signal", signal).getsignal  # without making an enum of each
numbers = [int(number) for number in signal.valid_signals()]


def _is_main_interpreter() -> bool:
    try:
        return bool(import_module("_interpreters").get_current()[0] == 0)
    except ImportError:  # a Python that has none that we could run in
        return True


signals_come = _is_main_interpreter()


def may_raise() -> bool:
    """Whether there is a signal handler that may raise in the main thread, at any of its steps. Asked by that one."""
    if not signals_come:
        return False
    for handler in filter(callable, map(getsignal, numbers)):
        for known in harmless:
            if handler is known:
                break
        else:
            return True
    return False


def raise_pending() -> None:
    """Raise what our own handler has put off, in the main thread."""
    global _pending
    if _pending is not None and in_main_thread():
        pending, _pending = _pending, None
        raise pending
