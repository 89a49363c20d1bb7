"""Small bodies that many tests start."""

from typing import Any

import potok
from potok.testing.conformance.colours import Do

__all__ = ["park", "receive_all", "receive_one", "send_each"]


async def send_each(do: Do, tx: potok.Sender[Any], *items: Any) -> None:
    for item in items:
        await do.send(tx, item)


async def receive_one(do: Do, rx: potok.Receiver[Any]) -> Any:
    return await do.recv(rx)


async def receive_all(do: Do, rx: potok.Receiver[Any]) -> list[Any]:
    return [item async for item in do.each(rx)]


async def park(do: Do) -> None:
    await do.forever()
