"""What a channel says to other spaces: what was sent before any end was elsewhere is packed as it goes."""

from collections import deque
from typing import Any

import pytest

import potok
from potok.kernel.current import carrier
from potok.links.packing import Packed
from potok.remote import flows


class Raw:
    """A value that may still change."""


@pytest.mark.parametrize("before", [0, 1, 2])
def test_raw_items_are_packed_whatever_is_said_in_the_same_breath(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    left: list[deque[Any]] = []
    monkeypatch.setattr(flows, "leave_to", lambda space, said, form: left.append(said))
    tx, rx = potok.channel(10)
    machine = tx._end.machine
    machine.share()
    machine.flows = said = flows.HomeFlows(machine, 1)

    def speak() -> None:
        for _ in range(before):
            said.say(1, "recall", 5)
        said.say(1, "items", 5, [7, Raw()], True)
        said.say(1, "items", 5, [Raw()], True)
        said.say(1, "press")

    machine.guard.run(carrier(), speak)
    words = [word for deque_left in left for word in deque_left]
    assert [op for op, _ in words] == ["recall"] * before + ["items", "items", "press"]
    items = [item for op, args in words if op == "items" for item in args[1]]
    assert [type(item) for item in items] == [int, Packed, Packed]
    machine.flows = None
    tx.close()
    rx.close()
