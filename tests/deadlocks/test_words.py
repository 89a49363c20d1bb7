"""How a deadlock is told."""

import sys
from types import CodeType
from typing import Any

import pytest

import potok
from potok import csp
from potok.kernel.deadlock.words import who
from potok.kernel.stuck import living


def started_by(code: CodeType) -> set[str]:
    """What is told of the tasks that this code has started and that wait now: the lines, after the file's name."""
    told = (who(task).rpartition(":")[2] for task in living() if task.origin and task.origin[0] is code)
    return {f"+{int(line) - code.co_firstlineno}" for line in told}


def look(code: CodeType, into: list[set[str]]) -> None:
    into.append(started_by(code))


@csp.process
def looks(code: CodeType, into: list[set[str]]) -> None:
    look(code, into)


@pytest.mark.parametrize("way", ["scope", "root", "run", "csp"])
def test_task_is_said_to_have_been_started_by_the_users_code(way: str) -> None:
    """Not by potok's own, through which it went."""
    seen: list[set[str]] = []
    here: Any = sys._getframe().f_code
    if way == "scope":
        with potok.scope() as s:
            s.start(look, here, seen)
    elif way == "root":
        potok.current_scope().start(look, here, seen, on="threads").result()
    elif way == "run":
        potok.run(look, here, seen)
    else:
        csp.Parallel(looks(here, seen))
    assert seen == [{{"scope": "+7", "root": "+9", "run": "+11", "csp": "+13"}[way]}]
