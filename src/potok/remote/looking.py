"""Looking at all address spaces of a program at once: are all tasks parked, and nothing on its way?

A look asks every space for its *places*: where each of its tasks is parked, and how many messages the space has
handled; None if a task runs there. Two looks that give the same prove that between them all tasks were parked and
nothing was under way: links are first-in first-out, so a message that was under way then has been handled before the
second look was answered, and has changed a count.
"""

from __future__ import annotations

from typing import Any

from potok.kernel import parking
from potok.kernel.stuck import live_tasks, place
from potok.kernel.task import Task
from potok.machines.waiting import NOT_YET
from potok.remote.calling import ask, block_for
from potok.remote.home import Home, home, me_as_owner
from potok.remote.link import Link

__all__ = ["look"]

Places = tuple[Any, ...] | None


def look(me: Task[Any]) -> Places:
    """The places of all spaces, without the calling task. Blocks for a round trip to each."""
    but = me_as_owner(me)[:2]
    if home.space:
        return ask((0, 0, "look", True, (but,)), counts=False)  # type: ignore[no-any-return]
    return block_for(lambda slot: Look(but, slot))  # type: ignore[no-any-return]


def places_here(but: tuple[int, int]) -> Places:
    """Those of this space."""
    if parking.reuse:
        parking.reuse = False  # a task that has parked anew has a new waiter from now on
        return None
    found = []
    for info in live_tasks():
        task = info.task
        if (home.space, task.id) == but or hasattr(
            task.kernel, "pid_of"
        ):  # the latter are seen where they run
            continue
        where = place(task)
        if where is None:
            return None
        since = getattr(where, "since", None)
        if since == NOT_YET:  # it is about to park: what it waits for may not have been asked yet
            return None
        found.append((task.id, id(where), since))
    if home.unsettled():
        return None
    return home.space, tuple(found), sum(link.traffic for link in list(home.links.values()))


class Look:
    """One look, while the answers come in."""

    def __init__(self, but: tuple[int, int], asker: Any) -> None:
        self.asker = asker
        self.found: list[Places] = []
        self.rest = 1
        self.but = but
        for link in list(home.links.values()):
            if link.is_open and not link.dismissed:  # a worker that was let go has no tasks
                self.rest += 1
                try:
                    link.call((link.space, 0, "look", True, (but,)), Part(self))
                except Exception:
                    self.add(None)
        self.add((0, (), 0))

    def add(self, places: Places) -> None:
        self.found.append(places)
        self.rest -= 1
        if not self.rest:
            here = places_here(self.but)  # last: what the others' answers came behind has been handled
            parts = [*self.found, here]
            self.asker.answered(None if None in parts else tuple(sorted(parts)))  # type: ignore[type-var]


class Part:
    """One space's answer."""

    counts = False  # as a message

    def __init__(self, whole: Look) -> None:
        self.whole = whole

    def answered(self, value: Any) -> None:
        self.whole.add(value)

    def failed(self, error: Any) -> None:
        self.whole.add(None)


class Answer:
    """A look on behalf of a worker."""

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number

    def answered(self, value: Any) -> None:
        self.link.answer(self.number, value)


def serve_look(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Asked by a worker of the program, or by the program of a worker."""
    but, _ = args
    if at.space:
        link.answer(number, places_here(tuple(but)))
    else:
        Look(tuple(but), Answer(link, number))


# ── what the tasks wait for ─────────────────────────────────────────────────────────────────────────────────

PATIENCE = 1.0  # seconds that a list of tasks waits for a process that does not answer

Waits = dict[int, tuple[str, float | None, str]]
"""By the id of the task: what it waits for, for how many seconds, and who holds that."""


def waits() -> Waits:
    """What the tasks of all spaces wait for, as far as they tell in time."""
    if home.space:
        return ask((0, 0, "waits", True, ()))  # type: ignore[no-any-return]
    found: Waits = {}
    block_for(lambda slot: Survey(found, slot), timeout=PATIENCE)
    return found


def waits_here() -> Waits:
    return {info.task.id: (info.waits_for, info.since, info.held_by) for info in live_tasks(ask_holders=True)}


class Survey:
    """The answers as they come in."""

    def __init__(self, found: Waits, asker: Any) -> None:
        self.found = found
        self.asker = asker
        self.rest = 1
        for link in list(home.links.values()):
            if link.is_open and not link.dismissed:  # a worker that was let go has no tasks
                self.rest += 1
                try:
                    link.call((link.space, 0, "waits", True, ()), self)
                except Exception:
                    self.failed(None)
        self.answered(waits_here())

    def answered(self, value: Waits) -> None:
        for number, told in value.items():
            if number not in self.found or told[0]:
                self.found[number] = told
        self.rest -= 1
        if not self.rest:
            self.asker.answered(self.found)

    def failed(self, error: Any) -> None:
        self.answered({})


def serve_waits(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Asked as a look is."""
    if at.space:
        link.answer(number, waits_here())
    else:
        Survey({}, Answer(link, number))


home.space_ops["look"] = serve_look
home.space_ops["waits"] = serve_waits
