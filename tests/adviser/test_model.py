"""The model: exact for given facts, monotone in what is left to do, and its reasons are words with numbers."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potok.adviser.costs import DEFAULT_COSTS, EXECUTORS, Cost, Costs, Machine
from potok.adviser.facts import Facts
from potok.adviser.here import this_machine, why_not
from potok.adviser.model import (
    CLEAR,
    CONVOY,
    COROUTINES,
    WAITERS,
    WORSE,
    choose,
    observed,
    predict,
    relearned,
    seconds_told,
)

MS, US = 1e-3, 1e-6
NATURE = "each item takes 3 ms and holds the GIL 100 % of the time"
STAYS = "the plain loop is best"
BLAS = "; other threads of it (BLAS?) keep 1.0 cores busy already"
COSTS = Costs(
    inline=Cost(),
    coroutines=Cost(cold=0.022, warm=0.0003, item=7.8e-6),
    threads=Cost(cold=0.006, warm=0.0002, item=8e-6, batch=6e-5),
    interpreters=Cost(cold=0.23, warm=0.0054, item=2.8e-6, batch=3.7e-4),
    processes=Cost(cold=0.22, warm=0.0034, item=1.9e-6, batch=4e-4, byte=0.03e-9),
)
"""Figures of their own: what is measured anew changes no expectation here."""

HERE = Machine(2, False, ("inline", "coroutines", "threads", "processes"), COSTS)
NEWER = HERE._replace(executors=EXECUTORS)
FREE = NEWER._replace(free_threaded=True)
MANY = 1_000_000


def facts(**known):
    """A function that computes for 3 ms and holds the GIL; and what is different."""
    usual = {
        "items": 10,
        "wall": 3 * MS,
        "spread": 0.1,
        "cpu": 3 * MS,
        "process_cpu": 3 * MS,
        "gil_held": 1.0,
        "waiting": 0.0,
        "args_bytes": 10.0,
        "results_bytes": 10.0,
        "pickle": 1 * US,
        "unpicklable": None,
        "mutates": None,
        "hidden_threads": 0.0,
        "is_async": False,
        "beats": 50,
        "weighed": 2,
    }
    return Facts(**(usual | known))


def decide(machine=HERE, remaining=MANY, workers=None, current="inline", **known):
    return choose(predict(facts(**known), machine, remaining, workers), current)


# ── what suits what ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("machine", "known", "executor"),
    [
        pytest.param(HERE, {"wall": 0.8 * US}, "inline", id="tiny"),
        pytest.param(HERE, {}, "processes", id="holds the GIL"),
        pytest.param(HERE, {"gil_held": 0.02}, "threads", id="releases the GIL"),
        pytest.param(HERE, {"gil_held": 0.01, "waiting": 0.98}, "threads", id="waits"),
        pytest.param(HERE, {"gil_held": None, "waiting": 0.98}, "threads", id="waits, GIL unknown"),
        pytest.param(HERE, {"gil_held": None}, "processes", id="computes, GIL unknown"),
        pytest.param(HERE, {"is_async": True, "items": 0, "wall": 0.0}, "coroutines", id="async"),
        pytest.param(HERE, {"is_async": True, "mutates": "x"}, "coroutines", id="async, mutates"),
        pytest.param(FREE, {}, "threads", id="no GIL"),
        pytest.param(HERE, {"unpicklable": "a result"}, "inline", id="unpicklable, holds the GIL"),
        pytest.param(
            HERE, {"unpicklable": "a result", "gil_held": 0.0}, "threads", id="unpicklable, releases"
        ),
        pytest.param(HERE, {"mutates": "the global n"}, "inline", id="mutates"),
        pytest.param(FREE, {"mutates": "the global n"}, "inline", id="mutates, no GIL"),
        pytest.param(HERE, {"mutates": "the global n", "waiting": 1.0}, "inline", id="mutates, waits"),
        pytest.param(HERE, {"gil_held": 0.0, "hidden_threads": 1.0}, "inline", id="BLAS has the cores"),
        pytest.param(HERE, {"pickle": 20 * MS}, "inline", id="pickling outweighs it"),
        pytest.param(HERE, {"pickle": 20 * MS, "gil_held": 0.0}, "threads", id="pickling, but releases"),
        pytest.param(HERE._replace(cores=1), {}, "inline", id="one core"),
        pytest.param(
            HERE._replace(cores=1), {"waiting": 1.0, "gil_held": 0.0}, "threads", id="one core, waits"
        ),
        pytest.param(HERE._replace(executors=("inline",)), {}, "inline", id="nothing else there"),
    ],
)
def test_what_is_chosen(machine, known, executor):
    assert decide(machine, **known).executor == executor


def test_interpreters_are_taken_where_they_cost_less_and_the_modules_load():
    cheap = COSTS._replace(interpreters=COSTS.processes._replace(item=1 * US))
    machine = NEWER._replace(costs=cheap)
    assert decide(machine).executor == "interpreters"
    assert decide(machine, unloadable="numpy is written in C").executor == "processes"


def test_the_three_bounds():
    """Latency, cores, the lock: the largest decides. Exact, without costs."""
    free = Machine(4, False, EXECUTORS, type(COSTS)(*[Cost()] * 5))

    def seconds(executor, workers, **known):
        found = predict(facts(wall=8 * MS, pickle=0.0, **known), free, MANY, workers)
        return next(each.seconds_per_item for each in found if each.executor == executor)

    assert seconds("threads", 2, gil_held=0.0) == pytest.approx(4 * MS)
    assert seconds("threads", 16, gil_held=0.0) == pytest.approx(2 * MS)
    assert seconds("threads", 16, gil_held=0.2) == pytest.approx(CONVOY * 0.2 * 8 * MS)
    assert seconds("threads", 16, gil_held=0.5) == pytest.approx(8 * MS)
    assert seconds("threads", 100, gil_held=0.1, waiting=0.9) == pytest.approx(0.8 * MS)
    assert seconds("threads", 16, gil_held=0.0, waiting=0.75) == pytest.approx(0.5 * MS)
    assert seconds("processes", 4) == pytest.approx(2 * MS)
    assert seconds("processes", 3) == pytest.approx(8 * MS / 3)
    assert seconds("processes", 4, hidden_threads=3.0) == pytest.approx(8 * MS)
    assert seconds("inline", None) == 8 * MS


def test_workers_suit_the_function():
    def workers(executor, **known):
        return next(each.workers for each in predict(facts(**known), HERE, MANY) if each.executor == executor)

    assert workers("threads", waiting=0.9) == WAITERS
    assert workers("threads") == 2
    assert workers("threads", waiting=0.5) == 4
    assert workers("processes") == 2
    assert workers("inline") == 1
    assert workers("coroutines", is_async=True) == COROUTINES
    assert [each.workers for each in predict(facts(), HERE, 3, 8)] == [
        1 if e == "inline" else 3 for e in order(3, 8)
    ]


def order(remaining, workers):
    return [each.executor for each in predict(facts(), HERE, remaining, workers)]


# ── when it pays ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_up_must_be_paid_back():
    assert decide(remaining=100).executor == "inline"
    assert decide(remaining=1000).executor == "processes"
    assert decide(HERE._replace(warm=("processes",)), remaining=100).executor == "processes"


def test_where_nobody_knows_as_many_are_to_come_as_were_done():
    assert decide(remaining=None, items=100).executor == "inline"
    assert decide(remaining=None, items=1000).executor == "processes"


def test_a_gain_within_the_error_bar_is_none():
    """1.1 x may be none; twice is beyond doubt."""
    only_threads = HERE._replace(executors=("inline", "threads"))
    assert decide(only_threads, gil_held=0.3).executor == "inline"
    assert decide(only_threads, gil_held=0.1).executor == "threads"


def test_few_looks_at_the_lock_are_no_knowledge():
    only_threads = HERE._replace(executors=("inline", "threads"))
    assert decide(only_threads, gil_held=0.1, beats=100).executor == "threads"
    assert decide(only_threads, gil_held=0.1, beats=1).executor == "inline"


def test_what_runs_elsewhere_comes_home_for_a_clear_gain_alone():
    """The same facts do not move it to and fro."""
    assert decide(current="processes").executor == "processes"
    assert decide(current="processes", wall=0.5 * US).executor == "inline"
    assert decide(current="threads", mutates="the global n").executor == "inline"


# ── the words ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (
            {"wall": 0.8 * US},
            "each item takes 0.8 µs; sending it to a worker costs 2.8 µs: the plain loop is best",
        ),
        (
            {"wall": 3.1 * MS, "gil_held": 0.98},
            "each item takes 3.1 ms and holds the GIL 98 % of the time: processes, 1.8 x expected on 2 workers",
        ),
        (
            {"waiting": 0.99, "gil_held": 0.0},
            "each item takes 3 ms and waits 99 % of the time: threads, 29.0 x expected on 32 workers",
        ),
        (
            {"gil_held": 0.0, "wall": 20 * MS},
            "each item takes 20 ms and releases the GIL: threads, 2.0 x expected on 2 workers",
        ),
        (
            {"mutates": "the global n (0 before, 3 now)"},
            "it changes the global n (0 before, 3 now): it stays in the plain loop, where its changes are kept",
        ),
        (
            {"unpicklable": "a result (TypeError)"},
            f"{NATURE}, so threads would not help: {STAYS} (a result (TypeError) can't go to another address space)",
        ),
        (
            {"gil_held": 0.0, "hidden_threads": 1.0},
            f"each item takes 3 ms; sending it to a worker costs 3 ms: {STAYS}{BLAS}",
        ),
        ({"is_async": True}, "an async def function: coroutines, 100 at a time"),
    ],
)
def test_reasons_are_plain_words_with_the_numbers(known, words):
    assert decide(**known).why == words


def test_it_is_said_that_too_little_is_left():
    assert decide(remaining=40).why == (
        f"{NATURE}; 1.6 ms on processes, but to start them takes 220 ms, and the next 40 items would gain 45 ms: "
        f"{STAYS}"
    )
    assert "one item, which no worker does faster" in decide(remaining=1).why


def test_it_is_said_that_nothing_else_is_there():
    alone = HERE._replace(executors=("inline",))
    assert decide(alone).why.endswith("nothing else can take it: the plain loop is best")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0 ns"),
        (42e-9, "42 ns"),
        (0.8 * US, "0.8 µs"),
        (999.4 * US, "999 µs"),
        (999.7 * US, "1 ms"),
        (3.14 * MS, "3.1 ms"),
        (12.6 * MS, "13 ms"),
        (0.9999, "1 s"),
        (4210.0, "4210 s"),
    ],
)
def test_seconds_are_told_as_people_do(seconds, told):
    assert seconds_told(seconds) == told


# ── looking back ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_move_that_loses_is_taken_back():
    decision = decide()
    assert observed(decision, 1.6 * MS) == (
        "processes",
        "processes: 1.6 ms an item, where the plain loop takes 3 ms: 1.9 x, 1.8 x was expected",
        False,
    )
    verdict = observed(decision, 4 * MS)
    assert verdict.executor == "inline"
    assert verdict.moves_back
    assert verdict.why == "processes: 4 ms an item, where the plain loop takes 3 ms: back to the loop"


def test_a_loss_that_is_small_moves_nothing():
    assert not observed(decide(), 3 * MS * (1 + WORSE / 2)).moves_back


def test_what_the_loop_would_take_now_is_what_counts():
    """The function may have changed its nature meanwhile."""
    assert observed(decide(), 1.6 * MS, loop=0.1 * MS).moves_back
    assert not observed(decide(), 4 * MS, loop=8 * MS).moves_back


def test_from_the_loop_there_is_no_way_back():
    assert not observed(decide(wall=0.8 * US), 1.0).moves_back
    assert not observed(decide(is_async=True), 1.0).moves_back


def test_a_disappointment_on_threads_tells_of_the_lock():
    known = facts(gil_held=0.1)
    decision = choose(predict(known, HERE, MANY))
    assert decision.executor == "threads"
    assert relearned(known, decision, 1.6 * MS) is known
    learned = relearned(known, decision, 3.3 * MS)
    assert learned.gil_held == 1.0
    assert choose(predict(learned, HERE, MANY)).executor == "processes"


def test_elsewhere_nothing_is_learned_of_it():
    decision = decide()
    assert relearned(facts(), decision, 1.0) == facts()


def test_costs_are_corrected_half_way():
    costs = COSTS.corrected("processes", startup=0.42, item=3.9 * US)
    assert costs.processes.cold == pytest.approx(0.32)
    assert costs.processes.item == pytest.approx(2.9 * US)
    assert costs.processes.warm == COSTS.processes.warm
    assert costs.threads == COSTS.threads
    assert COSTS.corrected("threads", warm=True, startup=0.0).threads.warm == COSTS.threads.warm / 2


@pytest.mark.parametrize("wrong", [{"item": -1.0}, {"item": float("nan")}, {"price": 1.0}])
def test_what_is_no_cost_is_refused(wrong):
    with pytest.raises(ValueError, match="no cost"):
        COSTS.corrected("threads", **wrong)


# ── whatever the facts ─────────────────────────────────────────────────────────────────────────────────────────

share = st.floats(0, 1)
some_facts = st.builds(
    facts,
    items=st.integers(0, 10**6),
    wall=st.one_of(st.just(0.0), st.floats(1e-8, 100)),
    gil_held=st.one_of(st.none(), share),
    waiting=share,
    args_bytes=st.floats(0, 1e9),
    results_bytes=st.floats(0, 1e9),
    pickle=st.floats(0, 10),
    unpicklable=st.sampled_from([None, "an item"]),
    mutates=st.sampled_from([None, "the global n"]),
    hidden_threads=st.floats(0, 64),
    is_async=st.booleans(),
    beats=st.integers(0, 1000),
    unloadable=st.sampled_from([None, "numpy"]),
)
movable = some_facts.map(
    lambda known: known._replace(mutates=None, is_async=False, unpicklable=None, pickle=known.pickle / 1e3)
)
cost = st.builds(Cost, *[st.floats(0, 1)] * 5)
machines = st.builds(
    Machine,
    st.integers(1, 64),
    st.booleans(),
    st.sets(st.sampled_from(EXECUTORS)).map(tuple),
    st.one_of(st.just(COSTS), st.builds(type(COSTS), *[cost] * 5)),
    st.sets(st.sampled_from(EXECUTORS)).map(tuple),
)
remainders = st.one_of(st.none(), st.integers(0, 10**9))
worker_numbers = st.one_of(st.none(), st.integers(1, 1000))


@given(some_facts, machines, remainders, worker_numbers)
def test_no_prediction_is_absurd(known, machine, remaining, workers):
    """The loop is among them, no time is negative, what is out of the question is last and says why."""
    found = predict(known, machine, remaining, workers)
    assert {each.executor for each in found} == {"inline", *machine.executors}
    for each in found:
        assert each.seconds_per_item >= 0 <= each.error
        assert isfinite(each.error)
        assert each.startup >= 0
        assert each.workers >= 1
        assert each.why
    possible = [each.is_possible for each in found]
    assert possible == sorted(possible, reverse=True)
    assert [each.total for each in found if each.is_possible] == sorted(
        each.total for each in found if each.is_possible
    )


@given(some_facts, machines, remainders, worker_numbers, st.sampled_from(EXECUTORS))
def test_a_choice_is_one_that_is_there_and_says_why(known, machine, remaining, workers, current):
    found = predict(known, machine, remaining, workers)
    decision = choose(found, current)
    assert decision.expected in found
    assert decision.executor == decision.expected.executor
    assert decision.why
    assert "nan" not in decision.why
    assert "inf" not in decision.why


@given(movable, st.integers(1, 10**6), st.integers(1, 10**6), worker_numbers)
def test_more_to_do_never_speaks_against_workers(known, less, more, workers):
    few, many = sorted((less, more))
    if choose(predict(known, NEWER, few, workers)).executor != "inline":
        assert choose(predict(known, NEWER, many, workers)).executor != "inline"


@given(some_facts, machines, remainders)
def test_a_choice_is_kept_once_it_is_made(known, machine, remaining):
    """From there on it moves only to what is better still: it does not go to and fro."""
    found = predict(known, machine, remaining)
    here, seen = choose(found), set()
    while here.executor not in seen:
        seen.add(here.executor)
        last, here = here, choose(found, here.executor)
    assert here.executor == last.executor


@given(movable, remainders, worker_numbers)
def test_who_leaves_the_loop_gains(known, remaining, workers):
    decision = choose(predict(known, NEWER, remaining, workers))
    if decision.executor != "inline":
        gain = decision.loop.seconds_per_item - decision.expected.seconds_per_item
        assert gain > CLEAR * decision.loop.seconds_per_item
        assert decision.expected.total < decision.loop.total


@given(movable, machines)
def test_changes_stay_where_they_are_kept(known, machine):
    known = known._replace(mutates="the global n")
    assert choose(predict(known, machine, MANY)).executor == "inline"


@given(some_facts, machines, st.floats(0, 1000), st.one_of(st.none(), st.floats(0, 1000)))
def test_a_verdict_never_leads_elsewhere(known, machine, measured, loop):
    decision = choose(predict(known, machine, MANY))
    verdict = observed(decision, measured, loop)
    assert verdict.executor in (decision.executor, "inline")
    assert verdict.moves_back == (verdict.executor != decision.executor)
    learned = relearned(known, decision, measured)
    assert learned.gil_held is None or 0 <= learned.gil_held <= 1


# ── what is here ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_machine_knows_its_executors():
    machine = this_machine(warm=("threads",))
    assert {"inline", "threads"} <= set(machine.executors) <= set(EXECUTORS)
    assert machine.cores >= 1
    assert machine.startup("threads") == DEFAULT_COSTS.threads.warm
    assert machine.startup("processes") == DEFAULT_COSTS.processes.cold


def test_why_an_executor_is_not_there():
    assert why_not("inline", trying=True) is None
    assert "nowhere" in why_not("nowhere")
