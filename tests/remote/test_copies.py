"""Copies and leases of a shared object: what a worker does by itself, against a home that is at it at the same time."""

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.machines.cell import MISSING, Box, CellMachine, Names
from potok.remote import copies, shared, shelves
from potok.remote.home import home
from potok.remote.leases import LEASES, ROOM, Place
from potok.remote.page import SIZE, Page
from potok.remote.shelves import Shelf, Turn

SPACE, OTHER, SLOT = 7, 8, 3
ME = SimpleNamespace(name="me", space=SPACE)
NEIGHBOUR = SimpleNamespace(name="neighbour", space=OTHER)

pytestmark = pytest.mark.skipif(
    not (hasattr(os, "memfd_create") and LEASES),
    reason="there is no memory to write in, or stores are not in order",
)


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """To two workers, of which this process plays the first one, too."""
    made = {}
    for space in (SPACE, OTHER):
        fd = os.memfd_create("test")
        os.ftruncate(fd, SIZE)
        made[space] = SimpleNamespace(space=space, page=Page(fd))
        os.close(fd)
    monkeypatch.setattr(home, "links", made)
    monkeypatch.setattr(home, "page", made[SPACE].page)
    yield made
    for link in made.values():
        link.page.close()


def cell_of(content: Any) -> CellMachine:
    cell = CellMachine(content)
    cell.guard = Guard(carrier())
    return cell


def leased(links: Any, cell: CellMachine) -> Shelf:
    """As after a step of a worker's that has changed something."""
    shelf = Shelf(SLOT)
    told = copies.lease(cell, links[SPACE], SLOT)
    assert told
    assert shelf.adopt(None, ("given", *told)) == "given"
    return shelf


def read(links: Any, cell: CellMachine, shelf: Shelf, step: str, *args: Any, by: Any = ME) -> int:
    """As a step of a worker's that reads; the number of its copy."""
    assert cell.acquire_to_read(None, by) is True
    value = cell.content[args[0]] if step == "get item" else getattr(cell.content, args[0])
    number = copies.show(cell, by, links[by.space], SLOT)
    shelf._keep(step, args, (value, number) if number else value)
    return number


def take(cell: CellMachine, owner: Any = NEIGHBOUR) -> None:
    """Somebody takes the lock, and gives it back."""
    assert cell.acquire(None, owner) is True
    cell.release(owner)


def add(counts: Any, n: int = 1) -> int:
    counts["x"] += n
    return counts["x"]


# ── copies ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_copy_is_good_until_somebody_takes_the_lock(links: Any) -> None:
    cell, shelf = cell_of({"x": 1}), Shelf(SLOT)
    assert shelf.look("get item", ("x",)) is MISSING
    assert read(links, cell, shelf, "get item", "x")
    assert shelf.look("get item", ("x",)) == 1
    assert read(links, cell, Shelf(SLOT), "get item", "x", by=NEIGHBOUR)  # others may read, too
    assert shelf.look("get item", ("x",)) == 1
    take(cell)
    assert shelf.look("get item", ("x",)) is MISSING


def test_there_is_none_while_somebody_waits_for_the_lock(links: Any) -> None:
    """Who comes to change it gets the lock from who reads: nobody sees a moment in which it was free."""
    cell = cell_of({"x": 1})
    assert cell.acquire_to_read(None, ME) is True
    party = SimpleNamespace(waiter=None, spare=None, waiter_type=_Waiter)
    cell.acquire(party, NEIGHBOUR)
    assert copies.show(cell, ME, links[SPACE], SLOT) == 0
    assert cell.holder is NEIGHBOUR


class _Waiter(SimpleNamespace):
    def wake(self) -> None:
        """Nobody waits in fact."""


def test_objects_with_the_same_slot_take_each_others_copies_for_bad(links: Any) -> None:
    first, second = cell_of({"x": 1}), cell_of({"x": 2})
    one, two = Shelf(SLOT), Shelf(SLOT)
    read(links, first, one, "get item", "x")
    read(links, second, two, "get item", "x")
    assert (one.look("get item", ("x",)), two.look("get item", ("x",))) == (MISSING, 2)
    read(links, first, one, "get item", "x")
    assert (one.look("get item", ("x",)), two.look("get item", ("x",))) == (1, MISSING)
    take(first)
    assert (one.look("get item", ("x",)), two.look("get item", ("x",))) == (MISSING, MISSING)


# ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "step", "read_step", "key"),
    [
        ({"x": 1, 2: "b"}, "set item", "get item", "x"),
        ([1, 2], "set item", "get item", 0),
        (Names(x=1), "set", "get", "x"),
        (Box(1), "set", "get", "value"),
    ],
)
def test_what_is_written_here_is_there_at_home(
    links: Any, content: Any, step: str, read_step: str, key: Any
) -> None:
    cell = cell_of(content)
    del content
    if cell_is_shared(cell):
        cell = cell_of(again(cell.content))
    shelf = leased(links, cell)
    for n in range(5, 8):
        assert shelf.write(step, (key, n)) == (0, None)
        assert shelf.look(read_step, (key,)) == n
    take(cell)
    assert shelf.look(read_step, (key,)) is MISSING
    assert shelf.write(step, (key, 9)) == (None, None)
    assert (cell.content[key] if read_step == "get item" else getattr(cell.content, key)) == 7


