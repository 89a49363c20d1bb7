"""*simulated*: all tasks in one OS thread, every switch chosen by a strategy, in virtual time.

The same program, another kernel: no primitive knows. Before each operation that may park, and wherever a task parks,
the strategy picks who goes on; the order of its picks is the schedule, a list of named steps that replays exactly.
Time stands still while anybody can run, and then jumps to the next deadline. When nobody can run and no deadline is
left, that is a proven deadlock: whoever waits gets `DeadlockError` with who waits for what.

The seam of strategies has three methods (after Shuttle's `Scheduler`): `begin`, `pick`, `number`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from potok.errors import DeadlockError, PotokError
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier, getcurrent
from potok.kernel.hub import GreenletWaiter, Hub
from potok.kernel.parking import revoke
from potok.kernel.task import ATTEND, PREEMPT, Task, name_of
from potok.machines.waiting import Waiter

__all__ = ["RandomStrategy", "ReplayStrategy", "Simulated", "Strategy"]


class Strategy(Protocol):
    """Who decides. One strategy serves one schedule after another."""

    def begin(self) -> None:
        """A new schedule begins."""

    def pick(self, runnable: Sequence[str], current: str | None) -> int:
        """Which of these tasks (by name, in the order they became runnable) runs next."""

    def number(self, n: int) -> int:
        """One of `range(n)`: a choice that is not between tasks, such as a fair select's."""


