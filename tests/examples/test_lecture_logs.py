"""The lecture's logging program logs what it should, wherever its tasks run."""

import re
import subprocess

import pytest
from programs import command, environment, runs

PATH = "lecture/logs.py"
ISOLATED = ("processes", "interpreters")
ITEMS = ("tango", "foxtrot", "10")


def run(on: str) -> tuple[list[str], list[str]]:
    """The lines of its output and of its log."""
    done = subprocess.run(
        command(PATH, "--on", on), capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize(("path", "on"), [run for run in runs(PATH) if run.values[1] not in ISOLATED])
def test_tasks_of_this_process_log_here(path: str, on: str) -> None:
    """One line for each, with the name of its task."""
    printed, logged = run(on)
    assert sorted(printed) == sorted(ITEMS)
    assert sorted(logged) == sorted(
        f"[INFO/MainProcess] print_item-{number}: printed {item if item == '10' else repr(item)}"
        for number, item in enumerate(ITEMS, 1)
    )


@pytest.mark.parametrize(("path", "on"), [run for run in runs(PATH) if run.values[1] in ISOLATED])
def test_workers_log_here_what_they_do(path: str, on: str) -> None:
    """Each was started, runs its task, which logs, and has ended: in this order, and nothing else."""
    printed, logged = run(on)
    assert sorted(printed) == sorted(ITEMS)
    lives: dict[str, list[str]] = {}
    for line in logged:
        found = re.fullmatch(r"\[INFO/(worker-\d)\] (.*)", line)
        assert found, line
        lives.setdefault(found[1], []).append(found[2])
    assert sum(len(life) for life in lives.values()) == len(lives) + 3 * 3
    tasks = []
    for started, *life in lives.values():
        assert re.fullmatch(r"None: (worker process|interpreter) \d+ was started", started)
        while life:
            begun, said, ended, *life = life  # noqa: PLW2901 - three by three
            (name,) = re.fullmatch(r"(print_item-\d): task \1 starts", begun).groups()  # type: ignore[union-attr]
            assert said.startswith(f"{name}: printed ")
            assert ended == f"{name}: task {name} has ended"
            tasks.append((name, said.rpartition(" ")[2].strip("'")))
    assert sorted(tasks) == [(f"print_item-{number}", item) for number, item in enumerate(ITEMS, 1)]
