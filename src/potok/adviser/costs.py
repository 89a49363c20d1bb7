"""What it costs to have an item worked on elsewhere, and what there is here to do it: what `model` knows of a machine.

seconds of a map = start-up + items · what `model.predict` makes of the function and of these figures
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DEFAULT_COSTS", "EXECUTORS", "Cost", "Costs", "Machine"]

EXECUTORS: Final = ("inline", "coroutines", "threads", "interpreters", "processes")
"""Those that can be advised; of two that are as good as each other, the earlier one."""


class Cost(NamedTuple):
    """Seconds."""

    cold: float = 0.0
    """From the first item to its result, where nothing was started yet."""
    warm: float = 0.0
    """The same with idle workers left from before."""
    item: float = 0.0
    """For each item, in the task that reads the results."""
    batch: float = 0.0
    """For each message with items, whatever is in it."""
    byte: float = 0.0
    """For each byte on its way, beside what the probe has counted for pickling and copying it."""


class Costs(NamedTuple):
    """The costs of each executor."""

    inline: Cost
    coroutines: Cost
    threads: Cost
    interpreters: Cost
    processes: Cost

    def of(self, executor: str) -> Cost:
        """Those of one."""
        return self[EXECUTORS.index(executor)]

    def corrected(self, executor: str, *, warm: bool = False, **measured: float) -> Costs:
        """With what a run has told about one of them: half-way towards it, as one run is one sample.

        Args:
            executor: whose.
            warm: there were idle workers: `startup` says what that takes.
            **measured: seconds, of `startup`, `item`, `batch`, `byte`.

        Raises: ValueError for what is no such cost, or is negative.
        """
        old = self.of(executor)
        new: dict[str, float] = {}
        for name, seconds in measured.items():
            field = ("warm" if warm else "cold") if name == "startup" else name
            if field not in ("cold", "warm", "item", "batch", "byte") or not seconds >= 0:
                raise ValueError(
                    f"{name}={seconds!r} is no cost: say seconds >= 0 of startup, item, batch or byte"
                )
            new[field] = (getattr(old, field) + seconds) / 2
        return self._replace(**{executor: old._replace(**new)})


DEFAULT_COSTS: Final = Costs(
    inline=Cost(),
    coroutines=Cost(cold=0.022, warm=0.0003, item=7.8e-6),
    threads=Cost(cold=0.006, warm=0.0002, item=8e-6, batch=6e-5),
    interpreters=Cost(cold=0.22, warm=0.002, item=0.3e-6, batch=3.5e-4, byte=0.03e-9),
    processes=Cost(cold=0.12, warm=0.002, item=0.3e-6, batch=3.5e-4, byte=0.03e-9),
)
"""Source: `benchmarks/auto_costs.py` on 2 cores, Python 3.11.7; the least of a few runs, on a machine that others used
as well. Interpreters: on 3.14, where but for `cold` they were as good as processes, within the noise.

Processes are there after 0.07 s on a quiet machine, 0.03 more for a function that goes by value, and 0.2 on a busy one:
`cold` is between them. Twice as much has kept in the loop what has 0.3 s left, where the quiet machine does better.

What the plain loop takes is taken off. `byte`: 0.43 ns were measured there and back; 0.4 are in `Facts.pickle`.
"""


class Machine(NamedTuple):
    """Where the map runs."""

    cores: int
    free_threaded: bool  # no GIL is on
    executors: tuple[str, ...]  # those that work here
    costs: Costs = DEFAULT_COSTS
    warm: tuple[str, ...] = ()  # those that have idle workers

    def startup(self, executor: str) -> float:
        """Seconds until the first worker of this executor is there."""
        cost = self.costs.of(executor)
        return cost.warm if executor in self.warm else cost.cold
