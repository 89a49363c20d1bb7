"""Processes that several of these tests run."""

from typing import Any

from potok.csp import ChannelRetireException, process, retire


@process
def write(cout: Any, *items: Any) -> None:
    """Write the items, and retire."""
    for item in items:
        cout(item)
    retire(cout)


@process
def read_all(cin: Any) -> list[Any]:
    """What comes until the channel is retired."""
    got = []
    try:
        while True:
            got.append(cin())
    except ChannelRetireException:
        return got
