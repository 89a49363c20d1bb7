"""The seam: the members an executor has, and no more. Every primitive is written once above them.

An *executor* is what users name (`"threads"`, `potok.coroutines(...)`); opening a scope on it yields the *kernel*
its tasks run on: a pool of threads, one thread's run queue, a simulated machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from potok.kernel.task import Task
    from potok.machines.waiting import Waiter

__all__ = ["Executor", "Kernel"]


@runtime_checkable
class Kernel(Protocol):
    """Start, park, wake, tell the time; two members more for choices and for foreign awaits.

    `wake` is a method of the waiter (`Waiter.wake`, see `waiter_type`): the machine that completes an operation
    calls it, from any thread, once, possibly inside a guard. So it must neither wait nor call back.
    """

    waiter_type: type[Waiter]

    def start(self, task: Task[Any]) -> None:
        """Begin to run the task some time from now; never waits. Sets `task.kernel`."""

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        """Suspend the current task until `waiter` is woken.

        At the deadline (on this kernel's clock) the waiter is revoked with `TIMED_OUT`, which wakes it too, or
        finds that a hand-over has won, whose wake then is on its way. Either way this returns after a wake. What is
        raised here instead (by a signal handler, say) may leave the waiter as it is: the caller takes it back.
        """

    def pause(self, task: Task[Any]) -> None:
        """Let others run, if this kernel has the say in it."""

    def interrupt(self, task: Task[Any]) -> None:
        """The task was cancelled while not parked in potok: deliver it once at a foreign await, if it is in one."""

    def now(self) -> float:
        """Seconds on this kernel's monotonic clock."""

    def choose(self, n: int) -> int:
        """One of `range(n)`, fairly: a decision of the schedule."""


@runtime_checkable
class Executor(Protocol):
    """What `on=` takes: a name for people, and the kernel for a scope."""

    name: str
    isolate: bool

    def open(self, host: Task[Any], awaiting: bool) -> Kernel:
        """The kernel for the tasks of a scope which `host` opens with `async with` (awaiting) or plain `with`."""

    def open_root(self) -> Kernel:
        """The kernel for tasks that belong to the root, which no block waits for."""

    def close(self, host: Task[Any], kernel: Kernel) -> None:
        """The scope has ended: give back what `open` took. Never waits."""
