"""`potok map` with a journal, retries and time-outs: what survives Ctrl-C, SIGKILL and failures, and how it goes on."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from potok.cli.main import main
from potok.dataflow.journal import Journal

FUNCTIONS = """
import os, signal, time
from pathlib import Path

def logged(x):
    with open("calls.log", "a") as log:
        log.write(x + "\\n")
    if x.startswith("bad") and not os.path.exists("mended"):
        raise ValueError("no bad ones")
    return x.upper()

def once(x):
    Path(x).write_text(str(int(Path(x).read_text()) + 1) if Path(x).exists() else "1")
    if Path(x).read_text() != "3":
        raise OSError("not yet")
    return "at last"

def endless(x):
    if x == "endless":
        time.sleep(3600)
    return x

def deadly(x):
    if x == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return x

def interrupted(x):
    if x == "stop" and not os.path.exists("mended"):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(3600)
    return x
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder with a module of functions."""
    (tmp_path / "surviving_tools.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("surviving_tools", None)


def lines(*texts: str) -> str:
    Path("items.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return "items.txt"


def run(*arguments: str) -> int | str | None:
    """Run `potok map` here, as if in a new process; on threads, unless the arguments say where; its exit code."""
    sys.modules.pop("surviving_tools", None)
    try:
        return main(["map", *(() if "--on" in arguments else ("--on", "threads")), *arguments])
    except SystemExit as end:
        return end.code


def outcomes(text: str) -> dict[str, Any]:
    """What became of each input: its result, or the message of its error."""
    records = map(json.loads, text.splitlines())
    return {r["input"]: r["result"] if "result" in r else r["error"]["message"] for r in records}


def calls() -> list[str]:
    """What `logged` was called with since the last look."""
    log = Path("calls.log")
    found = sorted(log.read_text(encoding="utf-8").splitlines()) if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def test_resume_writes_everything_and_computes_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    """Failures included; inputs that have moved are found; a second resume has nothing to do."""
    assert run("surviving_tools:logged", lines("a", "bad", "c"), "--journal", "j") == 1
    assert calls() == ["a", "bad", "c"]
    capsys.readouterr()
    assert run("surviving_tools:logged", lines("new", "c", "a", "bad"), "--journal", "j", "--resume") == 1
    streams = capsys.readouterr()
    assert calls() == ["new"]
    assert outcomes(streams.out) == {"a": "A", "bad": "no bad ones", "c": "C", "new": "NEW"}
    indexes = {record["input"]: record["index"] for record in map(json.loads, streams.out.splitlines())}
    assert indexes == {"new": 0, "c": 1, "a": 2, "bad": 3}
    assert "4 items (3 from the journal), 1 failed" in streams.err
    assert run("surviving_tools:logged", "items.txt", "--journal", "j", "--resume", "--keep-order") == 1
    assert calls() == []
    assert [json.loads(line)["index"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 2, 3]


def test_retry_failed_computes_only_failures(capsys: pytest.CaptureFixture[str]) -> None:
    """And the line that says so is printed by the run that had them."""
    assert run("surviving_tools:logged", lines("a", "bad 1", "bad 2"), "--journal", "my j") == 1
    advice = capsys.readouterr().err.splitlines()[-1]
    line = advice.removeprefix("potok map: to try the failed items again: ")
    arguments = line[line.index(" map ") + 5 :]
    assert "'my j'" in arguments
    calls()
    Path("mended").touch()
    assert run(*shlex.split(arguments)) == 0
    assert calls() == ["bad 1", "bad 2"]
    streams = capsys.readouterr()
    assert outcomes(streams.out) == {"a": "A", "bad 1": "BAD 1", "bad 2": "BAD 2"}
    assert "3 items (1 from the journal), none failed" in streams.err


def test_journal_of_an_earlier_run_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word it is refused, before the output is; one without records is as good as none."""
    Journal.open("j", "surviving_tools.logged").close()
    assert run("surviving_tools:logged", lines("a", "bad"), "--journal", "j", "-o", "out.jsonl") == 1
    before = Path("out.jsonl").read_bytes()
    capsys.readouterr()
    assert run("surviving_tools:logged", "items.txt", "--journal", "j", "-o", "out.jsonl") == 2
    err = capsys.readouterr().err
    assert "has 2 items of an earlier run" in err
    assert "--resume" in err
    assert "--retry-failed" in err
    assert Path("out.jsonl").read_bytes() == before


