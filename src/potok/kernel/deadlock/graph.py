"""Who can never go on: a question about a graph, whatever the tasks, locks and channels are.

A parked task waits for one of its *ways* out. A way names its *rescuers*: the tasks of which any could take it, or of
which all must have ended first; None where that may be anybody. Whoever does not wait is alive, and may do anything.

    dead     the greatest set of waiting tasks whose every way out is in the hands of that set
    knots    those of the dead that wait for nobody else: with them gone on, the other dead go on by themselves

Source: the all-or-nothing wait graphs of Knapp, "Deadlock detection in distributed databases" (1987), the OR and AND
models; strongly connected components after Tarjan (1972).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Way", "dead", "knots"]

Key = Any  # hashable


class Way(NamedTuple):
    """One way out of a wait."""

    rescuers: frozenset[Key] | None  # None: nobody knows who
    all: bool = False  # it takes all of them (the end of a scope), not any

    def is_blocked(self, dead: set[Key]) -> bool:
        """Whether nobody outside of `dead` can take it."""
        if self.rescuers is None:
            return False
        return not self.rescuers.isdisjoint(dead) if self.all else self.rescuers <= dead


Waits = Mapping[Key, Sequence[Way]]


def dead(waits: Waits) -> set[Key]:
    """The tasks that can never go on."""
    found = set(waits)
    waiting_for = _backwards(waits)
    doubtful = list(waits)
    while doubtful:
        task = doubtful.pop()
        if task in found and not all(way.is_blocked(found) for way in waits[task]):
            found.remove(task)
            doubtful += waiting_for.get(task, ())
    return found


def _backwards(waits: Waits) -> dict[Key, list[Key]]:
    """Who waits for whom, from the end."""
    found: dict[Key, list[Key]] = {}
    for task, ways in waits.items():
        for way in ways:
            for rescuer in way.rescuers or ():
                found.setdefault(rescuer, []).append(task)
    return found


def knots(waits: Waits, stuck: set[Key]) -> list[list[Key]]:
    """The cycles at the bottom, each in an order in which its members wait for each other, as far as there is one."""
    edges = {task: _waits_for(waits[task], stuck) for task in stuck}
    return [
        _in_order(part, edges)
        for part in _components(edges)
        if all(other in part for task in part for other in edges[task])
    ]


def _waits_for(ways: Iterable[Way], stuck: set[Key]) -> list[Key]:
    """In a settled order, so that what is told does not hang on the order of a set."""
    return sorted({other for way in ways for other in way.rescuers or () if other in stuck}, key=_order)


def _in_order(part: set[Key], edges: Mapping[Key, list[Key]]) -> list[Key]:
    """A walk along the edges, from the first by name; whoever it does not come by follows."""
    here: Key | None = min(part, key=_order)
    order: dict[Key, None] = {}
    while here is not None:
        order[here] = None
        here = next((other for other in edges[here] if other in part and other not in order), None)
    return [*order, *sorted(part.difference(order), key=_order)]


def _order(key: Key) -> Any:
    return getattr(key, "id", key)


def _components(edges: Mapping[Key, list[Key]]) -> list[set[Key]]:
    """The strongly connected components, without recursion: there may be a task for each of a million."""
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    stack: list[Key] = []
    on_stack: set[Key] = set()
    found: list[set[Key]] = []
    for root in edges:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        walk = [(root, iter(edges[root]))]
        while walk:
            node, rest = walk[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    walk.append((other, iter(edges[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                if low[node] == index[node]:
                    found.append(_taken_from(stack, on_stack, node))
    return found


def _taken_from(stack: list[Key], on_stack: set[Key], root: Key) -> set[Key]:
    part: set[Key] = set()
    while True:
        node = stack.pop()
        on_stack.discard(node)
        part.add(node)
        if node == root:
            return part
