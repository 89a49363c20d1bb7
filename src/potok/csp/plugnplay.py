"""Processes that networks are built of, after those of occam's and JCSP's libraries. Each runs until a channel ends."""

from __future__ import annotations

from typing import Any

from potok.csp.channels import Channel, ChannelEndRead, ChannelEndWrite
from potok.csp.ending import ChannelRetireException
from potok.csp.guards import InputGuard, OutputGuard
from potok.csp.processes import process
from potok.csp.running import Parallel
from potok.csp.selecting import AltSelect

__all__ = ["Delta2", "Identity", "Mux2", "Pairs", "Plus", "Prefix", "Successor", "Tail"]


@process
def Identity(cin: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Pass on what comes: a buffer of one item."""
    while True:
        cout(cin())


@process
def Prefix(cin: ChannelEndRead, cout: ChannelEndWrite, prefix: Any = None) -> None:
    """Write `prefix`, then pass on what comes."""
    item = prefix
    while True:
        cout(item)
        item = cin()


@process
def Successor(cin: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Add one to what comes."""
    while True:
        cout(cin() + 1)


@process
def Delta2(cin: ChannelEndRead, cout1: ChannelEndWrite, cout2: ChannelEndWrite) -> None:
    """Write what comes to both, first to the one that is ready."""
    while True:
        item = cin()
        first, _ = AltSelect(OutputGuard(cout1, item), OutputGuard(cout2, item))
        (cout2 if first is cout1 else cout1)(item)


@process
def Plus(cin1: ChannelEndRead, cin2: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Write the sum of one item of each."""
    while True:
        cout(cin1() + cin2())


@process
def Tail(cin: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Drop the first item, pass on the others."""
    cin()
    while True:
        cout(cin())


@process
def Pairs(cin: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Write the sum of each two neighbours of what comes."""
    all_items, all_but_first, again = Channel("all items"), Channel("all but the first"), Channel("again")
    Parallel(
        Delta2(cin, -all_items, -again),
        Plus(+all_items, +all_but_first, cout),
        Tail(+again, -all_but_first),
    )


@process
def Mux2(cin1: ChannelEndRead, cin2: ChannelEndRead, cout: ChannelEndWrite) -> None:
    """Pass on what comes by either, until both are retired."""
    ends = [cin1, cin2]
    while ends:
        try:
            _, item = AltSelect([InputGuard(end) for end in ends])
        except ChannelRetireException as retired:
            ends.remove(retired.arm)
        else:
            cout(item)
