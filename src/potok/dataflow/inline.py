"""A map on *inline*: the plain loop. Nothing is pulled ahead, nothing is started."""

from __future__ import annotations

import potok
from potok.dataflow.plan import Intake, Outcome, Plan

__all__ = ["Inline"]


class Inline:
    """Each item is worked on as its result is asked for, in the task that asks. Between items is a park point."""

    __slots__ = ("_begun", "_intake", "_plan")

    def __init__(self, plan: Plan, intake: Intake) -> None:
        self._plan = plan
        self._intake = intake
        self._begun = False

    def take(self) -> Outcome | None:
        """The next outcome; None at the end of the input."""
        if not self._begun:
            potok.sleep(0)  # refuses to block an async def task, as the other executors do
            self._begun = True
        potok.checkpoint()
        job = self._intake.pull()
        if job is None:
            self._intake.end()
            return None
        if self._plan.is_async:
            return potok.run(self._plan.aapply, job, on="inline")  # type: ignore[no-any-return]
        return self._plan.apply(job)

    async def atake(self) -> Outcome | None:
        """The awaitable spelling of `take`."""
        potok.checkpoint()
        job = self._intake.pull()
        if job is None:
            self._intake.end()
            return None
        return await self._plan.aapply(job) if self._plan.is_async else self._plan.apply(job)

    def let_go(self) -> None:
        """Pull no more."""
        self._intake.close()

    def join(self) -> None:
        """Nothing runs on its own."""

    async def ajoin(self) -> None:
        """Nothing runs on its own."""
