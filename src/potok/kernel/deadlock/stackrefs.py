"""What a suspended frame holds on its evaluation stack, as far as its code tells.

A `for` loop holds its iterator, a `with` block the way out of it, an expression what it was half-way through with.
Python shows a frame's variables, not this stack, so it is read off the instructions.

    for item in rx:      LOAD rx · GET_ITER · FOR_ITER ┄ the body ┄ END
    with tx:             LOAD tx · BEFORE_WITH ┄ the body, covered by the exception table ┄ WITH_EXCEPT_START
    tx.send(rx.recv())   LOAD tx · LOAD_METHOD ┄ LOAD rx · LOAD_METHOD · CALL

Only what is named is found: of `for item in make()` nobody can tell what it is.
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

__all__ = ["held_by_blocks"]

_NOTHING = object()
_IN_BETWEEN = {"COPY", "SWAP", "PUSH_NULL", "NOP", "LOAD_SPECIAL"}
_PLAIN = {"FAST", "DEREF", "NAME", "GLOBAL"}
_STORE_AND_LOAD = "STORE_FAST_LOAD_FAST"  # two in one: to the first variable, from the second
_OPENINGS = {"BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL"}
NEAR = 16  # instructions between the opening of an `async with` and its body, at most


def held_by_blocks(frame: FrameType, variables: Mapping[str, Any]) -> Iterator[Any]:
    """What the `for` loops go over and the `with` blocks will leave that the frame is in the middle of."""
    for name in _names_at(frame.f_code, frame.f_lasti):
        value = variables.get(name, _NOTHING)
        if value is _NOTHING:
            value = frame.f_globals.get(name, _NOTHING)
        if value is not _NOTHING:
            yield value


class _Range(NamedTuple):
    """Offsets of instructions, in bytes."""

    start: int
    end: int
    target: int  # where its errors are handled


class _Blocks(NamedTuple):
    loops: tuple[tuple[int, int, str], ...]  # from, to, over which variable
    ranges: tuple[_Range, ...]
    opened: dict[
        int, tuple[str, int]
    ]  # by handler: of which variable the block is that it ends, and where it begins
    bound: dict[str, list[int]]  # where variables get a value, or lose it
    steps: list[dis.Instruction]
    offsets: list[int]  # of the steps


@lru_cache(maxsize=1024)
def _names_at(code: CodeType, place: int) -> tuple[str, ...]:
    blocks = _blocks(code)
    names = [
        name for start, end, name in blocks.loops if start <= place < end and _stays(blocks, name, start)
    ]
    seen: set[int] = set()
    around = _around(blocks.ranges, place)
    while around is not None and around.target not in seen:
        seen.add(around.target)
        if around.target in blocks.opened and _stays(blocks, *blocks.opened[around.target]):
            names.append(blocks.opened[around.target][0])
        around = _around(blocks.ranges, around.target)  # a handler is inside of the block around its own
    return (*names, *_half_way(blocks.steps, bisect_right(blocks.offsets, place) - 1))


def _stays(blocks: _Blocks, name: str, start: int) -> bool:
    """Whether the variable still has the value that it had there: it is bound to no other after."""
    return all(offset < start for offset in blocks.bound.get(name, ()))


def _around(ranges: tuple[_Range, ...], place: int) -> _Range | None:
    return next((r for r in ranges if r.start <= place < r.end), None)


@lru_cache(maxsize=256)
def _blocks(code: CodeType) -> _Blocks:
    steps = list(dis.get_instructions(code))
    at = {step.offset: number for number, step in enumerate(steps)}
    ranges = tuple(_ranges(code))
    opened = {}
    for target in {r.target for r in ranges}:
        start = min(r.start for r in ranges if r.target == target)
        name = _opened_by(steps, at.get(start), at.get(target))
        if name is not None:
            opened[target] = name, start
    return _Blocks(tuple(_loops(steps)), ranges, opened, _bindings(steps), steps, list(at))


def _bindings(steps: list[dis.Instruction]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for step in steps:
        if step.opname.startswith(("STORE_", "DELETE_")):
            names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            for name in names[:1] if step.opname == _STORE_AND_LOAD else names:
                found.setdefault(name, []).append(step.offset)
    return found


def _loops(steps: list[dis.Instruction]) -> Iterator[tuple[int, int, str]]:
    for number, step in enumerate(steps):
        if step.opname == "FOR_ITER" and isinstance(step.argval, int) and number > 1:
            begins = next((n for n in (number - 1, number - 2) if steps[n].opname == "GET_ITER"), None)
            name = None if begins is None else _loaded_before(steps, begins)
            if name is not None:
                yield step.offset, step.argval, name
        elif step.opname == "GET_ANEXT" and steps[number - 1].opname == "GET_AITER":
            name = _loaded_before(steps, number - 1)
            back = [other.offset for other in steps if "JUMP" in other.opname and other.argval == step.offset]
            if name is not None and back:  # its exceptions are handled while it asks for the next one only
                yield step.offset, max(back) + 1, name


def _opened_by(steps: list[dis.Instruction], start: int | None, target: int | None) -> str | None:
    """The variable of the `with` or `async for` whose body begins at `start` and whose errors go to `target`."""
    if start is None or target is None:
        return None
    if "WITH_EXCEPT_START" in (step.opname for step in steps[target : target + 2]):
        opens = _OPENINGS
    elif steps[target].opname == "END_ASYNC_FOR":
        opens = {"GET_AITER"}
    else:
        return None
    before = range(start - 1, max(start - NEAR, 0), -1)
    number = next((number for number in before if steps[number].opname in opens), None)
    return None if number is None else _loaded_before(steps, number)


def _loaded_before(steps: list[dis.Instruction], number: int) -> str | None:
    """The variable that was loaded just before this instruction, if that is what it works on."""
    number -= 1
    while number >= 0 and steps[number].opname in _IN_BETWEEN:
        number -= 1
    if number < 0:
        return None
    words = steps[number].opname.removeprefix("STORE_FAST_").split("_")
    if words[0] != "LOAD" or words[1] not in _PLAIN or "ATTR" in words:
        return None
    value = steps[number].argval
    return str(value[-1]) if isinstance(value, tuple) else value  # a tuple: two loads in one instruction


# ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────

_BEGINNINGS = ("STORE_", "POP_", "RETURN_", "JUMP", "RESUME", "FOR_ITER", "END_", "RERAISE", "SETUP_")
_NOTHING_DONE = {
    "PRECALL",
    "KW_NAMES",
    "NOP",
    "CACHE",
    "EXTENDED_ARG",
    "NOT_TAKEN",
    "COPY_FREE_VARS",
    "MAKE_CELL",
}
_ONE_FOR_ONE = {"GET_AWAITABLE", "TO_BOOL", "UNARY_NEGATIVE", "UNARY_NOT", "UNARY_INVERT", "LOAD_ATTR"}
_ONE_FOR_TWO = {"BINARY_OP", "COMPARE_OP", "CONTAINS_OP", "IS_OP", "BINARY_SUBSCR", "SEND"}
_BUILDS = {"BUILD_TUPLE", "BUILD_LIST", "BUILD_SET", "BUILD_STRING"}


class _Unclear(Exception):  # noqa: N818 - no error, an answer
    """What an instruction does to the stack is not known here."""


def _half_way(steps: list[dis.Instruction], number: int) -> list[str]:
    """The variables whose values the expression around this step has loaded and not used yet."""
    first = number
    while first > 0 and not _begins(steps, first):
        first -= 1
    before = steps[first - 1]
    stack: list[str | None] = [before.argval[1]] if before.opname == _STORE_AND_LOAD else []
    try:
        for step in steps[first:number]:
            _do(step, stack)
        _take(stack, _takes(steps[number]))
    except _Unclear:
        return []
    return [name for name in stack if name is not None]


def _begins(steps: list[dis.Instruction], number: int) -> bool:
    """Whether the stack is, as far as this statement goes, empty before this step."""
    step = steps[number]
    return steps[number - 1].opname.startswith(_BEGINNINGS) or (step.is_jump_target and step.opname != "SEND")


def _do(step: dis.Instruction, stack: list[str | None]) -> None:
    """Let the step change a stack of the names of variables; None for other values."""
    name = step.opname
    if name in _NOTHING_DONE:
        return
    if name.startswith("LOAD_FAST") or name == "LOAD_DEREF":
        stack += step.argval if isinstance(step.argval, tuple) else (step.argval,)
        return
    keeps = _takes_self(step)
    taken = _take(stack, _takes(step))
    stack.append(None)
    if keeps:  # a method, and whose it is
        stack.append(taken[0])
    elif name == "LOAD_GLOBAL" and "NULL" in step.argrepr:
        stack.append(None)


def _takes_self(step: dis.Instruction) -> bool:
    return step.opname == "LOAD_METHOD" or (step.opname == "LOAD_ATTR" and "NULL|self" in step.argrepr)


def _takes(step: dis.Instruction) -> int:
    """How many values it takes off the stack, to put one there."""
    name, arg = step.opname, step.arg or 0
    if name in ("LOAD_CONST", "LOAD_SMALL_INT", "LOAD_GLOBAL", "LOAD_NAME", "PUSH_NULL"):
        return 0
    if name in _ONE_FOR_ONE or name == "LOAD_METHOD":
        return 1
    if name in _ONE_FOR_TWO:
        return 2
    if name in _BUILDS:
        return arg
    if name == "CALL":
        return arg + 2
    if name == "CALL_KW":
        return arg + 3
    raise _Unclear


def _take(stack: list[str | None], n: int) -> list[str | None]:
    if n > len(stack):
        raise _Unclear
    taken = stack[len(stack) - n :]
    del stack[len(stack) - n :]
    return taken


# ── the exception table ─────────────────────────────────────────────────────────────────────────────────────


def _ranges(code: CodeType) -> Iterator[_Range]:
    """The exception table.

    Its format is told in CPython's `InternalDocs/exception_handling.md`: for each range start, length, target and depth
    in code units, as numbers in base 64, the most significant digit first.
    """
    numbers = _numbers(code.co_exceptiontable)
    for start, length, target, _ in zip(numbers, numbers, numbers, numbers, strict=False):
        yield _Range(2 * start, 2 * (start + length), 2 * target)


def _numbers(table: bytes) -> Iterator[int]:
    value = 0
    for byte in table:
        value = (value << 6) | (byte & 0x3F)
        if not byte & 0x40:
            yield value
            value = 0
