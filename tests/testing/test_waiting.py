"""`potok.testing` itself: waiting until all are parked, ordering steps, and what a third party's suite is made of."""

import threading

import pytest

import potok
from potok.testing import Sequencer, await_all_parked, simulated, wait_all_parked
from potok.testing.conformance import CAPABILITIES, Target


def test_all_parked_at_once_when_there_is_nobody_else() -> None:
    """The caller itself does not count."""
    wait_all_parked()
    potok.run(wait_all_parked, on="coroutines")
    potok.run(await_all_parked, on="coroutines")


def test_all_parked_names_who_still_runs() -> None:
    """A task that waits outside of potok runs, in potok's eyes: after the time-out it is named."""
    go_on = threading.Event()
    with potok.scope(on="threads") as s:
        s.start(go_on.wait, name="busy")
        with pytest.raises(TimeoutError, match="busy"):
            wait_all_parked(timeout=0.02)
        go_on.set()


def test_all_parked_counts_sleepers_as_parked() -> None:
    """They go on by themselves, but not soon: waiting for them would be waiting for time to pass."""
    with potok.scope(on="threads") as s:
        task = s.start(potok.sleep, 3600)
        wait_all_parked()
        task.cancel()


def test_all_parked_moves_no_virtual_time() -> None:
    """On *simulated* it waits for turns, never for the clock."""
    times = []

    def main() -> None:
        with potok.scope() as s:
            task = s.start(potok.sleep, 1)
            for _ in range(3):
                wait_all_parked()
                times.append(task.done())
            potok.sleep(2)
            times.append(task.done())

    potok.run(main, on=simulated(seed=1))
    assert times == [False, False, False, True]


def test_sequencer_takes_each_number_once() -> None:
    """A number that is negative or was used is refused."""
    sequence = Sequencer()
    with sequence(0):
        pass
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=str(wrong)):
            sequence(wrong)


def test_sequencer_goes_on_after_a_step_that_fails() -> None:
    """The next step runs though this one raised."""
    sequence = Sequencer()
    with pytest.raises(LookupError), sequence(0):
        raise LookupError
    with sequence(1):
        pass


def test_target_refuses_unknown_capabilities() -> None:
    """A typing error would silently run, or skip, the wrong tests."""
    with pytest.raises(ValueError, match="parkin"):
        Target("threads", lacks={"parkin"})
    assert "parking" in CAPABILITIES
