"""References between address spaces are counted in one step, whatever other threads let go meanwhile."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import potok
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
