"""What is polled, each with what is called when something has come: `selectors`, but for its objects where epoll is.

One look is made for each message at least, and what `selectors` makes of an event takes as long as the look itself.
"""

from __future__ import annotations

import select
import selectors
from collections.abc import Callable
from typing import Any

__all__ = ["Polls"]

Then = Callable[[int], object]


class EpollPolls:
    """With epoll (Linux)."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Then] = {}

    def register(self, file: Any, then: Then) -> None:
        """Call `then(events)` when it can be read. A file descriptor, or what has one."""
        fd = _descriptor(file)
        self._calls[fd] = then
        try:
            self._epoll.register(fd, select.EPOLLIN)
        except BaseException:
            del self._calls[fd]
            raise

    def modify(self, file: Any, then: Then, writes: bool) -> None:
        """Whether `then` is called when it can be written, too."""
        fd = _descriptor(file)
        self._calls[fd] = then
        self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if writes else 0))

    def unregister(self, file: Any) -> None:
        """Raises KeyError or ValueError where it is not polled."""
        fd = _descriptor(file)
        del self._calls[fd]
        self._epoll.unregister(fd)

    def poll(self, timeout: float | None) -> list[tuple[Then, int]]:
        """What is to be called now, after so many seconds at most."""
        calls = self._calls
        return [(calls[fd], events) for fd, events in self._epoll.poll(timeout) if fd in calls]

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()


class SelectorPolls:
    """With whatever there is."""

    def __init__(self) -> None:
        self._selector: Any = selectors.DefaultSelector()

    def register(self, file: Any, then: Then) -> None:
        self._selector.register(file, selectors.EVENT_READ, then)

    def modify(self, file: Any, then: Then, writes: bool) -> None:
        self._selector.modify(file, selectors.EVENT_READ | (selectors.EVENT_WRITE if writes else 0), then)

    def unregister(self, file: Any) -> None:
        self._selector.unregister(file)

    def poll(self, timeout: float | None) -> list[tuple[Then, int]]:
        return [(key.data, events) for key, events in self._selector.select(timeout)]

    def fileno(self) -> int:
        return int(self._selector.fileno()) if hasattr(self._selector, "fileno") else -1

    def close(self) -> None:
        self._selector.close()


def _descriptor(file: Any) -> int:
    fd: int = file if isinstance(file, int) else file.fileno()
    if fd < 0:
        raise ValueError(f"{file!r} is closed")
    return fd


Polls: type[EpollPolls | SelectorPolls] = EpollPolls if hasattr(select, "epoll") else SelectorPolls
