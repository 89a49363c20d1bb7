"""Pipes: two ends, each of which sends to and receives from the other."""

import contextlib

import pytest

import potok
from potok.testing.conformance.bodies import (
    drain,
    poll,
    poll_shared,
    receive_all,
    receive_one,
    receive_shared,
    send_each,
    send_shared,
)
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

ROUNDS = 30

capacities = pytest.mark.parametrize("capacity", [0, 1, 16, potok.UNBOUNDED])


async def double(do: Do, end: potok.Pipe[int]) -> None:
    async for item in do.each(end):
        await do.send(end, 2 * item)


# ── both ways ───────────────────────────────────────────────────────────────────────────────────────────────


@needs()
def test_pipe_carries_items_both_ways(play: Play) -> None:
    """What one end sends the other receives, in order, and nobody gets what he sent himself."""

    async def body(do: Do) -> list[list[object]]:
        a, b = potok.pipe(2)
        with a, b:
            await send_each(do, a, "a1", "a2")
            await send_each(do, b, "b1", "b2")
            return [drain(a), drain(b)]

    assert play(body) == [["b1", "b2"], ["a1", "a2"]]


@capacities
def test_pipe_between_a_task_and_its_body(play: Play, capacity: int) -> None:
    """Questions one way, answers the other; closing the asker's end ends the answerer's loop."""

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe(capacity)
        got = []
        async with do.scope() as s:
            s.start(double, b)
            with a:
                for number in range(20):
                    await do.send(a, number)
                    got.append(await do.recv(a))
        return got

    assert play(body) == list(range(0, 40, 2))


@capacities
def test_pipe_between_tasks_that_send_and_receive_at_once(play: Play, capacity: int) -> None:
    """Two tasks at each end: what is under way in one direction holds up nobody in the other."""

    async def receive_50(do: Do, end: potok.Pipe[int]) -> list[int]:
        return [await do.recv(end) for _ in range(50)]

    async def body(do: Do) -> list[list[int]]:
        a, b = potok.pipe(capacity)
        async with do.scope() as s:
            tasks = [s.start(receive_50, a), s.start(receive_50, b)]
            s.start(send_each, a, *range(50))
            s.start(send_each, b, *range(100, 150))
        return [await do.result(task) for task in tasks]

    assert play(body) == [list(range(100, 150)), list(range(50))]


@needs()
def test_pipe_capacity_is_that_of_each_direction(play: Play) -> None:
    """What does not fit would wait; the other direction has all its places still."""

    async def body(do: Do) -> list[list[int]]:
        a, b = potok.pipe(2)
        with a, b:
            for end in (a, b):
                end.send_nowait(1)
                end.send_nowait(2)
                for _ in range(2):
                    with pytest.raises(potok.WouldBlock):
                        end.send_nowait(3)
            got = [drain(a), drain(b)]
            for end in (a, b):
                with pytest.raises(potok.WouldBlock):
                    end.recv_nowait()
            return got

    assert play(body) == [[1, 2], [1, 2]]


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_pipe_capacity_bounds_the_sender(play: Play, capacity: int) -> None:
    """It waits when it is `capacity` items ahead, and goes on by one item for each that is received."""

    async def send_and_count(do: Do, end: potok.Pipe[int], sent: Record) -> None:
        for item in range(6):
            await do.send(end, item)
            sent.append(item)

    async def body(do: Do) -> None:
        a, b = potok.pipe(capacity)
        sent = Record()
        async with do.scope() as s:
            s.start(send_and_count, a, sent)
            for item in range(6):
                await do.all_parked()
                assert sent == list(range(min(item + capacity, 6)))
                assert await do.recv(b) == item

    play(body)


def test_pipe_parked_senders_and_receivers_are_served_in_order(play: Play) -> None:
    """First come, first served, by whichever end the tasks got."""

    async def body(do: Do) -> list[list[object]]:
        a, b = potok.pipe(0)
        async with do.scope() as s:
            for item in range(4):
                s.start(send_shared, [a], item)
                await do.all_parked()
            sent = [await do.recv(b) for _ in range(4)]
            tasks = []
            for _ in range(4):
                tasks.append(s.start(receive_shared, [a]))
                await do.all_parked()
            await send_each(do, b, *range(4))
            return [sent, [await do.result(task) for task in tasks]]

    assert play(body) == [[0, 1, 2, 3]] * 2


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────


