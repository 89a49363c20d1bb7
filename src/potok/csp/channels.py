"""Channels that are asked for their ends, ends that are called like functions, and how they are retired or poisoned.

    c = Channel("jobs", buffer=10)
    cout, cin = c.writer(), c.reader()      # or -c, +c; each is counted
    cout(42); cin()
    retire(cout)                            # the last writer to retire ends the channel for its readers

A channel holds a sender and a receiver of potok's until its first writer, or reader, is asked for; from then on only
the ends count: it ends for one side when every end of the other has been retired. What it keeps of those two are closed
ends, by which others join (`rejoin`), from any address space; and its ends, so that one is not retired by being
forgotten.

An end that goes to a process is *one* end with two ports: the process's own, that is closed as the process ends, and
the one it came from. Retired by the process, both are closed. While a `Parallel` has processes on both sides of a
channel the latter are paused (see `running`).
"""

from __future__ import annotations

import itertools
import os
import threading
from operator import is_not
from typing import Any

import potok
from potok.csp.ending import InfoException, why_ended

__all__ = [
    "Channel",
    "ChannelEnd",
    "ChannelEndRead",
    "ChannelEndWrite",
    "another_port",
    "moved",
    "poison",
    "repeated",
    "retire",
]

_numbers = itertools.count(1)
_numbering = threading.Lock()


class Channel:
    """A channel from any number of writers to any number of readers. An item goes to one reader.

    Ends go where you like: to processes, and through channels. A channel object, too, can be given to a process, which
    then asks for ends of its own.
    """

    __slots__ = ("__weakref__", "_came", "_given", "_receiver", "_sender", "buffer", "key", "name")

    def __init__(self, name: str | None = None, buffer: int = 0, connect: Any = None) -> None:
        """Make a channel.

        Args:
            name: for messages and reports; two channels of one name are two channels.
            buffer: items that may be written before one is read. 0: a write waits for its reader.
            connect: not supported: it is the address of a channel on another machine.
        """
        if connect is not None:
            raise InfoException(
                "connect= is not supported: pass the channel, or an end of it, to the process"
            )
        if type(name) not in (str, type(None)):
            raise InfoException(f"name must be a str, not {name!r}")
        if type(buffer) is not int or buffer < 0:
            raise InfoException(f"buffer must be an int >= 0, not {buffer!r}")
        with _numbering:
            number = next(_numbers)
        self.name = f"channel-{number}" if name is None else name
        self.key = (os.getpid(), number)  # the same wherever it is
        self.buffer = buffer
        # A process that fails, or is killed, poisons the channels of its ends: nobody waits for what does not come.
        self._sender, self._receiver = potok.channel(
            buffer, name=self.name, on_fail="cancel", undelivered=_let_go
        )
        self._given: list[Any] = []
        self._came = False  # from where it was made

    def reader(self) -> ChannelEndRead:
        """A new end that reads, also written `+channel`. On a retired channel it is a retired one."""
        # Where the channel only came to, the receiver it came with stays: what is buffered is not lost with our ends.
        return ChannelEndRead(self, self.kept(_joined(self._receiver, keep=self._came)))

    def writer(self) -> ChannelEndWrite:
        """A new end that writes, also written `-channel`. On a retired channel it is a retired one."""
        return ChannelEndWrite(self, self.kept(_joined(self._sender)))

    def kept(self, port: Any) -> Any:
        """The port of a new end; as long as the channel is referred to, that is not retired by being forgotten."""
        given = self._given
        given.append(port)
        if len(given) & (len(given) - 1) == 0:  # now and then
            given[:] = [port for port in given if not port.closed]
        return port

    def disconnect(self) -> None:
        """Nothing: there is no connection to be given up."""

    __pos__ = reader
    __neg__ = writer

    def __mul__(self, count: float) -> list[Channel]:
        """A list of so many channels of the same buffer, this one the first."""
        more = range(repeated(count) - 1)
        return [self, *(Channel(buffer=self.buffer) for _ in more)][: repeated(count)]

    __rmul__ = __mul__

    def __reduce__(self) -> Any:
        return _arrived, (self.name, self.buffer, self.key, self._sender, self._receiver)

    def __repr__(self) -> str:
        return f"<Channel {self.name}>"


def _let_go(_: Any) -> None:
    """What nobody has read when a channel ends is no mistake here: networks are stopped, not drained."""


def _arrived(name: str, buffer: int, key: tuple[int, int], sender: Any, receiver: Any) -> Channel:
    """The same channel in another address space."""
    channel = object.__new__(Channel)
    channel.name, channel.buffer, channel.key, channel._given = name, buffer, key, []
    channel._sender, channel._receiver, channel._came = sender, receiver, True
    return channel


def _joined(port: Any, keep: bool = False) -> Any:
    """An end of the same side; from now on it is the ends that were asked for that count, or also this one (`keep`)."""
    try:
        joined = port.rejoin()
    except potok.ClosedError:
        return port  # it says why, whenever it is used
    if not keep:
        port.close()
    return joined


