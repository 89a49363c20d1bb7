"""References between address spaces are counted in one step, whatever other threads let go meanwhile."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import potok
from potok.kernel.current import carrier
from potok.remote.home import home


class Meanwhile:
    """A lock, and what another thread does as it is given back for the first time."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.lock = threading.Lock()
        self.do: Any = do

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()
        do, self.do = self.do, None
        if do is not None:
            do()


@pytest.fixture
def _lock() -> Iterator[None]:
    former = home._lock
    yield
    home._lock = former


@pytest.mark.usefixtures("_lock")
def test_reference_that_is_made_as_the_last_other_is_let_go() -> None:
    """It refers to the object all the same; and the end that it refers to is open."""
    tx, rx = potok.channel()
    end = tx._end
    former = home.refer(end)
    end.orphan = True  # nobody here has it
    home._lock = Meanwhile(lambda: home.let_go(former, 1))  # type: ignore[assignment]
    ref = home.refer(end)
    assert home.thing(ref[1]) is end
    assert not end.closed
    home.let_go(ref, 1)
    assert end.closed
    with pytest.raises(KeyError):
        home.thing(ref[1])
    rx.close()


def test_reference_is_counted_while_another_thread_is_inside_of_the_channel() -> None:
    """From inside of a machine, too, where nobody may wait: of the channel by which an item with the end is shipped."""
    ends, other = potok.channel(), potok.channel()
    end = ends[0]._end
    ref = home.refer(end)
    entered, left = threading.Event(), threading.Event()

    def stay() -> None:
        entered.set()
        left.wait(20)

    thread = threading.Thread(target=lambda: end.machine.guard.run(carrier(), stay))
    thread.start()
    entered.wait(20)
    other[0]._end.machine.guard.run(carrier(), home.hold, ref)
    left.set()
    thread.join()
    assert end.held == 2
    home.let_go(ref, 2)
    for handle in (*ends, *other):
        handle.close()
