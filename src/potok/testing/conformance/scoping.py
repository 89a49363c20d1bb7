"""Scopes: no task outlives its block, no failure is lost."""

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_one, send_each
from potok.testing.conformance.colours import Do, Opened
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs


async def fail(do: Do, error: BaseException) -> None:
    raise error


def test_scope_waits_for_its_tasks(play: Play) -> None:
    """After the block every task has ended."""
    ended = Record()

    async def work(do: Do, name: int, rx: potok.Receiver[None]) -> None:
        with pytest.raises(potok.ClosedError):
            await do.recv(rx)
        ended.append(name)

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(work, name, rx) for name in range(5)]
            await do.all_parked()
            assert not any(task.done() for task in tasks)
            tx.close()
        assert all(task.done() for task in tasks)

    play(body)
    assert sorted(ended) == [0, 1, 2, 3, 4]


@needs()
def test_scope_without_tasks_ends_at_once(play: Play) -> None:
    """An empty block, an empty scope."""

    async def body(do: Do) -> str:
        async with do.scope():
            pass
        return "done"

    assert play(body) == "done"


@needs()
def test_failure_leaves_as_an_exception_group(play: Play) -> None:
    """One failed task: a group of one."""

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope() as s:
                s.start(fail, ValueError("oops"))
        assert [str(error) for error in caught.value.exceptions] == ["oops"]

    play(body)


def test_failure_cancels_siblings_and_body(play: Play) -> None:
    """The first failure stops everybody else in the scope; their cancellations are not reported as errors."""
    cancelled = Record()

    async def wait(do: Do) -> None:
        try:
            await do.forever()
        except potok.Cancelled as reason:
            cancelled.append(str(reason))
            raise

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope() as s:
                s.start(wait)
                s.start(wait)
                await do.all_parked()
                s.start(fail, ValueError("the first"))
                await do.forever()
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('the first')"]

    play(body)
    assert len(cancelled) == 2
    assert all("the first" in reason for reason in cancelled)


def test_failure_of_the_body_cancels_its_tasks(play: Play) -> None:
    """The body's own error is in the group, too."""

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope() as s:
                task = s.start(park)
                await do.all_parked()
                raise LookupError("the body")
        assert [repr(error) for error in caught.value.exceptions] == ["LookupError('the body')"]
        assert isinstance(await do.outcome(task), potok.TaskCancelled)

    play(body)


def test_failures_are_all_reported(play: Play) -> None:
    """Tasks that fail while being cancelled add their errors to the group; so does the body."""

    async def fail_when_cancelled(do: Do, number: int) -> None:
        try:
            await do.forever()
        finally:
            raise ValueError(number)

    async def body(do: Do) -> list[str]:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope() as s:
                for number in range(3):
                    s.start(fail_when_cancelled, number)
                await do.all_parked()
                raise LookupError("body")
        return sorted(repr(error) for error in caught.value.exceptions)

    assert play(body) == ["LookupError('body')", "ValueError(0)", "ValueError(1)", "ValueError(2)"]


