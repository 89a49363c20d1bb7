"""`potok.map` gives what the built-in gives, on every executor, in both colours of function and of caller."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import potok


def double(x: int) -> int:
    return 2 * x


async def adouble(x: int) -> int:
    return 2 * x


async def slow_adouble(x: int) -> int:
    await potok.asleep(0)
    return 2 * x


class Doubler:
    def __call__(self, x: int) -> int:
        return 2 * x


class AsyncDoubler:
    async def __call__(self, x: int) -> int:
        return 2 * x


def fail_on(bad: int, x: int) -> int:
    if x == bad:
        raise ValueError(f"no {x}, please")
    return x


async def afail_on(bad: int, x: int) -> int:
    return fail_on(bad, x)


def gather(results: Any) -> list[Any]:
    """Read all results in a plain `def`."""
    return list(results)


async def agather(results: Any) -> list[Any]:
    return [result async for result in results]


def in_this_thread(make: Callable[[], Any]) -> list[Any]:
    return gather(make())


def in_threads_scope(make: Callable[[], Any]) -> list[Any]:
    with potok.scope(on="threads"):
        return gather(make())


def in_coroutines_scope(make: Callable[[], Any]) -> list[Any]:
    with potok.scope(on="coroutines"):
        return gather(make())


def in_def_task(make: Callable[[], Any], on: str) -> list[Any]:
    return potok.run(lambda: gather(make()), on=on)  # type: ignore[no-any-return]


def in_async_task(make: Callable[[], Any], on: str) -> list[Any]:
    async def main() -> list[Any]:
        return await agather(make())

    return potok.run(main, on=on)  # type: ignore[no-any-return]


def in_async_scope(make: Callable[[], Any], on: str) -> list[Any]:
    async def main() -> list[Any]:
        async with potok.scope():
            return await agather(make())

    return potok.run(main, on=on)  # type: ignore[no-any-return]


def in_root_task(make: Callable[[], Any], on: str) -> list[Any]:
    return potok.start(lambda: gather(make()), on=on).result()  # type: ignore[no-any-return]


def in_asyncio(make: Callable[[], Any]) -> list[Any]:
    import asyncio

    return asyncio.run(agather(make()))


def in_asyncio_scope(make: Callable[[], Any]) -> list[Any]:
    import asyncio

    async def main() -> list[Any]:
        async with potok.scope():
            return await agather(make())

    return asyncio.run(main())


CALLERS: dict[str, Callable[[Callable[[], Any]], list[Any]]] = {
    "plain": in_this_thread,
    "threads scope": in_threads_scope,
    "coroutines scope": in_coroutines_scope,
    "def task on coroutines": partial(in_def_task, on="coroutines"),
    "def task on threads": partial(in_def_task, on="threads"),
    "async task on coroutines": partial(in_async_task, on="coroutines"),
    "async task on threads": partial(in_async_task, on="threads"),
    "async scope on coroutines": partial(in_async_scope, on="coroutines"),
    "async scope on threads": partial(in_async_scope, on="threads"),
    "root task on threads": partial(in_root_task, on="threads"),
    "root task on coroutines": partial(in_root_task, on="coroutines"),
    "asyncio": in_asyncio,
    "asyncio scope": in_asyncio_scope,
}


@pytest.mark.parametrize("fn", [double, adouble, slow_adouble], ids=lambda fn: fn.__name__)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.stress
def test_map_is_map(caller: str, fn: Callable[[int], Any], on: str) -> None:
    """Whoever asks, in whatever colour: the results of the plain loop, in its order."""
    if on == "inline" and fn is slow_adouble and "async" not in caller:
        pytest.skip("a coroutine that waits has nobody to wake it on inline")
    got = CALLERS[caller](lambda: potok.map(fn, range(30), on=on, workers=3))
    assert got == [2 * x for x in range(30)]


@pytest.mark.parametrize(
    ("fn", "item", "expected"),
    [
        (Doubler(), 3, 6),
        (AsyncDoubler(), 3, 6),
        (partial(fail_on, 0), 3, 3),
        (partial(afail_on, 0), 3, 3),
        (partial(AsyncDoubler()), 3, 6),
        (abs, -3, 3),
        (str.upper, "a", "A"),
        (lambda x: x + 1, 3, 4),
        (complex, "1j", 1j),
    ],
)
def test_anything_callable(fn: Any, item: Any, expected: Any, on: str) -> None:
    """Objects, partials, built-ins, methods and classes are functions, too, of the colour that they are."""
    assert list(potok.map(fn, [item], on=on)) == [expected]


def test_inline_task_cannot_wait_for_workers(pooled: str) -> None:
    """In an inline task only an inline map can be read: that is said, and the map leaves nothing behind."""

    def caller(on: str) -> list[int]:
        return list(potok.map(double, range(3), on=on))

    assert potok.run(caller, "inline", on="inline") == [0, 2, 4]
    with pytest.raises(potok.DeadlockError):
        potok.run(caller, pooled, on="inline")


def test_default_executor_follows_the_colour() -> None:
    """Without a measurement `def` goes to threads, and `async def` to coroutines, as it does with one."""

    def where() -> str:
        return potok.current_task().executor

    async def awhere(_: int) -> str:
        return where()

    assert list(potok.map(lambda _: where(), [1], on=None)) == ["threads"]
    assert list(potok.map(awhere, [1], on=None)) == ["coroutines"]
    assert list(potok.map(awhere, [1])) == ["coroutines"]


def test_executor_object() -> None:
    """`on` takes what scopes take."""
    assert list(potok.map(double, range(5), on=potok.threads())) == [0, 2, 4, 6, 8]


def test_several_iterables_end_with_the_shortest(on: str) -> None:
    assert list(potok.map(pow, [2, 3, 4, 5], (2, 2, 2), on=on)) == [4, 9, 16]


def test_starmap(on: str) -> None:
    assert list(potok.starmap(pow, [(2, 3), [3, 2]], on=on)) == [8, 9]


def test_starmap_of_what_is_no_tuple_fails_with_the_item(on: str) -> None:
    """As `itertools.starmap`, but saying which item it was."""
    with pytest.raises(TypeError) as caught:
        list(potok.starmap(pow, [(2, 3), 5], on=on))  # type: ignore[list-item]
    assert caught.value.__notes__[-1] == "in potok.map: item 1 (5)"


def test_empty_input(on: str) -> None:
    """Nothing to do: nothing is started, and it ends at once, again and again."""
    results = potok.map(double, [], on=on)
    assert list(results) == []
    assert list(results) == []


@pytest.mark.stress
def test_as_completed_gives_each_result_once(pooled: str) -> None:
    got = list(potok.map(double, range(200), on=pooled, workers=4, ordered=False))
    assert sorted(got) == [2 * x for x in range(200)]


def test_as_completed_does_not_wait_for_the_slow(pooled: str) -> None:
    """The first item ends only after the second one's result was read."""
    read = potok.Event()

    def work(x: int) -> int:
        if x == 0:
            read.wait()
        return x

    results = potok.map(work, range(2), on=pooled, ordered=False, workers=2)
    assert next(results) == 1
    read.set()
    assert list(results) == [0]


