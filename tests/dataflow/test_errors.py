"""What goes wrong in an item, in the input and in the arguments: who hears of it, when, and what goes on."""

import asyncio
import gc
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import potok


def picky(x: int) -> int:
    if x % 10 == 3:
        raise ValueError(f"no {x}, please")
    return x


async def apicky(x: int) -> int:
    return picky(x)


def numbers_then_error(count: int) -> Iterator[int]:
    yield from range(count)
    raise OSError("the input broke")


@pytest.mark.parametrize("fn", [picky, apicky])
@pytest.mark.stress
def test_error_is_raised_bare_in_its_turn(on: str, fn: Callable[[int], Any]) -> None:
    """The results before it come first; then the item's own error, with a note that names the item."""
    results = potok.map(fn, range(100), on=on, workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="no 3, please") as caught:
        next(results)
    assert caught.value.__notes__[-1] == "in potok.map: item 3 (3)"
    assert list(results) == []


@pytest.mark.parametrize("fn", [picky, apicky])
@pytest.mark.stress
def test_errors_in_place_of_results(on: str, fn: Callable[[int], Any]) -> None:
    results = list(potok.map(fn, range(20), on=on, workers=3, on_error="return"))
    bad = [(at, r) for at, r in enumerate(results) if isinstance(r, potok.BadItem)]
    assert [at for at, _ in bad] == [3, 13]
    assert [(r.index, r.item, str(r.error), r.attempts) for _, r in bad] == [
        (3, 3, "no 3, please", 1),
        (13, 13, "no 13, please", 1),
    ]
    assert [r for r in results if not isinstance(r, potok.BadItem)] == [x for x in range(20) if x % 10 != 3]


async def late(_: int) -> None:
    with potok.timeout(0.001):
        await potok.asleep(60)


@pytest.mark.parametrize("timeout", [None, 60])
def test_time_out_of_the_function_itself_is_not_taken_for_that_of_the_map(
    pooled: str, timeout: float | None
) -> None:
    (bad,) = potok.map(late, [1], on=pooled, timeout=timeout, on_error="return")
    assert isinstance(bad.error, TimeoutError)
    assert "timeout= of potok.map" not in str(bad.error)


def test_bad_item_of_several_iterables_holds_the_arguments(on: str) -> None:
    (bad,) = potok.map(divmod, [7], [0], on=on, on_error="return")
    assert bad.item == (7, 0)
    assert isinstance(bad.error, ZeroDivisionError)


def test_traceback_shows_the_function_and_not_the_worker(on_near: str) -> None:
    """What the user sees: where it was read, then where it failed."""
    try:
        list(potok.map(picky, [3], on=on_near))
    except ValueError as error:
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-1] == "picky"
    assert not {"_work", "_awork", "apply", "aapply", "take"} & set(names)


def test_error_of_an_item_keeps_no_item_alive(on_near: str) -> None:
    """A BadItem that is kept keeps its own item, not the worker's next ones."""

    class Item:
        pass

    def fail_first(item: Item) -> None:
        if item is first:
            raise ValueError

    first, second = Item(), Item()
    ref = weakref.ref(second)
    with potok.map(fail_first, iter([first, second]), on=on_near, on_error="return", workers=1) as results:
        bad = list(results)
    del second, results
    gc.collect()
    assert isinstance(bad[0], potok.BadItem)
    assert ref() is None


def test_error_stops_pulling(pooled: str) -> None:
    """An error cancels the rest: what was not pulled yet never is."""
    pulled = []

    def items() -> Iterator[int]:
        for x in range(1000):
            pulled.append(x)
            yield x

    with pytest.raises(ValueError, match="no 3"):
        list(potok.map(picky, items(), on=pooled, workers=2, window=5))
    assert len(pulled) <= 3 + 5