def test_collect_lets_siblings_go_on(play: Play) -> None:
    """With `on_fail="collect"` a failure cancels nobody; all failures are reported in the end."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        task = None
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope(on_fail="collect") as s:
                task = s.start(receive_one, rx.clone())
                bad = [s.start(fail, ValueError(number)) for number in range(2)]
                for failed in bad:
                    assert isinstance(await do.outcome(failed), ValueError)
                await do.send(tx, "alive")
        assert len(caught.value.exceptions) == 2
        assert task is not None
        return await do.result(task)

    assert play(body) == "alive"


@needs()
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exit_of_the_program_leaves_bare(play: Play, kind: type[BaseException]) -> None:
    """KeyboardInterrupt, SystemExit and GeneratorExit of a task leave the scope as they are, ungrouped."""

    async def body(do: Do) -> None:
        with pytest.raises(kind):
            async with do.scope() as s:
                s.start(fail, kind())

    play(body)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exit_raised_in_the_body_leaves_bare(play: Play, kind: type[BaseException]) -> None:
    """From the body, too; its tasks are cancelled first."""

    async def body(do: Do) -> None:
        task = None
        with pytest.raises(kind):
            async with do.scope() as s:
                task = s.start(park)
                await do.all_parked()
                raise kind
        assert task is not None
        assert isinstance(await do.outcome(task), potok.TaskCancelled)

    play(body)


def test_scopes_nest_and_failures_climb(play: Play) -> None:
    """A failure in an inner scope leaves it as a group, which the outer scope groups again with its own."""

    async def inner(do: Do) -> None:
        async with do.scope() as s:
            s.start(park)
            s.start(fail, ValueError("deep"))

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope() as s:
                s.start(inner)
                s.start(park)
        assert caught.group_contains(ValueError, match="deep", depth=2)

    play(body)


def test_task_may_start_siblings(play: Play) -> None:
    """A task may start others in its own scope, also after the body is done; the scope waits for them all."""
    ran = Record()

    async def spread(do: Do, s: Opened, depth: int) -> None:
        ran.append(depth)
        if depth:
            s.start(spread, s, depth - 1)
            s.start(spread, s, depth - 1)

    async def body(do: Do) -> None:
        async with do.scope() as s:
            s.start(spread, s, 4)

    play(body)
    assert sorted(ran) == sorted(4 - level for level in range(5) for _ in range(2**level))


def test_current_scope_starts_siblings(play: Play) -> None:
    """`potok.current_scope()` in a task is the scope that it was started in; in a block, that block's."""

    async def sibling() -> str:
        return "sibling"

    def plain_sibling() -> str:
        return "sibling"

    async def starter(do: Do) -> object:
        here = potok.current_scope()
        return here.start(plain_sibling), here.start(sibling)

    async def body(do: Do) -> None:
        async with do.block(potok.scope(on=do.on)) as outer:
            assert potok.current_scope() is outer
            async with do.block(potok.scope(on=do.on)) as inner:
                assert potok.current_scope() is inner
            assert potok.current_scope() is outer
            task = outer.start(do.task(starter))
            started = await do.result(task)
        for one in started:
            assert await do.result(one) == "sibling"

    play(body)


@needs()
def test_start_on_a_scope_that_has_ended_is_refused(play: Play) -> None:
    """A clear error, and nothing starts."""
    ran = Record()

    async def run(do: Do) -> None:
        ran.append(1)

    async def body(do: Do) -> None:
        async with do.scope() as s:
            pass
        with pytest.raises(potok.ScopeError, match="ended"):
            s.start(run)

    play(body)
    assert ran == []


@needs()
def test_scope_is_entered_once(play: Play) -> None:
    """Before entering it, `start` is refused; entering it twice, too."""

    async def body(do: Do) -> None:
        block = potok.scope(on=do.on)
        with pytest.raises(potok.ScopeError, match="not entered"):
            block.start(print)
        async with do.block(block):
            pass
        with pytest.raises(potok.ScopeError, match="once"):
            await do.enter(block)

    play(body)


def test_result_of_a_task_may_be_read_after_the_scope(play: Play) -> None:
    """Results, and failures, stay with the task."""

    async def body(do: Do) -> object:
        failed = good = None
        tx, rx = potok.channel(1)
        with pytest.raises(ExceptionGroup):
            async with do.scope(on_fail="collect") as s:
                failed = s.start(fail, ValueError("kept"))
                good = s.start(receive_one, rx)
                s.start(send_each, tx, 5)
        assert failed is not None
        assert good is not None
        error = await do.outcome(failed)
        return repr(error), await do.result(good)

    assert play(body) == ("ValueError('kept')", 5)


def test_outer_cancellation_leaves_bare_even_with_failures_inside(play: Play) -> None:
    """A task cancelled from outside ends as cancelled when nothing in its scope failed."""

    async def inner(do: Do) -> None:
        async with do.scope() as s:
            s.start(park)

    async def body(do: Do) -> None:
        async with do.scope() as s:
            task = s.start(inner)
            await do.all_parked()
            task.cancel("outside")
            error = await do.outcome(task)
            assert isinstance(error, potok.TaskCancelled)

    play(body)


@needs()
def test_exception_group_of_the_body_is_kept_inside(play: Play) -> None:
    """The structure of a group raised in the body is not flattened."""

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope():
                raise ExceptionGroup("own", [ValueError(1), LookupError(2)])
        assert caught.group_contains(ValueError, depth=2)

    play(body)


@needs()
def test_errors_of_python_pass_through_a_finished_scope(play: Play) -> None:
    """`return` and `break` out of a block wait for its tasks and then do what they do."""
    got = Record()

    async def body(do: Do) -> str:
        for number in range(3):
            async with do.scope() as s:
                s.start(fail_never, got, number)
                if number == 1:
                    break
        async with do.scope() as s:
            s.start(fail_never, got, "last")
            return "returned"

    assert play(body) == "returned"
    assert got == [0, 1, "last"]


async def fail_never(do: Do, got: Record, value: object) -> None:
    got.append(value)
