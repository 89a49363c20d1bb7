"""Letting processes run: together, one after the other, or beside whoever goes on.

    results = Parallel(source(-c), 3 * worker(+c, -d), sink(+d), on="processes")

Each is a task of a scope: if one fails, the others are cancelled and the failure leaves in an `ExceptionGroup`; no
process outlives the call. A process that ends and has not retired its ends leaves none of the same `Parallel` waiting;
the channel goes on, for whoever uses it next. `Spawn` starts processes that the current one waits for as it ends; those
of the main program are tasks of the root: a failure is printed, and the program waits for them at its end.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

import potok
from potok.csp.ending import InfoException
from potok.csp.processes import Gate, Process, here

__all__ = ["Parallel", "Sequence", "Spawn", "current_process_id", "shutdown"]


def Parallel(*processes: Any, on: Any = None) -> list[Any]:
    """Run the processes, and those in lists, at the same time; return what they returned, in order.

    Args:
        processes: made by functions under `@process` or `@multiprocess`.
        on: the executor, for all of them and, but for a `multiprocess`, for what they run themselves. By default
            where the current process runs; threads in the main program.

    Raises: ExceptionGroup of what processes failed with. InfoException for what is no process, with none started.
    Blocks: until all have ended.
    Executors: on threads, which are started one after the other, the first begins when the last is there.
    """
    chosen = _checked(processes, "Parallel")
    default = _default(on)
    paused: list[Any] = []
    try:
        with potok.scope(default) as scope:
            gate = _gate([process for process in chosen if on is not None or process.on is None], default)
            tasks = [_start(process, scope, on, default) for process in chosen]
            paused = _paused(chosen)
            if gate is not None:
                gate.open()
    finally:
        for port in paused:
            port.resume()
    return [task.result() for task in tasks]


def _gate(processes: list[Process], default: Any) -> Gate | None:
    """What they wait at, if they have threads."""
    where = potok.current_task().executor if default is None else getattr(default, "name", default)
    if where != "threads" or len(processes) < 2:
        return None
    gate = Gate(len(processes))
    for process in processes:
        process.gate = gate
    return gate


def _paused(processes: list[Process]) -> list[Any]:
    """Our own ends that do not count from now on, of channels that have processes of ours on both sides.

    We wait for those processes, and use no end before they have ended: so if none of them is left on one side of such
    a channel, nothing is going to come from there. With our own ends counted the other side would wait for ever.
    """
    given = [entry for process in processes for entry in process.given]
    for process in processes:
        process.given = []
    sides = {(key, writes) for key, writes, _ in given}
    ports = [port for key, writes, port in given if (key, not writes) in sides]
    for port in ports:
        port.pause()
    return ports


def Sequence(*processes: Any, on: Any = None) -> list[Any]:
    """Run the processes one after the other; else as `Parallel`."""
    chosen = _checked(processes, "Sequence")
    return [result for process in chosen for result in Parallel(process, on=on)]


def Spawn(*processes: Any, on: Any = None) -> None:
    """Start the processes and return at once. Who has spawned them waits for them as it ends.

    A failure cancels the process that has spawned it, and leaves it; in the main program it is printed on stderr.
    """
    chosen = _checked(processes, "Spawn")
    default = _default(on)
    me = here.get()
    scope = potok.current_scope() if me is None else me.spawning()
    for process in chosen:
        task = _start(process, scope, on, default)
        if me is None:
            _wait_at_exit(task)


def _checked(things: Iterable[Any], verb: str) -> list[Process]:
    """All of them, before the first is started."""
    chosen: list[Process] = []
    for thing in things:
        if isinstance(thing, list | tuple):
            chosen += _checked(thing, verb)
        elif isinstance(thing, Process):
            thing.refuse_again()
            chosen.append(thing)
        else:
            raise InfoException(
                f"{verb} takes processes, and lists of them, not {thing!r}; a process is what a function under "
                f"@process returns, so call it"
            )
    if len(set(map(id, chosen))) < len(chosen):
        raise InfoException(f"{verb} was given a process twice; `2 * process` makes two of it")
    return chosen


def _default(on: Any) -> Any:
    """Where processes run that say nothing themselves; None: where potok's scopes would let them run."""
    me = here.get()
    return me.on if on is None and me is not None else on


def _start(process: Process, scope: Any, on: Any, default: Any) -> potok.Task[Any]:
    if on is None and process.on is not None:
        return process.start_in(scope.start, process.on, default or "threads")
    return process.start_in(scope.start, default, default)


_spawned: WeakSet[potok.Task[Any]] = WeakSet()
_watching = False


def _wait_at_exit(task: potok.Task[Any]) -> None:
    """The program ends when this task has: the hook is registered after potok's own, and so run before it."""
    global _watching
    _spawned.add(task)
    if not _watching:
        _watching = True
        atexit.register(_wait_for_spawned)


def _wait_for_spawned() -> None:
    while live := [task for task in _spawned if not task.done()]:
        for task in live:
            task.join()


def current_process_id() -> str:
    """The id of the process that runs here, unlike all others of this machine; `"__main__"` in the main program."""
    me = here.get()
    return "__main__" if me is None else me.id


def shutdown() -> None:
    """Nothing: it is not needed. The program waits for what it has spawned as it ends."""
