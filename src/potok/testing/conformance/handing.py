"""Ends as arguments of `start`: the task gets its own, and nobody has to close anything."""

import functools

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_all, receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs


def test_handed_sender_closes_when_its_task_ends(play: Play) -> None:
    """A producer that closes nothing still ends the items of its consumer."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(send_each, tx, 1, 2, 3)
            return [item async for item in do.each(rx)]

    assert play(body) == [1, 2, 3]


def test_handed_receiver_closes_when_its_task_ends(play: Play) -> None:
    """A consumer that stops early fails its producer at the next send, rather than leaving it parked."""

    async def body(do: Do) -> int:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(receive_one, rx)
            sent = 0
            with pytest.raises(potok.ClosedError):
                for sent in range(10):
                    await do.send(tx, sent)
            return sent

    assert play(body) == 1


def test_handed_end_tells_of_its_task_failure(play: Play) -> None:
    """Who iterates learns why there are no more items: the exception of the task that sent them is the cause."""

    async def produce(do: Do, tx: potok.Sender[int]) -> None:
        await do.send(tx, 1)
        raise ValueError("half done")

    async def consume(do: Do, rx: potok.Receiver[int]) -> object:
        try:
            await receive_all(do, rx)
        except potok.ClosedError as error:
            return error.cause
        return "a clean end"

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        consumer = None
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope(on_fail="collect") as s:
                consumer = s.start(consume, rx)
                s.start(produce, tx)
        assert [type(error) for error in caught.value.exceptions] == [ValueError]
        assert consumer is not None
        cause = await do.result(consumer)
        assert play.same(cause, caught.value.exceptions[0])
        return str(cause)

    assert play(body) == "half done"


def test_handed_to_three_producers_ends_with_the_last(play: Play) -> None:
    """The same sender handed to several tasks: the items end when the last of them has ended."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            for number in range(3):
                s.start(send_each, tx, number, number + 10)
            return sorted([item async for item in do.each(rx)])

    assert play(body) == [0, 1, 2, 10, 11, 12]


def test_handed_to_a_second_task_after_the_first_has_ended(play: Play) -> None:
    """The caller's own end stays open while it hands over: a fast first producer ends nothing."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(10)
        async with do.scope() as s:
            for number in range(3):
                await do.result(s.start(send_each, tx, number))
            return [item async for item in do.each(rx)]

    assert play(body) == [0, 1, 2]


def test_handed_receiver_for_several_consumers(play: Play) -> None:
    """`for _ in range(3): s.start(consume, rx)` needs no ceremony; the body sends with `with tx:`."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(receive_all, rx) for _ in range(3)]
            with tx:
                await send_each(do, tx, *range(12))
        return sorted([item for task in tasks for item in await do.result(task)])

    assert play(body) == list(range(12))


def test_handed_end_of_the_caller_closes_as_the_body_turns_to_the_other_side(play: Play) -> None:
    """The caller's own sender closes when the body first receives; using it later says why and what to do."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(5)
        async with do.scope() as s:
            s.start(send_each, tx, 1)
            before = tx.closed
            await do.send(tx, 2)  # still the caller's, too
            assert sorted([await do.recv(rx), await do.recv(rx)]) == [1, 2]
            assert (before, tx.closed) == (False, True)
            with pytest.raises(potok.ClosedError, match=r"handed over.*clone\(\)"):
                await do.send(tx, 3)

    play(body)


async def pass_on(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
    async for item in do.each(rx):
        await do.send(tx, item + 1)


def test_handed_ends_along_a_pipeline_close_as_the_body_iterates(play: Play) -> None:
    """The body touches only the last channel: its own ends of those before hold nobody up."""

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b), (c_tx, c) = potok.channel(), potok.channel(2), potok.channel()
        async with do.scope() as s:
            s.start(send_each, a_tx, 1, 2, 3)
            s.start(pass_on, a, b_tx)
            s.start(pass_on, b, c_tx)
            got = [item async for item in do.each(c)]
            with pytest.raises(potok.ClosedError, match=r"handed over to task send_each.*clone"):
                await do.send(a_tx, 4)
            assert not a.closed, "only what would keep the body waiting closes"
            return got

    assert play(body) == [3, 4, 5]


def test_handed_ends_along_a_pipeline_stay_open_for_single_items(play: Play) -> None:
    """Who takes an answer and then asks again has not come to the end: another task may send the requests, too."""

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b) = potok.channel(10), potok.channel(10)
        async with do.scope() as s:
            s.start(pass_on, a, b_tx)
            s.start(send_each, a_tx, 10)
            got = [await do.recv(b)]
            for item in (20, 30):
                await do.send(a_tx, item)
                got.append(await do.recv(b))
            s.start(send_each, a_tx, 40)
            return [*got, *[item async for item in do.each(b)]]

    assert play(body) == [11, 21, 31, 41]


def test_handed_ends_close_as_the_body_waits_for_a_task_down_the_line(play: Play) -> None:
    """`s.start(consume, rx).result()` in the body does not wait for the body's own sender."""

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b) = potok.channel(), potok.channel()
        async with do.scope() as s:
            s.start(send_each, a_tx, 1, 2)
            s.start(pass_on, a, b_tx)
            consumer = s.start(receive_all, b)
            return [*await do.result(consumer)]

    assert play(body) == [2, 3]