class RandomStrategy:
    """Uniformly at random at every step; schedule k of seed s is the same everywhere and always."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = -1
        self._random = random.Random()

    def begin(self) -> None:
        self._count += 1
        self._random = random.Random(f"{self._seed}/{self._count}")

    def pick(self, runnable: Sequence[str], current: str | None) -> int:
        return self._random.randrange(len(runnable))

    def number(self, n: int) -> int:
        return self._random.randrange(n)


class ReplayStrategy:
    """The steps of a recorded schedule, once more. Raises PotokError where the program takes another way."""

    def __init__(self, steps: Iterable[str]) -> None:
        self._steps = list(steps)
        self._next = 0

    def begin(self) -> None:
        self._next = 0

    def pick(self, runnable: Sequence[str], current: str | None) -> int:
        step = self._take()
        if step not in runnable:
            raise PotokError(
                f"replay: step {self._next} runs {step!r}, but only {', '.join(runnable)} can run now"
            )
        return runnable.index(step)

    def number(self, n: int) -> int:
        step = self._take()
        chosen, _, of = step.removeprefix("choice ").partition("/")
        if not step.startswith("choice ") or of != str(n):
            raise PotokError(
                f"replay: step {self._next} is {step!r}, but the program makes a choice of {n} now"
            )
        return int(chosen)

    def _take(self) -> str:
        if self._next >= len(self._steps):
            raise PotokError(f"replay: the program goes on after the {len(self._steps)} recorded steps")
        self._next += 1
        return self._steps[self._next - 1]


class _Unwinding:
    """After a strategy has failed: anybody may run."""

    def begin(self) -> None:
        """There is no other schedule."""

    def pick(self, runnable: Sequence[str], current: str | None) -> int:
        return 0

    def number(self, n: int) -> int:
        return 0


class SimulatedHub(Hub):
    """A hub that asks a strategy instead of taking turns."""

    in_real_time = False

    def __init__(self, carrier: Carrier, strategy: Strategy) -> None:
        super().__init__(carrier)
        self.strategy = strategy
        self.schedule: list[str] = []
        self.clock = 0.0
        self.watch = True  # so that no greenlet goes on to another by itself
        self.running: str | None = None
        self._numbers: dict[str, int] = {}
        self._live: set[Task[Any]] = set()
        self._names: set[str] = set()

    # ── the seam ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, task: Task[Any]) -> None:
        self.prepare(task)
        super().start(task)
        self.ready.append(self.fresh.pop())  # new or not, the strategy chooses among all

    def prepare(self, task: Task[Any]) -> None:
        """Name the task within this simulation, and have it ask before every operation."""
        numbered = task.number != 0
        task._label = self._unique(name_of(task.fn) if numbered else task.name, numbered)
        self._live = (
            {known for known in self._live if not known.finished} if len(self._live) > 64 else self._live
        )
        self._live.add(task)
        task.base_trap |= PREEMPT
        task.trap = ATTEND

    def _unique(self, name: str, numbered: bool) -> str:
        while True:
            number = self._numbers[name] = self._numbers.get(name, 0) + 1
            label = f"{name}-{number}" if numbered or number > 1 else name
            if label not in self._names:
                self._names.add(label)
                return label

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        waiter.since = self.clock
        if deadline is not None:
            self.at(deadline, waiter)
        if task.greenlet is self.main:
            self._leave_main()
        else:
            self.greenlet.switch()

    def pause(self, task: Task[Any]) -> None:
        if self.ready:
            self.ready.append(task.greenlet)
            if task.greenlet is self.main:
                self._leave_main()
            else:
                self.greenlet.switch()

    def now(self) -> float:
        return self.clock

    def choose(self, n: int) -> int:
        try:
            number = self.strategy.number(n)
        except BaseException:
            self.strategy = _Unwinding()
            raise
        self.schedule.append(f"choice {number}/{n}")
        return number

    def need_loop(self) -> None:
        """There is no event loop in virtual time: a foreign await says so when it comes to one."""

    # ── choosing ────────────────────────────────────────────────────────────────────────────────────────────

    def _go_on(self) -> bool:
        return False

    def _look_after(self) -> None:
        """Always: no greenlet goes on to another by itself."""

    def turn(self) -> bool:
        """One step: run whom the strategy picks, or move the clock, or find the deadlock."""
        if self.ready:
            self._pick().switch()
        elif self.timers:
            self.clock = max(self.clock, self.timers[0][0])
            self._fire()
        else:
            self._report_deadlock()
        return True

    def _pick(self) -> Any:
        entries = list(self.ready)
        names = [_task_of(entry).name for entry in entries]
        try:
            index = self.strategy.pick(names, self.running)
        except BaseException:
            self.strategy = _Unwinding()  # so that the program can come to its end
            raise
        self.running = names[index]
        self.schedule.append(self.running)
        del entries[index : index + 1]
        chosen, self.ready = self.ready[index], deque(entries)
        return chosen

    def _report_deadlock(self) -> None:
        waiting = [task for task in self._live if not task.finished and task.waiter is not None]
        stuck = [task for task in waiting if task.waiter.op != "finish"] or waiting
        lines = [f"  {t.name} waits: {t.waiter.op} on {t.waiter.machine.describe()}" for t in stuck]
        message = "deadlock: no task can run and no deadline is left\n" + "\n".join(sorted(lines))
        for task in stuck:
            revoke(self.carrier, task.waiter, DeadlockError(message))


def _task_of(entry: Any) -> Task[Any]:
    return entry if isinstance(entry, Task) else entry.task


class Simulated:
    """`on=potok.testing.simulated(...)`. Each outermost scope opened on it is one schedule; `schedule` is the last."""

    name = "simulated"
    isolate = False

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.schedule: list[str] = []

    def open(self, host: Task[Any], awaiting: bool) -> SimulatedHub:
        hub = host.kernel
        if isinstance(hub, SimulatedHub):
            hub.users += 1
            return hub
        if awaiting or isinstance(hub, Hub):
            raise PotokError(
                "a simulation is opened by plain code outside of any event loop: potok.run(fn, on=...)"
            )
        return self._begin(host)

    def _begin(self, host: Task[Any]) -> SimulatedHub:
        self.strategy.begin()
        hub = SimulatedHub(carrier(), self.strategy)
        self.schedule = hub.schedule
        hub.users = 1
        hub.lent = (host, host.kernel, host.waiter_type, host._label, host.base_trap)
        host.kernel, host.waiter_type, host.greenlet = hub, GreenletWaiter, getcurrent()
        host._label, host.spare = "main", None
        hub.prepare(host)
        return hub

    def open_root(self) -> SimulatedHub:
        raise PotokError("potok.start can't use a simulation: nobody would run its tasks; use scope.start")

    def close(self, host: Task[Any], kernel: Any) -> None:
        kernel.users -= 1
        if not kernel.users:
            host, host.kernel, host.waiter_type, host._label, host.base_trap = kernel.lent
            host.trap, host.spare = ATTEND, None

    def __repr__(self) -> str:
        return f"potok.testing.simulated({self.strategy!r})"
