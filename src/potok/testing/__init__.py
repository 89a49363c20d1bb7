"""Tests of concurrent programs without sleeping: wait until all tasks are parked, order steps, check an executor.

`potok.testing.conformance`, which needs pytest, holds the behaviour that every executor must show.
"""

from potok.primitives.executors import simulated
from potok.testing.parked import await_all_parked, wait_all_parked
from potok.testing.sequencer import Sequencer

__all__ = ["Sequencer", "await_all_parked", "simulated", "wait_all_parked"]
