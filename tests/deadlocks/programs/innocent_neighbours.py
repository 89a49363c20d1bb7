"""What looks stuck, though a thread that has a parked task in it, or is potok's, is just running somebody's code."""

import asyncio
import ctypes
import subprocess
import sys
import threading
import time
import weakref

from catalogue import LOOKS_STUCK, innocent, thread

import potok

BOTH = ("threads", "coroutines")


@innocent()
def task_of_asyncio_that_blocks_its_loop() -> None:
    """A task that awaits in potok shares its loop with one that computes, and that potok does not know."""

    async def main() -> None:
        event = potok.Event()

        async def compute() -> None:
            await asyncio.sleep(0)
            time.sleep(LOOKS_STUCK)  # noqa: ASYNC251 - that is the point
            event.set()

        waiting = potok.start(event.wait, on="threads")
        await asyncio.gather(event.await_(), compute())
        await waiting

    asyncio.run(main())


@innocent()
def callback_that_waits_for_a_command() -> None:
    """It waits at a selector, as an idle loop does."""

    async def main() -> None:
        event = potok.Event()
        code = f"import time; time.sleep({LOOKS_STUCK})"

        def command() -> None:
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
            event.set()

        waiting = potok.start(event.wait, on="threads")
        asyncio.get_running_loop().call_soon(command)
        await event.await_()
        await waiting

    asyncio.run(main())


@innocent()
def callback_in_the_loop_of_the_root() -> None:
    """The thread is potok's, what it runs is not."""
    event = potok.Event()

    def compute() -> None:
        time.sleep(LOOKS_STUCK)
        event.set()

    async def waits() -> None:
        asyncio.get_running_loop().call_soon(compute)
        await event.await_()

    task = potok.start(waits, on="coroutines")
    event.wait()
    task.result()


@innocent(*BOTH)
def end_in_a_weak_dictionary(on: str) -> None:
    """The sender itself is known by a weak reference only, but for the task that receives."""
    senders: weakref.WeakValueDictionary[str, potok.Sender[str]] = weakref.WeakValueDictionary()
    ready = threading.Event()

    def receive() -> None:
        tx, rx = potok.channel(1)
        senders["it"] = tx
        ready.set()
        assert rx.recv() == "late"
        tx.close()

    def send() -> None:
        ready.wait()
        time.sleep(LOOKS_STUCK)
        senders["it"].send("late")

    with thread(send), potok.scope(on=on) as s:
        s.start(receive)


@innocent(*BOTH)
def variables_that_were_asked_for(on: str) -> None:
    """What `locals()` has returned is the task's, whoever looks at its frame."""
    tx, rx = potok.channel(1)

    def receive() -> str:
        greeting = "late"
        variables = locals()
        assert rx.recv() == greeting
        return str(variables["greeting"])

    def send() -> None:
        time.sleep(LOOKS_STUCK)
        tx.send("late")

    with thread(send), potok.scope(on=on) as s:
        task = s.start(receive)
    assert task.result() == "late"


@innocent()
def timer_of_the_loop_that_cancels_its_task() -> None:
    """Two tasks of potok's in a cycle of RLocks; asyncio's cancellation of one is on its way."""

    async def both(mine: potok.RLock, theirs: potok.RLock, met: potok.Barrier, is_cancelled: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        if is_cancelled:
            asyncio.get_running_loop().call_later(LOOKS_STUCK, task.cancel)
        async with mine:
            await met.await_()
            try:
                async with theirs:
                    pass
            except asyncio.CancelledError:
                task.uncancel()

    async def main() -> None:
        one, other, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
        async with potok.scope() as s:
            s.start(both, one, other, met, True)
            s.start(both, other, one, met, False)

    asyncio.run(main())


@innocent()
def thread_that_python_does_not_know() -> None:
    """A timer of the C library calls from a thread of its own, in which no Python has run before."""
    event = potok.Event()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    set_event = call(lambda _: event.set())

    class How(ctypes.Structure):
        _fields_ = (
            ("value", ctypes.c_void_p),
            ("signal", ctypes.c_int),
            ("notify", ctypes.c_int),
            ("function", call),
            ("rest", ctypes.c_char * 64),
        )

    library = ctypes.CDLL(None, use_errno=True)
    how = How(notify=2, function=set_event)  # SIGEV_THREAD
    timer = ctypes.c_void_p()
    assert not library.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(how), ctypes.byref(timer))
    when = (ctypes.c_long * 4)(0, 0, 0, int(LOOKS_STUCK * 1e9))
    assert not library.timer_settime(timer, 0, when, None)
    event.wait()
    assert not library.timer_delete(timer)
