"""Programs that are stuck end in DeadlockError; those that only look stuck come to their end.

They are in `programs/`. Those of all tests that are selected run side by side, as the first of these tests begins.
"""

from collections import defaultdict

import pytest
from catalogue import Program, load
from judging import Outcome, complaint, outcomes

STUCK = [program for program in load().values() if program.kind]
INNOCENT = [program for program in load().values() if not program.kind]

pytestmark = pytest.mark.timeout(
    1200
)  # the first test waits for the programs of all; long, if many of them hang


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest) -> dict[str, list[Outcome]]:
    """How the programs of all selected tests have ended, for each test of a program one outcome."""
    tests = [item for item in request.session.items if item.path == request.path]
    found = defaultdict(list)
    for outcome in outcomes([item.callspec.params["program"].name for item in tests]):
        found[outcome["name"]].append(outcome)
    return found


@pytest.mark.parametrize("program", STUCK, ids=lambda program: program.name)
def test_stuck_program_ends_in_a_deadlock_error(program: Program, told: dict[str, list[Outcome]]) -> None:
    """Its message names each task of the cycle, and what that one waits for."""
    outcome = told[program.name].pop()
    assert not complaint(program, outcome), outcome["message"]


@pytest.mark.parametrize("program", INNOCENT, ids=lambda program: program.name)
def test_innocent_program_comes_to_its_end(program: Program, told: dict[str, list[Outcome]]) -> None:
    """Nothing is raised in it."""
    outcome = told[program.name].pop()
    assert not complaint(program, outcome), outcome["message"]
