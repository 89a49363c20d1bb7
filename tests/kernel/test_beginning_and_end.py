"""No scope waits for a task that can't end, whatever goes wrong as it begins or ends."""

import logging
from typing import Any

import pytest

import potok
from potok.kernel import pool, root


def park() -> None:
    potok.Event().wait()


def nothing(*_: Any) -> None:
    pass


@pytest.mark.parametrize("on", ["threads", "coroutines"])
def test_a_task_started_under_a_cancelled_outer_scope_is_cancelled(on: str) -> None:
    """The cancellation came before the start, and to another scope than the task's own."""
    with potok.scope(on=on) as outer, potok.scope(on=on) as inner:
        outer.cancel("over")
        task = inner.start(park)
    with pytest.raises(potok.TaskCancelled, match="over"):
        task.result()


def test_a_cancellation_between_joining_the_scope_and_beginning_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It finds a task that no kernel has yet."""
    begin = pool.PooledThreads.start

    def start(self: Any, task: Any) -> None:
        scope.cancel("early")
        begin(self, task)

    monkeypatch.setattr(pool.PooledThreads, "start", start)
    with potok.scope(on="threads") as scope:
        task = scope.start(park)
    with pytest.raises(potok.TaskCancelled, match="early"):
        task.result()


def test_a_task_that_can_not_be_started_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is to be had: start says so, the ends it had taken close, and the scope comes to its end."""

    def take(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool.Pool, "take", take)
    tx, rx = potok.channel()
    with potok.scope(on="threads") as scope, rx:
        with pytest.raises(RuntimeError, match="new thread"):
            scope.start(nothing, tx)
        tx.close()
        with pytest.raises(potok.ClosedError):
            rx.recv()


def test_undelivered_that_raises_is_the_failure_of_the_task_that_closed() -> None:
    """Every item is reported all the same, and the task ends."""
    reported = []

    def undelivered(item: int) -> None:
        reported.append(item)
        raise ValueError(item)

    tx, rx = potok.channel(2, undelivered=undelivered)
    tx.send(1)
    tx.send(2)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on="threads") as scope:  # noqa: PT012 - the block is the case
        scope.start(nothing, rx)
        rx.close()
    assert [str(error) for error in caught.value.exceptions] == ["1"]
    assert reported == [1, 2]
    tx.close()


def test_an_item_sent_as_the_last_receiver_closes_is_reported() -> None:
    """The short cut of a send finds out after it has put the item into the buffer."""
    reported: list[int] = []
    tx, rx = potok.channel(1, undelivered=reported.append)
    tx.send(0)
    assert rx.recv() == 0  # from now on there is a permit, and the short cut is taken
    machine = tx._end.machine

    class Closing(type(machine.buffer)):  # type: ignore[misc]
        def append(self, item: int) -> None:
            rx.close()
            super().append(item)

    machine.buffer = Closing()
    tx.send(1)
    assert reported == [1]
    tx.close()


def test_an_except_hook_that_raises_does_not_keep_the_task_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that the failure could not be reported."""

    def hook(task: Any, error: BaseException) -> None:
        raise OSError("no stderr")

    def fail() -> None:
        raise ValueError

    monkeypatch.setattr(root, "except_hook", hook)
    with caplog.at_level(logging.ERROR, "potok"):
        assert potok.start(fail).join(timeout=60)
    assert "could not be reported" in caplog.text


def test_select_names_the_arm_that_is_closed_though_a_sender_had_given_up_there() -> None:
    """What a send that timed out has left behind is not taken for an item."""
    tx, rx = potok.channel()
    with pytest.raises(TimeoutError):
        tx.send(1, timeout=0)
    tx.close()
    with pytest.raises(potok.ClosedError) as caught, rx:
        potok.select(rx)
    assert caught.value.arm is rx
