"""Big data: it arrives as it was sent, wherever the receiver is; and memory that all may write."""

from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import receive_all
from potok.testing.conformance.colours import Do, Receives, Sends
from potok.testing.conformance.target import Play

BIG = 200_000  # bytes


def _big(kind: str) -> Any:
    data = bytes(range(250)) * (BIG // 250)
    return {
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data).cast("H"),
        "nested": {"rows": [(number, data[number:]) for number in range(3)], "name": "ж" * BIG},
    }[kind]


async def _echo(do: Do, rx: Receives, tx: Sends) -> None:
    async for value in do.each(rx):
        await do.send(tx, value)


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "nested"])
def test_big_values_arrive_as_they_were_sent(play: Play, kind: str) -> None:
    """There and back, of the same type and equal."""

    async def body(do: Do) -> list[Any]:
        (tx, rx), (back, got) = potok.channel(1), potok.channel(1)
        async with do.scope() as s:
            s.start(_echo, rx, back)
            await do.send(tx, _big(kind))
            first = await do.recv(got)
            await do.send(tx, first)
            tx.close()
            return [first, *await receive_all(do, got)]

    for value in play(body):
        assert type(value) is type(_big(kind))
        assert value == _big(kind)


async def _sums(do: Do, rx: Receives) -> list[int]:
    return [sum(view[:3]) + view[-1] async for view in do.each(rx)]


def test_big_values_are_received_by_whoever_comes_first(play: Play) -> None:
    """Many of them through a short channel: each once, with what it had when it was sent."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(2)
        async with do.scope() as s:
            tasks = [s.start(_sums, rx.clone()) for _ in range(2)]
            rx.close()
            for number in range(20):
                await do.send(tx, memoryview(bytes([number]) * BIG))
            tx.close()
            return sorted([total for task in tasks for total in await do.result(task)])

    assert play(body) == [4 * number for number in range(20)]


async def _put(do: Do, memory: memoryview, index: int) -> None:
    memory[index] = index


def test_shared_memory_is_written_by_all(play: Play) -> None:
    """No copy is made of it, as an argument, nor through a channel."""

    async def body(do: Do) -> list[int]:
        memory = memoryview(potok.shared_array(BIG, "uint8"))
        tx, rx = potok.channel(1)
        async with do.scope() as s:
            tasks = [s.start(_put, memory, index) for index in (1, 2)]
            for task in tasks:
                await do.result(task)
            tasks = [s.start(_put_received, rx)]
            await do.send(tx, memory)
            await do.result(tasks[0])
        return memory[:4].tolist()

    assert play(body) == [0, 1, 2, 3]


async def _put_received(do: Do, rx: Receives) -> None:
    await _put(do, await do.recv(rx), 3)
