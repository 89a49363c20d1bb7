"""*coroutines* where greenlet does not load, as in sub-interpreters: for `async def` tasks alone, see `kernel.natives`.

With `async with`, tasks run in the loop that runs; with plain `with` in a thread with a loop, for as long as the scope
is open; started by `potok.start`, in one that the root owns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from potok.kernel.current import running_loop
from potok.kernel.exiting import endings
from potok.kernel.natives import Natives, natives_of
from potok.kernel.services import service_thread
from potok.kernel.task import Task

__all__ = ["NativeCoroutines"]


class NativeCoroutines:
    """`on="coroutines"` there; `loop_factory` makes the event loop of the root's thread."""

    name = "coroutines"
    isolate = False

    def __init__(self, loop_factory: Callable[[], Any] | None = None) -> None:
        self.loop_factory = loop_factory
        self._root: LoopThread | None = None
        self._lock = threading.Lock()

    def open(self, host: Task[Any], awaiting: bool) -> Any:
        if awaiting:
            natives = natives_of(running_loop())
        else:
            thread = LoopThread(self.loop_factory)
            natives = thread.natives
            natives.thread = thread
        natives.users += 1
        return natives

    def open_root(self) -> Any:
        with self._lock:
            if self._root is None:
                self._root = LoopThread(self.loop_factory)
                endings.append(self._root.end)
            return self._root.natives

    def close(self, host: Task[Any], kernel: Any) -> None:
        kernel.users -= 1
        if kernel.thread is not None:
            kernel.thread.end()

    def __repr__(self) -> str:
        return (
            f"potok.coroutines({'' if self.loop_factory is None else f'loop_factory={self.loop_factory!r}'})"
        )


class LoopThread:
    """A thread with a loop, until it is ended. Nothing is left to run in it by then."""

    def __init__(self, loop_factory: Callable[[], Any] | None) -> None:
        self.natives: Natives
        self._factory = loop_factory
        self._failure: BaseException | None = None
        self._made = threading.Event()
        self._thread = service_thread(self._run, "potok-loop")
        self._thread.start()
        self._made.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        runner = asyncio.Runner(loop_factory=self._factory)
        try:
            loop = runner.get_loop()
            self.natives = natives_of(loop)
        except BaseException as error:  # of the user's factory: it is for who opened the scope
            self._failure = error
            return
        finally:
            self._made.set()
        with runner:
            asyncio.set_event_loop(loop)
            loop.run_forever()

    def end(self) -> None:
        self.natives.loop.call_soon_threadsafe(self.natives.loop.stop)
        self._thread.join()
