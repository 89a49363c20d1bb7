"""Shared objects: steps under one lock, functions at home, blocks that hold the lock, from tasks of either colour."""

from types import SimpleNamespace
from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import park
from potok.testing.conformance.colours import Do, Plain
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs


def add(counts: Any, key: str, amount: int = 1) -> int:
    counts[key] += amount
    return int(counts[key])


def add_all(ns: Any, amount: int) -> None:
    ns.x += amount
    ns.y += amount


def increment(box: Any) -> int:
    box.value += 1
    return int(box.value)


def read(content: Any, key: Any) -> Any:
    return content[key]


def fail(content: Any) -> None:
    content.append("half done")
    raise LookupError("on purpose")


# ── atomic ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.stress
def test_atomic_loses_nothing(play: Play) -> None:
    """However many tasks add at once, the sum is right, and each saw another number."""
    seen = Record()

    async def adds(do: Do, total: potok.Value[int]) -> None:
        seen.extend([await do.call(total, "atomic", increment) for _ in range(20)])

    async def body(do: Do) -> Any:
        total = potok.Value(0)
        async with do.scope() as s:
            for _ in range(4):
                s.start(adds, total)
        async with do.block(total.locked()) as it:
            return it.value

    assert play(body) == 80
    assert sorted(seen) == list(range(1, 81))


def test_atomic_gives_what_the_function_returns(play: Play) -> None:
    """With its arguments; the object is changed for everybody."""

    async def task(do: Do, counts: potok.Shared[dict[str, int]], ns: potok.Namespace) -> list[Any]:
        await do.call(ns, "atomic", add_all, 5)
        return [await do.call(counts, "atomic", add, "a"), await do.call(counts, "atomic", add, "a", 10)]

    async def body(do: Do) -> Any:
        counts, ns = potok.share({"a": 1}), potok.Namespace(x=1, y=2)
        async with do.scope() as s:
            got = await do.result(s.start(task, counts, ns))
        async with do.block(ns.locked()) as names:
            return got, await do.call(counts, "atomic", read, "a"), names.x, names.y

    assert play(body) == ([2, 12], 12, 6, 7)


def test_atomic_whose_function_raises(play: Play) -> None:
    """The error is the caller's; the object is as the function left it, and free."""

    async def task(do: Do, items: potok.Shared[list[str]]) -> str:
        with pytest.raises(LookupError, match="on purpose"):
            await do.call(items, "atomic", fail)
        return str(await do.call(items, "atomic", read, 0))

    async def body(do: Do) -> Any:
        items: potok.Shared[list[str]] = potok.share([])
        async with do.scope() as s:
            return await do.result(s.start(task, items))

    assert play(body) == "half done"


def twice(content: Any, shared: Any) -> int:
    shared.atomic(add, "a")
    content["a"] *= 10
    with shared.locked() as again:
        again["a"] += 1
    return int(shared["a"])


def test_atomic_inside_of_atomic(play: Play) -> None:
    """The function may use the Shared itself, as often as it likes: it has the lock."""

    async def task(do: Do, counts: potok.Shared[dict[str, int]]) -> Any:
        return await do.call(counts, "atomic", twice, counts)

    async def body(do: Do) -> Any:
        counts = potok.share({"a": 1})
        async with do.scope() as s:
            return await do.result(s.start(task, counts)), await do.call(counts, "atomic", read, "a")

    assert play(body) == (21, 21)


def test_atomic_takes_plain_functions_only(play: Play) -> None:
    """What can't be called, or would have to be awaited, is refused, and nothing happens."""

    async def coroutine(content: Any) -> None:
        raise AssertionError("it ran")

    async def body(do: Do) -> None:
        shared: potok.Shared[dict[str, int]] = potok.share({})
        for wrong in (coroutine, 3):
            with pytest.raises(TypeError, match="function"):
                await do.call(shared, "atomic", wrong)

    play(body)


def wait_inside(content: Any, entered: potok.Event, go_on: potok.Event) -> str:
    entered.set()
    go_on.wait()
    content.append("waited")
    return "done"


@needs("parking", hosts=("def", "thread"))
def test_function_may_wait(play: Play) -> None:
    """Others wait for the object as long; everything else goes on."""

    async def waits(do: Do, items: Any, entered: potok.Event, go_on: potok.Event) -> Any:
        if not isinstance(do, Plain):
            return "done"  # in the object's own address space it would stop the event loop
        return items.atomic(wait_inside, entered, go_on)

    async def appends(do: Do, items: Any) -> None:
        await do.call(items, "atomic", list.append, "after")

    async def body(do: Do) -> Any:
        items: potok.Shared[list[str]] = potok.share([])
        entered, go_on = potok.Event(), potok.Event()
        async with do.scope() as s:
            first = s.start(waits, items, entered, go_on)
            entered.wait()
            second = s.start(appends, items)
            await do.all_parked()
            assert not second.done()
            go_on.set()
            assert first.result() == "done"
        return list(items)

    assert play(body) == ["waited", "after"]


