"""What a function changes is found, and named; what only looks like it is not."""

# ruff: noqa: PLW0108 - that a lambda refers to a global, not what it calls, is what is looked at

import functools
import itertools
import logging
import random
import threading
from array import array
from collections import Counter, defaultdict, deque
from types import SimpleNamespace

import numpy as np
import pytest

from potok.adviser.state import Captured as TimedCaptured

Captured = functools.partial(TimedCaptured, clock=lambda: 0.0)  # nothing is left out for want of time

counter = 0
tally = {"calls": 0}
seen = []
known = set()
nested = {"a": [{"b": []}]}
plane = np.zeros(100)
history = deque(maxlen=3)
counts = Counter()
groups = defaultdict(list)
numbers = array("d", [0.0, 1.0])
raw = bytearray(8)
ids = itertools.count()
dice = random.Random(1)
generator = np.random.default_rng(1)
box = SimpleNamespace(value=0)
model = None
current = []
log = logging.getLogger("potok.tests.adviser")
lock = threading.Lock()
left = iter(range(1_000_000))
fresh = itertools.count(1)  # what no earlier repetition has used


class Stats:
    total = 0

    def __init__(self):
        self.calls = 0
        self.parts = []
        self.last = None

    def add(self, x):
        self.calls += 1

    def collect(self, x):
        self.parts.append(x)

    def remember(self, x):
        self.last = x

    def read(self, x):
        return self.calls + x

    @classmethod
    def sum_up(cls, x):
        cls.total += x

    @functools.cached_property
    def table(self):
        return [1, 2, 3]

    def look_up(self, x):
        return self.table[0]

    def __call__(self, x):
        self.calls += 1


class Slotted:
    __slots__ = ("__calls",)

    def __init__(self):
        self.__calls = 0

    def add(self, x):
        self.__calls += 1


stats = Stats()


def increment(x):
    global counter
    counter += 1


def through_another(x):
    return increment(x)


def rebind(x):
    global current
    current = [x]


def attribute(x):
    attribute.calls += 1


attribute.calls = 0


def with_default(x, kept=[]):  # noqa: B006
    kept.append(x)


def closure_count():
    total = 0

    def add(x):
        nonlocal total
        total += x

    return add


def closure_list():
    found = []
    return lambda x: found.append(x)


def bound_list():
    return functools.partial(lambda into, x: into.append(x), [])


@functools.wraps(increment)
def wrapped(x):
    return increment(x)


def write_array(x):
    plane[3] += 1


CHANGING = {
    "a counter": (increment, "the global counter"),
    "a counter of a function that it calls": (through_another, "the global counter"),
    "through a wrapper": (wrapped, "the global counter"),
    "a dict": (lambda x: tally.update(calls=tally["calls"] + 1), "the global tally"),
    "a list": (lambda x: seen.append(x), "the global seen, a list"),
    "a set": (lambda x: known.add(x), "the global known"),
    "deep in a dict": (lambda x: nested["a"][0]["b"].append(x), "the global nested['a'][0]['b']"),
    "an array": (write_array, "the global plane"),
    "a full deque": (lambda x: history.append(x), "the global history"),
    "a Counter": (lambda x: counts.update([x]), "the global counts"),
    "a defaultdict": (lambda x: groups["all"].append(x), "the global groups"),
    "an array of numbers": (lambda x: numbers.append(x), "the global numbers"),
    "bytes": (lambda x: raw.__setitem__(0, x % 256), "the global raw"),
    "the next number": (lambda x: next(ids), "the global ids"),
    "the next element": (lambda x: next(left), "the global left"),
    "a random generator": (lambda x: dice.random(), "the global dice"),
    "numpy's": (lambda x: generator.random(), "the global generator"),
    "a namespace": (lambda x: setattr(box, "value", box.value + 1), "the global box.value"),
    "an object of ours": (lambda x: stats.add(x), "the global stats.calls"),
    "a class of ours": (lambda x: Stats.sum_up(x), "the global Stats.total"),
    "an attribute of itself": (attribute, "attribute.calls"),
    "a default value": (with_default, "the default value 0 of with_default"),
    "nonlocal": (closure_count(), "the variable total"),
    "a list around it": (closure_list(), "the variable found"),
    "a bound list": (bound_list(), "the bound argument 0"),
    "the object it is a method of": (Stats().add, ".calls"),
    "a list of that object": (Stats().collect, ".parts"),
    "the class it is a method of": (Stats.sum_up, ".total"),
    "what is called itself": (Stats(), ".calls"),
    "a slot": (Slotted().add, "calls"),
    "a method of a list": ([].append, "list"),
    "a variable that is given another value": (rebind, "the global current (a list before, a list now)"),
}


