"""Cancellation: by scope or by task, level-triggered, at park points, with its reason."""

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_one, send_each
from potok.testing.conformance.colours import Do, Opened
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs


def test_cancel_wakes_a_parked_task(play: Play) -> None:
    """A task that waits gets Cancelled, with the reason; the scope absorbs it."""
    reasons = Record()

    async def wait(do: Do) -> None:
        try:
            await do.forever()
        except potok.Cancelled as cancelled:
            reasons.append(cancelled.reason)
            raise

    async def body(do: Do) -> None:
        async with do.scope() as s:
            for _ in range(3):
                s.start(wait)
            await do.all_parked()
            s.cancel("enough")

    play(body)
    assert reasons == ["enough"] * 3


def test_cancel_is_level_triggered(play: Play) -> None:
    """Swallowed once, Cancelled is raised again at every further park point."""
    caught = Record()

    async def stubborn(do: Do) -> None:
        for _ in range(5):
            try:
                await do.forever()
            except potok.Cancelled as cancelled:
                caught.append(cancelled.reason)

    async def body(do: Do) -> None:
        async with do.scope() as s:
            s.start(stubborn)
            await do.all_parked()
            s.cancel("now")

    play(body)
    assert caught == ["now"] * 5


def test_cancel_acts_before_an_operation_that_need_not_wait(play: Play) -> None:
    """Every operation is a park point: a cancelled task gets no item, though one is there, and sends none."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(5)
        tx.send_nowait(1)
        async with do.scope() as s:
            s.cancel()
            with pytest.raises(potok.Cancelled):
                await do.recv(rx)
            with pytest.raises(potok.Cancelled):
                await do.send(tx, 2)
            with pytest.raises(potok.Cancelled):
                await do.select(rx)
            with pytest.raises(potok.Cancelled):
                await do.sleep(0)
        assert rx.recv_nowait() == 1
        with pytest.raises(potok.WouldBlock):
            rx.recv_nowait()

    play(body)


@needs()
def test_cancel_of_the_body_is_absorbed_by_its_scope(play: Play) -> None:
    """The body that cancelled its own scope goes on after the block, uncancelled."""

    async def body(do: Do) -> list[str]:
        steps = []
        async with do.scope() as s:
            s.cancel()
            await do.sleep(0)
            steps.append("went on though cancelled")
        await do.sleep(0)
        steps.append("after")
        return steps

    assert play(body) == ["after"]


@needs()
def test_cancel_without_a_park_point_leaves_the_body_alone(play: Play) -> None:
    """Cancellation acts at park points only; the scope notes it."""

    async def body(do: Do) -> int:
        done = 0
        async with do.block(potok.scope(on=do.on)) as s:
            s.cancel("late")
            done += 1
        assert s.cancelled
        return done

    assert play(body) == 1


def test_cancel_reaches_nested_scopes_and_their_tasks(play: Play) -> None:
    """Cancelling the outer scope cancels what was opened inside, and leaves through all of it."""
    ended = Record()

    async def inner(do: Do, name: str) -> None:
        try:
            await do.forever()
        finally:
            ended.append(name)

    async def middle(do: Do) -> None:
        async with do.scope() as s:
            s.start(inner, "leaf")
            await do.forever()
        raise AssertionError("the outer cancellation ended at the inner scope")

    async def body(do: Do) -> None:
        async with do.scope() as s:
            task = s.start(middle)
            s.start(inner, "direct")
            await do.all_parked()
            s.cancel("outer")
        assert isinstance(await do.outcome(task), potok.TaskCancelled)

    play(body)
    assert sorted(ended) == ["direct", "leaf"]


def test_cancel_of_the_inner_scope_spares_the_outer(play: Play) -> None:
    """An inner scope's cancellation ends with it."""

    async def body(do: Do) -> list[str]:
        told = []
        async with do.scope() as outer:
            task = outer.start(receive_one, (channel := potok.channel())[1].clone())
            async with do.scope() as inner:
                inner.start(park)
                inner.cancel("inner")
                try:
                    await do.sleep(0)
                except potok.Cancelled:
                    told.append("inner cancelled")
                    raise
            await do.send(channel[0], 1)
            await do.result(task)
            told.append("outer alive")
        return told

    assert play(body) == ["inner cancelled", "outer alive"]


def test_cancelled_task_is_a_task_error_for_others(play: Play) -> None:
    """The result of a cancelled task is TaskCancelled, an ordinary error; whoever asks is not cancelled."""

    async def body(do: Do) -> str:
        async with do.scope() as s:
            task = s.start(park)
            await do.all_parked()
            task.cancel("one only")
            with pytest.raises(potok.TaskCancelled, match="one only") as caught:
                await do.result(task)
            assert isinstance(caught.value, Exception)
            assert caught.value.reason == "one only"
            assert task.done()
            await do.sleep(0)
        return "the scope ended well"

    assert play(body) == "the scope ended well"


def test_cancel_of_one_task_spares_its_siblings(play: Play) -> None:
    """`task.cancel()` stops that task and what it started in scopes of its own, nobody else."""
    ended = Record()

    async def leaf(do: Do, name: str) -> None:
        try:
            await do.forever()
        finally:
            ended.append(name)

    async def parent(do: Do) -> None:
        async with do.scope() as s:
            s.start(leaf, "child 1")
            s.start(leaf, "child 2")

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task, sibling = s.start(parent), s.start(receive_one, rx.clone())
            await do.all_parked()
            task.cancel()
            assert isinstance(await do.outcome(task), potok.TaskCancelled)
            assert sorted(ended) == ["child 1", "child 2"]
            await do.send(tx, "alive")
            return await do.result(sibling)

    assert play(body) == "alive"