def wait_forever(content: Any, entered: potok.Event) -> None:
    content.append("begun")
    entered.set()
    potok.Event().wait()


@needs("parking", hosts=("def", "thread"))
def test_cancelling_reaches_a_function_that_waits(play: Play) -> None:
    """The caller is cancelled, the function is at its park point, and the object is free again."""

    async def waits(do: Do, items: Any, entered: potok.Event) -> None:
        if isinstance(do, Plain):
            items.atomic(wait_forever, entered)
        else:
            await do.call(items, "atomic", list.append, "begun")
            entered.set()
            await park(do)

    async def body(do: Do) -> Any:
        items: potok.Shared[list[str]] = potok.share([])
        entered = potok.Event()
        async with do.scope() as s:
            task = s.start(waits, items, entered)
            entered.wait()
            await do.all_parked()
            task.cancel("enough")
            with pytest.raises(potok.TaskCancelled, match="enough"):
                task.result()
            return list(items)

    assert play(body) == ["begun"]


# ── locked ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_locked_keeps_others_out(play: Play) -> None:
    """Whatever they want to do waits until the block is left, and then happens in order."""

    async def appends(do: Do, items: Any, name: str) -> None:
        await do.call(items, "atomic", list.append, name)

    async def body(do: Do) -> Any:
        items: potok.Shared[list[str]] = potok.share([])
        async with do.scope() as s:  # noqa: SIM117 - the scope ends after the block
            async with do.block(items.locked()) as it:
                for name in ("first", "second"):
                    s.start(appends, items, name)
                    await do.all_parked()
                assert len(it) == 0
                it.append("inside")
        async with do.block(items.locked()) as it:
            return list(it)

    assert play(body) == ["inside", "first", "second"]


def test_the_proxy_does_what_the_object_does(play: Play) -> None:
    """Items, attributes, methods, truth, text: in a block of either colour, from wherever the task runs."""

    async def task(do: Do, counts: Any, ns: Any) -> list[Any]:
        async with do.block(counts.locked()) as it, do.block(ns.locked()) as names:
            it["b"] = 2
            del it["a"]
            it.update(c=[3])
            names.x += 1
            del names.y
            names.z = (names.x, 1)
            return [
                "b" in it,
                len(it),
                it["c"],
                it.get("q", 7),
                list(it),
                it.items(),
                str(names),
                bool(it),
                names.z,
            ]

    async def body(do: Do) -> Any:
        async with do.scope() as s:
            return await do.result(s.start(task, potok.share({"a": 1}), potok.Namespace(x=1, y=1)))

    told = [True, 2, [3], 7, ["b", "c"], [("b", 2), ("c", [3])], "Namespace(x=2, z=(2, 1))", True, (2, 1)]
    assert play(body) == told


def test_atomic_inside_of_locked(play: Play) -> None:
    """The task that holds the lock is let in again."""

    async def task(do: Do, counts: Any) -> Any:
        async with do.block(counts.locked()) as it:
            it["a"] = 5
            await do.call(counts, "atomic", add, "a")
            async with do.block(counts.locked()) as again:
                again["a"] += 1
            return it["a"]

    async def body(do: Do) -> Any:
        async with do.scope() as s:
            return await do.result(s.start(task, potok.share({"a": 1})))

    assert play(body) == 7


def test_a_block_that_fails_gives_the_lock_back(play: Play) -> None:
    """What it has changed stays changed."""

    async def task(do: Do, items: Any) -> None:
        async with do.block(items.locked()) as it:
            it.append("half done")
            raise LookupError

    async def body(do: Do) -> Any:
        items: potok.Shared[list[str]] = potok.share([])
        with pytest.raises(ExceptionGroup):
            async with do.scope() as s:
                s.start(task, items)
        return await do.call(items, "atomic", read, 0)

    assert play(body) == "half done"


