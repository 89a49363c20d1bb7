"""The boxes that stand for a channel of another address space."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from potok.remote import channels, flowing


@pytest.mark.parametrize("sends", [True, False])
def test_threads_that_use_a_direction_for_the_first_time_at_once_have_one_box(
    sends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited at another one would hear of nothing."""
    both_are_at_it = threading.Barrier(2, timeout=20)
    name = "FlowingOutbox" if sends else "FlowingInbox"
    kind = getattr(flowing, name)

    def made_slowly(channel: Any) -> Any:
        box = kind(channel)
        both_are_at_it.wait()
        return box

    monkeypatch.setattr(flowing, name, made_slowly)
    channel = flowing.FlowingChannel((1 << 30, 1), (), "channel", 3)
    end: Any = SimpleNamespace(sends=sends, closed=False)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(channel.near, [end] * 2)
    assert first is second
    assert first is (channel.outbox if sends else channel.inbox)


def test_box_is_let_go_with_its_last_end_while_that_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may hear of it at once, and still finds it by a weak reference."""
    given_up: list[Any] = []
    monkeypatch.setattr(flowing, "let_go", given_up.append)
    monkeypatch.setattr(channels.board, "soon", lambda call: call())
    monkeypatch.setattr(channels.home, "link_to", lambda space: None)
    monkeypatch.setattr(channels.home, "let_go", lambda ref, count: None)
    channel = flowing.FlowingChannel((1 << 30, 1), (), "channel", 3)
    end = channels.RemoteEnd((1 << 30, 2), channel, False, False, ())
    end.count = 1
    box = channel.near(end)
    del end
    assert given_up == [box]
