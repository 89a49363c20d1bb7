"""The task as others see it: outcome, names, listing, and who is current."""

import re

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_one
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs


async def return_it(do: Do, value: object) -> object:
    return value


async def fail(do: Do, error: BaseException) -> None:
    raise error


@needs()
def test_run_returns_what_its_function_returns(play: Play) -> None:
    """`potok.run(fn, *args)` for `def` and `async def` functions alike."""

    def add(a: int, b: int) -> int:
        return a + b

    async def aadd(a: int, b: int) -> int:
        return a + b

    on = play.on
    assert potok.run(add, 1, 2, on=on) == 3
    assert potok.run(aadd, 3, 4, on=on) == 7


@needs()
def test_run_raises_what_its_function_raised(play: Play) -> None:
    """Bare, not in a group: the very exception."""
    error = LookupError("the very one")

    def fail_now() -> None:
        raise error

    async def afail_now() -> None:
        raise error

    for function in (fail_now, afail_now):
        with pytest.raises(LookupError) as caught:
            potok.run(function, on=play.on)
        assert play.same(caught.value, error)


@needs()
def test_task_has_the_result_of_its_function(play: Play) -> None:
    """`result()` returns it, as often as it is asked; `exception()` is None then, `done()` true."""

    async def body(do: Do) -> None:
        async with do.scope() as s:
            task = s.start(return_it, 5)
            assert await do.result(task) == 5
            assert await do.result(task) == 5
            assert task.done()
        assert task.result() == 5
        assert task.exception() is None

    play(body)


@needs()
def test_task_has_the_exception_of_its_function(play: Play) -> None:
    """`result()` raises the very exception that the function raised; `exception()` returns it."""
    error = ValueError("the very one")

    async def body(do: Do) -> None:
        task = None
        with pytest.raises(ExceptionGroup):
            async with do.scope() as s:
                task = s.start(fail, error)
        assert task is not None
        with pytest.raises(ValueError, match="the very one") as caught:
            await do.result(task)
        assert play.same(caught.value, error)
        assert play.same(task.exception(), error)

    play(body)


def test_join_waits_and_never_raises(play: Play) -> None:
    """`join()` is True once the task has ended, however it ended, and False when its time-out passed first."""

    def body() -> None:
        with potok.scope(on=play.on, on_fail="collect") as s:
            task = s.start(play.do.task(park))
            assert task.join(timeout=0) is False
            assert task.join(timeout=play.do.tick) is False
            with pytest.raises(TimeoutError):
                task.result(timeout=play.do.tick)
            with pytest.raises(TimeoutError):
                task.exception(timeout=0)
            task.cancel()
            assert task.join() is True
            assert task.join(timeout=0) is True
            assert isinstance(task.exception(), potok.TaskCancelled)

    on = play.on
    potok.run(body, on=on)


def test_join_by_many_wakes_all(play: Play) -> None:
    """Any number of tasks may wait for the end of one."""

    async def wait_for(do: Do, task: potok.Task[object]) -> object:
        return await do.result(task)

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_one, rx.clone())
            waiting = [s.start(wait_for, task) for _ in range(5)]
            await do.all_parked()
            await do.send(tx, "result")
            return [await do.result(one) for one in waiting]

    assert play(body) == ["result"] * 5


def test_joining_oneself_is_refused(play: Play) -> None:
    """A task that waits for its own end would wait for ever: DeadlockError, at once."""

    async def wait_for_self(do: Do) -> None:
        with pytest.raises(potok.DeadlockError):
            await do.result(potok.current_task())

    async def body(do: Do) -> None:
        async with do.scope() as s:
            s.start(wait_for_self)

    play(body)


@needs()
def test_task_names_are_unique_and_tell_the_function(play: Play) -> None:
    """`doubler-1`, `doubler-2`, ...; a name of one's own is taken as it is."""

    async def doubler(do: Do) -> str:
        return potok.current_task().name

    async def body(do: Do) -> list[str]:
        async with do.scope() as s:
            tasks = [s.start(doubler) for _ in range(3)]
            named = s.start(doubler, name="my own")
            assert [await do.result(task) for task in tasks] == [task.name for task in tasks]
            assert await do.result(named) == named.name
            assert named.name == "my own" or named.name.startswith("my own")
            return [task.name for task in tasks]

    names = play(body)
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"doubler-\d+", name) for name in names)


