"""Who refers to a thing is known, or it is anybody: every reference is accounted for."""

import sys
import threading

import pytest

import potok
from potok.kernel.deadlock.holders import ANYBODY, Holders
from potok.kernel.stuck import frame_of
from potok.testing import wait_all_parked


class Thing:
    """Something to be held."""


def holders_of(reference, *tasks):
    """Which of these parked tasks hold what the weak-like reference names; nothing here adds one of its own."""
    stacks = {task: list(_stack(task)) for task in tasks}
    return Holders({id(reference[0]): reference.pop()}, stacks, ()).of


def _stack(task):
    frame = frame_of(task)
    while frame is not None:
        yield frame
        frame = frame.f_back


@pytest.fixture(params=["threads", "coroutines"])
def on(request):
    return request.param


def ask(on, hold, *args):
    """Have a task hold a thing while it is parked; who holds it, by name."""
    made = [Thing()]
    number = id(made[0])
    gate = potok.Event()
    with potok.scope(on=on) as s:
        task = s.start(hold, made[0], gate, *args, name="holder")
        wait_all_parked()
        found = holders_of(made, task)(number)
        gate.set()
    return found if found is ANYBODY else {task.name for task in found}


def in_a_variable(thing, gate):
    gate.wait()
    return thing is None


def in_a_container(thing, gate):
    kept = {"deep": [(thing,)]}
    del thing
    gate.wait()
    return kept


def in_a_closure(thing, gate):
    def inner():
        return thing

    gate.wait()
    return inner is None


def in_a_global(thing, gate):
    globals()["kept_thing"] = thing
    gate.wait()
    del globals()["kept_thing"]


def with_another_thread(thing, gate):
    begun, over = threading.Event(), threading.Event()

    def other(borrowed):
        begun.set()
        over.wait()
        return borrowed

    thread = threading.Thread(target=other, args=(thing,))
    thread.start()
    begun.wait()
    gate.wait()
    over.set()
    thread.join()


def on_the_stack_of_another_thread(thing, gate):
    """Only its loop has it: no variable does."""
    begun, over = threading.Event(), threading.Event()

    def other(box):
        for _ in Looped(box.pop()):
            begun.set()
            over.wait()

    thread = threading.Thread(target=other, args=([thing],))
    thread.start()
    begun.wait()
    gate.wait()
    over.set()
    thread.join()


class Looped:
    """An iterator that gives one item, and keeps a thing."""

    def __init__(self, thing):
        self.thing = thing
        self.times = 1

    def __iter__(self):
        return self

    def __next__(self):
        if not self.times:
            raise StopIteration
        self.times -= 1


@pytest.mark.parametrize("hold", [in_a_variable, in_a_container, in_a_closure])
def test_the_task_alone(on, hold):
    """In whatever way it holds the thing, nobody else does."""
    assert ask(on, hold) == {"holder"}


@pytest.mark.parametrize("hold", [in_a_global, with_another_thread, on_the_stack_of_another_thread])
def test_anybody(on, hold):
    """A module, a thread that is not parked in potok, the evaluation stack of one: then nothing is certain."""
    assert ask(on, hold) is ANYBODY


def test_nothing_is_kept_alive(on):
    """Looking leaves no reference behind."""
    thing = Thing()
    before = sys.getrefcount(thing)
    gate = potok.Event()
    with potok.scope(on=on) as s:
        task = s.start(in_a_variable, thing, gate)
        wait_all_parked()
        holders_of([thing], task)
        gate.set()
    del task, s
    assert sys.getrefcount(thing) == before
