"""What a frame holds on its evaluation stack is read off its code."""

import sys

from potok.kernel.deadlock.stackrefs import held_by_blocks


class Thing:
    """An iterator and a context manager that looks at the frame that uses it."""

    def __init__(self, times=1):
        self.times = times

    def __iter__(self):
        return self

    def __next__(self):
        if not self.times:
            raise StopIteration
        self.times -= 1
        return held(1)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.times:
            raise StopAsyncIteration
        self.times -= 1
        return held(1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None


def held(depth=0):
    """What the calling frame holds."""
    frame = sys._getframe(depth + 1)
    return list(held_by_blocks(frame, frame.f_locals))


def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


thing_of_the_module = Thing()


def test_loop():
    """In the body, and in the iterator itself."""
    thing = Thing()
    for seen in thing:
        assert seen == [thing]
        assert held() == [thing]
    assert held() == []


def test_block():
    """Inside, and not after."""
    thing = Thing()
    with thing:
        assert held() == [thing]
    assert held() == []


def test_nested():
    """All that are around, whatever handles errors in between."""
    outer, inner, last = Thing(), Thing(), Thing()
    with outer:
        for _ in inner:
            try:
                with last as known:
                    assert known is last
                    assert set(held()) == {outer, inner, last}
                assert set(held()) == {outer, inner}
            finally:
                assert set(held()) == {outer, inner}
        assert held() == [outer]


def test_after_an_error():
    """A handler is outside of the block that failed, and inside of those around."""
    outer, inner = Thing(), Thing()
    with outer:
        try:
            with inner:
                next(iter(()))
        except StopIteration:
            assert held() == [outer]


def test_of_a_closure_and_of_the_module():
    """Whatever kind of variable it is."""
    mine = Thing()

    def within():
        with mine, thing_of_the_module:
            return held()

    assert set(within()) == {mine, thing_of_the_module}


def test_what_has_no_name_is_not_guessed():
    """A loop over what a call gave, or over something else with the same variable."""
    thing = Thing()
    for _ in Thing():
        assert held() == []
    for _ in [1]:
        assert held() == []
    with Thing():
        assert held() == []
    assert thing.times


def test_async():
    """`async with` and `async for` hold theirs, too."""
    block, loop = Thing(), Thing()

    async def body():
        async with block:
            inside = held()
            async for seen in loop:
                within = set(seen), set(held())
            return inside, *within, held()

    assert run(body()) == ([block], {block, loop}, {block, loop}, [block])


class Sink:
    """Takes what it is given, and calls what it is given."""

    def put(self, *values):
        return values

    def look(self):
        return held(1)


def test_half_of_an_expression():
    """Whose method is about to be called, and what was loaded for it; not what was used already."""
    sink, other = Sink(), Sink()
    one = sink.put(other.look())  # not within `assert`, which pytest writes anew
    two = sink.put(other, [*other.look(), 1][:2])
    three = sink.put(other, len(other.look()) + 1, 2)
    after = [sink.put(1), held()]
    assert one == ([sink],)
    assert two == (other, [sink, other])
    assert three == (other, 3, 2)
    assert after == [(1,), []]


def test_half_of_an_expression_that_awaits():
    """The same across an `await`."""
    sink, other = Sink(), Sink()

    async def look():
        return held(1)

    async def body():
        return sink.put(other, await look())

    assert run(body()) == (other, [sink, other])


def test_variable_that_was_bound_anew():
    """What it stands for now is not what the block holds."""
    thing = Thing()
    with thing:
        thing = Thing()
        within = held()
    assert within == []