def cell_is_shared(cell: CellMachine) -> bool:
    """The parameters of a test have it besides."""
    return not copies._is_alone(cell)


def again(content: Any) -> Any:
    if type(content) is Names:
        return Names(**vars(content))
    return Box(content.value) if type(content) is Box else type(content)(content)


@pytest.mark.parametrize(
    ("step", "args"),
    [
        ("set item", ("y", 1)),  # a new key
        ("set item", (True, 1)),  # equals a known one
        ("set item", ("x", [])),
        ("set item", ("x", "long" * 1000)),
        ("set", ("x", 1)),
        ("apply", (add, [])),
        ("apply", (lambda counts: counts["q"],)),
        ("apply", (lambda counts: counts,)),
        ("apply", (lambda counts: counts["x"] / 0,)),
    ],
)
def test_what_is_to_be_done_at_home_changes_nothing_here(
    links: Any, step: str, args: tuple[Any, ...]
) -> None:
    shelf = leased(links, cell := cell_of({"x": 1, 1: 2, "l": []}))
    assert shelf.write(step, args) == (None, None)
    assert shelf.look("get item", ("x",)) == 1
    take(cell)
    assert cell.content == {"x": 1, 1: 2, "l": []}


def test_what_there_is_no_room_for(links: Any) -> None:
    """It is not written at all, and what was is still there."""
    shelf = leased(links, cell := cell_of({"x": 1, "y": 2}))
    assert shelf.write("set item", ("x", "x" * (ROOM - 100))) == (0, None)
    assert shelf.write("set item", ("y", "y" * 200)) == (None, None)
    assert shelf.write("set item", ("y", 3)) == (0, None)
    take(cell)
    assert cell.content == {"x": "x" * (ROOM - 100), "y": 3}


class Meddling:
    """The numbers in a page, of which one look or store brings something else with it first."""

    def __init__(self, words: Any, when: int, what: Callable[[], object]) -> None:
        self.words, self.when, self.what, self.uses = words, when, what, 0

    def _used(self) -> None:
        self.uses += 1
        if self.uses == self.when:
            self.what()

    def __getitem__(self, index: int) -> Any:
        self._used()
        return self.words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._used()
        self.words[index] = value

    def __len__(self) -> int:
        return len(self.words)


@pytest.mark.parametrize("how", ["set item", "apply"])
@pytest.mark.parametrize("when", range(1, 14))
def test_home_takes_the_lock_at_any_moment_of_a_write(links: Any, how: str, when: int) -> None:
    """Either it is done once, as the home has it; or it was not done, and home says so."""
    shelf = leased(links, cell := cell_of({"x": 1, "y": 0}))
    assert shelf.write("apply", (add, 9)) == (0, 10)

    def at_home() -> None:
        take(cell)
        seen.append(cell.content["x"])
        cell.acquire(None, NEIGHBOUR)
        cell.content["y"] += 1
        cell.release(NEIGHBOUR)

    seen: list[int] = []
    meddling = Meddling(links[SPACE].page.copies, when, at_home)
    shelf._words = meddling
    place: Any = shelf._leased._place  # type: ignore[union-attr]
    shared = Meddling(place._words, when - 7, at_home) if when > 7 else place._words
    meddling.when = when if when <= 7 else 0
    shelf._leased._place = Place(shared, place._memory)  # type: ignore[union-attr]
    written, value = shelf.write(how, ("x", 11) if how == "set item" else (add,))
    happened = bool(seen)
    if written == 0:
        assert not happened or seen == [11]
        take(cell)
        assert cell.content["x"] == 11
    else:
        assert happened
        taken = written is not None and copies.was_taken(cell, links[SPACE], written)
        assert cell.content["x"] == (11 if taken else 10) == seen[0]
        assert not taken or value == (None if how == "set item" else 11)
    assert cell.content["y"] == happened


def test_others_who_read_see_what_was_written_and_then_have_copies(links: Any) -> None:
    """While it is written to, they ask each time; as soon as it is not, the lease is over."""
    shelf, theirs = leased(links, cell := cell_of({"x": 1})), Shelf(SLOT)
    theirs._words = links[OTHER].page.copies
    for n in range(2, 5):
        shelf.write("set item", ("x", n))
        assert not read(links, cell, theirs, "get item", "x", by=NEIGHBOUR)
        assert cell.content["x"] == n
    assert shelf.write("set item", ("x", 9)) == (0, None)
    assert not read(links, cell, theirs, "get item", "x", by=NEIGHBOUR)
    assert read(links, cell, theirs, "get item", "x", by=NEIGHBOUR)
    assert theirs.look("get item", ("x",)) == 9
    assert shelf.write("set item", ("x", 10)) == (None, None)


