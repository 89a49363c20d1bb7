"""A map on auto: the results of the plain loop, wherever it works; where that is, and why, it can tell."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import potok
from potok.adviser.choice import Verdict
from potok.adviser.costs import DEFAULT_COSTS
from potok.dataflow import advice, loop
from potok.dataflow.plan import Auto


def count(n: int) -> int:
    """Some milliseconds of Python."""
    total = 0
    for x in range(20_000 + n % 2):
        total += x
    return total


def where(_: int) -> tuple[int, str]:
    count(0)
    return os.getpid(), potok.current_task().executor


def wait(x: int) -> str:
    time.sleep(0.003)
    return potok.current_task().executor


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if workers were idle already: it pays to move within few items."""
    monkeypatch.setattr(advice, "_warm", {"processes", "threads", "interpreters"})


class Elsewhere:
    """Stands for the adviser, and always takes the same executor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, executor: str, moves_back: int = 0) -> None:
        self.backs = moves_back
        self.asked = 0
        real_choose, real_observed = advice.choose, advice.observed

        def choose(predictions: Any, current: str = "inline") -> Any:
            self.asked += 1
            there = next((p for p in predictions if p.executor == executor), predictions[0])
            return real_choose(predictions)._replace(executor=there.executor, expected=there, why="told so")

        def observed(decision: Any, measured: float, loop: float | None = None, others: Any = ()) -> Any:
            verdict = real_observed(decision, measured, loop)
            self.backs -= 1
            return verdict._replace(executor="inline", moves=self.backs >= 0, why="told so")

        monkeypatch.setattr(advice, "choose", choose)
        monkeypatch.setattr(advice, "observed", observed)


def test_what_is_tiny_stays_in_the_loop() -> None:
    """In the caller's own thread, and it says so with its numbers."""
    threads = set()

    def tiny(x: int) -> int:
        threads.add(threading.get_ident())
        return 2 * x

    for items in (range(100_000), iter(range(100_000))):
        results = potok.map(tiny, items)
        assert list(results) == list(range(0, 200_000, 2))
    assert threads == {threading.get_ident()}
    assert "the plain loop" in results.explain()


