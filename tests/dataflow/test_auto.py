"""A map on auto: the results of the plain loop, wherever it works; where that is, and why, it can tell."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import potok
from potok.adviser.costs import DEFAULT_COSTS
from potok.dataflow import advice
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
