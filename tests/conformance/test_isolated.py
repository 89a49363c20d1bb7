"""`potok.threads(isolate=True)`: values are copied as they would be on their way to another process."""

import threading
from typing import Any

import pytest

import potok

ISOLATED = potok.threads(isolate=True)


def append(items: list[int], item: int) -> list[int]:
    items.append(item)
    return items


async def aappend(items: list[int], item: int) -> list[int]:
    return append(items, item)


@pytest.mark.parametrize("function", [append, aappend])
def test_arguments_and_results_are_copies(function: Any) -> None:
    """What a task does to its arguments nobody sees; what it returns is a copy."""
    mine = [1]
    with potok.scope(on=ISOLATED) as s:
        task = s.start(function, mine, 2)
        assert task.result() == [1, 2]
    assert mine == [1]


def send(tx: potok.Sender[list[int]], items: list[int]) -> None:
    tx.send(items)
    items.append(99)


async def asend(tx: potok.Sender[list[int]], items: list[int]) -> None:
    await tx.asend(items)
    items.append(99)


@pytest.mark.parametrize("function", [send, asend])
@pytest.mark.parametrize("capacity", [0, 1])
def test_items_are_fixed_when_send_returns(function: Any, capacity: int) -> None:
    """What the sender changes afterwards does not reach the receiver."""
    tx, rx = potok.channel(capacity)
    with potok.scope(on=ISOLATED) as s:
        task = s.start(function, tx, [1, 2])
        got = rx.recv()
        task.join()
    assert got == [1, 2]


def choose(tx: potok.Sender[list[int]], items: list[int]) -> None:
    potok.select(tx.sending(items))
    items.append(99)


def test_items_sent_by_select_are_copies() -> None:
    """The same for a send arm."""
    tx, rx = potok.channel(1)
    with potok.scope(on=ISOLATED) as s:
        task = s.start(choose, tx, [1])
        task.join()
        assert rx.recv() == [1]


def test_what_cannot_be_copied_is_refused() -> None:
    """A lock of `threading` can't go to another process: starting with one fails, and the message names it."""
    with potok.scope(on=ISOLATED) as s, pytest.raises(potok.PotokError, match="lock"):
        s.start(print, threading.Lock())


def test_lambdas_and_closures_can_be_copied() -> None:
    """What plain pickle refuses goes through cloudpickle."""
    factor = 3

    def apply(function: Any, value: int) -> int:
        return int(function(value))

    with potok.scope(on=ISOLATED) as s:
        assert s.start(apply, lambda value: value * factor, 5).result() == 15


def get_and_change(shared: potok.Shared[dict[str, list[int]]], mine: list[int]) -> None:
    shared["k"].append(99)
    shared["mine"] = mine
    mine.append(99)
    shared.atomic(lambda content, given: content["k"].append(given[0]), [2])
    shared.atomic(lambda content: content["k"]).append(99)
    with shared.locked() as proxy:
        proxy["k"].append(99)


def test_a_shared_object_is_no_copy_but_what_comes_and_goes_is() -> None:
    """Its steps and functions take and give copies; the functions change the object itself."""
    shared: potok.Shared[dict[str, list[int]]] = potok.share({"k": [1]})
    with potok.scope(on=ISOLATED) as s:
        s.start(get_and_change, shared, [5])
    assert shared.atomic(dict.copy) == {"k": [1, 2], "mine": [5]}


def share_and_change() -> potok.Shared[list[int]]:
    mine = [1]
    shared = potok.share(mine)
    mine.append(99)
    return shared


def test_what_is_shared_is_copied() -> None:
    """Who shares it keeps what they had."""
    with potok.scope(on=ISOLATED) as s:
        assert list(s.start(share_and_change).result()) == [1]