def test_journal_of_another_function_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """By its name, however the module was written."""
    assert run("surviving_tools.py:logged", lines("a"), "--journal", "j") == 0
    assert run("surviving_tools:once", "items.txt", "--journal", "j", "--resume") == 2
    assert "is of the function surviving_tools.logged" in capsys.readouterr().err
    assert run("./surviving_tools.py:logged", "items.txt", "--journal", "j", "--resume") == 0


def test_resume_without_a_journal_begins_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("surviving_tools:logged", lines("a"), "--journal", "j", "--resume") == 0
    assert "there is no journal 'j' yet" in capsys.readouterr().err
    assert Path("j").exists()


def test_dry_run_counts_what_the_journal_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("surviving_tools:logged", lines("a", "bad"), "--journal", "j") == 1
    calls()
    assert run("surviving_tools:logged", "items.txt", "--journal", "j", "--resume", "--dry-run") == 0
    assert "journal    j (1 done, 1 failed)" in capsys.readouterr().out
    assert calls() == []


def test_halted_run_goes_on_and_old_failures_do_not_halt_it(capsys: pytest.CaptureFixture[str]) -> None:
    items = lines(*(f"bad {n}" for n in range(4)), *map(str, range(100)))
    options = (
        "--halt",
        "now,2",
        "--journal",
        "j",
        "--on",
        "inline",
        "--keep-order",
        "--json",
        "-o",
        "out.jsonl",
    )
    assert run("surviving_tools:logged", items, *options) == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["items"], summary["failed"], summary["halted"]) == (2, 2, True)
    assert "--retry-failed" in summary["go_on"]
    assert run("surviving_tools:logged", items, *options, "--resume") == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["items"], summary["failed"], summary["from_journal"]) == (4, 4, 2)
    Path("mended").touch()
    assert run("surviving_tools:logged", items, *options, "--retry-failed") == 0
    assert json.loads(capsys.readouterr().out)["items"] == 104


def test_retries_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("surviving_tools:once", lines("x"), "--retries", "1") == 1
    Path("x").unlink()
    capsys.readouterr()
    assert run("surviving_tools:once", lines("x"), "--retries", "2") == 0
    assert outcomes(capsys.readouterr().out) == {"x": "at last"}


def test_item_that_takes_too_long_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The others have their results; a recorded time-out is a failure like others."""
    arguments = ("--timeout", "0.5", "--on", "processes", "-j", "2", "--journal", "j")
    assert run("surviving_tools:endless", lines("a", "endless", "b"), *arguments) == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = [record for record in records if "error" in record]
    assert [record["input"] for record in failed] == ["endless"]
    assert failed[0]["error"]["type"] == "TimeoutError"
    assert sorted(record["result"] for record in records if "result" in record) == ["a", "b"]


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_item_that_kills_its_worker_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a failure like others: the worker was replaced, and is not lost for good."""
    items = lines("a", "deadly", "b")
    assert run("surviving_tools:deadly", items, "--on", "processes", "-j", "1", "--journal", "j") == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = [record for record in records if "error" in record]
    assert [(record["input"], record["error"]["type"]) for record in failed] == [("deadly", "WorkerDied")]
    assert sorted(record["result"] for record in records if "result" in record) == ["a", "b"]
    assert run("surviving_tools:deadly", items, "--on", "processes", "--journal", "j", "--resume") == 1
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(again, key=str) == sorted(records, key=str)


def test_rate_lets_everything_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("surviving_tools:endless", lines("a", "b", "c"), "--rate", "1000") == 0
    assert outcomes(capsys.readouterr().out) == {"a": "a", "b": "b", "c": "c"}


