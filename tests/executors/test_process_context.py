"""*processes*: which context variable is meant over there, and what can't go along."""

import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

import potok

CARRIED = potok.processes(preload=("pytest",))
level: ContextVar[Any] = ContextVar("level", default=0)


class Holder:
    """Its variable is no attribute of a module."""

    hidden: ContextVar[int] = ContextVar("hidden", default=0)


def get(var: ContextVar[Any]) -> Any:
    return var.get()


def test_variable_that_nobody_could_find_is_refused() -> None:
    """The message names it and says what to do; one that is set nowhere is no matter."""
    local: ContextVar[int] = ContextVar("local_to_a_function")

    def body() -> None:
        with potok.scope(on=CARRIED) as s:
            s.start(abs, -1, carry=[local])
            local.set(1)
            Holder.hidden.set(1)
            with pytest.raises(potok.RemoteError, match=r"'local_to_a_function'.*at the top of a module"):
                s.start(abs, -1, carry=[local])
            with pytest.raises(potok.RemoteError, match="'hidden'"):
                s.start(abs, -1, carry=[Holder.hidden])
            assert s.start(abs, -1, carry=[level]).result() == 1

    copy_context().run(body)


def test_value_that_cannot_be_pickled_is_refused() -> None:
    """The message names the variable and what is wrong; the same program works on threads."""

    def body() -> None:
        level.set({"lock": threading.Lock()})
        with potok.scope(on="threads") as s:
            assert "lock" in s.start(level.get, carry=[level]).result()
        with potok.scope(on=CARRIED) as s:
            with pytest.raises(potok.RemoteError, match=r"'level'.*\['lock'\]"):
                s.start(level.get, carry=[level])
            assert s.start(abs, -1).result() == 1

    copy_context().run(body)


def test_handles_may_be_carried() -> None:
    """A channel's end in a variable is shared, and given back when the task has ended."""
    tx, rx = potok.channel(1)

    def body() -> None:
        level.set([tx])
        with potok.scope(on=CARRIED) as s:
            s.start(send_by_context, carry=[level])

    copy_context().run(body)
    assert rx.recv() == "carried"
    tx.close()
    with pytest.raises(potok.ClosedError):
        rx.recv(timeout=20)


def send_by_context() -> None:
    level.get()[0].send("carried")


def test_variables_may_be_arguments() -> None:
    """What stands for one over there is that module's."""

    def body() -> None:
        level.set(7)
        with potok.scope(on=CARRIED) as s:
            assert s.start(get, level, carry=[level]).result() == 7
            assert s.start(get, level).result() == 0
            assert s.start(lambda: level).result() is level

    copy_context().run(body)


def test_variables_of_main(printed: Callable[..., str]) -> None:
    """They are made once in each worker, with their default, and are the ones that functions of `__main__` use."""
    told = printed(
        """
        from contextvars import ContextVar
        import potok

        renamed = ContextVar("a name that it does not have", default=["unset"])
        bare = ContextVar("bare")

        def look():
            return renamed.get(), bare.get("none")

        def deeper():
            with potok.scope(on="processes") as s:
                return s.start(look, carry=[renamed, bare]).result()

        with potok.scope(on="processes") as s:
            print(s.start(look).result())
            renamed.set("one")
            bare.set("two")
            print(s.start(look, carry=[renamed]).result(), s.start(deeper, carry=[renamed, bare]).result())
            print(s.start(lambda: renamed).result() is renamed)
        """,
    )
    assert told.splitlines() == ["(['unset'], 'none')", "('one', 'none') ('one', 'two')", "True"]
