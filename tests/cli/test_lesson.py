"""`potok lesson`: the list, the texts, and programs that run as if they had been started by hand."""

import json
import os
import signal
import subprocess
import sys

import pytest
from terminal import on_a_terminal

from potok.cli.main import main
from potok.lessons import LESSONS, find_lesson

ESCAPE = "\x1b"


def environment(**variables: str) -> dict[str, str]:
    dropped = {"LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED"}
    return (
        {k: v for k, v in os.environ.items() if k not in dropped} | {"PYTHONIOENCODING": "utf-8"} | variables
    )


def lesson(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "potok", "lesson", *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment(**variables),
        check=False,
    )


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr of a call that ends with exit code 2."""
    try:
        code = main(["lesson", *arguments])
    except SystemExit as end:
        code = end.code
    streams = capsys.readouterr()
    assert (code, streams.out) == (2, "")
    return streams.err.splitlines()[-1]


def test_list_has_all_in_their_order() -> None:
    """Number, name, title and executors, the default first; no escape sequence where there is no terminal."""
    done = lesson()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for each, line in zip(LESSONS, lines, strict=True):
        assert line.split()[:2] == [str(each.number), each.name]
        assert each.title("en") in line
        assert line.endswith(" ".join(each.executors))
    assert ESCAPE not in done.stdout


def test_list_is_in_the_language_of_the_locale_or_the_one_asked_for() -> None:
    russian, english = LESSONS[1].title("ru"), LESSONS[0].title("en")
    assert russian in lesson(LANG="ru_RU.UTF-8").stdout
    assert russian in lesson("--lang", "ru", LANG="en_GB.UTF-8").stdout
    assert english in lesson("--lang", "en", LANG="ru_RU.UTF-8").stdout


@pytest.mark.parametrize("language", ["en", "ru"])
def test_lesson_explains_and_runs(language: str) -> None:
    """The text, the command, and what the program prints where it was told to run."""
    done = lesson("which_process", "--on", "threads", "--lang", language)
    assert (done.returncode, done.stderr) == (0, "")
    text = find_lesson("which_process").text(language)
    assert done.stdout.startswith(text)
    command, _, printed = done.stdout.removeprefix(text).strip().partition("\n\n")
    assert command.startswith("$ ")
    assert command.endswith("which_process.py --on threads")
    assert printed.splitlines()[0] == "5 doubled to 10 by this process"


def test_lesson_runs_on_its_default() -> None:
    """By its number, and without `--on`: functions of its `__main__` reach the worker processes."""
    done = lesson(str(find_lesson("pool").number))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[10, 20, 40]"


def test_json_is_versioned_and_runs_nothing() -> None:
    document = json.loads(lesson("--json").stdout)
    assert (document["version"], document["language"]) == (1, "en")
    assert [entry["name"] for entry in document["lessons"]] == [each.name for each in LESSONS]
    assert set(document["lessons"][0]) == {"number", "name", "title", "executors", "program"}
    (entry,) = json.loads(lesson("race", "--json", "--lang", "ru").stdout)["lessons"]
    assert entry["text"] == find_lesson("race").text("ru")


@pytest.mark.parametrize("word", ["0", "99", "no_such_lesson"])
def test_unknown_lesson_is_told_what_there_is(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(word, capsys=capsys)
    assert f"there is no lesson {word!r}: take a number from 1 to {len(LESSONS)}, or a name" in told


def test_executor_that_makes_no_sense_is_told_what_to_take(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused("no_sentinel", "--on", "inline", capsys=capsys)
    assert "(no_sentinel) makes no sense on 'inline': take processes or " in told


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="here there are interpreters")
def test_executor_that_is_not_here_is_told_what_to_take(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused("pool", "--on", "interpreters", capsys=capsys)
    assert "Python 3.14" in told
    assert told.endswith("take processes or threads or coroutines or inline or simulated")


def test_executor_without_a_lesson_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "say which" in refused("--on", "threads", capsys=capsys)
    assert "'moon'" in refused("pool", "--on", "moon", capsys=capsys)


def test_locale_that_lacks_letters_gets_what_it_has() -> None:
    """No traceback where the output's encoding has no Cyrillic letters."""
    done = lesson("--lang", "ru", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == len(LESSONS)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("on", ["coroutines", "processes"])
def test_ctrl_c_ends_the_program_with_130(on: str) -> None:
    """The signal that is sent to the command reaches the program, once: it ends as it does by itself."""
    command = [sys.executable, "-m", "potok", "lesson", "fetch_json", "--on", on]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line == "fetching 3 lists\n":
                process.send_signal(signal.SIGINT)
                break
        errors = process.stderr.read()
    assert process.returncode == 130
    assert errors == "interrupted: what was under way is cancelled, the server is closed\n"


def test_text_is_drawn_on_a_terminal() -> None:
    """Without the marks of Markdown; with NO_COLOR without any escape sequence."""
    lesson = ("lesson", "pool", "--on", "inline")
    drawn = on_a_terminal(*lesson, environment=environment())
    assert ESCAPE in drawn
    assert "`" not in drawn
    assert "[10, 20, 40]" in drawn
    plain = on_a_terminal(*lesson, environment=environment(), NO_COLOR="1")
    assert ESCAPE not in plain
    assert "[10, 20, 40]" in plain
