"""Functions and machines whose figures are given, so that what is predicted of them can be expected exactly."""

from hypothesis import strategies as st

from potok.adviser.costs import EXECUTORS, Cost, Costs, Machine
from potok.adviser.facts import Facts

MS, US = 1e-3, 1e-6
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


# ── whatever they are ──────────────────────────────────────────────────────────────────────────────────────────

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
