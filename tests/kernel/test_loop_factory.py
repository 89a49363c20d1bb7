"""A `loop_factory` that raises: whoever needs the loop is told, and nobody waits for ever."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import potok


def no_loop() -> Any:
    raise OSError("no more descriptors")


async def double(n: int) -> int:
    return 2 * n


def awaits(n: int) -> int:
    coroutine = double(n)
    try:
        return potok.await_(coroutine)
    finally:
        coroutine.close()


@pytest.fixture(name="on")
def coroutines_without_a_loop() -> Any:
    return potok.coroutines(loop_factory=no_loop)


@pytest.mark.parametrize("needs", [double, awaits], ids=["async-def", "await_"])
def test_task_fails_that_needs_the_loop(
    on: Any, needs: Callable[[int], Coroutine[Any, Any, int] | int]
) -> None:
    with pytest.raises(OSError, match="no more descriptors"):
        potok.run(needs, 1, on=on)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=on) as s:
        s.start(needs, 1)
    assert caught.group_contains(OSError, match="no more descriptors")


def test_started_task_fails_and_the_next_runs(on: Any) -> None:
    with pytest.raises(OSError, match="no more descriptors"):
        potok.start(double, 1, on=on).result()
    assert potok.start(abs, -1, on=on).result() == 1


def test_what_needs_no_loop_runs_beside_it(on: Any) -> None:
    tasks: list[potok.Task[Any]] = []

    def start_three() -> None:
        with potok.scope(on=on, on_fail="collect") as s:
            tasks[:] = s.start(potok.sleep, 0.001), s.start(double, 1), s.start(abs, -1)

    with pytest.raises(ExceptionGroup) as caught:
        start_three()
    waits, fails, counts = tasks
    assert [type(error) for error in caught.value.exceptions] == [OSError]
    assert (waits.result(), counts.result()) == (None, 1)
    assert isinstance(fails.exception(), OSError)


def test_what_can_not_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"loop_factory must be callable, like uvloop\.new_event_loop, not 3"):
        potok.coroutines(loop_factory=3)  # type: ignore[arg-type]
