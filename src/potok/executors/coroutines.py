"""*coroutines*: many tasks in one OS thread, `def` and `async def` alike, one event loop behind both when needed.

Which thread? With plain `with`, the one that opened the scope, while it parks in potok. With `async with`, the one
whose loop runs. Where neither will do (plain `with` inside a running loop, and `potok.start`), a thread with a loop
that the root owns.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from potok.kernel.current import at_thread_end, carrier, getcurrent, running_loop
from potok.kernel.hub import GreenletWaiter, Hub
from potok.kernel.services import service_thread
from potok.kernel.task import Task

__all__ = ["Coroutines"]


class Coroutines:
    """`on="coroutines"`; `loop_factory` makes the event loop where one of potok's own is needed."""

    name = "coroutines"
    isolate = False

    def __init__(self, loop_factory: Callable[[], Any] | None = None) -> None:
        self.loop_factory = loop_factory
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()
        _all.append(self)

    def open(self, host: Task[Any], awaiting: bool) -> Hub:
        hub = self._find(host, awaiting)
        if hub is None:
            return self.loop_thread()
        hub.users += 1
        return hub

    def open_root(self) -> Hub:
        return self.loop_thread()

    def close(self, host: Task[Any], kernel: Any) -> None:
        if self._thread is not None and kernel is self._thread.hub:
            return
        kernel.users -= 1
        if not kernel.users:
            if kernel.lent is not None:
                _give_back(kernel)
            else:
                kernel.rest()  # nobody will tell when the guest's loop is closed

    def _find(self, host: Task[Any], awaiting: bool) -> Hub | None:
        """The hub that the opener can drive; None if it can drive none."""
        if isinstance(host.kernel, Hub):
            return host.kernel
        if awaiting:
            from potok.kernel.looping import kernel_of

            return kernel_of(running_loop()).need_hub()  # type: ignore[no-any-return]
        if running_loop() is not None:
            return None
        return self._lend(host)

    def _lend(self, host: Task[Any]) -> Hub:
        """Give the opener's thread a hub, which runs while the opener parks."""
        me = carrier()
        hub: Hub | None = me.hub
        if hub is None or hub.main is not getcurrent():
            hub = me.hub = Hub(me)
            at_thread_end(hub.dissolve)
        hub.loop_factory = self.loop_factory
        hub.lent = (host, host.kernel, host.waiter_type)
        host.kernel, host.waiter_type, host.greenlet = hub, GreenletWaiter, hub.main
        host.spare = None
        return hub

    def loop_thread(self) -> Hub:
        """The hub in a thread of its own that the root owns."""
        with self._lock:
            if self._thread is None:
                self._thread = LoopThread(self.loop_factory)
            return self._thread.hub

    def __repr__(self) -> str:
        return (
            f"potok.coroutines({'' if self.loop_factory is None else f'loop_factory={self.loop_factory!r}'})"
        )


def _give_back(hub: Hub) -> None:
    """The last scope on a lent hub has ended: its loop, if it got one, ends too; the opener parks as before."""
    host, kernel, waiter_type = hub.lent
    hub.lent = None
    try:
        if hub.binding is not None:
            hub.binding.stop()
    finally:
        hub.timers.clear()
        host.kernel, host.waiter_type, host.greenlet = kernel, waiter_type, None
        host.spare = None


class LoopThread:
    """A daemon thread that drives a hub for those who can't."""

    def __init__(self, loop_factory: Callable[[], Any] | None) -> None:
        self.hub: Hub
        self._factory = loop_factory
        self._made = threading.Event()
        service_thread(self._run, "potok-loop").start()
        self._made.wait()

    def _run(self) -> None:
        hub = Hub(carrier())
        hub.main, hub.greenlet = None, getcurrent()
        hub.loop_factory = self._factory
        hub.carrier.hub = hub
        self.hub = hub
        self._made.set()
        hub.serve()


_all: list[Coroutines] = []


def _forget_threads() -> None:
    """In a forked child the loop threads do not exist."""
    for executor in _all:
        executor._thread = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
