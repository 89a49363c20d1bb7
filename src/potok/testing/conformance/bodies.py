"""Small bodies that many tests start, and what they look with."""

from typing import Any

import potok
from potok.testing.conformance.colours import Do, Receives, Sends

__all__ = ["drain", "park", "receive_all", "receive_one", "send_each"]


async def send_each(do: Do, tx: Sends, *items: Any) -> None:
    for item in items:
        await do.send(tx, item)


async def receive_one(do: Do, rx: Receives) -> Any:
    return await do.recv(rx)


async def receive_all(do: Do, rx: Receives) -> list[Any]:
    return [item async for item in do.each(rx)]


async def park(do: Do) -> None:
    await do.forever()


def drain(rx: Receives) -> list[Any]:
    """What can be received without waiting."""
    got = []
    while True:
        try:
            got.append(rx.recv_nowait())
        except (potok.WouldBlock, potok.ClosedError):
            return got