def potok_map(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "potok", "map", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("on", ["threads", "inline"])
def test_ctrl_c_prints_the_line_that_goes_on(on: str) -> None:
    """Which works as it stands, in a shell, and computes only what is left."""
    items = lines("a", "b", "stop", "c")
    arguments = ("surviving_tools:interrupted", items, "--journal", "the journal", "-j", "1", "--on", on)
    done = potok_map(*arguments, "-o", "out.jsonl")
    assert done.returncode == 130, done.stderr
    summary, advice = done.stderr.splitlines()
    first = re.match(r"potok map: interrupted after ([012]) items?,", summary)
    assert first is not None
    assert advice.startswith("potok map: to go on: ")
    line = advice.removeprefix("potok map: to go on: ")
    assert line.startswith(f"{Path(sys.executable).name} -m potok map --resume ")
    Path("mended").touch()
    shell = f"cd {shlex.quote(os.getcwd())}; {line}"  # noqa: PTH109 - what the shell is told
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    again = subprocess.run(
        ["/bin/sh", "-c", shell],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert again.returncode == 0, again.stderr
    then = re.search(r"4 items(?: \(([12]) from the journal\))?, none failed", again.stderr)
    assert then is not None
    assert int(then[1] or 0) >= int(first[1])
    assert len(outcomes(Path("out.jsonl").read_text(encoding="utf-8"))) == 4


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("on", ["auto", "processes", "threads"])
def test_ctrl_c_of_a_terminal_reaches_everybody_and_ends_the_run_once(on: str) -> None:
    """Workers get the signal as well, as all of a terminal's foreground does; one summary, and how to go on."""
    items = lines(*(str(n) for n in range(20)), *["endless"] * 40)
    command = [
        sys.executable,
        "-m",
        "potok",
        "map",
        "surviving_tools:endless",
        items,
        "--journal",
        "j",
        "--on",
        on,
    ]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    with process, killed_at_last(process):
        assert process.stdout is not None
        assert process.stderr is not None
        written = [process.stdout.readline()]
        os.killpg(process.pid, signal.SIGINT)
        written += process.stdout.readlines()
        told = process.stderr.read()
    assert process.returncode == 130, told
    summary = re.match(r"potok map: interrupted after (\d+) items?, none failed, .* items/s\n", told)
    assert summary is not None, told
    assert int(summary[1]) - len(written) in (0, 1)  # a record is counted before it is written
    assert re.fullmatch(r"potok map: to go on: .*\n", told[summary.end() :])
    with Journal.open("j", "surviving_tools.endless") as journal:
        assert journal.count()[0] >= len(written)


@contextmanager
def killed_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """A test that fails leaves nothing that runs for an hour."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_killed_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL: what was written before is in the journal, and is not computed again."""
    items = lines(*(f"{n}" for n in range(20_000)))
    command = [
        sys.executable,
        "-m",
        "potok",
        "map",
        "surviving_tools:logged",
        items,
        "--journal",
        "j",
        "--on",
        "threads",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = [json.loads(process.stdout.readline())["input"] for _ in range(50)]
        process.send_signal(signal.SIGKILL)
    calls()
    assert run("surviving_tools:logged", items, "--journal", "j", "--resume") == 0
    again = calls()
    assert not set(first) & set(again)
    assert len(again) < 20_000
    written = outcomes(capsys.readouterr().out)
    assert written == {str(n): str(n) for n in range(20_000)}


@pytest.mark.parametrize("on", ["threads", "processes", "auto"])
def test_function_that_calls_sys_exit(on: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its item fails: neither the run nor a worker ends without a word."""
    Path(f"leaving_{on}.py").write_text(
        "import sys\ndef f(x):\n    return sys.exit(5) if x == 'b' else x\n", encoding="utf-8"
    )
    Path("three.txt").write_text("a\nb\nc\n", encoding="utf-8")
    assert main(["map", f"leaving_{on}.py:f", "three.txt", "--on", on, "--keep-order"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record.get("result") for record in told] == ["a", None, "c"]
    assert "sys.exit(5)" in told[1]["error"]["message"]
