"""Tests of concurrent programs without sleeping: wait until all tasks are parked, order steps, check an executor."""

from potok.executors.simulated import RandomStrategy, ReplayStrategy, Simulated, Strategy
from potok.testing.parked import await_all_parked, wait_all_parked
from potok.testing.sequencer import Sequencer

__all__ = [
    "RandomStrategy",
    "ReplayStrategy",
    "Sequencer",
    "Strategy",
    "await_all_parked",
    "simulated",
    "wait_all_parked",
]


def simulated(strategy: Strategy | int = 0) -> Simulated:
    """The executor on which all tasks share one thread, virtual time, and a schedule that a strategy chooses.

    Args:
        strategy: who chooses; a number is the seed of a random one.
    """
    return Simulated(RandomStrategy(strategy) if isinstance(strategy, int) else strategy)