def test_what_another_thread_of_the_worker_reads(links: Any) -> None:
    """Nothing of the lease, while a write is under way: home has the say."""
    shelf = leased(links, cell_of({"x": 1}))
    turn = Turn()
    assert not Turn()
    assert shelf.look("get item", ("x",)) is MISSING
    turn.end()
    turn.end()
    assert shelf.look("get item", ("x",)) == 1


def test_what_is_done_to_it_while_it_is_read(links: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody comes for the lock, has the lease ended, and gives up: what was read before is no copy."""
    shelf = leased(links, cell := cell_of({"x": 1}))

    def reads_slowly(content: Any, key: Any) -> Any:
        value = content[key]
        assert shelf.write("set item", (key, 3)) == (0, None)
        party = SimpleNamespace(waiter=None, spare=None, waiter_type=_Waiter)
        cell.acquire(party, "the program")  # type: ignore[arg-type]
        assert cell.withdraw(party.waiter)
        return value

    monkeypatch.setitem(shared.STEPS, "get item", reads_slowly)
    answers: list[Any] = []
    link = links[OTHER]
    link.answer = lambda number, value: answers.append(value)
    assert shelf.write("set item", ("x", 2)) == (0, None)  # else the lease ends as others look
    step = shared.Step(link, 1, cell, NEIGHBOUR, "get item", ("x",), SLOT)
    assert step.acquire(True) is True
    step.go()
    assert answers == [2]
    assert not link.page.copies[SLOT]
    assert cell.content == {"x": 3}


@pytest.mark.parametrize("content", [Names, set])
def test_of_what_is_known_weakly_there_is_no_copy(links: Any, content: Any) -> None:
    """Whoever comes to it that way does not take the lock."""
    cell = cell_of(content())
    assert copies._is_alone(cell)
    known = weakref.ref(cell.content)
    assert not copies._is_alone(cell)
    del known
    assert copies._is_alone(cell)


def test_turn_that_nobody_has_in_hand(links: Any) -> None:
    """A signal handler has raised just after it was taken: it is given back all the same."""
    turns = [Turn()]
    assert turns[0]
    assert not Turn()
    turns.clear()
    gc.collect()
    turn = Turn()
    assert turn
    turn.end()
    assert not turn


def test_worker_that_has_gone_leaves_what_it_has_written(links: Any) -> None:
    """It is done as soon as that is known, and the memory is let go."""
    shelf = leased(links, cell := cell_of({"x": 1}))
    shelf.write("set item", ("x", 2))
    link = links.pop(SPACE)
    copies._leave(link)
    assert cell.content == {"x": 2}
    assert cell.copies.lease is None
    assert not copies.lease(cell, link, SLOT)


def test_places_are_given_back(links: Any) -> None:
    """As a lease ends, and as the object is collected; and without one nothing is leased."""
    for _ in range(3 * LEASES):
        cells = [cell_of({"x": 1}) for _ in range(LEASES)]
        told = [copies.lease(cell, links[SPACE], SLOT) for cell in cells]
        one_more = cell_of({"x": 1})
        assert all(told)
        assert not copies.lease(one_more, links[SPACE], SLOT)
        take(cells[0])
        told = [copies.lease(one_more, links[SPACE], SLOT)]
        assert all(told)
        del cells, one_more


def test_in_a_forked_child_the_lease_is_the_parents(links: Any) -> None:
    shelf = leased(links, cell := cell_of({"x": 1}))
    shelf.write("set item", ("x", 2))
    copies._forsake()
    assert cell.content == {"x": 2}
    take(cell)
    assert shelf.write("set item", ("x", 3)) == (0, None)  # the number still stands: the parent's
    shelves._forsake()
    assert shelf.write("set item", ("x", 3)) == (None, None)
    assert shelf.look("get item", ("x",)) is MISSING
    assert cell.content == {"x": 2}


class Interrupt(BaseException):
    """What a signal handler raises."""


@pytest.mark.parametrize("when", range(1, 5))
def test_a_signal_handler_raises_while_it_is_written(links: Any, when: int) -> None:
    """It was done or not, and the lease is over for this worker, or as it was."""
    shelf = leased(links, cell := cell_of({"x": 1}))

    def interrupt() -> None:
        raise Interrupt

    words = links[SPACE].page.copies
    shelf._words = Meddling(words, when, interrupt)
    try:
        shelf.write("set item", ("x", 2))
    except Interrupt:
        pass
    shelf._words = words
    known = shelf.look("get item", ("x",))
    take(cell)
    assert cell.content["x"] in (1, 2)
    assert known in (MISSING, cell.content["x"])
