"""Ctrl-C: one clean cancellation of the main thread's outermost scope; a second one interrupts at once.

The handler is in place only while the main thread is inside a scope, and only over Python's default one. No
KeyboardInterrupt is raised inside potok's own code: the scope that was cancelled raises it as it is left.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from potok.kernel.cancelling import cancel_scope
from potok.machines.scope import ScopeMachine

__all__ = ["REASON", "guard_main", "release_main", "was_interrupted"]

REASON = "interrupted by Ctrl-C"

_outermost: ScopeMachine | None = None


def guard_main(scope: ScopeMachine) -> None:
    """Called as a scope is entered: if it is the main thread's outermost, Ctrl-C cancels it from now on."""
    global _outermost
    if _outermost is not None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _outermost = scope
        signal.signal(signal.SIGINT, _on_interrupt)


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
    scope = _outermost
    if scope is None or not cancel_scope(scope, REASON):
        raise KeyboardInterrupt
