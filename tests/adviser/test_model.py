"""The model: exact for given facts."""

from math import inf, isfinite

import pytest
from hypothesis import given
from known import COSTS, HERE, MANY, MS, US, facts, machines, remainders, some_facts, worker_numbers

from potok.adviser.costs import DEFAULT_COSTS, EXECUTORS, Cost, Machine
from potok.adviser.here import this_machine, why_not
from potok.adviser.model import CHANGED, CONVOY, COROUTINES, FEWEST_BEATS, WAITERS, Found, predict


def of(executor, known=None, machine=HERE, found=None, **more):
    """What is predicted of one."""
    made = predict(known or facts(**more), machine, MANY, None, found)
    return next(each for each in made if each.executor == executor)


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
    assert workers("threads", waiting=0.1) == 2
    assert workers("threads", waiting=0.5) == 4
    assert workers("processes") == 2
    assert workers("inline") == 1
    assert workers("coroutines", is_async=True) == COROUTINES
    assert [each.workers for each in predict(facts(), HERE, 3, 8)] == [
        1 if e == "inline" else 3 for e in order(3, 8)
    ]


def order(remaining, workers):
    return [each.executor for each in predict(facts(), HERE, remaining, workers)]


# ── what is in doubt ───────────────────────────────────────────────────────────────────────────────────────────


def test_at_best_there_is_no_convoy():
    """The GIL is held as little as was seen, and nobody queues for it."""
    short = of("threads", gil_held=0.6)
    assert short.seconds_per_item > 3 * MS
    assert short.least < 0.75 * 3 * MS


def test_at_best_other_threads_are_none_of_the_functions():
    spinning = of("threads", gil_held=0.0, hidden_threads=1.0)
    assert spinning.seconds_per_item > 3 * MS
    assert spinning.least < 1.6 * MS


def test_where_too_little_was_seen_nothing_is_hoped():
    assert of("threads", gil_held=0.6, beats=FEWEST_BEATS - 1).least == inf
    assert of("threads", gil_held=None).least == inf


def test_what_is_held_for_sure_is_held_at_best():
    assert of("threads", beats=100).least > 2.9 * MS


def test_what_was_measured_takes_the_place_of_what_is_predicted():
    """As long as items are of that kind: shorter ones take as much less."""
    found = {"threads": Found(seconds=2 * MS, loop=4 * MS)}
    measured = of("threads", found=found, wall=3 * MS)
    assert measured.seconds_per_item == pytest.approx(1.5 * MS)
    assert measured.error < 0.1 * MS
    assert measured.least == inf  # nothing is in doubt any more
    assert of("threads", found=found, wall=4 * MS * CHANGED) == of("threads", wall=4 * MS * CHANGED)
    assert of("threads", found=found, wall=4 * MS / CHANGED) == of("threads", wall=4 * MS / CHANGED)
    assert not of("threads", found=found, mutates="the global n").is_possible


def test_each_address_space_pays_for_the_first_item_anew():
    assert of("processes", first=2.0).startup == pytest.approx(COSTS.processes.cold + 2.0)
    assert of("threads", first=2.0).startup == COSTS.threads.cold


# ── costs ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


@given(some_facts, machines, remainders, worker_numbers)
def test_no_prediction_is_absurd(known, machine, remaining, workers):
    """The loop is among them, no time is negative, what is out of the question is last and says why."""
    found = predict(known, machine, remaining, workers)
    assert {each.executor for each in found} == {"inline", *machine.executors}
    for each in found:
        assert each.seconds_per_item >= 0 <= each.error
        assert isfinite(each.error)
        assert each.least == inf or each.least <= each.seconds_per_item
        assert each.startup >= 0
        assert each.workers >= 1
        assert each.why
    possible = [each.is_possible for each in found]
    assert possible == sorted(possible, reverse=True)
    assert [each.total for each in found if each.is_possible] == sorted(
        each.total for each in found if each.is_possible
    )


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
