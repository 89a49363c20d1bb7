"""README.md and README.ru.md show where each example runs: just where the tests run it."""

import pytest
from matrix import WORDS, made, shown
from programs import EXECUTORS, FOLDER, RUNS_ON


@pytest.mark.parametrize("name", WORDS)
def test_readme_shows_what_the_tests_run(name: str) -> None:
    """If not, `python tests/examples/matrix.py` writes the table anew."""
    assert shown(name) == made(name), "run: python tests/examples/matrix.py"


def test_every_example_has_a_row() -> None:
    assert set(RUNS_ON) == {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py")}


def test_every_executor_is_known() -> None:
    assert {on for executors in RUNS_ON.values() for on in executors} == set(EXECUTORS)