def test_cancel_is_idempotent_and_the_first_reason_stays(play: Play) -> None:
    """Cancelling twice, or after the end, changes nothing."""

    async def body(do: Do) -> object:
        async with do.scope() as s:
            task = s.start(park)
            await do.all_parked()
            task.cancel("first")
            task.cancel("second")
            error = await do.outcome(task)
            task.cancel("third")
            finished = s.start(send_each, potok.channel(1)[0])
            await do.result(finished)
            finished.cancel()
            assert await do.outcome(finished) is None
            assert isinstance(error, potok.TaskCancelled)
            return error.reason

    assert play(body) == "first"


def test_cancelled_before_it_started_a_task_stops_at_its_first_park_point(play: Play) -> None:
    """A task started in a cancelled scope runs up to its first park point, and no further."""
    steps = Record()

    async def run(do: Do) -> None:
        steps.append("began")
        await do.sleep(0)
        steps.append("went on")

    async def body(do: Do) -> None:
        async with do.scope() as s:
            s.cancel()
            task = s.start(run)
        assert isinstance(await do.outcome(task), potok.TaskCancelled)

    play(body)
    assert "went on" not in steps


def test_cancel_by_a_member_task(play: Play) -> None:
    """Any task may cancel the scope it lives in: siblings and body stop, no error leaves."""

    async def stop(do: Do, s: Opened) -> None:
        s.cancel("a member says so")

    async def body(do: Do) -> str:
        async with do.scope() as s:
            s.start(park)
            s.start(stop, s)
            await do.forever()
        return "ended"

    assert play(body) == "ended"


def test_shield_keeps_an_outer_cancellation_out(play: Play) -> None:
    """Inside a shield a cancelled task goes on as if nothing were; after it, the next park point raises."""
    steps = Record()

    async def clean_up(do: Do) -> None:
        try:
            await do.forever()
        finally:
            async with do.shield():
                await do.sleep(0)
                tx, rx = potok.channel(1)
                await do.send(tx, 1)
                steps.append(await do.recv(rx))
            try:
                await do.sleep(0)
            except potok.Cancelled:
                steps.append("cancelled again")

    async def body(do: Do) -> None:
        async with do.scope() as s:
            s.start(clean_up)
            await do.all_parked()
            s.cancel()

    play(body)
    assert steps == [1, "cancelled again"]


def test_shield_protects_the_tasks_of_scopes_inside(play: Play) -> None:
    """A scope opened inside a shield, and its tasks, are out of reach of the outer cancellation."""

    async def give(do: Do, tx: potok.Sender[int], rx: potok.Receiver[int]) -> None:
        await do.send(tx, await do.recv(rx) + 1)

    async def shielded(do: Do, ready: potok.Sender[None], got: Record) -> None:
        async with do.shield():
            (to, rx), (tx, back) = potok.channel(), potok.channel()
            async with do.scope() as inner:
                inner.start(give, tx, rx)
                await do.send(ready, None)
                await do.all_parked()
                await do.send(to, 1)
                got.append(await do.recv(back))

    async def body(do: Do) -> list[int]:
        got = Record()
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(shielded, tx, got)
            await do.recv(rx)
            s.cancel()
        return list(got)

    assert play(body) == [2]


def test_shield_does_not_keep_an_inner_cancellation_out(play: Play) -> None:
    """A scope inside a shield can be cancelled by itself."""

    async def body(do: Do) -> str:
        async with do.shield(), do.scope() as s:
            s.start(park)
            s.cancel()
        return "ended"

    assert play(body) == "ended"


def test_cancelled_sender_sent_nothing(play: Play) -> None:
    """A send that ends with Cancelled has not handed over its item, nor will it."""
    lost = Record()

    async def body(do: Do) -> None:
        tx, rx = potok.channel(undelivered=lost.append)
        async with do.scope() as s:
            task = s.start(send_each, tx.clone(), "item")
            await do.all_parked()
            task.cancel()
            assert isinstance(await do.outcome(task), potok.TaskCancelled)
            with pytest.raises(potok.WouldBlock):
                rx.recv_nowait()

    play(body)
    assert lost == []


def test_cancelled_receiver_takes_nothing(play: Play) -> None:
    """The item goes to the next receiver in line."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.scope() as s:
            first = s.start(receive_one, rx.clone())
            await do.all_parked()
            second = s.start(receive_one, rx.clone())
            await do.all_parked()
            first.cancel()
            assert isinstance(await do.outcome(first), potok.TaskCancelled)
            await do.send(tx, "item")
            return await do.result(second)

    assert play(body) == "item"


def test_cancel_and_a_hand_over_at_once_lose_nothing(play: Play) -> None:
    """If the hand-over came first, the operation returns, and the cancellation lands at the next park point."""

    async def receive_then_park(do: Do, rx: potok.Receiver[str], got: Record) -> None:
        got.append(await do.recv(rx))
        got.append("went on")
        await do.forever()

    async def body(do: Do) -> list[str]:
        got = Record()
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_then_park, rx.clone(), got)
            await do.all_parked()
            tx.send_nowait("item")  # hands over without giving way
            task.cancel()
            assert isinstance(await do.outcome(task), potok.TaskCancelled)
        return list(got)

    assert play(body) == ["item", "went on"]


def test_cancelled_outcome_of_run(play: Play) -> None:
    """A body that is cancelled from inside, by its own task, ends `potok.run` with TaskCancelled."""

    async def suicidal(do: Do) -> None:
        potok.current_task().cancel("own will")
        await do.sleep(0)

    async def body(do: Do) -> None:
        async with do.scope() as s:
            task = s.start(suicidal)
        with pytest.raises(potok.TaskCancelled, match="own will"):
            await do.result(task)

    play(body)