def test_the_proxy_is_for_its_block(play: Play) -> None:
    """After the block it refuses, rather than touch what may be another's by now."""

    async def task(do: Do, items: Any) -> None:
        async with do.block(items.locked()) as it:
            it.append(1)
        with pytest.raises(RuntimeError, match="inside that block"):
            it.append(2)

    async def body(do: Do) -> Any:
        items: potok.Shared[list[int]] = potok.share([])
        async with do.scope() as s:
            await do.result(s.start(task, items))
        return await do.call(items, "atomic", len)

    assert play(body) == 1


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
def test_whoever_gives_up_waiting_does_nothing(play: Play, how: str) -> None:
    """Cancelled, or out of time, while another has the lock: the function does not run, and the lock is not held."""

    async def appends(do: Do, items: Any) -> None:
        if how == "cancelled":
            await do.call(items, "atomic", list.append, "too late")
            return
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                await do.call(items, "atomic", list.append, "too late")

    async def body(do: Do) -> Any:
        items: potok.Shared[list[str]] = potok.share([])
        async with do.scope() as s:
            async with do.block(items.locked()):
                task = s.start(appends, items)
                await do.all_parked()
                if how == "cancelled":
                    task.cancel()
                await do.outcome(task)
            async with do.block(items.locked()) as it:
                return list(it)

    assert play(body) == []


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain_code_uses_it_as_its_own(play: Play) -> None:
    """Each step is the object's; an `async def` task is told what to write instead."""

    async def task(do: Do, counts: Any, total: Any) -> list[Any]:
        if not isinstance(do, Plain):
            for step in (
                lambda: counts["a"],
                lambda: total.value,
                lambda: counts.pop("a"),
                lambda: len(counts),
            ):
                with pytest.raises(potok.BlockingCallError, match="aatomic"):
                    step()
            counts, total = {"a": 1}, SimpleNamespace(value=3)
        counts["b"] = 2
        total.value += 1
        with pytest.raises(KeyError):
            counts["q"]
        got = [
            "a" in counts,
            len(counts),
            counts["b"],
            counts.get("q"),
            sorted(counts),
            counts.pop("b"),
            total.value,
        ]
        del counts["a"]
        return [*got, bool(counts), str(counts)]

    async def body(do: Do) -> Any:
        async with do.scope() as s:
            return await do.result(s.start(task, potok.share({"a": 1}), potok.Value(3)))

    assert play(body) == [True, 2, 2, None, ["a", "b"], 2, 4, False, "{}"]


class Stock:
    """An object of one's own."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self._secret = 1

    def put(self, name: str, *, amount: int) -> "Stock":
        """Put so many there."""
        self.items[name] = self.items.get(name, 0) + amount
        return self

    @property
    def size(self) -> int:
        """How many there are."""
        return sum(self.items.values())


def test_objects_of_ones_own(play: Play) -> None:
    """Methods with keywords, properties, attributes that hold the object's own; what is private stays so."""

    async def task(do: Do, stock: Any) -> list[Any]:
        async with do.block(stock.locked()) as it:
            copy = it.put("tea", amount=3)
            for name in ("_secret", "nothing"):
                with pytest.raises(AttributeError):
                    getattr(it, name)
            return [copy.items, it.size, it.items]

    async def body(do: Do) -> Any:
        async with do.scope() as s:
            return await do.result(s.start(task, potok.share(Stock())))

    assert play(body) == [{"tea": 3}, 3, {"tea": 3}]


@needs()
def test_names_of_its_own() -> None:
    """They can't be set, and the object's are reached by a function; private ones are refused with that advice."""
    shared = potok.share(Stock())
    for name in ("atomic", "locked", "_secret"):
        with pytest.raises(AttributeError, match="atomic"):
            setattr(shared, name, 1)
        with pytest.raises(AttributeError, match="atomic"):
            delattr(shared, name)
    assert shared.atomic(getattr, "_secret") == 1
    assert not shared.recover()
    for wrong in ({"_x": 1}, {"locked": 1}):
        with pytest.raises(AttributeError):
            potok.Namespace(**wrong)


def test_it_travels(play: Play) -> None:
    """Through channels, inside other objects, and inside another Shared: it is the same object everywhere."""

    async def task(do: Do, tx: potok.Sender[Any], shelf: Any) -> None:
        inner = await do.call(shelf, "atomic", read, "inner")
        await do.call(inner, "atomic", list.append, 1)
        await do.send(tx, {"it": [inner]})

    async def body(do: Do) -> Any:
        inner: potok.Shared[list[int]] = potok.share([])
        shelf = potok.share({"inner": inner})
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(task, tx, shelf)
            got = await do.recv(rx)
        await do.call(got["it"][0], "atomic", list.append, 2)
        async with do.block(inner.locked()) as it:
            return list(it)

    assert play(body) == [1, 2]


def test_it_may_be_made_by_a_task_and_used_by_others(play: Play) -> None:
    """Its home is where it was made; it goes on as long as somebody has it."""

    async def makes(do: Do) -> Any:
        return potok.share({"a": 1})

    async def uses(do: Do, counts: Any) -> Any:
        return await do.call(counts, "atomic", add, "a")

    async def body(do: Do) -> Any:
        async with do.scope() as s:
            counts = await do.result(s.start(makes))
            assert [await do.result(s.start(uses, counts)) for _ in range(3)] == [2, 3, 4]
            return await do.call(counts, "atomic", read, "a")

    assert play(body) == 4


@needs("parking", "one address space")
def test_results_go_by_reference_in_one_address_space(play: Play) -> None:
    """What is in the object is handed out as it is."""

    async def task(do: Do, shelf: Any) -> Any:
        return await do.call(shelf, "atomic", read, "it")

    async def body(do: Do) -> bool:
        it = object()
        async with do.scope() as s:
            return await do.result(s.start(task, potok.share({"it": it}))) is it

    assert play(body)


@needs()
def test_iterating_over_a_shared_iterator(play: Play) -> None:
    """It would be used up: it is taken from one by one instead."""
    numbers = potok.share(iter(range(3)))
    with pytest.raises(TypeError, match="next"):
        list(numbers)
    assert [numbers.atomic(next) for _ in range(3)] == [0, 1, 2]
