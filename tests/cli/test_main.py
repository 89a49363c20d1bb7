"""The dispatcher: help, version, wrong use, and the exit codes that scripts rely on."""

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from potok.cli import UsageError
from potok.cli.main import VERBS, main


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[argparse.Namespace], int]], None]:
    """Return a function that makes `run` the body of a verb called `fake`."""

    def install(run: Callable[[argparse.Namespace], int]) -> None:
        def add_arguments(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("--number", type=int)

        module = SimpleNamespace(add_arguments=add_arguments, run=run)
        monkeypatch.setitem(sys.modules, "potok.cli.fake", module)
        monkeypatch.setitem(VERBS, "fake", "only for this test")

    return install


def potok(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "potok", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def exit_code(*arguments: str) -> int | str | None:
    """Run the command line here and return the code that the process would end with."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"potok {importlib.metadata.version('potok')}\n"


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in VERBS)


def test_module_and_script_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m potok` and the installed `potok` lead to one function and print the same."""
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="potok")
    assert script.load() is main
    assert exit_code("--version") == 0
    assert potok("--version").stdout == capsys.readouterr().out


def test_help_imports_no_verb() -> None:
    """`potok --help` costs no verb's imports, and a verb costs no other's."""
    program = (
        "import sys; from potok.cli.main import VERBS, main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('verbs:', *[v for v in VERBS if f'potok.cli.{v}' in sys.modules])"
    )
    for arguments, expected in ((["--help"], "verbs:"), (["doctor", "--help"], "verbs: doctor")):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize("wrong", [["no-such-verb"], ["--no-such-option"], ["doctor", "--no-such-option"]])
def test_wrong_arguments_name_what_is_wrong(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*wrong) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert wrong[-1] in streams.err.splitlines()[-1]


def test_no_verb_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Help that was not asked for goes to stderr: stdout holds results only."""
    assert exit_code() == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("usage: potok")


def test_verb_gets_its_arguments_and_gives_the_exit_code(verb: Callable[..., None]) -> None:
    verb(lambda args: args.number)
    assert exit_code("fake", "--number", "4") == 4


def test_usage_error_is_one_line(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: argparse.Namespace) -> int:
        raise UsageError("no function 'f' in module 'm'")

    verb(run)
    assert exit_code("fake") == 2
    assert capsys.readouterr().err == "potok fake: error: no function 'f' in module 'm'\n"


def test_interrupt_is_130_without_traceback(
    verb: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    verb(run)
    assert exit_code("fake") == 130
    assert capsys.readouterr().err == "potok fake: interrupted\n"


def test_closed_stdout_ends_quietly() -> None:
    """`potok doctor | head -n 0` leaves no traceback behind."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "potok", "doctor", "--json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141