@needs()
def test_pipe_closed_end_lets_its_peer_drain(play: Play) -> None:
    """`recv` gets what was sent, then ClosedError; a send fails at once, though there were room."""

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe()
        with b:
            await send_each(do, a, 1, 2)
            a.close()
            with pytest.raises(potok.ClosedError):
                await do.send(b, 3)
            with pytest.raises(potok.ClosedError):
                b.send_nowait(3)
            got = [await do.recv(b), await do.recv(b)]
            for _ in range(2):
                with pytest.raises(potok.ClosedError):
                    await do.recv(b)
                with pytest.raises(potok.ClosedError):
                    b.recv_nowait()
            assert not b.closed
            return got

    assert play(body) == [1, 2]


@needs()
def test_pipe_iteration_ends_when_the_peer_closes(play: Play) -> None:
    """After what it sent; over an end that is closed itself it is no clean end."""

    async def body(do: Do) -> list[list[int]]:
        a, b = potok.pipe()
        await send_each(do, a, 1, 2, 3)
        a.close()
        got = [[item async for item in do.each(b)] for _ in range(2)]
        b.close()
        with pytest.raises(potok.ClosedError):
            [item async for item in do.each(b)]
        return got

    assert play(body) == [[1, 2, 3], []]


@needs()
def test_pipe_closed_end_refuses_every_operation(play: Play) -> None:
    """Closing is idempotent, and for both ways; another end of the same side does not notice."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        with a.clone() as other, b:
            await do.send(b, "for a")
            a.close()
            a.close()
            assert a.closed
            for attempt in (do.send(a, 1), do.recv(a), poll(do, a), poll(do, a, None)):
                with pytest.raises(potok.ClosedError):
                    await attempt
            for refused in (a.recv_nowait, a.clone, lambda: a.send_nowait(1)):
                with pytest.raises(potok.ClosedError):
                    refused()
            await do.send(other, "for b")
            return [drain(other), drain(b)]

    assert play(body) == [["for a"], ["for b"]]


def test_pipe_close_wakes_the_peer(play: Play) -> None:
    """Whoever waits at the other end, to send or to receive, learns that this one is gone."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(1)
        b.send_nowait("fills it")
        async with do.scope() as s:
            tasks = [s.start(send_shared, [b], 1), s.start(receive_shared, [b])]
            await do.all_parked()
            a.close()
            return [await do.result(task) for task in tasks]

    assert play(body) == ["closed", "closed"]


