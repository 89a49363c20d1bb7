"""Looking at all address spaces of a program at once: are all tasks parked, and nothing on its way?

A look asks every space for its *places*: where each of its tasks is parked, and how many messages the space has
handled; None if a task runs there. Two looks that give the same prove that between them all tasks were parked and
nothing was under way: links are first-in first-out, so a message that was under way then has been handled before the
second look was answered, and has changed a count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from potok.kernel import parking
from potok.kernel.stuck import live_tasks, place
from potok.kernel.task import Task
from potok.machines.waiting import NOT_YET
from potok.remote.calling import Round, ask, block_for
from potok.remote.home import Home, home, me_as_owner
from potok.remote.link import Link

__all__ = ["look", "with_tasks"]

Places = tuple[Any, ...] | None


def look(me: Task[Any]) -> Places:
    """The places of all spaces, without the calling task. Blocks for a round trip to each."""
    but = me_as_owner(me)[:2]
    if home.space:
        return ask((0, 0, "look", True, (but,)), counts=False)  # type: ignore[no-any-return]
    return block_for(lambda slot: _look(but, slot.answered))  # type: ignore[no-any-return]


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


def _look(but: tuple[int, int], then: Callable[[Places], object]) -> None:
    """Begin a look; `then` is told what it has seen when all have answered."""
    found: list[Places] = []

    def seen() -> None:
        found.append(places_here(but))  # last: what the others' answers came behind has been handled
        then(None if None in found else tuple(sorted(found)))

    Round(with_tasks(), "look", True, (but,), found, seen)


def with_tasks() -> list[Link]:
    """The links to where tasks may be: a worker that was let go has none."""
    return [link for link in list(home.links.values()) if link.is_open and not link.dismissed]


def serve_look(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Asked by a worker of the program, or by the program of a worker."""
    but, _ = args
    if at.space:
        link.answer(number, places_here(tuple(but)))
    else:
        _look(tuple(but), partial(link.answer, number))


# ── what the tasks wait for ─────────────────────────────────────────────────────────────────────────────────

PATIENCE = 1.0  # seconds that a list of tasks waits for a process that does not answer

Waits = dict[int, tuple[str, float | None, str]]
"""By the id of the task: what it waits for, for how many seconds, and who holds that."""


def waits() -> Waits:
    """What the tasks of all spaces wait for, as far as they tell in time."""
    if home.space:
        return ask((0, 0, "waits", True, ()))  # type: ignore[no-any-return]
    answers: list[Waits | None] = []
    block_for(lambda slot: _survey(answers, partial(slot.answered, True)), timeout=PATIENCE)
    return _all_waits(answers)


def waits_here() -> Waits:
    return {info.task.id: (info.waits_for, info.since, info.held_by) for info in live_tasks(ask_holders=True)}


def _survey(answers: list[Waits | None], then: Callable[[], object]) -> None:
    """Ask all what their tasks wait for."""
    Round(with_tasks(), "waits", True, (), answers, then)


def _all_waits(answers: list[Waits | None]) -> Waits:
    """Together with those of this space; who lives elsewhere than he was started is known by what his space tells."""
    found: Waits = {}
    for answer in (*answers, waits_here()):
        for number, told in (answer or {}).items():
            if number not in found or told[0]:
                found[number] = told
    return found


def serve_waits(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Asked as a look is."""
    if at.space:
        link.answer(number, waits_here())
    else:
        answers: list[Waits | None] = []
        _survey(answers, lambda: link.answer(number, _all_waits(answers)))


home.space_ops["look"] = serve_look
home.space_ops["waits"] = serve_waits
