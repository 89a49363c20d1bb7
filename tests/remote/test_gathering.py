"""What the board gathers goes soon, and nobody who may not block waits for it."""

import threading
from collections.abc import Iterator

import pytest

from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.remote.board import Board


@pytest.fixture
def unled() -> Iterator[Board]:
    """A board that nobody leads."""
    board = Board()
    yield board
    board._polls.close()
    board._ear.close()
    board._bell.close()


def test_who_is_inside_of_a_machine_does_not_wait_for_who_lets_flow(unled: Board) -> None:
    """Another thread lets flow, and waits for that very machine: a finalizer that speaks leaves it to who leads."""
    guard, begun = Guard(None), threading.Event()

    def go() -> None:
        begun.set()
        guard.run(carrier(), gone.append, True)

    gone: list[bool] = []
    unled.gathered.append(go)
    other = threading.Thread(target=unled.let_flow, daemon=True)

    def finalize() -> None:
        other.start()
        begun.wait()
        unled.let_flow()

    # Not in this thread: a handler may raise in it, so it lets nothing flow itself.
    inside = threading.Thread(target=lambda: guard.run(carrier(), finalize), daemon=True)
    inside.start()
    for thread in (inside, other):
        thread.join(30)
        assert not thread.is_alive(), "they wait for each other"
    assert gone == [True]
    assert list(unled._calls) == [unled.let_flow]
