"""Small bodies that many tests start, and what they look with."""

from collections.abc import Sequence
from typing import Any

import potok
from potok.testing.conformance.colours import Do, Receives, Sends

__all__ = [
    "drain",
    "park",
    "poll",
    "poll_shared",
    "receive_all",
    "receive_one",
    "receive_shared",
    "send_each",
    "send_shared",
]


async def send_each(do: Do, tx: Sends, *items: Any) -> None:
    for item in items:
        await do.send(tx, item)


async def receive_one(do: Do, rx: Receives) -> Any:
    return await do.recv(rx)


async def receive_all(do: Do, rx: Receives) -> list[Any]:
    return [item async for item in do.each(rx)]


async def park(do: Do) -> None:
    await do.forever()


async def poll(do: Do, end: potok.Pipe[Any], *args: Any) -> bool:
    return bool(await do.call(end, "poll", *args))


# ── with an end in a list: shared with the caller, not handed over ──────────────────────────────────────────


async def send_shared(do: Do, ends: Sequence[Sends], item: Any) -> str:
    try:
        await do.send(ends[0], item)
    except potok.ClosedError:
        return "closed"
    return "sent"


async def receive_shared(do: Do, ends: Sequence[Receives]) -> Any:
    try:
        return await do.recv(ends[0])
    except potok.ClosedError:
        return "closed"


async def poll_shared(do: Do, ends: Sequence[potok.Pipe[Any]]) -> object:
    try:
        return await poll(do, ends[0], None)
    except potok.ClosedError:
        return "closed"


# ── at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def drain(rx: Receives) -> list[Any]:
    """What can be received without waiting."""
    got = []
    while True:
        try:
            got.append(rx.recv_nowait())
        except (potok.WouldBlock, potok.ClosedError):
            return got
