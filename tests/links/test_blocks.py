"""Blocks between address spaces that are joined as a star, over wires that deliver when they like."""

from __future__ import annotations

import gc
from collections import deque
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from potok.links.blocks import Blocks, Hold

PLACES = 2  # in an arena


class Arena:
    """What the accounting needs of one, and what is in its places."""

    def __init__(self, name: tuple[int, int]) -> None:
        self.name = name
        self.uses = 0
        self.leaving = False
        self.origin: Any = None
        self.is_open = True


class Space:
    """An address space: its accounting, the values that it holds, and its owner's memory."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.blocks = Blocks(lambda: None)
        self.links: dict[int, Link] = {}
        self.values: dict[int, tuple[Hold, int]] = {}  # by serial: what holds it, and what was written
        self.free: list[tuple[Arena, int]] = []
        self.contents: dict[tuple[Arena, int], int] = {}  # of its own places
        self.is_dead = False

    def write(self, value: int, arenas: count[int]) -> None:
        """Take a place, a new arena's if need be, and write there."""
        if not self.free:
            arena = Arena((self.number, next(arenas)))
            self.free = [(arena, offset) for offset in range(PLACES)]
        arena, offset = self.free.pop()
        hold = self.blocks.begin(arena, offset)
        self.contents[arena, offset] = value
        self.values[value] = hold, value

    def send(self, key: int, link: Link) -> None:
        hold, value = self.values[key]
        block = hold.block
        new = None if self.blocks.knows(link, block.arena) else block.arena.name
        self.blocks.lend(block, link)
        link.wire.append(("value", new, block.place, value))

    def settle(self) -> None:
        """Do what the accounting asks for."""
        assert not self.blocks.bury()
        out = self.blocks.out
        while out:
            kind, *what = out.popleft()
            assert kind not in ("return", "forget") or not what[0].there.is_dead
            if kind == "return":
                what[0].wire.append(("returned", what[1]))
            elif kind == "forget":
                what[0].wire.append(("forget", what[1]))
            elif kind == "free":
                self.free.append((what[0].arena, what[0].offset))
            else:
                assert what[0].is_open
                assert not what[0].uses
                what[0].is_open = False

    def hear(self, link: Link, message: tuple[Any, ...], serials: count[int]) -> None:
        kind, *rest = message
        if kind == "returned":
            self.blocks.returned(link, rest)
        elif kind == "forget":
            self.blocks.forget(link, rest[0])
        else:
            new, place, value = rest
            if new is not None:
                self.blocks.introduced(Arena(new), link)
            self.values[-next(serials)] = self.blocks.arrived(place, link), value
        self.settle()

    def trim(self) -> None:
        """Close the arenas without a used place."""
        for arena in {arena for arena, _ in self.free if not arena.uses}:
            if arena.name in self.blocks.arenas:
                self.blocks.close(arena)
            self.free = [entry for entry in self.free if entry[0] is not arena]
        self.settle()


class Link:
    """One direction of a wire: what was said and not heard yet."""

    def __init__(self, there: Space) -> None:
        self.there = there
        self.wire: deque[tuple[Any, ...]] = deque()


class Star(RuleBasedStateMachine):
    """0 in the middle, workers around it."""

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers: int) -> None:
        self.arenas, self.serials, self.written = count(), count(1), count(1)
        self.spaces = [Space(number) for number in range(workers + 1)]
        middle = self.spaces[0]
        for worker in self.spaces[1:]:
            middle.links[worker.number] = Link(worker)
            worker.links[0] = Link(middle)

    def living(self) -> list[Space]:
        return [space for space in self.spaces if not space.is_dead]

    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        """Somebody packs a value."""
        data.draw(st.sampled_from(self.living())).write(next(self.written), self.arenas)

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """Somebody sends a value that it has, wherever it came from, and may keep it."""
        able = [space for space in self.living() if space.values and space.links]
        if able:
            space = data.draw(st.sampled_from(able))
            key = data.draw(st.sampled_from(sorted(space.values)))
            space.send(key, space.links[data.draw(st.sampled_from(sorted(space.links)))])
            if data.draw(st.booleans()):
                del space.values[key]
                space.settle()

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        able = [space for space in self.living() if space.values]
        if able:
            space = data.draw(st.sampled_from(able))
            del space.values[data.draw(st.sampled_from(sorted(space.values)))]
            space.settle()

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """The next message of one wire arrives."""
        full = self.full()
        if full:
            self.deliver_one(*data.draw(st.sampled_from(full)))

    def full(self) -> list[tuple[Space, Link]]:
        return [(space, link) for space in self.living() for link in space.links.values() if link.wire]

    def deliver_one(self, space: Space, link: Link) -> None:
        link.there.hear(link.there.links[space.number], link.wire.popleft(), self.serials)

    @precondition(lambda self: len(self.living()) > 1)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """A worker dies; what it had said may still be heard."""
        worker = data.draw(st.sampled_from(self.living()[1:]))
        while data.draw(st.booleans()) and worker.links[0].wire:
            self.deliver_one(worker, worker.links[0])
        worker.is_dead = True
        middle = self.spaces[0]
        middle.blocks.lost(middle.links.pop(worker.number))
        middle.settle()

    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.living())).trim()

    @invariant()
    def what_is_held_is_as_it_was_written(self) -> None:
        """No place was written again while anybody held it, however it came there, or it was under way."""
        if not hasattr(self, "spaces"):
            return
        for space in self.living():
            for hold, value in space.values.values():
                self.check(hold.block.place, value)
            for link in space.links.values():
                for kind, *rest in link.wire:
                    if kind == "value":
                        self.check(*rest[1:])

    def check(self, place: tuple[int, int, int], value: int) -> None:
        owner = self.spaces[place[0]]
        if not owner.is_dead:
            (content,) = [
                content
                for (arena, offset), content in owner.contents.items()
                if (*arena.name, offset) == place
            ]
            assert content == value
            assert owner.blocks.arenas[place[:2]].is_open

    def teardown(self) -> None:
        """Once all is dropped and all is said, nothing is in use anywhere, and every place is free."""
        if not hasattr(self, "spaces"):
            return
        for space in self.living():
            space.values.clear()
            gc.collect(0)
            space.settle()
        while full := self.full():
            self.deliver_one(*full[0])
            for space in self.living():
                space.values.clear()
                space.settle()
        for space in self.living():
            assert not space.blocks._live
            assert not any(space.blocks._lent.values())
            space.trim()
        while full := self.full():
            self.deliver_one(*full[0])
        for space in self.living():
            assert not space.blocks.arenas
            assert not any(space.blocks._known.values())


TestStar = Star.TestCase


def test_a_hold_that_comes_back_to_life_still_holds() -> None:
    """A finalizer among the same garbage may keep the view: its block stays, until that is gone as well."""
    blocks = Blocks(lambda: None)
    kept: list[Any] = []

    class View:
        def __init__(self, hold: Hold) -> None:
            self.hold = hold
            self.me = self  # garbage for the collector

        def __del__(self) -> None:
            kept.append(self)

    view = View(blocks.begin(Arena((0, 1)), 0))
    del view
    gc.collect()
    assert kept
    assert blocks.bury()  # it was told of the death: and waits
    assert not blocks.out
    kept[0].me = None
    kept.clear()
    assert not blocks.bury()
    assert [kind for kind, *_ in blocks.out] == ["free"]