@pytest.mark.parametrize("wait", ["result", "end"])
def test_handed_ends_close_as_an_inner_scope_waits(play: Play, wait: str) -> None:
    """The producer was started in the outer scope, the consumer in the inner one."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as outer:
            outer.start(send_each, tx, 1, 2)
            async with do.scope() as inner:
                consumer = inner.start(receive_all, rx)
                if wait == "result":
                    await do.result(consumer)
            return [*await do.result(consumer)]

    assert play(body) == [1, 2]


def test_handed_ends_along_a_pipeline_across_scopes(play: Play) -> None:
    """One stage in each scope; the body of the inner one iterates."""

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b) = potok.channel(), potok.channel()
        async with do.scope() as outer:
            outer.start(send_each, a_tx, 1, 2)
            async with do.scope() as inner:
                inner.start(pass_on, a, b_tx)
                return [item async for item in do.each(b)]

    assert play(body) == [2, 3]


def test_handed_sender_stays_open_as_the_body_waits_for_a_producer(play: Play) -> None:
    """Another producer may still be started: who waits for the first one has not turned to the other side."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            consumer = s.start(receive_all, rx)
            for item in range(3):
                await do.result(s.start(send_each, tx, item))
        return [*await do.result(consumer)]

    assert play(body) == [0, 1, 2]


def test_handed_end_of_the_caller_closes_when_the_body_ends(play: Play) -> None:
    """Two tasks connected by a channel, a body that uses neither end: nobody waits for ever."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_all, rx)
            s.start(send_each, tx, 1, 2)
        assert tx.closed
        assert rx.closed
        with pytest.raises(potok.ClosedError, match="handed over"):
            await do.recv(rx)
        return await do.result(task)  # type: ignore[no-any-return]

    assert play(body) == [1, 2]


def test_handed_end_that_was_cloned_stays_with_the_caller(play: Play) -> None:
    """`start(fn, tx.clone())` hands over the clone: the caller goes on with its own."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(5)
        async with do.scope() as s:
            await do.result(s.start(send_each, tx.clone(), 1))
            assert await do.recv(rx) == 1
            await do.send(tx, 2)
            tx.close()
            return [item async for item in do.each(rx)]

    assert play(body) == [2]


def test_handed_through_a_partial(play: Play) -> None:
    """Ends bound by functools.partial, by position or keyword, are arguments like others."""

    def feed(first: potok.Sender[int], *, second: potok.Sender[int]) -> None:
        first.send(1)
        second.send(2)

    async def afeed(first: potok.Sender[int], *, second: potok.Sender[int]) -> None:
        await first.asend(1)
        await second.asend(2)

    async def body(do: Do) -> list[list[int]]:
        got = []
        for function in (feed, afeed):
            (one, one_rx), (two, two_rx) = potok.channel(1), potok.channel(1)
            async with do.block(potok.scope(on=do.on)) as s:
                s.start(functools.partial(function, one, second=two))
                got.append(await receive_all(do, one_rx) + await receive_all(do, two_rx))
        return got

    assert play(body) == [[1, 2], [1, 2]]


def test_end_in_a_container_is_shared_not_handed_over(play: Play) -> None:
    """A task that got an end in a list does not close it, and the caller keeps it."""

    async def send_first(do: Do, ends: list[potok.Sender[int]]) -> None:
        await do.send(ends[0], 1)

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(5)
        async with do.scope() as s:
            await do.result(s.start(send_first, [tx]))
            got = [await do.recv(rx)]
            await do.send(tx, 2)
            return [*got, await do.recv(rx)]

    assert play(body) == [1, 2]


