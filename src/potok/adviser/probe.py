"""What is this function like? Call it on its first items, which is work that has to be done anyway, and measure.

    probe = Probe(fn, star=False)
    probe.run(items, into=values)      # as often as one likes, a few items each time
    probe.facts()                      # all that was measured until now

The clocks run around the function alone. What else is done is bounded by what the function takes: beside it runs the
heartbeat (see there for its cost); before and after, its captured state is looked at (`state`), and now and then an
item and its result are weighed (`freight`), each in about `SHARE` of the time that was spent in the function.

The first item is left out of the figures once there are others: it pays for imports, caches and connections.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final, NamedTuple

from potok.adviser.facts import Facts
from potok.adviser.freight import Load, cloudpickle_is_loaded, weigh_each, why_stuck, why_unloadable
from potok.adviser.heartbeat import Heartbeat, Watch, gil_is_on, queued
from potok.adviser.state import Captured

__all__ = ["Facts", "Probe"]

WORTH_A_HEARTBEAT: Final = 0.00005  # seconds of items; to begin and to end it takes 3 µs
WORTH_TELLING: Final = 0.002  # seconds that were seen; below, the clocks themselves are what is measured
FEW: Final = 5  # looks at the GIL that tell something, however short what they saw was
WORTH_CLOUDPICKLE: Final = (
    0.05  # seconds that were spent in the function, to import it (7 ms) for a mere look
)
WORTH_A_LOOK_AT_THE_QUEUE: Final = 0.0005  # seconds of items; the two looks take 25 µs
TIMED: Final = 0.00002  # seconds of items that are timed together; a look at the clock takes 0.1 µs
SHARE: Final = 0.05
LEAST: Final = 0.0001  # seconds that a sample may take in any case
SAMPLES: Final = 4
BATCH: Final = 16  # items that are weighed together, at most: as they would go to a worker
HIDDEN: Final = 0.1  # cores; below, other threads of the process are noise


class Reading(NamedTuple):
    """The clocks, or what they went on."""

    items: int = 0
    wall: float = 0.0
    squares: float = 0.0  # of the items' wall times
    cpu: float = 0.0
    process_cpu: float = 0.0
    queued: float = 0.0
    watch: Watch = Watch()

    def plus(self, other: Reading) -> Reading:
        """Both together; of the watches the later one, for they are sums already."""
        return Reading(
            self.items + other.items,
            self.wall + other.wall,
            self.squares + other.squares,
            self.cpu + other.cpu,
            self.process_cpu + other.process_cpu,
            self.queued + other.queued,
            other.watch,
        )

    def since(self, earlier: Reading) -> Reading:
        """What came after that."""
        return Reading(
            self.items - earlier.items,
            self.wall - earlier.wall,
            self.squares - earlier.squares,
            self.cpu - earlier.cpu,
            self.process_cpu - earlier.process_cpu,
            self.queued - earlier.queued,
            self.watch.since(earlier.watch),
        )


class Clocks(NamedTuple):
    """Where the probe takes its times from."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.thread_time
    process_cpu: Callable[[], float] = time.process_time
    queued: Callable[[], float] = queued