def lazily(x):
    global model
    if model is None:
        model = {"loaded": True}
    return model


@functools.lru_cache
def cached(x):
    return x * 2


def logs(x):
    log.debug("x is %s", x)
    with lock:
        return x


def imports(x):
    import json

    return json.dumps(x)


KEEPING = {
    "nothing around it": lambda x: x * 2,
    "reads a global": lambda x: tally["calls"] + x,
    "reads an object": stats.read,
    "gets ready once": lazily,
    "lru_cache": cached,
    "lru_cache that it calls": lambda x: cached(x),
    "cached_property": Stats().look_up,
    "a logger and a lock": logs,
    "modules": imports,
    "its own variables": lambda x: [x].append(1),
    "of the standard library": logging.getLevelName,
    "built in": len,
    "a class": Stats,
    "the random module": random.random,
}


@pytest.mark.parametrize("case", CHANGING)
def test_changes_are_found_and_named(case):
    fn, told = CHANGING[case]
    captured = Captured(fn)
    assert captured.changed() is None
    fn(next(fresh))
    assert told in captured.changed()


@pytest.mark.parametrize("case", KEEPING)
def test_what_changes_nothing_is_not_accused(case):
    fn = KEEPING[case]
    captured = Captured(fn)
    for x in ((), (1,), (1, 2)):
        if case not in ("a class", "the random module"):
            fn(x if case == "built in" else len(x))
        else:
            fn()
    assert captured.changed() is None


def test_what_is_new_counts_from_then_on():
    """The first call gets ready; what the second one changes is a change."""
    fn = Stats().remember
    captured = Captured(fn)
    fn("one")
    assert captured.changed() is None
    fn("two")
    assert "'one' before, 'two' now" in captured.changed()


def test_an_item_that_is_changed():
    item = [1, 2]
    captured = Captured(lambda x: x.append(3), item)
    item.append(3)
    assert captured.changed() == "the item itself, a list (2 elements before, 3 now)"


def test_an_item_that_was_given_away_is_not_looked_at():
    item = [1, 2]
    captured = Captured(len, item)
    captured.let_go()
    item.append(3)
    assert captured.changed() is None


def test_asked_again_it_tells_only_what_is_new():
    captured = Captured(increment)
    increment(0)
    assert captured.changed() is not None
    assert captured.changed() is None


def test_a_proxy_is_not_asked_for_attributes():
    """It would go to its home for them, or do whatever else it likes."""

    class Proxy:
        def __getattr__(self, name):
            raise AssertionError(f"asked for {name}")

    Proxy.__module__ = "another.package"
    proxy = Proxy()
    fn = lambda x: proxy  # noqa: E731
    assert Captured(fn).changed() is None


def test_a_look_is_bounded():
    """A million lists cost no more than some hundred."""
    many = [[number] for number in range(100_000)]
    deep = functools.reduce(lambda inner, _: [inner], range(5_000), [])
    looks = 0

    def clock():
        nonlocal looks
        looks += 1
        return 0.0

    assert Captured(lambda x: (many, deep), clock=clock).changed() is None
    assert looks < 1000


def test_when_time_is_up_the_rest_is_left_out():
    ticks = itertools.count()
    captured = Captured(lambda x: nested, clock=lambda: float(next(ticks)))
    nested["a"][0]["b"].append(1)
    assert captured.changed() is None


@pytest.mark.parametrize("base", [dict, list, deque])
def test_no_method_of_the_users_is_called(base):
    class Odd(base):
        def __len__(self):
            raise AssertionError

        __iter__ = __getitem__ = items = __len__

    odd = Odd()
    captured = Captured(lambda x: odd)
    assert captured.changed() is None
    base.update(odd, a=1) if base is dict else base.append(odd, 1)
    assert "the variable odd" in captured.changed()


def test_what_can_not_be_looked_at_hides_nothing_else():
    class Odd:
        def __getattribute__(self, name):
            raise RuntimeError(name)

    odd, found = Odd(), []
    captured = Captured(lambda x: (odd, found))
    found.append(1)
    assert "the variable found" in captured.changed()


def test_a_large_array_is_looked_at_here_and_there():
    """Its beginning above all: that is where the first items would be put."""
    large = np.zeros(4_000_000)
    captured = Captured(lambda x: large)
    large[5] = 1
    assert "the variable large" in captured.changed()
