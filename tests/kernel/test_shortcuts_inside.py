"""The mutex-free short cuts of a channel, taken by a finalizer that interrupts that very channel: nothing is lost."""

import potok
import potok.testing
from potok.kernel.current import carrier


def test_a_receive_inside_frees_the_place_as_that_is_left() -> None:
    """A parked sender gets it."""
    tx, rx = potok.channel(1)
    with potok.scope(on="threads") as scope:
        tx.send(1)
        scope.start(tx.clone().send, 2)
        potok.testing.wait_all_parked()
        assert rx._end.machine.guard.run(carrier(), rx.recv) == 1
        assert rx.recv() == 2
    tx.close()
    rx.close()


def test_a_send_inside_reaches_the_receiver_as_that_is_left() -> None:
    """It is sent, though nobody can be woken just then."""
    tx, rx = potok.channel(1)
    tx.send(0)
    assert rx.recv() == 0, "now a place has been used and is free again"
    with potok.scope(on="threads") as scope:
        receiver = scope.start(rx.clone().recv)
        potok.testing.wait_all_parked()
        tx._end.machine.guard.run(carrier(), tx.send, 1)
        assert receiver.result() == 1
    tx.close()
    rx.close()
