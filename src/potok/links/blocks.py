"""Who uses which memory: blocks that several address spaces reach, and when their owner may write there again. No I/O.

    owner ── lends block ──▶ middle ── lends block ──▶ receiver     (a message in which it is)
       ◀── returned: block ──    ◀── returned: block ──             (a note, as the last that holds it there dies)

An *arena* is a piece of memory with one file descriptor; a *block* is a place in it, in use. The owner made the arena,
writes in it and says when it goes. Everybody else only knows who has lent him a block. So a block is counted hop by
hop, nobody knows how far it has gone, and a link that ends takes back what was lent over it.

What holds a block is a `Hold`, in whatever refers to it: a value under way, a view. A hold may die anywhere, in a
finalizer amid anything, so it only says so; `bury` counts, and only once nothing refers to the hold any more: among
garbage, other finalizers may still look at the view, or bring it back to life.

Invariants
    A block is live in an address space exactly while something there holds it, or it is lent from there.
    An address space owes at most one return for a block, to who lent it first; what comes again is returned at once.
        (Else two that lend it to each other would hold it for ever.)
    The owner's place is free once its block is not live: then it is live nowhere, but where a link to there has ended.
    An arena is forgotten by who introduced it, and only while none of its blocks is live there.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

__all__ = ["Block", "Blocks", "Hold", "Named", "Place"]

Named = tuple[int, int]
"""An arena: who made it, and its number there."""

Place = tuple[int, int, int]
"""A block: its arena, and where in it."""


def _next(dead: deque[Any]) -> tuple[Any, int]:
    """The first, and how many references there are to it."""
    first = dead.popleft()
    return first, sys.getrefcount(first)


ALONE: Final = _next(deque([object()]))[1]
"""What that is if nothing else refers to it: it differs between Pythons."""


class Block:
    """A place in an arena, in use here."""

    __slots__ = ("arena", "creditor", "holds", "loan", "offset")

    def __init__(self, arena: Any, offset: int, creditor: Any) -> None:
        self.arena = arena
        self.offset = offset
        self.holds = 0
        self.creditor = (
            creditor  # who is to be told when it is not used here any more; None: it is ours, or nobody
        )
        self.loan: Any = None  # who may still write in it, see `potok.remote.loans`

    @property
    def place(self) -> Place:
        return (*self.arena.name, self.offset)


class Hold:
    """A reason for a block to stay."""

    __slots__ = ("_died", "block")

    def __init__(self, block: Block, died: Callable[[Hold], object]) -> None:
        self.block = block
        self._died = died

    def __del__(self) -> None:
        self._died(self)


class Blocks:
    """What one address space knows. Whoever calls sees to it that calls come one at a time.

    What is to be done, `out` says: `("return", peer, place)`, `("free", block)`, `("forget", peer, name)`,
    `("close", arena)`.

    Args:
        stir: called as a hold dies, from anywhere: have `bury` called soon.
    """

    __slots__ = ("_dead", "_introduced", "_known", "_lent", "_live", "_stir", "arenas", "out")

    def __init__(self, stir: Callable[[], object]) -> None:
        self._stir = stir
        self._dead: deque[Hold] = deque()
        self._live: dict[Place, Block] = {}
        self._lent: dict[Any, dict[Place, int]] = {}
        self._known: dict[Any, set[Named]] = {}  # arenas that a peer can name towards us, and we towards it
        self._introduced: dict[Named, set[Any]] = {}  # to whom we did that
        self.arenas: dict[Named, Any] = {}
        self.out: deque[tuple[Any, ...]] = deque()

    # ── holding ─────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, arena: Any, offset: int) -> Hold:
        """A place of ours is in use from now on."""
        self.arenas[arena.name] = arena
        return self.hold(self._begin(arena, offset, None))

    def _begin(self, arena: Any, offset: int, creditor: Any) -> Block:
        block = Block(arena, offset, creditor)
        arena.uses += 1
        self._live[block.place] = block
        return block

    def find(self, arena: Any, offset: int) -> Block | None:
        """The live block at that place."""
        return self._live.get((*arena.name, offset))

    def hold(self, block: Block) -> Hold:
        """One reason more."""
        block.holds += 1
        return Hold(block, self._died)

    def _died(self, hold: Hold) -> None:
        """Called by `Hold.__del__`, and so from anywhere."""
        self._dead.append(hold)
        self._stir()

    @property
    def has_dead(self) -> bool:
        """Whether there is anything to `bury`."""
        return bool(self._dead)

    def bury(self) -> bool:
        """Count the holds that have died. True if some are dead but still referred to: bury again, later."""
        waiting = []
        while self._dead:
            try:
                hold, references = _next(self._dead)
            except IndexError:  # a signal handler was quicker
                break
            if references > ALONE:
                waiting.append(hold)
            else:
                hold._died = _nothing  # it dies once more, as we let it go
                self._drop(hold.block, 1)
        self._dead.extend(waiting)
        return bool(waiting)

    def _drop(self, block: Block, n: int) -> None:
        block.holds -= n
        if block.holds:
            return
        del self._live[block.place]
        arena = block.arena
        arena.uses -= 1
        if block.creditor is not None:
            self.out.append(("return", block.creditor, block.place))
        elif arena.origin is None:
            self.out.append(("free", block))
        if arena.leaving and not arena.uses:
            self.close(arena)

    # ── lending ─────────────────────────────────────────────────────────────────────────────────────────────

    def knows(self, peer: Any, arena: Any) -> bool:
        """Whether the peer can reach that arena by its name."""
        return arena.name in self._known.get(peer, ())

    def lend(self, block: Block, peer: Any) -> None:
        """It is in a message to the peer, with the arena's descriptor unless the peer `knows` it."""
        name = block.arena.name
        known = self._known.setdefault(peer, set())
        if name not in known:
            known.add(name)
            self._introduced.setdefault(name, set()).add(peer)
        block.holds += 1
        lent = self._lent.setdefault(peer, {})
        lent[block.place] = lent.get(block.place, 0) + 1

    def introduced(self, arena: Any, peer: Any) -> bool:
        """The peer has told of an arena. False if it is known already: the descriptor that came is not needed."""
        self._known.setdefault(peer, set()).add(arena.name)
        if arena.name in self.arenas:
            return False
        arena.origin = peer
        self.arenas[arena.name] = arena
        return True

    def arrived(self, place: Place, peer: Any) -> Hold:
        """The peer has lent a block. Raises KeyError for an arena that nobody has told of."""
        block = self._live.get(place)
        if block is not None:
            self.out.append(("return", peer, place))
        else:
            block = self._begin(self.arenas[place[:2]], place[2], peer)
        return self.hold(block)

    def returned(self, peer: Any, places: Iterable[Place]) -> None:
        """The peer gives them back. What it was not lent is passed over."""
        lent = self._lent.get(peer, {})
        for place in places:
            if lent.get(place, 0):
                lent[place] -= 1
                if not lent[place]:
                    del lent[place]
                self._drop(self._live[place], 1)

    def lost(self, peer: Any) -> None:
        """The link to it has ended: it has nothing of ours any more, and takes nothing back."""
        self._known.pop(peer, None)
        for peers in self._introduced.values():
            peers.discard(peer)
        for block in self._live.values():
            if block.creditor is peer:
                block.creditor = None
        for place, n in self._lent.pop(peer, {}).items():
            self._drop(self._live[place], n)
        for arena in [arena for arena in self.arenas.values() if arena.origin is peer]:
            self._let_go(arena)

    # ── arenas ──────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, arena: Any) -> None:
        """It is not used any more, here and wherever it was introduced to from here."""
        self.arenas.pop(arena.name, None)
        for peer in self._introduced.pop(arena.name, ()):
            self._known[peer].discard(arena.name)
            self.out.append(("forget", peer, arena.name))
        self.out.append(("close", arena))

    def forget(self, peer: Any, name: Named) -> None:
        """The peer, which had introduced it, lets it go."""
        self._known.get(peer, set()).discard(name)
        arena = self.arenas.get(name)
        if arena is not None and arena.origin is peer:
            self._let_go(arena)

    def _let_go(self, arena: Any) -> None:
        arena.leaving = True
        if not arena.uses:
            self.close(arena)


def _nothing(hold: Hold) -> None:
    """It was counted."""