@needs()
def test_task_knows_where_it_runs(play: Play) -> None:
    """Ids are unique; the executor is named; the process is this one, or one of its own."""
    import os

    async def body(do: Do) -> None:
        async with do.scope() as s:
            one, other = s.start(return_it, 1), s.start(return_it, 2)
        assert one.id != other.id
        assert (one.pid == os.getpid()) is ("one process" not in play.target.lacks)
        assert one.pid
        assert isinstance(one.executor, str)
        assert one.executor
        assert one.name in repr(one)

    play(body)


def test_current_task_is_the_task_itself(play: Play) -> None:
    """In a task, `current_task()` is what `start` returned, before and after it waited."""

    async def who(do: Do, rx: potok.Receiver[None]) -> list[object]:
        before = potok.current_task()
        await do.recv(rx)
        return [before, potok.current_task()]

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(who, rx.clone()) for _ in range(3)]
            await do.all_parked()
            for _ in tasks:
                await do.send(tx, None)
            for task in tasks:
                assert await do.result(task) == [task, task]

    play(body)


def test_tasks_lists_who_waits_for_what(play: Play) -> None:
    """`potok.tasks()` has each live task with what it waits for, and nobody who has ended."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(name="orders")
        async with do.scope() as s:
            task, done = s.start(receive_one, rx.clone()), s.start(return_it, 1)
            await do.result(done)
            await do.all_parked()
            listed = {info.task: info for info in potok.tasks()}
            assert done not in listed
            info = listed[task]
            assert info.name == task.name
            assert "recv" in info.waits_for
            assert "orders" in info.waits_for
            assert info.since is not None
            assert info.since >= 0
            assert "orders" in str(info)
            await do.send(tx, 1)
        assert task not in {info.task for info in potok.tasks()}

    play(body)


@needs("parking", "root tasks")
def test_root_task_runs_beside_its_starter(play: Play) -> None:
    """`potok.start` belongs to no block; its result can be asked for."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        task = potok.start(do.task(receive_one), rx.clone(), on=do.on)
        await do.all_parked()
        await do.send(tx, "for the root's task")
        return await do.result(task)

    assert play(body) == "for the root's task"


@needs("parking", "root tasks")
def test_root_task_that_fails_is_told_to_whoever_asks(play: Play) -> None:
    """Nobody's block is cancelled by it."""

    async def fail_later(do: Do, rx: potok.Receiver[None]) -> None:
        await do.recv(rx)
        raise ValueError("on its own")

    async def ask(do: Do, task: potok.Task[None]) -> BaseException | None:
        return await do.outcome(task)

    async def body(do: Do) -> BaseException | None:
        tx, rx = potok.channel()
        task = potok.start(do.task(fail_later), rx.clone(), on=do.on)
        async with do.scope() as s:
            asking = s.start(ask, task)
            await do.all_parked()
            await do.send(tx, None)
            error: BaseException | None = await do.result(asking)
            return error

    assert repr(play(body)) == "ValueError('on its own')"


@needs("parking", "root tasks")
def test_root_task_that_fails_unasked_is_reported(play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    """Its traceback goes to stderr, once, with its name; its siblings live."""
    if "one address space" in play.target.lacks and play.host in ("def", "async"):
        pytest.skip("the process that runs the body reports on its own stderr, which pytest does not capture")

    async def body(do: Do) -> None:
        failed = potok.start(do.task(fail), ValueError("nobody asked"), on=do.on, name="lonely")
        await do.all_parked()
        assert failed.done()

    play(body)
    told = capfd.readouterr().err
    assert told.count("Exception in potok task") == 1
    assert "nobody asked" in told
    assert "lonely" in told


@needs()
def test_checkpoint_is_a_park_point_in_both_colours(play: Play) -> None:
    """`potok.checkpoint()` raises in a cancelled task, and does nothing else that one could see."""

    async def body(do: Do) -> str:
        potok.checkpoint()
        async with do.scope() as s:
            s.cancel()
            with pytest.raises(potok.Cancelled):
                potok.checkpoint()
        potok.checkpoint()
        return "went on"

    assert play(body) == "went on"


def test_many_tasks(play: Play) -> None:
    """200 tasks that all wait at once, or as many as the executor can have, and all go on."""
    many = play.target.crowd

    async def body(do: Do) -> int:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(receive_one, rx.clone()) for _ in range(many)]
            with tx:
                for number in range(many):
                    await do.send(tx, number)
            return sum([await do.result(task) for task in tasks])

    assert play(body) == sum(range(many))
