"""The lecture's logging program logs what it should, wherever its tasks run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "lecture" / "logs.py"
ITEMS = ("tango", "foxtrot", "10")


def run(on: str) -> tuple[list[str], list[str]]:
    """The lines of its output and of its log."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", PROGRAM, "--on", on],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("on", ["threads", "coroutines"])
def test_tasks_of_this_process_log_here(on: str) -> None:
    """One line for each, with the name of its task."""
    printed, logged = run(on)
    assert sorted(printed) == sorted(ITEMS)
    assert sorted(logged) == sorted(
        f"[INFO/MainProcess] print_item-{number}: printed {item if item == '10' else repr(item)}"
        for number, item in enumerate(ITEMS, 1)
    )


def test_workers_log_here_what_they_do() -> None:
    """Each was started, runs its task, which logs, and has ended: in this order, and nothing else."""
    printed, logged = run("processes")
    assert sorted(printed) == sorted(ITEMS)
    lives: dict[str, list[str]] = {}
    for line in logged:
        found = re.fullmatch(r"\[INFO/(worker-\d)\] (.*)", line)
        assert found, line
        lives.setdefault(found[1], []).append(found[2])
    assert sum(len(life) for life in lives.values()) == len(lives) + 3 * 3
    tasks = []
    for started, *life in lives.values():
        assert re.fullmatch(r"None: worker process \d+ was started", started)
        while life:
            begun, said, ended, *life = life  # noqa: PLW2901 - three by three
            (name,) = re.fullmatch(r"(print_item-\d): task \1 starts", begun).groups()  # type: ignore[union-attr]
            assert said.startswith(f"{name}: printed ")
            assert ended == f"{name}: task {name} has ended"
            tasks.append((name, said.rpartition(" ")[2].strip("'")))
    assert sorted(tasks) == [(f"print_item-{number}", item) for number, item in enumerate(ITEMS, 1)]