def test_pipe_close_of_an_end_fails_what_is_parked_on_that_end(play: Play) -> None:
    """Sending, receiving or polling: ClosedError, and the item is not sent; the clone's waiters wait on."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(0)
        other = a.clone()
        with other, b:
            async with do.scope() as s:
                tasks = [
                    s.start(send_shared, [a], "lost"),
                    s.start(receive_shared, [a]),
                    s.start(poll_shared, [a]),
                ]
                spared = s.start(receive_shared, [other])
                await do.all_parked()
                a.close()
                got = [await do.result(task) for task in tasks]
                await do.all_parked()
                got += [spared.done(), await poll(do, b)]
                await do.send(b, "item")
                return [*got, await do.result(spared)]

    assert play(body) == ["closed", "closed", "closed", False, False, "item"]


@needs()
def test_pipe_left_by_an_error_tells_the_peer(play: Play) -> None:
    """An end is a context manager, in both colours; the error of its block is the cause for who iterates."""
    oops = ValueError("oops")

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe()
        with pytest.raises(ValueError, match="oops"):
            async with do.block(a) as entered:
                assert entered is a
                await do.send(a, 1)
                raise oops
        got = []
        with b, pytest.raises(potok.ClosedError) as told:
            async for item in do.each(b):
                got.append(item)  # noqa: PERF401 - what came before the error counts
        assert told.value.cause is oops
        return got

    assert play(body) == [1]


def test_pipe_cancel_ends_both_directions(play: Play) -> None:
    """Whoever waits, or comes later, at either end gets the cause; what was not received is dropped."""

    async def attempt(do: Do, ends: list[potok.Pipe[int]]) -> object:
        with pytest.raises(potok.ClosedError, match="poison") as told:
            await do.recv(ends[0])
        return told.value.cause

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        await do.send(a, 1)
        async with do.scope() as s:
            tasks = [s.start(attempt, [a]) for _ in range(2)]
            await do.all_parked()
            a.cancel("poison")
            causes = [await do.result(task) for task in tasks]
        for end in (a, b):
            causes.append(await attempt(do, [end]))
            with pytest.raises(potok.ClosedError, match="poison"):
                await do.send(end, 2)
        return causes

    assert play(body) == ["poison"] * 4


# ── handing over ────────────────────────────────────────────────────────────────────────────────────────────


def test_pipe_end_of_a_task_closes_with_it(play: Play) -> None:
    """Both ways: the peer gets what was sent, then the end, and its sends fail."""

    async def answer_one(do: Do, end: potok.Pipe[int]) -> None:
        await do.send(end, await do.recv(end) + 1)

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe()
        async with do.scope() as s:
            task = s.start(answer_one, b)
            await do.send(a, 1)
            got = [item async for item in do.each(a)]
            await do.result(task)  # its two halves close one after the other
            with pytest.raises(potok.ClosedError):
                await do.send(a, 2)
        return got

    assert play(body) == [2]


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
def test_pipe_end_tells_of_its_task_failure(play: Play, end: str) -> None:
    """The peer gets what was sent, then ClosedError with what ended the task as the cause."""

    async def half(do: Do, pipe: potok.Pipe[int]) -> None:
        await do.send(pipe, await do.recv(pipe))
        if end == "is cancelled":
            await do.forever()
        raise LookupError("half-way")

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        expected = pytest.raises(ExceptionGroup) if end == "fails" else contextlib.nullcontext()
        got: list[object] = []
        with expected:
            async with do.scope(on_fail="collect") as s:
                task = s.start(half, b)
                await do.send(a, 1)
                got.append(await do.recv(a))
                if end == "is cancelled":
                    await do.all_parked()
                    task.cancel()
                with pytest.raises(potok.ClosedError) as told:
                    await receive_all(do, a)
                got.append(type(told.value.cause))
        return got

    assert play(body) == [1, LookupError if end == "fails" else potok.Cancelled]


def test_pipe_end_for_several_tasks(play: Play) -> None:
    """Each gets an end of its own; the peer goes on until the last of them has ended."""

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe()
        async with do.scope() as s:
            for _ in range(3):
                s.start(double, b)
            await send_each(do, a, *range(9))
            got = [await do.recv(a) for _ in range(9)]
            a.close()
        return sorted(got)

    assert play(body) == list(range(0, 18, 2))


def test_pipe_both_ends_handed_to_tasks(play: Play) -> None:
    """A body that uses neither end keeps nobody waiting: the answerer's loop ends as the asker does."""

    async def ask(do: Do, end: potok.Pipe[int]) -> list[int]:
        await send_each(do, end, 1, 2, 3)
        return [await do.recv(end) for _ in range(3)]

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(double, b)
            task = s.start(ask, a)
        assert a.closed
        assert b.closed
        return await do.result(task)  # type: ignore[no-any-return]

    assert play(body) == [2, 4, 6]


def test_pipe_handed_end_of_the_caller_closes_as_the_body_uses_the_other(play: Play) -> None:
    """Using it later says why, and what to do; so does starting another task with it."""

    async def body(do: Do) -> None:
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(double, b)
            await do.send(a, 1)
            assert await do.recv(a) == 2
            assert b.closed
            with pytest.raises(potok.ClosedError, match=r"handed over.*clone\(\)"):
                await do.recv(b)
            with pytest.raises(potok.ClosedError, match="handed over"):
                s.start(double, b)
            a.close()

    play(body)


def test_pipe_end_that_was_cloned_stays_with_the_caller(play: Play) -> None:
    """`start(fn, end.clone())` hands over the clone: the peer's loop ends when both have closed."""

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe()
        async with do.scope() as s:
            await do.result(s.start(send_each, a.clone(), 1))
            got = [await do.recv(b)]
            await do.send(a, 2)
            a.close()
            return [*got, *[item async for item in do.each(b)]]

    assert play(body) == [1, 2]


def test_pipe_ends_travel_through_channels(play: Play) -> None:
    """A conversation of its own for each who asks for one: what arrives is a counted clone."""

    async def serve(do: Do, rx: potok.Receiver[potok.Pipe[int]]) -> None:
        async for end in do.each(rx):
            async with do.block(end):
                await double(do, end)

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        got = []
        async with do.scope() as s:
            s.start(serve, rx)
            with tx:
                for number in range(3):
                    mine, theirs = potok.pipe()
                    with theirs:
                        await do.send(tx, theirs)
                    with mine:
                        await send_each(do, mine, number, number + 10)
                        got += [await do.recv(mine), await do.recv(mine)]
        return got

    assert play(body) == [0, 20, 2, 22, 4, 24]


# ── waiting in vain ─────────────────────────────────────────────────────────────────────────────────────────


