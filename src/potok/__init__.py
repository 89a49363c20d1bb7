"""potok: one programming model for every way that Python can run concurrent programs.

The map of the public names. Layers, from below: `machines` (pure state machines), `kernel` (the seam), `executors`
(what carries tasks), `primitives` (what users call: scopes, channels, select, locks, queues), then the vocabularies
and tools over them (`dataflow`, `adviser`, the command line).
"""

from typing import TYPE_CHECKING, Any

from potok.adviser.comparing import compare
from potok.dataflow.mapping import map, starmap  # noqa: A004 - the name everybody knows it by
from potok.dataflow.pipeline import pipeline
from potok.errors import (
    AbandonedLock,
    BadItem,
    BlockingCallError,
    BrokenBarrierError,
    Cancelled,
    ClosedError,
    DeadlockError,
    Lagged,
    PotokError,
    RemoteError,
    ScopeError,
    ShutDown,
    TaskCancelled,
    WorkerDied,
    WouldBlock,
)
from potok.kernel.task import Task
from potok.primitives.broadcasts import Subscriber, broadcast
from potok.primitives.buffers import block, shared_array
from potok.primitives.channels import UNBOUNDED, Receiver, Sender, channel
from potok.primitives.choice import after, apri_select, aselect, pri_select, select
from potok.primitives.conditions import Condition
from potok.primitives.executors import coroutines, interpreters, processes, threads
from potok.primitives.locks import Lock, RLock
from potok.primitives.logs import logs
from potok.primitives.pipes import Pipe, pipe
from potok.primitives.queues import Empty, Full, LifoQueue, PriorityQueue, Queue, SimpleQueue
from potok.primitives.scopes import scope, shield, timeout
from potok.primitives.shared import Namespace, Shared, Value, share
from potok.primitives.sync import Barrier, BoundedSemaphore, Event, Semaphore
from potok.primitives.tasks import (
    asleep,
    await_,
    checkpoint,
    current_scope,
    current_task,
    dump_on,
    run,
    sleep,
    start,
    stuck,
    tasks,
)

if TYPE_CHECKING:
    from potok.dataflow.futures import FuturesExecutor

__all__ = [
    "UNBOUNDED",
    "AbandonedLock",
    "BadItem",
    "Barrier",
    "BlockingCallError",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Cancelled",
    "ClosedError",
    "Condition",
    "DeadlockError",
    "Empty",
    "Event",
    "Full",
    "FuturesExecutor",
    "Lagged",
    "LifoQueue",
    "Lock",
    "Namespace",
    "Pipe",
    "PotokError",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Receiver",
    "RemoteError",
    "ScopeError",
    "Semaphore",
    "Sender",
    "Shared",
    "ShutDown",
    "SimpleQueue",
    "Subscriber",
    "Task",
    "TaskCancelled",
    "Value",
    "WorkerDied",
    "WouldBlock",
    "after",
    "apri_select",
    "aselect",
    "asleep",
    "await_",
    "block",
    "broadcast",
    "channel",
    "checkpoint",
    "compare",
    "coroutines",
    "current_scope",
    "current_task",
    "dump_on",
    "interpreters",
    "logs",
    "map",
    "pipe",
    "pipeline",
    "pri_select",
    "processes",
    "run",
    "scope",
    "select",
    "share",
    "shared_array",
    "shield",
    "sleep",
    "starmap",
    "start",
    "stuck",
    "tasks",
    "threads",
    "timeout",
]


def __getattr__(name: str) -> Any:
    """What only some programs use is imported by those: `import potok` stays cheap."""
    if name == "FuturesExecutor":
        from potok.dataflow.futures import FuturesExecutor

        return FuturesExecutor
    raise AttributeError(f"module 'potok' has no attribute {name!r}")
