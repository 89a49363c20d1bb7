"""Every exception of potok.

All derive from `PotokError`, but for what is control flow: `Cancelled` is a `BaseException`, so that no
`except Exception` swallows a cancellation. Time-outs are the built-in `TimeoutError`. Each message says what
happened, to which task or channel, and what to do.
"""

from __future__ import annotations

from threading import BrokenBarrierError
from typing import Any

__all__ = [
    "AbandonedLock",
    "BadItem",
    "BlockingCallError",
    "BrokenBarrierError",
    "Cancelled",
    "ClosedError",
    "DeadlockError",
    "Lagged",
    "PotokError",
    "RemoteError",
    "ScopeError",
    "ShutDown",
    "TaskCancelled",
    "WorkerDied",
    "WouldBlock",
]

try:
    from queue import ShutDown  # type: ignore[attr-defined,unused-ignore]  # 3.13 and newer
except ImportError:

    class ShutDown(Exception):  # type: ignore[no-redef]  # noqa: N818 - the name `queue` gives it
        """A queue that was shut down was used (the twin of `queue.ShutDown`, which 3.13 brought)."""


class PotokError(Exception):
    """What every error of potok derives from."""


class Cancelled(BaseException):
    """The current task, or a scope around this point, was cancelled; `reason` says by what.

    Control flow: let it pass. It is raised again at every further park point until the cancelled scope is left.
    """

    def __init__(self, reason: object = "") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"cancelled: {self.reason}" if self.reason != "" else "cancelled"


class ClosedError(PotokError):
    """The operation met a closed end; `cause` is why it was closed, `arm` the arm of a select that met it."""

    def __init__(
        self, message: str = "the channel is closed", *, cause: object = None, arm: Any = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.arm = arm
        if isinstance(cause, BaseException):
            self.__cause__ = cause


class Lagged(PotokError):  # noqa: N818 - a report rather than a failure: `missed` items were dropped
    """A broadcast receiver with `lag="drop-oldest"` was too slow; `missed` items were dropped before this point."""

    def __init__(self, missed: int) -> None:
        super().__init__(
            f"this subscriber was too slow and missed {missed} item(s); the next recv goes on after them"
        )
        self.missed = missed


class WouldBlock(PotokError):  # noqa: N818 - control flow, as the field names it
    """A `…_nowait` operation would have had to wait. Nothing was changed."""


class BlockingCallError(PotokError, RuntimeError):
    """A blocking spelling was called where it would block an event loop; the message names the awaitable one."""


class DeadlockError(PotokError, RuntimeError):
    """Nobody is left who could wake the waiting task: raised at its park point, once that is proven.

    The message is the proof: who waits for what, since when and where, and who alone could end it. See `potok.stuck`.
    """


class ScopeError(PotokError, RuntimeError):
    """A scope or time-out was used after its end, left out of order, or left by another task than entered it."""


class TaskCancelled(PotokError):  # noqa: N818 - the outcome of a task
    """The task whose result was asked for had been cancelled (an ordinary error: it is not one's own `Cancelled`)."""

    def __init__(self, message: str, *, reason: object = "") -> None:
        super().__init__(message)
        self.reason = reason


class RemoteError(PotokError):
    """Something could not cross between address spaces: an object that can't be pickled, or not be unpickled there."""


class WorkerDied(PotokError):  # noqa: N818 - a report of what happened
    """The worker process, or interpreter, that ran a task or was the home of an object is gone.

    `exit_code` or `signal` (the other is None), `pid`, the name of the `task` it ran, the `last_events` that it had
    told of (its last log records among them), and `memory`, the bytes that it had at most (None where nobody knows).
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
        pid: int | None = None,
        task: str = "",
        last_events: tuple[str, ...] = (),
        memory: int | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.signal = signal
        self.pid = pid
        self.task = task
        self.last_events = last_events
        self.memory = memory


class AbandonedLock(PotokError):  # noqa: N818 - the state of a lock
    """The worker that held this lock has died, maybe in the middle of things: nobody gets it until `lock.recover()`."""


class BadItem(PotokError):  # noqa: N818 - a value as often as an error: it stands in place of a result
    """One item of a map failed: its place in the input, the item, the error and how often it was tried."""

    def __init__(self, index: int, item: Any, error: BaseException, attempts: int = 1) -> None:
        super().__init__(index, item, error, attempts)
        self.index = index
        self.item = item
        self.error = error
        self.attempts = attempts

    def __str__(self) -> str:
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return (
            f"item {self.index} ({self.item!r:.80}) failed{tries}: {type(self.error).__name__}: {self.error}"
        )