def test_pipe_time_out_has_sent_and_taken_nothing(play: Play) -> None:
    """TimeoutError from `send`: the peer never gets the item; from `recv`: the next receive gets the next one."""

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe(1)
        with a, b:
            for timeout in (do.tick, 0):
                with pytest.raises(TimeoutError):
                    await do.recv(b, timeout=timeout)
            await do.send(a, 1, timeout=0)
            for timeout in (do.tick, 0):
                with pytest.raises(TimeoutError):
                    await do.send(a, 2, timeout=timeout)
            got = [await do.recv(b, timeout=0)]
            await do.send(a, 3)
            return [*got, *drain(b)]

    assert play(body) == [1, 3]


def test_pipe_cancelled_operations_leave_nothing_behind(play: Play) -> None:
    """Neither an item of a sender, nor one taken from those who come next, nor a place in the queue."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(1)
        with a, b:
            await do.send(b, "fills it")
            async with do.scope() as s:
                s.start(send_shared, [b], "not sent")
                s.start(receive_shared, [b])
                s.start(poll_shared, [b])
                await do.all_parked()
                s.cancel()
            await do.send(a, "item")
            return [await poll(do, b), drain(b), drain(a)]

    assert play(body) == [True, ["item"], ["fills it"]]


def test_pipe_cancel_acts_before_an_operation_that_need_not_wait(play: Play) -> None:
    """A cancelled task gets no item and no answer, though one is there, and sends none."""

    async def body(do: Do) -> list[list[int]]:
        a, b = potok.pipe()
        with a, b:
            await do.send(a, 1)
            async with do.scope() as s:
                s.cancel()
                for attempt in (do.recv(b), do.send(b, 2), poll(do, b), poll(do, b, None), poll(do, a)):
                    with pytest.raises(potok.Cancelled):
                        await attempt
            return [drain(a), drain(b)]

    assert play(body) == [[], [1]]


@pytest.mark.stress
def test_race_cancelled_pipe_receiver_against_sender(play: Play) -> None:
    """A receiver that is cancelled as items come: it has them, or the next who receives gets them, both ways."""

    async def take(do: Do, ends: list[potok.Pipe[int]], got: Record) -> None:
        while True:
            got.append(await do.recv(ends[0]))

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            got = (Record(), Record())
            ends = potok.pipe(number % 3)
            async with do.scope() as s:
                takers = [s.start(take, [end], mine) for end, mine in zip(ends, got, strict=True)]
                givers = [s.start(send_each, end.clone(), *range(5)) for end in ends]
                for _ in range(number % 7):
                    await do.sleep(0)
                for taker in takers:
                    taker.cancel()
                    await do.outcome(taker)
                for end, mine in zip(ends, got, strict=True):
                    while len(mine) < 5:
                        mine.append(await do.recv(end))
                for giver in givers:
                    await do.result(giver)
            assert [list(mine) for mine in got] == [list(range(5))] * 2

    play(body)


# ── choice ──────────────────────────────────────────────────────────────────────────────────────────────────


@needs()
def test_select_of_a_pipe_receives(play: Play) -> None:
    """The pipe itself is the arm that receives, `sending` the one that sends; a closed one raises, with `.arm`."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(1)
        got = await do.select(a, a.sending("item"))
        assert (got.index, got.value) == (1, None)
        got = await do.select(b, a.sending("no room"))
        assert got.arm is b
        a.close()
        with b, pytest.raises(potok.ClosedError) as told:
            await do.select(b)
        return [got.value, told.value.arm is b]

    assert play(body) == ["item", True]


def test_select_parked_at_both_sides_of_a_pipe(play: Play) -> None:
    """It is served by whichever comes first at the peer, a send or a receive, and the other arm has no effect."""

    async def choose(do: Do, end: potok.Pipe[str]) -> tuple[int, object]:
        got = await do.select(end, end.sending("from the select"))
        return got.index, got.value

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(0)
        got: list[object] = []
        async with do.scope() as s:
            task = s.start(choose, a.clone())
            await do.all_parked()
            await do.send(b, "from the peer")
            got += [await do.result(task), await poll(do, b)]
            task = s.start(choose, a.clone())
            await do.all_parked()
            got += [await do.recv(b), await do.result(task)]
            task = s.start(receive_one, a.clone())
            await do.all_parked()
            assert (await do.select(b, b.sending("to a receiver"))).index == 1
            return [*got, await do.result(task)]

    assert play(body) == [(0, "from the peer"), False, "from the select", (1, None), "to a receiver"]
