"""Choosing among guards: `AltSelect`, `FairSelect`, `PriSelect`, and the `Alternation` beneath them.

    end, item = AltSelect(InputGuard(cin), OutputGuard(cout, 42), TimeoutGuard(seconds=0.5))

A select does one of the operations and no other, and returns the chosen end (or the skip or time-out guard itself) with
what was read, or None. A retired or poisoned channel makes its guard ready: the select raises. The choice among several
that are ready is fair, and a skip is taken only if none of the others is ready; only `PriSelect` goes by their order.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import potok
from potok.csp.channels import ChannelEnd, ChannelEndWrite
from potok.csp.ending import InfoException, why_ended
from potok.csp.guards import Guard, InputGuard, OutputGuard, act, checked

__all__ = ["AltSelect", "Alternation", "FairSelect", "PriSelect"]

_Pair = tuple[Guard, Any]
"""A guard and its action."""


class Alternation:
    """A select that is made once and done many times: `Alternation([{cin: action, (cout, 42): None}, ...])`."""

    def __init__(self, guards: Sequence[Any], ensurePriority: bool = False) -> None:
        """Make it.

        Args:
            guards: dicts of ends, `(end, item)` pairs and skip or time-out guards, to their actions; or tuples
                `(end, action)` and `(end, item, action)`.
            ensurePriority: of several that are ready take the first, in the order of `guards`.
        """
        self._pairs = [pair for entry in guards for pair in _pairs(entry)]
        self._ordered = ensurePriority

    def select(self) -> tuple[Any, Any]:
        """Choose; do no action. Returns the chosen end or guard, and the item that was read or None. A park point.

        Raises: ChannelRetireException, ChannelPoisonException. No operation was done then.
        """
        (guard, _), item = _chosen(self._pairs, self._ordered)
        return guard.subject, item

    def execute(self) -> tuple[Any, Any]:
        """Choose, do the action of what was chosen, and return as `select` does. A park point."""
        return _executed(self._pairs, self._ordered, sys._getframe(1))


def AltSelect(*guards: Any) -> tuple[Any, Any]:
    """Wait for one of the guards, and those in lists, and do its action. Returns the end, and the item or None.

    Raises: ChannelRetireException, ChannelPoisonException; InfoException for what is no guard. None was chosen then.
    Blocks: a park point.
    """
    return _executed(_listed(guards, "AltSelect"), False, sys._getframe(1))


def FairSelect(*guards: Any) -> tuple[Any, Any]:
    """The same as `AltSelect`, which is fair, too."""
    return _executed(_listed(guards, "FairSelect"), False, sys._getframe(1))


def PriSelect(*guards: Any) -> tuple[Any, Any]:
    """As `AltSelect`, but of several that are ready the first is chosen: what stands after a skip never is."""
    return _executed(_listed(guards, "PriSelect"), True, sys._getframe(1))


def _executed(pairs: list[_Pair], ordered: bool, frame: FrameType) -> tuple[Any, Any]:
    (guard, action), item = _chosen(pairs, ordered)
    act(guard, action, item, frame)
    return guard.subject, item


def _chosen(pairs: list[_Pair], ordered: bool) -> tuple[_Pair, Any]:
    skip = None
    waiting, arms = [], []
    for pair in pairs:
        arm = pair[0].arm()
        if arm is not None:
            waiting.append(pair)
            arms.append(arm)
        elif skip is None:
            skip = pair
            if ordered:
                break
    if skip is not None and not arms:
        potok.checkpoint()
        return skip, None
    if not arms:
        raise InfoException("a select needs a guard: it would wait for ever")
    choose = potok.pri_select if ordered else potok.select
    try:
        got = choose(*arms) if skip is None else choose(*arms, default=None)
    except potok.ClosedError as error:
        met = next(
            (pair[0].subject for pair, arm in zip(waiting, arms, strict=True) if arm is error.arm), None
        )
        raise why_ended(error, met) from error.__cause__
    if got.index < 0 and skip is not None:
        return skip, None
    return waiting[got.index], got.value


def _listed(guards: Sequence[Any], verb: str) -> list[_Pair]:
    pairs: list[_Pair] = []
    for guard in guards:
        if isinstance(guard, list | tuple):
            pairs += _listed(guard, verb)
        elif isinstance(guard, Guard):
            pairs.append((guard, guard.action))
        else:
            hint = "; an end is put into one, as InputGuard(cin)" if isinstance(guard, ChannelEnd) else ""
            raise InfoException(f"{verb} takes guards, and lists of them, not {guard!r}{hint}")
    return pairs


def _pairs(entry: Any) -> list[_Pair]:
    """The guards of one entry of an Alternation."""
    if isinstance(entry, dict):
        return [_pair(*(key if isinstance(key, tuple) else (key,)), action) for key, action in entry.items()]
    if isinstance(entry, tuple):
        return [_pair(*entry)]
    raise InfoException(f"Alternation takes a list of dicts and tuples, not with {entry!r} in it")


def _pair(subject: Any = None, *rest: Any) -> _Pair:
    *items, action = rest or (None,)
    if isinstance(subject, Guard) and not items:
        return subject, subject.action if action is None else checked(action)
    if isinstance(subject, ChannelEndWrite) and len(items) == 1:
        guard: Guard = OutputGuard(subject, items[0], action)
    elif not items:
        guard = InputGuard(subject, action)
    else:
        raise InfoException(
            f"Alternation can't tell what {(subject, *rest)!r} is; it takes (cin, action) and (cout, item, action)"
        )
    return guard, guard.action
