"""Wrong use gets a clear error, and changes nothing."""

from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_one
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs

BAD_CAPACITIES = [(-1, ValueError), (None, TypeError), ("3", TypeError), (1.5, TypeError), (True, TypeError)]


@pytest.mark.parametrize(("capacity", "error"), BAD_CAPACITIES)
@needs()
def test_capacity_must_be_spelled_out(play: Play, capacity: Any, error: type[Exception]) -> None:
    """Negative, None, no number: refused, and the message says how to spell an unbounded channel."""
    del play  # the same on every executor
    with pytest.raises(error, match="UNBOUNDED"):
        potok.channel(capacity)


@needs()
def test_overflow_must_be_known_and_able_to_overflow(play: Play) -> None:
    """Unknown policies, and dropping without a buffer that could overflow, are refused."""
    del play
    wrong: list[dict[str, Any]] = [
        {"overflow": "drop"},
        {"capacity": 0, "overflow": "drop-oldest"},
        {"capacity": potok.UNBOUNDED, "overflow": "drop-oldest"},
    ]
    for options in wrong:
        with pytest.raises(ValueError, match="overflow"):
            potok.channel(**options)
    with pytest.raises(TypeError, match="undelivered"):
        potok.channel(1, undelivered="not callable")  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
@needs()
def test_negative_timeouts_are_refused_everywhere(play: Play, timeout: float) -> None:
    """Nothing was sent, taken or waited for."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        with tx, rx:
            for operation in (do.send(tx, 1, timeout=timeout), do.recv(rx, timeout=timeout)):
                with pytest.raises(ValueError, match="timeout"):
                    await operation
            with pytest.raises(ValueError, match="timeout"):
                await do.select(rx, tx.sending(1), timeout=timeout)
            for make in (potok.timeout, potok.after):
                with pytest.raises(ValueError, match=">= 0"):
                    make(timeout)
            with pytest.raises(ValueError, match=">= 0"):
                await do.sleep(timeout)
            with pytest.raises(potok.WouldBlock):
                rx.recv_nowait()

    play(body)


@needs()
def test_select_without_arms_is_refused(play: Play) -> None:
    """It would wait for ever."""

    async def body(do: Do) -> None:
        for options in ({}, {"default": 1}, {"timeout": 1}):
            with pytest.raises(ValueError, match="at least one arm"):
                await do.select(**options)

    play(body)


@needs()
def test_select_of_what_is_no_arm_is_refused(play: Play) -> None:
    """A sender by itself, a number, a coroutine function: the message names the arm, and no other arm took effect."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        tx.send_nowait(1)
        for wrong in (tx, 5, None, park):
            with pytest.raises(TypeError, match="arm 1"):
                await do.select(rx, wrong)
        assert rx.recv_nowait() == 1
        tx.close()
        rx.close()

    play(body)