class Probe:
    """Measures a function while calling it. Used by one thread at a time."""

    def __init__(
        self,
        fn: Callable[..., Any],
        star: bool = False,
        *,
        is_async: bool = False,
        clocks: Clocks = Clocks(),  # noqa: B008 - immutable
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """Cheap: nothing is looked at before the first `run`.

        Args:
            fn: what is called.
            star: as fn(*item).
            is_async: it is an `async def` function: can't be run here, and `facts` says no more than that.
            clocks: for tests.
            heartbeat: for tests.
        """
        self._fn = fn
        self._star = star
        self._is_async = is_async
        self._clocks = clocks
        self._heart = heartbeat
        self._total = Reading()
        self._first: Reading | None = None
        self._state: Captured | None = None
        self._looked_at = 0.0  # how much wall time there was at the last look at the state
        self._looked = False  # since the last item
        self._samples: list[tuple[Load, ...]] = []  # of items, of their results
        self._unsure: tuple[list[Any], list[Any]] | None = None  # that only cloudpickle may be able to pickle
        self._weighing = 0.0  # seconds
        self._mutates: str | None = None
        self._stuck: str | None = None
        self._stuck_known = False
        self._unloadable: str | None = None

    def run(self, items: Iterable[Any], into: list[Any] | None = None) -> list[Any]:
        """Call the function on these items, in order, in this thread. Returns their results.

        Args:
            items: a few. Where they take less than 50 µs together, the GIL is not watched.
            into: the list that the results are appended to; it has those of the items before the one that raised.

        Raises: TypeError for an `async def` function; whatever the function raises. Its item is counted as any other.
        """
        if self._is_async:
            raise TypeError(
                f"{self._fn!r:.200} is an async def function: the probe has no event loop to run it on"
            )
        values = [] if into is None else into
        left = list(items)
        if not left:
            return values
        self._open_eyes(left[0])
        last = left[-BATCH:]
        if self._first is None:
            self._measure([left.pop(0)], values, watched=True)
            self._first = self._total
        if left:
            each = self._total.wall / self._total.items
            watched, queued = (
                len(left) * each >= worth for worth in (WORTH_A_HEARTBEAT, WORTH_A_LOOK_AT_THE_QUEUE)
            )
            group = max(1, int(min(TIMED / each, len(left)))) if each else 1
            self._measure(left, values, watched=watched, queued=queued, group=group)
        self._after(last, values[-len(last) :])
        return values

    def _measure(
        self, items: list[Any], values: list[Any], watched: bool, queued: bool = True, group: int = 1
    ) -> None:
        fn, star, keep, clock = self._fn, self._star, values.append, self._clocks.wall
        before, failed = len(values), 0
        heart = self._heartbeat() if watched else None
        marks: list[float] = []
        mark = marks.append
        if heart is not None:
            heart.begin()
        waited = self._clocks.queued() if queued else 0.0
        process, cpu = self._clocks.process_cpu(), self._clocks.cpu()
        mark(clock())
        try:
            for first in range(0, len(items), group):
                if star:
                    for item in items[first : first + group]:
                        keep(fn(*item))
                else:
                    for item in items[first : first + group]:
                        keep(fn(item))
                mark(clock())
        except BaseException:
            mark(clock())
            failed = 1
            if self._state is not None:
                self._state.let_go()
            raise
        finally:
            cpu, process = self._clocks.cpu() - cpu, self._clocks.process_cpu() - process
            if queued:
                waited = self._clocks.queued() - waited
            if heart is not None:
                heart.end()
            count = len(values) - before + failed
            self._add(count, marks[-1] - marks[0], _squares(marks, group, count), cpu, process, waited)

    def _add(
        self, count: int, wall: float, squares: float, cpu: float, process_cpu: float, queued: float
    ) -> None:
        watch = Watch() if self._heart is None else self._heart.seen
        self._total = self._total.plus(Reading(count, wall, squares, cpu, process_cpu, queued, watch))
        self._looked = False

    def _heartbeat(self) -> Heartbeat | None:
        if self._heart is None and gil_is_on():
            self._heart = Heartbeat()
        return self._heart

    @property
    def seen(self) -> float:
        """Seconds that the function was called for."""
        return self._total.wall

    @property
    def result_bytes(self) -> float:
        """What a result weighs, by the last sample."""
        return self._samples[-1][1].size if self._samples else 0.0

    # ── what is done beside ────────────────────────────────────────────────────────────────────────────────────

    def _open_eyes(self, item: Any) -> None:
        """See how the captured state is before the next item, which may be changed itself."""
        if self._state is None:
            self._state = Captured(self._fn, item)
        elif self._looked and self._mutates is None:
            self._state.look(item)

    def _after(self, items: list[Any], values: list[Any]) -> None:
        state = self._state
        if state is not None and (self._total.wall - self._looked_at) * SHARE >= state.cost:
            self._look()
        if state is not None:
            state.let_go()
        if len(self._samples) < SAMPLES and self._weighing <= SHARE * self._total.wall:
            self._weigh(items, values)

    def _look(self) -> None:
        if self._state is not None and self._mutates is None and not self._looked:
            self._mutates = self._state.changed()
        self._looked, self._looked_at = True, self._total.wall

    def _weigh(self, items: list[Any], values: list[Any]) -> None:
        began = self._clocks.wall()
        budget = max(LEAST, SHARE * self._total.wall)
        self._take_sample(weigh_each(items, budget), weigh_each(values, budget))
        unsure = any(load.unsure for load in self._samples[-1])
        self._unsure = (items, values) if unsure else None
        self._weighing += self._clocks.wall() - began

    def _take_sample(self, *loads: Load) -> None:
        self._samples.append(loads)
        for load, what in zip(loads, ("an item", "a result"), strict=True):
            if load.stuck is not None:
                self._stuck = f"{what} ({load.stuck})"

    def let_go(self) -> None:
        """Keep no item and no result any longer: nothing more is asked that would need one."""
        self._unsure = None
        if self._state is not None:
            self._state.let_go()

    # ── what came out ──────────────────────────────────────────────────────────────────────────────────────────

    def facts(self, sure: bool = False, leaves: bool = True) -> Facts:
        """All that was measured until now.

        Args:
            sure: find out also whether the very last items have changed the function's state, and, if it `leaves`, what
                costs some milliseconds. To be asked before somebody acts on it; else that is found out once enough time
                was spent in the function.
            leaves: it may go to another address space: can it, can its items, can it go into a sub-interpreter?
        """
        if sure:
            self._look()
        if sure and leaves and self._unsure is not None:
            items, values = self._unsure
            self._unsure = None
            self._take_sample(weigh_each(items, inf), weigh_each(values, inf))
        if not self._stuck_known and ((sure and leaves) or self._total.wall >= self._worth_pickling()):
            self._stuck_known = True
            reason = why_stuck(self._fn)
            if reason is not None:
                self._stuck = f"the function ({reason})"
            elif sys.version_info >= (3, 14):  # where there are such interpreters
                self._unloadable = why_unloadable(self._fn)
        part = self._total
        if self._first is not None and part.items > 1:
            part = part.since(self._first)
        return self._facts(part)

    def _worth_pickling(self) -> float:
        return WORTH_TELLING if cloudpickle_is_loaded() else WORTH_CLOUDPICKLE

    def _facts(self, part: Reading) -> Facts:
        count = max(1, part.items)
        wall = part.wall / count
        variance = max(0.0, part.squares / count - wall * wall)
        cpu, process_cpu = part.cpu / count, max(part.cpu, part.process_cpu) / count
        queued = part.queued / count
        waiting = min(1.0, max(0.0, 1 - (cpu + queued) / wall)) if wall else 0.0
        hidden = (process_cpu - cpu) / wall if part.wall >= WORTH_TELLING else 0.0
        seen = part.watch.watched >= WORTH_TELLING or part.watch.beats >= FEW
        first = self._first.wall - wall if self._first is not None and self._total.items > 1 else 0.0
        samples, weighed = self._samples, max(1, len(self._samples))
        return Facts(
            items=self._total.items,
            wall=wall,
            spread=variance**0.5 / wall if wall else 0.0,
            cpu=cpu,
            process_cpu=process_cpu,
            gil_held=part.watch.share(waiting) if seen else None,
            waiting=waiting,
            args_bytes=sum(item.size for item, _ in samples) / weighed,
            results_bytes=sum(result.size for _, result in samples) / weighed,
            pickle=sum(item.seconds + result.seconds for item, result in samples) / weighed,
            unpicklable=self._stuck,
            mutates=self._mutates,
            hidden_threads=hidden if hidden >= HIDDEN else 0.0,
            is_async=self._is_async,
            beats=part.watch.beats,
            weighed=len(samples),
            queued=queued,
            unloadable=self._unloadable,
            first=max(0.0, first),
        )


def _squares(marks: list[float], group: int, count: int) -> float:
    """Of so many items' wall times: those of a group are taken to be alike. The last group may be smaller."""
    *times, last = (after - before for before, after in itertools.pairwise(marks))
    return sum(each * each for each in times) / group + last * last / (count - group * len(times))
