"""What a worker was heard to do last: a short memory for each link, in words once somebody asks.

What is remembered on the way of every message is a small tuple, without what the message carried, which may be big, or
the last reference to something.
"""

from __future__ import annotations

from typing import Any

from potok.machines.channel import End
from potok.remote.home import home
from potok.remote.link import Link

__all__ = ["told_of"]

FLOWED = {
    "push": "sent items",
    "pull": "asked for items",
    "returned": "gave items back",
    "late": "gave items back",
    "want": "asked to send",
}
LONGEST = 200  # characters of what was logged


def told_of(link: Link) -> tuple[str, ...]:
    """What the other side did last, the latest at the end."""
    return tuple(_told(*event) for event in list(link.last))


def _told(first: Any, *rest: Any) -> str:
    if first == "task":
        return f"was given task {rest[0]}"
    if first == "logged":
        level, name, message, args = rest
        try:
            message = message % args if args else message
        except Exception:  # as logging would, it is told as it is
            message = f"{message} {args}"
        return f"logged {level}:{name}:{message}"[:LONGEST]
    if first == "flow":
        space, number, op = rest
        machine = home.machines.get(number) if space == home.space else None
        return f"{FLOWED.get(op, op)} on {_channel(space) if machine is None else machine.describe()}"
    number, op = rest
    if op == "run":
        return "started a task"
    if not number:
        return f"asked: {op}"
    where = _described(number) if first == home.space else f"something of worker-{first}"
    return f"{op} on {where}"


def _channel(space: int) -> str:
    return f"a channel of worker-{space}" if space else "a channel that is no more"


def _described(number: int) -> str:
    try:
        thing = home.thing(number)
    except KeyError:
        return "something that is no more"
    machine = thing.machine if isinstance(thing, End) else thing
    try:
        return str(machine.describe())
    except AttributeError:
        return f"a {type(thing).__name__}"
