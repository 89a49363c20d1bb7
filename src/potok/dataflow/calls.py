"""One call, made for somebody who waits for its outcome elsewhere: in another thread, or in another address space.

    agent ──(fn, args, kwargs)──▶ serve ──(value, error)──▶ agent

A worker has one call in hand at most, and the next is on its way only when the agent knows what became of it: so what
a worker that dies takes with it is always one call, and known.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeAlias

import potok
from potok.dataflow.plan import without_our_frames

__all__ = ["Answer", "answer", "answer_all", "noted", "ordinary", "portable", "retold", "serve"]

Answer: TypeAlias = tuple[Any, BaseException | None]
"""What became of a call: its value, or its error."""


def answer(fn: Callable[..., Any], args: Any, kwargs: Any) -> Answer:
    """Make the call, in a `def` task; what an `async def` function returns is awaited."""
    try:
        return valued(fn(*args, **kwargs)), None
    except BaseException as error:  # noqa: BLE001 - data from here on: whoever waits decides
        return None, without_our_frames(error)


def answer_all(fn: Callable[..., Any], chunk: list[Any]) -> list[Any]:
    """The values for a chunk of argument tuples. Raises what the first that fails raises."""
    return [valued(fn(*args)) for args in chunk]


def valued(value: Any) -> Any:
    """The value itself; of a coroutine, what it comes to."""
    if type(value) is not CoroutineType:
        return value
    try:
        return potok.await_(value)
    finally:
        value.close()  # where it was refused


def serve(jobs: potok.Receiver[Any], outcomes: potok.Sender[Answer]) -> None:
    """Be a worker in another address space: make the calls that come, one after the other."""
    while True:
        try:
            fn, args, kwargs = jobs.recv()
        except potok.ClosedError:
            return
        except potok.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - the call can't be unpickled here: so that is what became of it
            told: Answer = None, error
        else:
            told = answer(fn, args, kwargs)
        try:
            _tell(outcomes, told)
        finally:
            fn = args = kwargs = told = None  # type: ignore[assignment]  # nothing outlives its call


def _tell(outcomes: potok.Sender[Answer], told: Answer) -> None:
    """Send it, or why it can't be sent. Never waits: the channel is unbounded."""
    value, error = told
    try:
        outcomes.send_nowait((value, None) if error is None else (None, noted(error)))
    except potok.ClosedError:
        raise
    except BaseException as failure:  # noqa: BLE001 - whatever pickling its value raises
        outcomes.send_nowait((None, noted(failure)))


def noted(error: BaseException) -> BaseException:
    """The error as it travels: with the traceback, which does not, as a note."""
    told = "".join(traceback.format_exception(error)).rstrip()
    error.add_note(f"\nin {potok.current_task().name} (process {os.getpid()}):\n{told}")
    return portable(error)


def portable(error: BaseException) -> BaseException:
    """The error itself, if it arrives in another address space as what it is; else one that describes it."""
    import cloudpickle

    try:
        made = cloudpickle.loads(cloudpickle.dumps(error))
        if isinstance(made, BaseException):
            return error
        why = f"it would arrive as a {type(made).__qualname__}"
    except Exception as failure:  # noqa: BLE001 - whatever its class does
        why = str(failure)
    told = potok.RemoteError(
        f"{type(error).__qualname__}: {error} (itself it can't go to another address space: {why})"
    )
    told.__cause__ = error.__cause__
    return told


def ordinary(error: BaseException) -> BaseException:
    """The error, but a cancellation as an ordinary one: raised as it is, it would be taken for the reader's own."""
    if not isinstance(error, potok.Cancelled) and type(error).__name__ != "CancelledError":
        return error
    told = potok.TaskCancelled(f"the function was cancelled: {error}", reason=getattr(error, "reason", ""))
    told.__cause__ = error
    return told


def retold(error: potok.PotokError, what: str, path: str) -> potok.PotokError:
    """The refusal of a message that has `what` at `path`, told as one of that alone: the message is our business."""
    _, found, rest = str(error).partition(f"address space: at {path}")
    if not found:
        return error
    where, _, why = rest.partition(" (")
    place = f": at {where}" if where else ""
    told = potok.RemoteError(f"{what} can't go to another address space{place} ({why}")
    told.__cause__ = error.__cause__
    return told
