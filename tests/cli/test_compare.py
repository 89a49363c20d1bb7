"""`potok compare` as people and scripts use it: what it reads, prints, writes, and ends with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import on_a_terminal

from potok.cli.main import main

FUNCTIONS = """
import asyncio

def double(x):
    return x + x

async def adouble(x):
    return x + x

def picky(x):
    if x == "bad":
        raise ValueError("no bad ones")
    return x.upper()
"""

QUICK = ("--reps", "1", "--on", "threads")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a module of functions, and leave the interpreter's paths as they were."""
    (tmp_path / "compared.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("potok.adviser.bench.WATCHED", 0.02)  # nobody reads the figures
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "compared", raising=False)
    return tmp_path


def lines(*texts: str) -> str:
    Path("items.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return "items.txt"


def run(*arguments: str) -> int | str | None:
    try:
        return main(["compare", *arguments])
    except SystemExit as end:
        return end.code


def test_table_and_verdict_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """What is being done meanwhile goes to stderr."""
    assert run("compared:double", lines("a", "b"), *QUICK) == 0
    out, err = capsys.readouterr()
    assert out.startswith("compared.double over 2 items; ")
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["executor", "plain", "threads"]
    assert "plain loop" in out.splitlines()[-1]
    assert err.startswith("potok compare: the plain loop\n")
    assert "\x1b" not in out + err


def test_json_is_versioned_and_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compared:double", lines("a", "b"), *QUICK, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["items"], told["function"]) == (1, 2, "compared.double")
    assert [row["name"] for row in told["executors"]] == ["threads"]
    assert told["verdict"]["take"] in {"inline", "threads"}


def test_what_the_function_prints_is_not_on_stdout(here: Path) -> None:
    """Neither here nor in a worker."""
    Path("noisy.py").write_text("def f(x):\n    print('printed')\n    return x\n", encoding="utf-8")
    options = ("--on", "threads,processes", "--reps", "1", "-j", "1", "--budget", "2", "--json")
    command = [sys.executable, "-m", "potok", "compare", "noisy.py:f", lines("a"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 1
    assert "printed\n" in done.stderr


def test_total_of_paths_is_known(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("os.path:getsize", "*.py", *QUICK, "--json") == 0
    assert json.loads(capsys.readouterr().out)["total"] == 1


def test_report_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compared:double", lines("a"), *QUICK, "--html", "report.html") == 0
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "the report is in report.html" in capsys.readouterr().err


def test_executors_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Several, by commas or one by one; each once."""
    names = ("--on", "threads,coroutines", "--on", "threads")
    arguments = (*names, "--reps", "1", "-j", "1", "--json")
    assert run("compared:adouble", lines("a"), *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["workers"]) for row in told["executors"]] == [("threads", 1), ("coroutines", 1)]


def test_items_that_fail_are_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compared:picky", lines("a", "bad"), *QUICK) == 1
    assert "plain loop: 1 item failed, first item 1: ValueError: no bad ones" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compared:nothing", "items.txt"), "no function 'nothing' in compared"),
        (("compared:double", "absent.txt"), "no such file: 'absent.txt'"),
        (("compared:double", "items.txt", "--on", "clouds"), "'clouds' is none of inline, threads"),
        (("compared:double", "items.txt", "--reps", "0"), "N must be a whole number >= 1, not '0'"),
        (("compared:double", "items.txt", "-j", "x"), "N must be a whole number >= 1, not 'x'"),
        (("compared:double", "items.txt", "--budget", "nan"), "SECONDS must be a number > 0, not 'nan'"),
        (("compared:double", "items.txt", "--html", "no/such/x.html"), "'no/such/x.html' can't be written"),
        (
            ("compared:double", "items.txt", "--html", "items.txt"),
            "the report 'items.txt' is one of the inputs",
        ),
        (("compared:double", "empty.txt"), "there are no items in the INPUT"),
    ],
)
def test_usage(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what is wrong in a line; before anything is measured."""
    lines("a", "b")
    Path("empty.txt").touch()
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "the plain loop\n" not in err
    assert Path("items.txt").read_text(encoding="utf-8") == "a\nb\n"


def test_interrupted_is_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("stopped.py").write_text("def stop(x):\n    raise KeyboardInterrupt\n", encoding="utf-8")
    assert run("stopped:stop", lines("a"), *QUICK) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_help_says_what_the_columns_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for word in ("time", "speed-up", "GIL", "pickling", "start", "memory", "exit codes"):
        assert f"{word}" in out


def test_terminal_gets_colours_unless_told_otherwise() -> None:
    """The same table; nothing is cut off on a narrow one, and NO_COLOR gets no escape sequence at all."""
    arguments = ("compare", "compared:double", lines("a"), *QUICK)
    shown = on_a_terminal(*arguments, COLUMNS="60")
    assert "\x1b[" in shown
    assert "plain loop" in shown
    plain = on_a_terminal(*arguments, COLUMNS="60", NO_COLOR="1")
    assert "\x1b" not in plain
    assert "…" not in plain
    assert plain.splitlines()[2].startswith("executor")
    assert plain.splitlines()[4].startswith("threads")
