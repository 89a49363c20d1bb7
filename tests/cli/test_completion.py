"""`potok completion`: scripts that know every verb and option, and complete as the shell asks."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from potok.cli.main import VERBS, main

BASH = shutil.which("bash")


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_knows_verbs_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    for word in (*VERBS, "keep-order", "journal", "halt", "processes", "json"):
        assert word in text


def test_other_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["completion", "tcsh"])
    assert end.value.code == 2
    assert "'tcsh'" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tools.py", "items one.txt", "items.csv"):
        (tmp_path / name).touch()
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["potok", ""], [*VERBS, "--help", "--version"]),
        (["potok", "ma"], ["map"]),
        (["potok", "map", "--re"], ["--retries", "--resume", "--retry-failed"]),
        (
            ["potok", "map", "--on", ""],
            ["auto", "threads", "coroutines", "interpreters", "processes", "inline"],
        ),
        (["potok", "map", "--on", "p"], ["processes"]),
        (
            ["potok", "compare", "--on", ""],
            ["inline", "threads", "coroutines", "interpreters", "processes"],
        ),
        (["potok", "compare", "--on", "i"], ["inline", "interpreters"]),
        (["potok", "map", "to"], ["tools.py"]),
        (["potok", "map", "tools.py:f", "it"], ["items one.txt", "items.csv"]),
        (["potok", "map", "--journal", "da"], ["data"]),
        (["potok", "map", "-o", "it"], ["items one.txt", "items.csv"]),
        (["potok", "map", "--retries", ""], []),
        (["potok", "doctor", "--"], ["--help", "--json"]),
        (["potok", "completion", ""], ["bash", "fish", "zsh"]),
        (["potok", "lesson", "rac"], ["race"]),
        (["potok", "lesson", "race", "--on", "s"], ["simulated"]),
        (["potok", "lesson", "race", "--lang", ""], ["en", "ru"]),
        (["potok", "no-such-verb", "to"], ["tools.py"]),
    ],
)
def test_bash_completes(
    words: Sequence[str], completed: Sequence[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verbs, options of the verb, their choices, and else files, whose names may have spaces."""
    text = script("bash", capsys)
    ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _potok; printf "%s\\n" "${COMPREPLY[@]}"; complete -p potok'
    command = [str(BASH), "--norc", "-c", f"{text}\n{ask}", "bash", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    *found, binding = done.stdout.splitlines()
    assert sorted(filter(None, found)) == sorted(completed)
    assert binding.endswith("-F _potok potok")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_shell_takes_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is there: it finds no fault with the syntax."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    command = [shell, "-n", "/dev/stdin"]
    done = subprocess.run(command, input=script(shell, capsys), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
