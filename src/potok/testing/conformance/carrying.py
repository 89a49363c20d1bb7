"""`carry=`: the context variables that go along with a task, wherever it runs."""

from contextvars import ContextVar, copy_context
from typing import Any

import pytest

import potok
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs

user: ContextVar[Any] = ContextVar("user", default="nobody")
place: ContextVar[str] = ContextVar("place", default="nowhere")
unset: ContextVar[str] = ContextVar("unset")
other_name: ContextVar[str] = ContextVar("user", default="nobody else")  # which is no name of its own


async def look(do: Do) -> tuple[Any, str, str, str]:
    seen = user.get(), place.get(), unset.get("not set"), other_name.get()
    user.set("the task's")
    await do.sleep(0)
    return seen


async def look_deeper(do: Do) -> tuple[Any, ...]:
    async with do.scope() as s:
        task = s.start(look, carry=[user])
        return tuple(await do.result(task))


@needs()
def test_named_variables_go_along(play: Play) -> None:
    """With the value that they have as the task is started; others only within an address space."""

    async def body(do: Do) -> None:
        user.set({"name": "ann"})
        place.set("here")
        other_name.set("bob")
        async with do.scope() as s:
            first = s.start(look, carry=[user, unset, other_name])
            user.set("ben")
            second = s.start(look, carry=(name for name in [user, place]))
            one, two = await do.result(first), await do.result(second)
        left = [one[1], two[3]]
        assert (one[0], one[2:]) == ({"name": "ann"}, ("not set", "bob"))
        assert two[:3] == ("ben", "here", "not set")
        alone = "one address space" in play.target.lacks
        assert left == (["nowhere", "nobody else"] if alone else ["here", "bob"])
        assert user.get() == "ben"

    copy_context().run(play, body)


@needs()
def test_carried_variables_are_carried_on(play: Play) -> None:
    """A task that was given one gives it to its own."""

    async def body(do: Do) -> None:
        user.set("ann")
        async with do.scope() as s:
            assert (await do.result(s.start(look_deeper, carry=[user])))[0] == "ann"

    copy_context().run(play, body)


@needs()
def test_sibling_started_by_a_task_has_what_that_names(play: Play) -> None:
    """Also where the scope is one of another address space."""

    async def start_sibling(do: Do, scope: Any) -> Any:
        user.set("the task's own")
        return scope.start(do.task(look), on=do.on, carry=[user])

    async def body(do: Do) -> None:
        user.set("ann")
        async with do.scope() as s:
            sibling = await do.result(s.start(start_sibling, potok.current_scope()))
            assert (await do.result(sibling))[0] == "the task's own"

    copy_context().run(play, body)


@needs("root tasks")
def test_root_tasks_carry_too(play: Play) -> None:
    """`potok.start(…, carry=…)`."""

    async def body(do: Do) -> None:
        user.set("ann")
        task = potok.start(do.task(look), on=do.on, carry=[user])
        assert (await do.result(task))[0] == "ann"

    copy_context().run(play, body)


@needs()
@pytest.mark.parametrize("carry", [user, [user, "place"], 7])
def test_what_is_no_context_variable_is_refused(play: Play, carry: Any) -> None:
    """Nothing was started; the scope goes on."""

    async def body(do: Do) -> Any:
        async with do.scope() as s:
            with pytest.raises(TypeError, match="carry takes context variables"):
                s.start(look, carry=carry)
            return (await do.result(s.start(look)))[2]

    assert play(body) == "not set"
