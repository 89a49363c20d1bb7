"""Looking through weak collections while other threads add to them."""

import threading
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from potok.kernel.weakly import items_by_key, items_of, members_of


class Thing:
    """One of many."""


def test_what_is_alive_is_found_and_what_is_not_is_left_out() -> None:
    one, other = Thing(), Thing()
    things, values, keys = (
        WeakSet([one, other]),
        WeakValueDictionary({1: one, 2: other}),
        WeakKeyDictionary({one: 1}),
    )
    assert set(members_of(things)) == {one, other}
    assert dict(items_of(values)) == {1: one, 2: other}
    assert items_by_key(keys) == [(one, 1)]
    del one
    assert members_of(things) == [other]
    assert items_of(values) == [(2, other)]
    assert items_by_key(keys) == []


def test_others_may_add_meanwhile() -> None:
    things: WeakSet[Thing] = WeakSet()
    kept: list[Thing] = []
    over = threading.Event()

    def add() -> None:
        while not over.is_set():
            kept.append(Thing())
            things.add(kept[-1])
            if len(kept) > 500:
                kept.clear()

    adding = threading.Thread(target=add)
    adding.start()
    try:
        for _ in range(300):
            members_of(things)
    finally:
        over.set()
        adding.join()
    assert set(members_of(things)) <= set(kept)