def repeated(count: float) -> int:
    """How many `thing * count` are. Raises TypeError or ValueError for what is no number of things."""
    if isinstance(count, bool) or not isinstance(count, int | float):
        raise TypeError(f"a process or channel is multiplied by a number, not by {count!r}")
    if count != int(count) or count < 0:
        raise ValueError(f"a process or channel is multiplied by a whole number >= 0, not by {count!r}")
    return int(count)


class ChannelEnd:
    """What readers and writers share. Made by `Channel`, not by users."""

    __slots__ = ("__weakref__", "_origins", "_port", "channel")

    def __init__(self, channel: Channel, port: Any, origins: tuple[Any, ...] = ()) -> None:
        self.channel = channel
        self._port = port
        self._origins = origins  # ports of those who passed it on, and keep it

    def retire(self) -> None:
        """Leave the channel. Idempotent, and safe from anywhere."""
        self._port.close()
        for port in self._origins:
            port.close()

    def poison(self) -> None:
        """End the channel for everybody, at once: what is buffered is dropped. Idempotent."""
        self._port.cancel(f"poisoned by {potok.current_task().name}")

    def another(self) -> Any:
        """Another end of the same side, counted on its own. Of a retired end: a retired one."""
        return type(self)(self.channel, self.channel.kept(another_port(self._port)))

    def passed(self) -> Any:
        """The same end for somebody else: with a port of its own, and retired with this one."""
        port = self._port
        return type(self)(self.channel, another_port(port), (port, *self._origins))

    def port(self) -> Any:
        """The potok end that carries it, for who works with both vocabularies."""
        return self._port

    def origins(self) -> tuple[Any, ...]:
        """The ports that are closed with it."""
        return self._origins

    def isReader(self) -> bool:
        """Whether it reads."""
        return isinstance(self, ChannelEndRead)

    def isWriter(self) -> bool:
        """Whether it writes."""
        return isinstance(self, ChannelEndWrite)

    def disconnect(self) -> None:
        """Nothing: there is no connection to be given up."""

    def __reduce__(self) -> Any:
        return type(self), (self.channel, self._port, self._origins)

    def __repr__(self) -> str:
        state = ", retired" if self._port.closed else ""
        return f"<{'reader' if self.isReader() else 'writer'} of {self.channel.name}{state}>"


def another_port(port: Any) -> Any:
    """One that is counted on its own; or a closed one itself, which says why whenever it is used."""
    try:
        return port.clone()
    except potok.ClosedError:
        return port


class ChannelEndRead(ChannelEnd):
    """The end that reads: `item = cin()`."""

    __slots__ = ()

    def __call__(self) -> Any:
        """Read the next item, waiting for one. A park point.

        Raises: ChannelRetireException, ChannelPoisonException. No item was taken then.
        """
        try:
            return self._port.recv()
        except potok.ClosedError as error:
            raise why_ended(error, self) from error.__cause__


class ChannelEndWrite(ChannelEnd):
    """The end that writes: `cout(item)`."""

    __slots__ = ()

    def __call__(self, msg: Any) -> None:
        """Write an item, waiting for a reader or for room in the buffer. A park point.

        Raises: ChannelRetireException, ChannelPoisonException. The item was NOT written then.
        """
        if type(msg) in _CARRIERS:
            msg = moved(msg)
        try:
            self._port.send(msg)
        except potok.ClosedError as error:
            raise why_ended(error, self) from error.__cause__


_CARRIERS = frozenset({ChannelEndRead, ChannelEndWrite, tuple, list, dict})
_MANY, _DEEP = 16, 2  # items of a container that are looked at, containers in one another


def moved(value: Any, depth: int = _DEEP) -> Any:
    """A message, or result, with a port of its own for each end in it: one that outlives the process that sent it.

    Ends are found by themselves and in small tuples, lists and dicts; in others they are shared.
    """
    if isinstance(value, ChannelEnd):
        return value.passed()
    kind = type(value)
    if not depth or not (kind is tuple or kind is list or kind is dict) or len(value) > _MANY:
        return value
    old = list(value.items()) if kind is dict else value
    new = [moved(item, depth - (kind is not dict)) for item in old]
    return kind(new) if any(map(is_not, new, old)) else value


def retire(*ends: Any) -> None:
    """Retire these ends, and those in lists. The last one of its side ends the channel for the other side.

    Choose `poison` to end the channel while others of the same side still work.
    """
    for end in _ends(ends, "retire"):
        end.retire()


def poison(*ends: Any) -> None:
    """Poison the channels of these ends, and of those in lists: they end at once, for everybody."""
    for end in _ends(ends, "poison"):
        end.poison()


def _ends(things: Any, verb: str) -> list[ChannelEnd]:
    """All of them, before the first is touched."""
    ends: list[ChannelEnd] = []
    for thing in things:
        if isinstance(thing, list | tuple):
            ends += _ends(thing, verb)
        elif isinstance(thing, ChannelEnd):
            ends.append(thing)
        else:
            hint = (
                f"; ask it for an end first, as {verb}(channel.writer())"
                if isinstance(thing, Channel)
                else ""
            )
            raise InfoException(f"{verb} takes ends of channels, and lists of them, not {thing!r}{hint}")
    return ends