def test_error_cancels_what_still_runs(near: str) -> None:
    """Others are told at their next park point; leaving the `with` block waits for that."""
    begun, ended = potok.Event(), []

    def work(x: int) -> None:
        if x == 0:
            begun.wait()
            raise ValueError("first")
        begun.set()
        try:
            potok.Event().wait()
        except potok.Cancelled as reason:
            ended.append(str(reason))
            raise

    with pytest.raises(ValueError, match="first"), potok.map(work, range(2), on=near, workers=2) as results:
        list(results)
    assert ended == ["cancelled: its map has ended"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_programs_is_never_a_value(on: str, error: type[BaseException]) -> None:
    """KeyboardInterrupt and the like leave bare, also with `on_error="return"`."""

    def work(_: int) -> None:
        raise error

    with pytest.raises(error):
        list(potok.map(work, [1], on=on, on_error="return"))


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_stop_iteration_of_the_function_ends_no_loop(on: str, error: type[Exception]) -> None:
    """It is a RuntimeError, as it would be in a generator; not a silent end of the results."""

    def work(_: int) -> None:
        raise error

    with pytest.raises(RuntimeError, match=error.__name__) as caught:
        list(potok.map(work, [1], on=on))
    assert isinstance(caught.value.__cause__, error)

    async def main() -> list[Any]:
        return [r async for r in potok.map(work, [1], on=on)]

    with pytest.raises(RuntimeError, match=error.__name__):
        potok.run(main)


def test_function_that_cancels_itself_fails_its_item_only(pooled: str) -> None:
    """An ordinary error, and not the end of the map, even if every worker goes that way."""

    def work(x: int) -> int:
        if x % 2:
            potok.current_task().cancel("odd")
            potok.checkpoint()
        return x

    results = list(potok.map(work, range(12), on=pooled, workers=2, on_error="return"))
    assert [r for r in results if not isinstance(r, potok.BadItem)] == [0, 2, 4, 6, 8, 10]
    assert all(isinstance(r.error, potok.TaskCancelled) for r in results if isinstance(r, potok.BadItem))


def test_coroutine_that_is_cancelled_from_within_fails_its_item_only() -> None:
    """asyncio's CancelledError of a function is not the consumer's."""

    async def work(_: int) -> None:
        raise asyncio.CancelledError

    (bad,) = potok.map(work, [1], on_error="return")
    assert isinstance(bad.error, potok.TaskCancelled)


def test_def_function_that_returns_a_coroutine_is_found_out(on: str) -> None:
    """`lambda x: fetch(x)` would leave a coroutine that nobody awaits."""
    with pytest.raises(TypeError, match="returned a coroutine"):
        list(potok.map(lambda x: apicky(x + 1), [1], on=on))


@pytest.mark.parametrize("ordered", [True, False])
def test_error_of_the_input_comes_after_what_was_pulled(on: str, ordered: bool) -> None:
    """As in the plain loop: all results that are due, then the input's own error, once."""
    results = potok.map(lambda x: x, numbers_then_error(5), on=on, ordered=ordered, workers=2)
    got: list[int] = []
    with pytest.raises(OSError, match="the input broke"):
        got.extend(results)  # what came before the error stays
    assert sorted(got) == [0, 1, 2, 3, 4]
    assert list(results) == []


def test_error_of_the_input_before_the_first_item(on: str) -> None:
    with pytest.raises(OSError, match="the input broke"):
        list(potok.map(picky, numbers_then_error(0), on=on))


def test_error_of_an_item_comes_before_the_inputs(pooled: str) -> None:
    with pytest.raises(ValueError, match="no 3"):
        list(potok.map(picky, numbers_then_error(5), on=pooled))


def test_interrupt_while_pulling_is_not_kept(on: str) -> None:
    """KeyboardInterrupt in the input is raised at once, results due or not."""

    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    results = potok.map(lambda x: x, items(), on=on, window=1)
    assert next(results) == 1
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize(
    ("arguments", "options", "error", "named"),
    [
        ((picky,), {}, TypeError, "at least one iterable"),
        ((None, [1]), {}, TypeError, "function first, not None"),
        ((picky(1), [1]), {}, TypeError, "called already"),
        ((picky, 5), {}, TypeError, "iterable 1 .* 5"),
        ((picky, [1], None), {}, TypeError, "iterable 2 .* None"),
        ((picky, [1]), {"on": "clouds"}, ValueError, "'clouds'"),
        ((picky, [1]), {"on": 7}, TypeError, "on must be"),
        ((picky, [1]), {"workers": 0}, ValueError, "workers must be >= 1, not 0"),
        ((picky, [1]), {"workers": 2.0}, TypeError, "workers must be"),
        ((picky, [1]), {"workers": True}, TypeError, "workers must be"),
        ((picky, [1]), {"window": -1}, ValueError, "window must be >= 1, not -1"),
        ((picky, [1]), {"window": "big"}, TypeError, "window must be .* 'big'"),
        ((picky, [1]), {"window": None}, TypeError, "window must be"),
        ((picky, [1]), {"on_error": "ignore"}, ValueError, "on_error must be .* 'ignore'"),
        ((picky, [1]), {"progress": "yes"}, TypeError, "progress must be"),
        ((picky, [1]), {"batch": 0}, ValueError, "batch must be >= 1, not 0"),
        ((picky, [1]), {"batch": "big"}, TypeError, "batch must be .* 'big'"),
        ((picky, [1]), {"retries": -1}, ValueError, "retries must be >= 0, not -1"),
        ((picky, [1]), {"retries": 1.5}, TypeError, "retries must be"),
        ((picky, [1]), {"timeout": 0}, ValueError, "timeout must be > 0 and finite, not 0"),
        ((picky, [1]), {"timeout": "1s"}, TypeError, "timeout must be .* '1s'"),
        ((picky, [1]), {"rate": float("inf")}, ValueError, "rate must be > 0 and finite, not inf"),
        ((picky, [1]), {"rate": True}, TypeError, "rate must be"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        potok.map(*arguments, **options)


def test_async_iterable_is_refused() -> None:
    class Async:
        def __aiter__(self) -> "Async":
            return self

    with pytest.raises(TypeError, match="async iterable"):
        potok.map(picky, Async())  # type: ignore[arg-type]


def test_item_that_cannot_be_copied_to_an_isolated_thread() -> None:
    """What is raised says so."""
    with pytest.raises(potok.PotokError, match="isolate=True"):
        list(potok.map(picky, [1, threading.Lock()], on=potok.threads(isolate=True)))


def raise_it(error: BaseException) -> None:
    raise error


async def araise_it(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("fn", [raise_it, araise_it])
@pytest.mark.parametrize("error", [potok.Cancelled("of old"), asyncio.CancelledError("of old")])
def test_cancellation_that_a_function_raises_is_an_ordinary_error(
    on: str, fn: Callable[[Any], Any], error: BaseException
) -> None:
    """It is not taken for the reader's own, in either colour."""

    async def read() -> list[Any]:
        return [got async for got in potok.map(fn, [error], on=on, on_error="return")]

    for (bad,) in (
        list(potok.map(fn, [error], on=on, on_error="return")),
        potok.run(read),
        asyncio.run(read()),
    ):
        assert isinstance(bad.error, potok.TaskCancelled)
        assert "of old" in str(bad.error)
