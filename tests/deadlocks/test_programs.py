"""Programs that are stuck end in DeadlockError; those that only look stuck come to their end.

They are in `programs/`. Those that were asked for run at once, as the first is asked how it has ended.
"""

from collections import defaultdict

import pytest
from batches import Outcome, complaint, run
from catalogue import Program, load

STUCK = [program for program in load().values() if program.kind]
INNOCENT = [program for program in load().values() if not program.kind]

pytestmark = pytest.mark.timeout(
    1200
)  # the first test waits for the programs of all; long, if many of them hang


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[str, list[Outcome]]:
    """How the programs of all selected tests have ended, for each test of a program one outcome."""
    tests = [item for item in request.session.items if item.path == request.path]
    told = defaultdict(list)
    for outcome in run([item.callspec.params["program"].name for item in tests]):
        told[outcome["name"]].append(outcome)
    return told


@pytest.mark.parametrize("program", STUCK, ids=lambda program: program.name)
def test_stuck_program_ends_in_a_deadlock_error(program: Program, outcomes: dict[str, list[Outcome]]) -> None:
    """Its message names each task of the cycle, and what that one waits for."""
    outcome = outcomes[program.name].pop()
    assert not complaint(program, outcome), outcome["message"]


@pytest.mark.parametrize("program", INNOCENT, ids=lambda program: program.name)
def test_innocent_program_comes_to_its_end(program: Program, outcomes: dict[str, list[Outcome]]) -> None:
    """Nothing is raised in it."""
    outcome = outcomes[program.name].pop()
    assert not complaint(program, outcome), outcome["message"]