def test_in_order_waits_for_the_slow(pooled: str) -> None:
    """Item 0 ends after item 1, and comes first all the same."""
    ended = potok.Event()

    def work(x: int) -> int:
        if x == 0:
            ended.wait()
        else:
            ended.set()
        return x

    assert list(potok.map(work, range(2), on=pooled, workers=2)) == [0, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_as_many_at_a_time_as_workers(near: str, workers: int) -> None:
    """`workers` items are worked on together (they meet at a barrier), and never one more."""
    meet = potok.Barrier(workers)
    lock, busy, most = threading.Lock(), 0, 0

    def work(x: int) -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        meet.wait()
        with lock:
            busy -= 1
        return x

    count = 4 * workers
    assert list(potok.map(work, range(count), on=near, workers=workers)) == list(range(count))
    assert most == workers


def test_async_functions_are_bounded_too() -> None:
    """On coroutines no more than `workers` calls are under way."""
    busy = most = 0

    async def work(x: int) -> int:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await potok.asleep(0)
        await potok.asleep(0)
        busy -= 1
        return x

    assert list(potok.map(work, range(50), workers=7)) == list(range(50))
    assert most == 7


def test_runs_in_the_loop_of_who_awaits() -> None:
    """An `async def` function may use what belongs to its caller's event loop, a foreign one included."""
    import asyncio

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()

        async def same(_: int) -> bool:
            return asyncio.get_running_loop() is loop

        outside = await agather(potok.map(same, range(3)))
        async with potok.scope():
            return outside + await agather(potok.map(same, range(3)))

    assert asyncio.run(main()) == [True] * 6
    assert potok.run(main) == [True] * 6
    assert potok.run(main, on="threads") == [True] * 6


def test_threads_are_other_threads() -> None:
    here = threading.get_ident()
    assert here not in list(potok.map(lambda _: threading.get_ident(), range(5), on="threads"))


def test_input_is_pulled_in_the_callers_thread(on: str) -> None:
    pulled = set()

    def items() -> Iterator[int]:
        for x in range(20):
            pulled.add(threading.get_ident())
            yield x

    assert list(potok.map(double, items(), on=on)) == [2 * x for x in range(20)]
    assert pulled == {threading.get_ident()}


def test_map_within_map(pooled: str) -> None:
    """A function may map, too: neither waits for the other's workers."""

    def total(n: int) -> int:
        return sum(potok.map(double, range(n), on=pooled, workers=2))

    assert list(potok.map(total, range(6), on=pooled, workers=2)) == [n * (n - 1) for n in range(6)]


def test_contextvars_follow() -> None:
    """Workers see the caller's context variables."""
    from contextvars import ContextVar

    var = ContextVar("var", default="unset")
    var.set("set")
    assert set(potok.map(lambda _: var.get(), range(5), on="threads", workers=2)) == {"set"}


def test_results_that_are_exceptions_or_none_are_results(on_near: str) -> None:
    error = ValueError("a value")
    values = [None, error, StopIteration()]
    assert list(potok.map(lambda x: x, values, on=on_near)) == values


def test_import_does_not_shadow() -> None:
    """`potok.map` is the function, whatever modules were imported."""
    import potok.dataflow.mapping

    assert potok.map is potok.dataflow.mapping.map
    assert callable(potok.starmap)
