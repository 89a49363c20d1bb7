"""What is chosen: monotone in what is left to do, never to and fro; its reasons are words with numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import (
    COSTS,
    FREE,
    HERE,
    MANY,
    MS,
    NEWER,
    US,
    facts,
    machines,
    movable,
    remainders,
    some_facts,
    worker_numbers,
)

from potok.adviser.choice import CLEAR, TRIAL, choose, observed, seconds_told
from potok.adviser.costs import EXECUTORS
from potok.adviser.model import WORSE, Found, predict

NATURE = "each item takes 3 ms and holds the GIL 100 % of the time"
STAYS = "the plain loop is best"
BLAS = "; other threads of it (BLAS?) keep 1.0 cores busy already"


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
        pytest.param(HERE, {"gil_held": 0.0, "hidden_threads": 1.0}, "threads", id="BLAS has the cores?"),
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
    assert decide(only_threads, remaining=30, gil_held=0.3).executor == "inline"
    assert decide(only_threads, remaining=30, gil_held=0.1).executor == "threads"


def test_few_looks_at_the_lock_are_no_knowledge():
    only_threads = HERE._replace(executors=("inline", "threads"))
    assert decide(only_threads, gil_held=0.1, beats=100).executor == "threads"
    assert decide(only_threads, gil_held=0.1, beats=1).executor == "inline"


def test_what_runs_elsewhere_comes_home_for_a_clear_gain_alone():
    """The same facts do not move it to and fro."""
    assert decide(current="processes").executor == "processes"
    assert decide(current="processes", wall=0.5 * US).executor == "inline"
    assert decide(current="threads", mutates="the global n").executor == "inline"


# ── what is tried ──────────────────────────────────────────────────────────────────────────────────────────────


def tried(**known):
    decision = decide(**known)
    return decision.executor if " tried" in decision.why else None


def test_threads_are_tried_where_only_a_trial_can_tell():
    """Whether there is a convoy; whether threads that are busy beside work for this function."""
    assert tried(remaining=300, gil_held=0.5) == "threads"
    assert tried(gil_held=0.05, hidden_threads=1.0) == "threads"
    assert tried(gil_held=0.5, unpicklable="a result") == "threads"


def test_nothing_is_tried_where_the_answer_is_known():
    assert tried(gil_held=0.98) is None
    assert tried(gil_held=0.5, beats=2) is None
    assert tried(gil_held=None) is None
    assert tried(gil_held=0.5, mutates="the global n") is None
    assert tried(gil_held=0.5, wall=5 * US) is None


def test_a_trial_is_for_those_who_have_time():
    few = int(TRIAL / (3 * MS))
    assert tried(gil_held=0.4, remaining=few) is None
    assert tried(gil_held=0.4, remaining=5 * few) == "threads"


def test_what_can_be_had_for_sure_need_not_be_tried():
    """Processes are there, and threads would do as well at best."""
    warm = HERE._replace(warm=("processes",))
    assert tried(machine=warm, gil_held=0.5, remaining=100) is None


def test_what_was_tried_in_vain_is_not_tried_again():
    made = predict(facts(gil_held=0.4), HERE, 500, found={"threads": Found(3.3 * MS, 3 * MS)})
    assert choose(made).executor == "processes"


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
            f"each item takes 3 ms and releases the GIL: threads are tried, 2.0 x at best{BLAS}",
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
        None,
    )
    verdict = observed(decision, 4 * MS)
    assert verdict.executor == "inline"
    assert verdict.moves
    assert verdict.why == "processes: 4 ms an item, where the plain loop takes 3 ms: back to the loop"


def test_a_loss_that_is_small_moves_nothing():
    assert not observed(decide(), 3 * MS * (1 + WORSE / 2)).moves


def test_what_the_loop_would_take_now_is_what_counts():
    """The function may have changed its nature meanwhile."""
    assert observed(decide(), 1.6 * MS, loop=0.1 * MS).moves
    assert not observed(decide(), 4 * MS, loop=8 * MS).moves


def test_from_the_loop_there_is_no_way_back():
    assert not observed(decide(wall=0.8 * US), 1.0).moves
    assert not observed(decide(is_async=True), 1.0).moves


def test_a_move_leads_on_to_what_is_clearly_better():
    """Threads gain a little; processes are expected to gain more, start-up included."""
    known = facts(gil_held=0.1)
    here = choose(predict(known, HERE, MANY))
    assert here.executor == "threads"
    found = {"threads": Found(2.4 * MS, 3 * MS)}
    verdict = observed(here, 2.4 * MS, None, predict(known, HERE, MANY, found=found))
    assert verdict.executor == "processes"
    assert verdict.moves
    assert verdict.next.expected.executor == "processes"
    assert verdict.why.endswith("where the plain loop takes 3 ms: processes, 1.6 ms expected")
    few = observed(here, 2.4 * MS, None, predict(known, HERE, 100, found=found))
    assert not few.moves
    both = found | {"processes": Found(2.35 * MS, 3 * MS)}
    assert not observed(here, 2.4 * MS, None, predict(known, HERE, MANY, found=both)).moves


def test_where_the_lock_is_free_it_is_cores_that_lack():
    """Processes would have no more of them."""
    known = facts(gil_held=0.02)
    here = choose(predict(known, HERE, MANY))
    found = {"threads": Found(2.4 * MS, 3 * MS)}
    assert not observed(here, 2.4 * MS, None, predict(known, HERE, MANY, found=found)).moves


# ── whatever the facts ─────────────────────────────────────────────────────────────────────────────────────────


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
    """From there on it moves only to what is better still: it does not go to and fro. So it is once a trial is over."""
    found = predict(known, machine, remaining)
    here, seen = choose(found), set()
    if "tried" in here.why:
        measured = {here.executor: Found(here.expected.seconds_per_item, known.wall)}
        found = predict(known, machine, remaining, found=measured)
        here = choose(found, here.executor)
    while here.executor not in seen:
        seen.add(here.executor)
        last, here = here, choose(found, here.executor)
    assert here.executor == last.executor


@given(movable, remainders, worker_numbers)
def test_who_leaves_the_loop_gains_or_hopes_to(known, remaining, workers):
    decision = choose(predict(known, NEWER, remaining, workers))
    if decision.executor != "inline":
        tries = "tried" in decision.why
        seconds = decision.expected.least if tries else decision.expected.seconds_per_item
        assert decision.loop.seconds_per_item - seconds > CLEAR * decision.loop.seconds_per_item
        assert (decision.expected.at_best if tries else decision.expected.total) < decision.loop.total


@given(movable, machines)
def test_changes_stay_where_they_are_kept(known, machine):
    known = known._replace(mutates="the global n")
    assert choose(predict(known, machine, MANY)).executor == "inline"


@given(some_facts, machines, st.floats(0, 1000), st.one_of(st.none(), st.floats(0, 1000)))
def test_without_others_a_verdict_never_leads_elsewhere(known, machine, measured, loop):
    decision = choose(predict(known, machine, MANY))
    verdict = observed(decision, measured, loop)
    assert verdict.executor in (decision.executor, "inline")
    assert verdict.moves == (verdict.executor != decision.executor)