@pytest.mark.parametrize("executor", ["threads", "processes"])
@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_moving_loses_and_doubles_nothing(
    executor: str, at_hand: bool, ordered: bool, warm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does coming back, again and again."""
    monkeypatch.setattr(advice, "SETTLED", 0.0)
    monkeypatch.setattr(advice, "LOWEST", 2)
    adviser = Elsewhere(monkeypatch, executor, moves_back=3)
    items = range(500)
    results = potok.map(count, items if at_hand else iter(items), workers=2, ordered=ordered)
    got = list(results)
    expected = [count(x) for x in items]
    assert got == expected if ordered else sorted(got) == sorted(expected)
    assert adviser.asked
    assert f"{executor}: told so" in results.explain()


def test_failures_here_and_there(warm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the right index, item and error, wherever it works just then."""
    Elsewhere(monkeypatch, "processes")
    got = list(potok.map(fail_at_times, range(400), workers=2, on_error="return"))
    for at, result in enumerate(got):
        if at % 7 == 3:
            assert (result.index, result.item, str(result.error), result.attempts) == (at, at, f"no {at}", 1)
        else:
            assert result == at
    got = []
    with pytest.raises(ValueError, match="no 3") as caught:
        got.extend(potok.map(fail_at_times, range(400), workers=2))
    assert got == [0, 1, 2]
    assert caught.value.__notes__[-1] == "in potok.map: item 3 (3)"


def fail_at_times(x: int) -> int:
    count(0)
    if x % 7 == 3:
        raise ValueError(f"no {x}")
    return x


def test_failures_in_a_stream() -> None:
    """Where the input is taken one by one, and the loop is known already."""

    def fail(x: int) -> int:
        if x % 50_000 == 49_999:
            raise ValueError(x)
        return x

    got = list(potok.map(fail, iter(range(200_000)), on_error="return"))
    assert [x.index for x in got if isinstance(x, potok.BadItem)] == list(range(49_999, 200_000, 50_000))
    assert len(got) == 200_000


def test_input_is_not_pulled_while_a_result_waits() -> None:
    """What is not at hand is taken one by one, as the plain loop would: the input may depend on the results."""
    seen: list[int] = []

    def items() -> Iterator[int]:
        for x in range(50_000):
            assert len(seen) == x
            yield x

    for result in potok.map(abs, items()):
        seen.append(result)  # noqa: PERF402 - the input looks at it
    assert len(seen) == 50_000


def test_changed_state_stays_where_it_is_kept(warm: None) -> None:
    """A function that counts is not moved to where its counting would be lost, and that is said."""
    calls = []

    def work(x: int) -> int:
        calls.append(x)
        return count(x)

    results = potok.map(work, range(300))
    assert len(list(results)) == len(calls) == 300
    assert "calls" in results.explain()


def test_with_a_timeout_nothing_runs_here() -> None:
    results = potok.map(where, range(10), timeout=30)
    assert {pid for pid, _ in results} & {os.getpid()} == set()
    assert "with a time-out" in results.explain()


def die(x: int) -> int:
    os._exit(3)


def test_in_worker_spares_the_caller() -> None:
    """What the command line asks for: not even the probe runs here, and an item that kills is that item's error."""
    results = potok.map(where, range(30), on=Auto(in_worker=True))
    assert os.getpid() not in {pid for pid, _ in results}
    bad = list(potok.map(die, range(2), on=Auto(in_worker=True), on_error="return"))
    assert all(isinstance(b.error, potok.WorkerDied) for b in bad)
    mixed = list(potok.map(fail_at_times, range(20), on=Auto(in_worker=True), on_error="return"))
    assert [m.index for m in mixed if isinstance(m, potok.BadItem)] == [3, 10, 17]

    async def read() -> int:
        return len([r async for r in potok.map(where, range(10), on=Auto(in_worker=True))])

    assert potok.run(read) == 10


def test_async_functions_go_to_coroutines() -> None:
    async def work(x: int) -> int:
        await potok.asleep(0)
        return x

    results = potok.map(work, range(30))
    assert list(results) == list(range(30))
    assert "coroutines" in results.explain()


def test_inside_of_a_worker_the_cores_have_work_already() -> None:
    """A map within a map starts no processes of its own."""
    assert set(potok.map(inner, range(3), on="processes", workers=2)) == {True}


def inner(_: int) -> bool:
    return {pid for pid, _ in potok.map(where, range(20))} == {os.getpid()}


def test_explain_before_and_without_a_measurement() -> None:
    results = potok.map(count, [1])
    assert "nothing was measured yet" in results.explain()
    asked = potok.map(count, [1], on="threads")
    assert "on threads, as was asked for" in asked.explain()
    results.close()
    asked.close()


def test_stopped_early_leaves_nothing(warm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed while workers elsewhere have work, or are still coming up."""
    monkeypatch.setattr(advice, "_warm", set())
    Elsewhere(monkeypatch, "processes")
    for given in (1, 20, 150):
        with potok.map(count, iter(int, 1), workers=2) as results:
            for _ in range(given):
                next(results)
    assert DEFAULT_COSTS.processes.cold > 0


def test_journal_on_auto_across_moves(warm: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """What is recorded here and what is recorded there is one record."""
    Elsewhere(monkeypatch, "processes")
    expected = [fail_at_times(x) for x in range(300) if x % 7 != 3]
    for _ in range(2):
        got = potok.map(fail_at_times, range(300), workers=2, on_error="return", journal=tmp_path / "j")
        assert [x for x in got if isinstance(x, int)] == expected


def hang(_: int) -> None:
    potok.sleep(3600)


@pytest.mark.parametrize("awaiting", [False, True])
def test_cancelled_while_workers_find_out_about_the_function(awaiting: bool) -> None:
    """The workers are cancelled, too."""
    results = potok.map(hang, range(3), on=Auto(in_worker=True))

    async def read() -> None:
        async for _ in results:
            pass

    def give_up() -> None:
        with potok.timeout(0.2):
            next(results)

    async def agive_up() -> None:
        with potok.timeout(0.2):
            await read()

    with pytest.raises(TimeoutError):
        potok.run(agive_up if awaiting else give_up)
    results.close()
    assert not [info for info in potok.tasks() if info.name.startswith("map(hang)")]


class Given:
    """Stands for the probe's measurements: each function has the facts that a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **known: Any) -> None:
        self.known = known
        self.sure: list[bool] = []
        real = loop.Probe.facts

        def facts(probe: Any, sure: bool = False, leaves: bool = True) -> Any:
            if sure:
                self.sure.append(leaves)
            return real(probe, sure, leaves)._replace(**self.known)

        monkeypatch.setattr(loop.Probe, "facts", facts)


RELEASES = {"wall": 0.003, "cpu": 0.003, "gil_held": 0.02, "beats": 50, "waiting": 0.0, "hidden_threads": 0.0}
HOLDS = RELEASES | {"gil_held": 1.0}


def test_for_threads_nothing_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """That they can be sent does not matter where nothing is sent; to find out takes milliseconds."""
    given = Given(monkeypatch, **RELEASES)
    with potok.map(count, range(2_000), workers=2) as results:
        while "threads: each item" not in results.explain():
            next(results)
    assert given.sure
    assert not any(given.sure)


def test_nothing_leaves_before_the_lock_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads might do as well, and are there at once."""
    given = Given(monkeypatch, **HOLDS | {"gil_held": None, "beats": 0})
    monkeypatch.setattr(advice, "_warm", {"processes"})
    results = potok.map(count, range(10_000), workers=2)
    for _ in range(20):
        next(results)
    assert "processes" not in results.explain()
    given.known = HOLDS
    while "processes: each item" not in results.explain():
        next(results)
    results.close()


def test_of_little_that_is_left_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given(monkeypatch, **RELEASES)
    results = potok.map(rest, range(12))
    assert list(results) == list(range(12))
    assert given.sure == []
    assert "the plain loop: what is left takes" in results.explain()


def rest(x: int) -> int:
    time.sleep(0.0005)
    return x


@pytest.mark.parametrize("is_warm", [True, False])
@pytest.mark.parametrize("at_hand", [True, False])
def test_what_disappoints_is_left_for_what_is_better(
    is_warm: bool, at_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From threads to processes, once those have come up; all results, in order, each once."""
    monkeypatch.setattr(advice, "_warm", {"processes"} if is_warm else set())
    monkeypatch.setattr(advice, "SETTLED", 0.0)
    monkeypatch.setattr(advice, "LOWEST", 2)
    real = advice.choose

    def choose(predictions: Any, current: str = "inline") -> Any:
        wanted = "threads" if current == "inline" else "processes"
        there = next(each for each in predictions if each.executor == wanted)
        return real(predictions)._replace(executor=wanted, expected=there, why="told so")

    def observed(decision: Any, measured: float, loop: float | None = None, others: Any = ()) -> Any:
        better = choose(others, decision.executor)
        return Verdict(better.executor, "disappointed", decision.executor == "threads", better)

    monkeypatch.setattr(advice, "choose", choose)
    monkeypatch.setattr(advice, "observed", observed)
    items = range(4_000)
    results = potok.map(here_and_there, items if at_hand else iter(items), workers=2)
    got = list(results)
    assert [x for x, _ in got] == list(items)
    told = results.explain()
    assert told.index("threads: told so") < told.index("disappointed")
    assert {pid for _, pid in got} > {os.getpid()}


def here_and_there(x: int) -> tuple[int, int]:
    count(0)
    return x, os.getpid()


@pytest.mark.parametrize("at_hand", [True, False])
def test_items_that_take_much_longer_are_noticed_soon(at_hand: bool) -> None:
    """Results that are there are given out; nobody waits for thousands of others, as they were when they were tiny."""
    clock = [0]

    def turns_slow(x: int) -> int:
        clock[0] = x
        if x >= 50_000:
            time.sleep(0.002)
        return x

    items = range(100_000) if at_hand else iter(range(100_000))
    with potok.map(turns_slow, items) as results:
        for result in results:
            assert clock[0] - result <= 2_048
            if result == 50_400:
                break
        assert clock[0] < 51_000


def test_large_results_are_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one more that is kept is in memory that is new."""
    made: list[int] = []

    def fill(x: int) -> bytes:
        made.append(1)
        return bytes(1 << 20)

    with potok.map(fill, range(200)) as results:
        for at, _ in zip(range(60), results, strict=False):
            assert len(made) - at <= 2 or at < 2


def test_nothing_is_made_of_the_first_large_results(warm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them may be in memory that is new, which says nothing of those to come."""
    Elsewhere(monkeypatch, "threads")

    def fill(x: int) -> tuple[bytes, int]:
        count(x)
        return bytes(2 << 20), threading.get_ident()

    threads = [thread for _, thread in potok.map(fill, range(60), workers=2)]
    assert set(threads[:8]) == {threading.get_ident()}
    assert set(threads) > {threading.get_ident()}


def test_list_may_grow_and_shrink_as_it_is_mapped() -> None:
    """As under the plain loop, where that is not among the items that are pulled already."""
    items = list(range(20_000))
    results = potok.map(abs, items)
    got = [next(results) for _ in range(10_000)]
    items.extend(range(20_000, 30_000))
    got += [next(results) for _ in range(10_000)]
    del items[25_000:]
    got += results
    assert got == list(range(25_000))
