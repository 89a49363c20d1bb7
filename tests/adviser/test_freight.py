"""What goes to another address space is weighed as potok would send it, in bounded time, and changes nothing."""

import functools
import pickle
import sys
import threading
import types
from importlib.machinery import ExtensionFileLoader, ModuleSpec

import numpy as np
import pytest

import potok
from potok.adviser.freight import BESIDE, weigh, weigh_each, why_stuck, why_unloadable
from potok.links.parts import BIG


class Counted:
    """Pickles itself slowly, by a clock that it moves."""

    now = 0.0
    made = 0

    def __reduce__(self):
        Counted.now += 1.0
        return Counted._make, (b"x" * 70_000,)

    @staticmethod
    def _make(data):
        Counted.made += 1


def test_buffers_go_beside_the_pickle_from_the_size_on_from_which_the_links_send_them_so() -> None:
    """The adviser knows of the links by this number only."""
    assert BESIDE == BIG


def test_a_small_value_weighs_what_its_pickle_does():
    load = weigh({"a": [1, 2, 3]})
    assert load.size == len(pickle.dumps({"a": [1, 2, 3]}, 5))
    assert load.stuck is None
    assert load.whole


@pytest.mark.parametrize("contiguous", [True, False])
def test_an_array_weighs_all_its_bytes(contiguous):
    """Whether its buffer goes beside the pickle or, where that can't be, in it."""
    array = np.zeros(2 * BESIDE)
    array = array if contiguous else array[::2]
    load = weigh(array, budget=60)
    assert array.nbytes <= load.size < array.nbytes + 1000


def test_copying_is_counted():
    """A large array takes no time to be pickled beside, but it has to be copied."""
    assert weigh(np.zeros(1_000_000), clock=lambda: 0.0).seconds > 0


def test_a_large_value_is_put_down_when_time_is_up():
    """Ten objects of a second each, and time for two."""
    load = weigh([Counted() for _ in range(10)], budget=2.0, clock=lambda: Counted.now)
    assert not load.whole
    assert load.stuck is None
    assert load.size < 10 * 70_000


def test_nothing_is_unpickled():
    weigh(Counted(), budget=60)
    assert Counted.made == 0


def test_together_they_weigh_what_each_does():
    load = weigh_each(list(range(1000, 1016)))
    assert load.size < weigh(1000).size


def test_too_many_to_be_weighed_together_are_told_by_the_last():
    load = weigh_each([b"x" * 200_000, b"y" * 200_000, b"z"], budget=-1)
    assert load.size == weigh(b"z").size


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(threading.Lock(), "TypeError", id="a lock"),
        pytest.param([{"deep": (x for x in ())}], "TypeError", id="a generator, deep"),
    ],
)
def test_what_cannot_go_is_told(value, told):
    assert told in weigh(value, budget=60).stuck


def test_what_only_cloudpickle_can():
    load = weigh(lambda x: x, budget=60)
    assert load.stuck is None
    assert load.size > 0


def test_a_handle_of_potok_can_go():
    """Not by a pickle of one's own, but potok lets it travel."""
    tx, rx = potok.channel(1)
    lock = potok.Lock()
    assert weigh({"tx": tx, "rx": rx, "lock": lock}, budget=60).stuck is None
    tx.close()
    rx.close()


def test_a_function_with_a_lock_around_it_stays():
    lock = threading.Lock()

    def guarded(x):
        with lock:
            return x

    assert "lock" in why_stuck(guarded)
    assert "lock" in why_stuck(functools.partial(guarded, 1))


def test_functions_that_can_go():
    kept = [1, 2]
    assert why_stuck(len) is None
    assert why_stuck(weigh) is None
    assert why_stuck(lambda x: kept) is None


def test_a_function_of_main_goes_by_value():
    """By its name, plain pickle would say, but over there `__main__` is another module."""
    lock = threading.Lock()
    fn = eval("lambda x: lock", {"lock": lock, "__name__": "__main__"})  # noqa: S307
    main = types.ModuleType("__main__")
    fn.__name__ = fn.__qualname__ = "named"
    main.named = fn
    before, sys.modules["__main__"] = sys.modules["__main__"], main
    try:
        pickle.dumps(fn)
        assert "lock" in why_stuck(fn)
        assert "lock" in why_stuck(functools.partial(fn, 1))
    finally:
        sys.modules["__main__"] = before


def test_modules_in_c_are_not_known_to_load_in_an_interpreter():
    """Nor is what imports them; but for the standard library's, and potok's own, that it can do without."""
    assert "numpy" in why_unloadable(np.linalg.norm)
    assert "numpy" in why_unloadable(functools.partial(np.add, 1))
    assert why_unloadable(functools.reduce) is None
    assert why_unloadable(pickle.dumps) is None
    assert why_unloadable(weigh) is None


def test_modules_are_followed(monkeypatch):
    ours, other, in_c = (types.ModuleType(name) for name in ("ours", "other", "in_c"))
    in_c.__spec__ = ModuleSpec("in_c", ExtensionFileLoader("in_c", "in_c.so"))
    other.imported, other.self = in_c, other
    ours.name = types.FunctionType((lambda: 0).__code__, {"__name__": "other"})
    fn = types.FunctionType((lambda: 0).__code__, {"__name__": "ours"})
    for module in (ours, other, in_c):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    assert why_unloadable(fn) == "in_c is written in C, and not known to load in a sub-interpreter"
