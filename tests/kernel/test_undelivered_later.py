"""`undelivered` is called for what a close drops, also where the close came while its thread was inside a machine."""

import threading

import pytest

import potok
from potok.kernel.current import carrier


def test_a_close_inside_another_machine_is_reported_as_that_is_left() -> None:
    """As a finalizer would that interrupts an operation on another channel."""
    lost: list[int] = []
    tx, rx = potok.channel(2, undelivered=lost.append)
    other_tx, other = potok.channel()
    tx.send(1)
    tx.send(2)

    def interrupted() -> list[int]:
        rx.close()
        return [*lost]

    assert other._end.machine.guard.run(carrier(), interrupted) == [], "the user's code must not run inside"
    assert lost == [1, 2]
    for end in (tx, other_tx, other):
        end.close()


def test_a_close_inside_the_same_machine_is_reported_as_that_is_left() -> None:
    """Then the close itself waits until then."""
    lost: list[int] = []
    tx, rx = potok.channel(2, undelivered=lost.append)
    tx.send(1)
    assert rx._end.machine.guard.run(carrier(), lambda: (rx.close(), [*lost])[1]) == []
    assert lost == [1]
    tx.close()


def test_a_close_that_another_thread_has_to_run_is_reported_by_it() -> None:
    """The channel is in use by another thread: that closes it, and reports, as it leaves."""
    reported_by: list[str] = []
    tx, rx = potok.channel(2, undelivered=lambda item: reported_by.append(threading.current_thread().name))
    other_tx, other = potok.channel()
    tx.send(1)
    inside, done = threading.Event(), threading.Event()
    guard = rx._end.machine.guard

    def hold() -> None:
        guard.run(carrier(), lambda: (inside.set(), done.wait(60)))

    holder = threading.Thread(target=hold, name="holder")
    holder.start()
    assert inside.wait(60)
    other._end.machine.guard.run(carrier(), rx.close)
    assert reported_by == []
    done.set()
    holder.join()
    assert reported_by == ["holder"]
    for end in (tx, other_tx, other):
        end.close()


def test_a_failing_callback_is_logged_where_nobody_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """The operation that was interrupted has nothing to do with it."""

    def fail(item: int) -> None:
        raise ValueError(item)

    tx, rx = potok.channel(2, undelivered=fail)
    other_tx, other = potok.channel()
    tx.send(7)
    assert other._end.machine.guard.run(carrier(), lambda: rx.close() or "goes on") == "goes on"
    assert "ValueError: 7" in caplog.text
    for end in (tx, other_tx, other):
        end.close()


def test_a_callback_that_fails_as_the_body_ends_is_the_bodys_failure() -> None:
    """The scope is left all the same, after its tasks: nothing of it stays behind."""

    def fail(item: int) -> None:
        raise ValueError(item)

    tx, rx = potok.channel(2, undelivered=fail)
    tx.send(1)
    tx.send(2)
    tasks: list[potok.Task[object]] = []

    def body() -> None:
        with potok.scope(on="threads") as scope:
            tasks.append(scope.start(rx.recv))
            tasks[0].join()
            scope.start(receive_nothing, rx).join()

    with pytest.raises(ExceptionGroup) as caught:
        body()
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError(2)"]
    assert tasks[0].done()
    potok.checkpoint()
    with potok.scope(on="threads") as scope:
        assert scope.start(abs, -1).result() == 1
    tx.close()


def receive_nothing(rx: potok.Receiver[int]) -> None:
    """Have it, and end."""