def test_end_in_a_closure_is_shared_not_handed_over(play: Play) -> None:
    """A task that uses an end of the code around it does not close it."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(5)

        async def send_one(do: Do) -> None:
            await do.send(tx, 1)

        async with do.scope() as s:
            await do.result(s.start(send_one))
            got = [await do.recv(rx)]
            await do.send(tx, 2)
            return [*got, await do.recv(rx)]

    assert play(body) == [1, 2]


def test_handed_end_of_a_cancelled_task_closes(play: Play) -> None:
    """A consumer learns that its producer was cancelled: no clean end."""

    async def produce(do: Do, tx: potok.Sender[int]) -> None:
        await do.send(tx, 1)
        await do.forever()

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(produce, tx)
            assert await do.recv(rx) == 1
            task.cancel("not needed")
            with pytest.raises(potok.ClosedError) as caught:
                await do.recv(rx)
            return caught.value.cause

    assert isinstance(play(body), potok.Cancelled)


def test_handed_end_may_be_closed_early_by_its_task(play: Play) -> None:
    """A task that closes its end before it ends ends the items then."""

    async def produce(do: Do, tx: potok.Sender[int]) -> None:
        await do.send(tx, 1)
        tx.close()
        await do.forever()

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(produce, tx)
            got = [item async for item in do.each(rx)]
            s.cancel()
        return got

    assert play(body) == [1]


def test_handing_over_a_closed_end_starts_nothing(play: Play) -> None:
    """`start` with an end that is closed raises ClosedError, and no task was started."""
    ran = Record()

    async def run(do: Do, tx: potok.Sender[int]) -> None:
        ran.append(1)

    async def body(do: Do) -> None:
        tx, _ = potok.channel()
        tx.close()
        async with do.scope() as s:
            with pytest.raises(potok.ClosedError):
                s.start(run, tx)
            await do.all_parked()

    play(body)
    assert ran == []


def test_handed_by_a_sibling_counts_like_any_other(play: Play) -> None:
    """A task that starts a sibling with its own end: the items end when both have ended."""

    async def split(do: Do, s: object, tx: potok.Sender[int]) -> None:
        s.start(send_each, tx, 1, 2)  # type: ignore[attr-defined]
        await do.send(tx, 3)

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(split, s, tx)
            return sorted([item async for item in do.each(rx)])

    assert play(body) == [1, 2, 3]


def test_both_ends_of_one_channel_handed_to_two_tasks_and_a_third_parked(play: Play) -> None:
    """The failure of a middle stage reaches both neighbours: nobody is left waiting, whatever stage fails."""

    async def stage(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int], breaks_at: int) -> None:
        async for item in do.each(rx):
            if item == breaks_at:
                raise ValueError(item)
            await do.send(tx, item)

    async def body(do: Do) -> None:
        for breaks_at in (0, 3):
            first, first_rx = potok.channel()
            second, second_rx = potok.channel()
            got: list[int] = []
            with pytest.raises(ExceptionGroup) as caught:
                async with do.scope() as s:
                    s.start(send_each, first, *range(10))
                    s.start(stage, first_rx, second, breaks_at)
                    async for item in do.each(second_rx):
                        got.append(item)  # noqa: PERF401 - up to the failure
            assert caught.group_contains(ValueError)
            assert got == list(range(breaks_at))

    play(body)


@needs("parking", "root tasks")
def test_root_task_leaves_the_callers_end_open(play: Play) -> None:
    """`potok.start` has no body: the caller's own end stays open until it is closed."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(3)
        task = potok.start(do.task(send_each), tx, 1, on=do.on)
        await do.result(task)
        got = [await do.recv(rx)]
        await do.send(tx, 2)
        tx.close()
        return [*got, *[item async for item in do.each(rx)]]

    assert play(body) == [1, 2]


def test_handed_ends_of_a_task_that_never_ran_close(play: Play) -> None:
    """A task that was cancelled before its first step: its ends close, and its peers go on."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(park)
            task.cancel()
            sender = s.start(send_each, tx, 1)
            sender.cancel()
            with pytest.raises(potok.ClosedError):
                while True:
                    await do.recv(rx)

    play(body)