@needs()
def test_start_takes_a_function(play: Play) -> None:
    """Something not callable, a coroutine for one, is refused; nothing starts, and ends stay with the caller."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        async with do.block(potok.scope(on=do.on)) as s:
            for wrong in (5, None, "print"):
                with pytest.raises(TypeError, match="function"):
                    s.start(wrong, tx)
        await do.send(tx, "still open")
        assert rx.recv_nowait() == "still open"
        tx.close()
        rx.close()

    play(body)


@needs()
def test_unknown_executors_are_refused(play: Play) -> None:
    """The message lists the names there are."""

    async def body(do: Do) -> None:
        with pytest.raises(ValueError, match=r"coroutines.*threads"):
            potok.scope(on="fibres")
        with pytest.raises(TypeError, match="executor"):
            potok.scope(on=5)
        with pytest.raises(ValueError, match="on_fail"):
            potok.scope(on=do.on, on_fail="ignore")
        async with do.block(potok.scope(on=do.on)) as s:
            with pytest.raises(ValueError, match="fibres"):
                s.start(print, on="fibres")

    play(body)


BLOCKING: dict[str, tuple[Any, str]] = {
    "send": (lambda tx, _rx: tx.send(1), "asend"),
    "recv": (lambda _tx, rx: rx.recv(), "arecv"),
    "iteration": (lambda _tx, rx: next(iter(rx)), "arecv"),
    "select": (lambda _tx, rx: potok.select(rx), "aselect"),
    "pri_select": (lambda _tx, rx: potok.pri_select(rx), "apri_select"),
    "sleep": (lambda _tx, _rx: potok.sleep(0), "asleep"),
    "scope": (lambda _tx, _rx: potok.scope().__enter__(), "async with"),
    "lock": (lambda _tx, _rx: potok.Lock().acquire(), "aacquire"),
    "rlock": (lambda _tx, _rx: potok.RLock().acquire(), "aacquire"),
    "semaphore": (lambda _tx, _rx: potok.Semaphore().acquire(), "aacquire"),
    "event": (lambda _tx, _rx: potok.Event().wait(), "await"),
    "barrier": (lambda _tx, _rx: potok.Barrier(1).wait(), "await"),
    "queue.put": (lambda _tx, _rx: potok.Queue[int]().put(1), "aput"),
    "queue.get": (lambda _tx, _rx: potok.Queue().get(), "aget"),
    "queue.join": (lambda _tx, _rx: potok.Queue().join(), "ajoin"),
}


@pytest.mark.parametrize("operation", BLOCKING)
@pytest.mark.parametrize("ready", [True, False])
@needs()
def test_blocking_call_in_an_async_task_is_refused(play: Play, operation: str, ready: bool) -> None:
    """Whether it would have to wait or not: BlockingCallError that names the awaitable spelling. Nothing happened."""
    call, spelling = BLOCKING[operation]

    async def wrong() -> None:
        tx, rx = potok.channel(1)
        with tx, rx:
            if ready:
                tx.send_nowait("ready")
            with pytest.raises(potok.BlockingCallError, match=spelling):
                call(tx, rx)
            if ready:
                assert rx.recv_nowait() == "ready"
            else:
                with pytest.raises(potok.WouldBlock):
                    rx.recv_nowait()

    potok.run(wrong, on=play.on)


def test_blocking_result_in_an_async_task_is_refused(play: Play) -> None:
    """`t.result()` and `t.join()` block; `await t` does not."""

    async def wrong() -> None:
        async with potok.scope(on=play.on) as s:
            task = s.start(play.do.task(park))
            for call in (task.result, task.join, task.exception):
                with pytest.raises(potok.BlockingCallError):
                    call()
            task.cancel()

    on = play.on
    potok.run(wrong, on=on)


@needs()
def test_yield_out_of_a_scope_is_an_error(play: Play) -> None:
    """A generator that yields inside a scope, or time-out: the next operation outside of it says so."""

    def numbers() -> Any:
        with potok.scope(on=play.on):
            yield 1

    def timed() -> Any:
        with potok.timeout(3600):
            yield 1

    def body() -> None:
        for make in (numbers, timed):
            generator = make()
            next(generator)
            with pytest.raises(potok.ScopeError, match="yield"):
                potok.sleep(0)
            generator.close()
            potok.sleep(0)

    potok.run(body, on=play.on)


@needs()
def test_generator_may_open_and_close_a_scope_between_yields(play: Play) -> None:
    """Only a `yield` inside the block is wrong."""

    def numbers() -> Any:
        for number in range(3):
            with potok.timeout(3600):
                potok.sleep(0)
            yield number

    def body() -> list[int]:
        got = []
        for number in numbers():
            potok.sleep(0)
            got.append(number)
        return got

    assert potok.run(body, on=play.on) == [0, 1, 2]


@needs()
def test_scope_left_out_of_order_is_an_error(play: Play) -> None:
    """Leaving the outer scope before the inner one."""

    async def body(do: Do) -> None:
        async with do.scope():
            first, second = do.timeout(3600), do.timeout(3600)
            await first.__aenter__()
            await second.__aenter__()
            with pytest.raises(potok.ScopeError):
                await first.__aexit__(None, None, None)
            await second.__aexit__(None, None, None)
            await first.__aexit__(None, None, None)

    play(body)


@needs("parking", "one address space")
def test_scope_left_by_another_task_is_an_error(play: Play) -> None:
    """The task that entered a scope leaves it."""

    async def leave(do: Do, block: Any) -> None:
        with pytest.raises(potok.ScopeError, match="entered by"):
            await block.__aexit__(None, None, None)

    async def body(do: Do) -> None:
        async with do.scope() as s, do.timeout(3600) as _:
            region = do.shield()
            await region.__aenter__()
            await do.result(s.start(leave, region))
            await region.__aexit__(None, None, None)

    play(body)


@needs()
def test_item_sent_to_no_receiver_is_refused(play: Play) -> None:
    """The message says that the last receiver was closed."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(5)
        rx.close()
        with pytest.raises(potok.ClosedError, match="receiver"):
            await do.send(tx, 1)

    play(body)


@needs()
def test_root_scope_cannot_be_cancelled(play: Play) -> None:
    """It is everybody's."""
    del play
    with pytest.raises(potok.PotokError, match="root"):
        potok.current_scope().cancel()


def test_errors_name_the_task_and_the_channel(play: Play) -> None:
    """A message says what happened, to which task and channel."""

    async def body(do: Do) -> None:
        _, rx = potok.channel(name="orders")
        async with do.scope() as s:
            task = s.start(receive_one, rx.clone())
            await do.all_parked()
            task.cancel("stocktaking")
            error = await do.outcome(task)
        assert task.name in str(error)
        assert "stocktaking" in str(error)
        with pytest.raises(TimeoutError, match="orders"):
            await do.recv(rx, timeout=0)

    play(body)
