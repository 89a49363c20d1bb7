"""`potok map` as people and scripts use it: what it reads, writes, says, and ends with."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from terminal import on_a_terminal

import potok
from potok.cli.main import main

ROOT = Path(__file__).parent.parent.parent
SGR = re.compile(r"\x1b\[[0-9;]*m")  # colours and the like, not the cursor's movements

FUNCTIONS = """
import asyncio

def double(x):
    return x + x

async def adouble(x):
    await asyncio.sleep(0)
    return x + x

def picky(x):
    if x == "bad":
        raise ValueError("no bad ones")
    return x.upper()

class Tools:
    factor = 3
    @staticmethod
    def triple(x):
        return x * 3

def strange(x):
    return {"set": {1}, "nan": float("nan")} if x == "nan" else {1} if x == "set" else {(1, 2): x}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a module of functions, and leave the interpreter's paths as they were."""
    (tmp_path / "tools_of_mine.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("tools_of_mine", "broken", "far"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def lines(*texts: str) -> str:
    """Make a file of lines and return its name."""
    Path("items.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return "items.txt"


def records(text: str) -> list[dict[str, Any]]:
    """Read JSON Lines, in the order of the items."""
    return sorted((json.loads(line) for line in text.splitlines()), key=lambda record: record["index"])


def written(path: str = "out.jsonl") -> list[dict[str, Any]]:
    return records(Path(path).read_text(encoding="utf-8"))


def run(*arguments: str) -> int | str | None:
    """Run `potok map` here; its exit code."""
    try:
        return main(["map", *arguments])
    except SystemExit as end:
        return end.code


def potok_map(
    *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `potok map` as a process of its own."""
    command = [sys.executable, "-m", "potok", "map", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, env={**os.environ, **(env or {})}, check=False
    )


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("on", ["threads", "coroutines", "processes", "inline"])
@pytest.mark.parametrize(
    "function", ["tools_of_mine:double", "tools_of_mine.py:double", "./tools_of_mine.py:double"]
)
def test_records_of_lines(function: str, on: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is an item; each item a record with its place, itself and its result; exit code 0."""
    assert run(function, lines("a", "", "ж c"), "--on", on) == 0
    assert records(capsys.readouterr().out) == [
        {"index": 0, "input": "a", "result": "aa"},
        {"index": 1, "input": "", "result": ""},
        {"index": 2, "input": "ж c", "result": "ж cж c"},
    ]


def test_async_function_runs_on_coroutines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tools_of_mine:adouble", lines("a", "b")) == 0
    assert [record["result"] for record in records(capsys.readouterr().out)] == ["aa", "bb"]


def test_timeout_of_async_function_is_taken_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends where it awaits, on threads, too."""
    assert run("tools_of_mine:adouble", lines("a"), "--timeout", "30", "--on", "threads") == 0
    assert [record["result"] for record in records(capsys.readouterr().out)] == ["aa"]


# ── inputs ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_standard_input_is_lines_and_bytes_survive() -> None:
    """CRLF ends a line, too; the last may lack its end; what is no UTF-8 comes out as JSON's escape for it."""
    done = potok_map("tools_of_mine:double", "-", "--on", "inline", stdin=b"a\r\n\xff\n\xd0\xb6")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        b'{"index": 0, "input": "a", "result": "aa"}',
        b'{"index": 1, "input": "\\udcff", "result": "\\udcff\\udcff"}',
        '{"index": 2, "input": "ж", "result": "жж"}'.encode(),
    ]


def test_output_is_utf8_whatever_the_locale() -> None:
    done = potok_map("builtins:str", lines("ж"), env={"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"})
    assert json.loads(done.stdout.decode("utf-8"))["input"] == "ж"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such.txt"], "no such file: 'no-such.txt'"),
        (["no-such/*.txt"], "no file matches 'no-such/*.txt'"),
        (["."], "'.' is a folder"),
        (["-", "-"], "- is standard input, which can be read once only"),
        (["--paths", "no-such"], "no such file: 'no-such'"),
        (["tools_of_mine.py", "-o", "no/such/folder"], "'no/such/folder' can't be written"),
        (["tools_of_mine.py", "-o", "./tools_of_mine.py"], "is one of the inputs"),
        (["*_of_mine.py", "-o", "./tools_of_mine.py"], "is one of the inputs"),
        (["tools_of_mine.py", "-j", "0"], "N must be a whole number >= 1, not '0'"),
        (["tools_of_mine.py", "-j", "two"], "N must be a whole number >= 1, not 'two'"),
        (["tools_of_mine.py", "--on", "clouds"], "invalid choice: 'clouds'"),
        (["tools_of_mine.py", "--retries", "-1"], "N must be a whole number >= 0, not '-1'"),
        (["tools_of_mine.py", "--timeout", "soon"], "must be a number > 0, not 'soon'"),
        (
            ["tools_of_mine.py", "--timeout", "1", "--on", "threads"],
            "with --on threads: a thread can't be stopped; take --on processes",
        ),
        (["tools_of_mine.py", "--timeout", "1", "--on", "inline"], "the plain loop can't be stopped"),
        (["tools_of_mine.py", "--rate", "0"], "must be a number > 0, not '0'"),
        (["tools_of_mine.py", "--rate", "inf"], "must be a number > 0, not 'inf'"),
        (["tools_of_mine.py", "--halt", "later,3"], "with soon, or now, before it (now,3%), not 'later,3'"),
        (["tools_of_mine.py", "--halt", "0"], "not '0'"),
        (["tools_of_mine.py", "--resume"], "--resume goes on from a journal: say which with --journal FILE"),
        (["tools_of_mine.py", "--retry-failed"], "--retry-failed goes on from a journal"),
        (["tools_of_mine.py", "--journal", "j", "-o", "./j"], "are the same file: 'j'"),
        (["tools_of_mine.py", "--journal", "tools_of_mine.py"], "is no journal of potok"),
        (["tools_of_mine.py", "--dry-run", "--resume"], "say which with --journal FILE"),
        pytest.param(
            ["tools_of_mine.py", "--on", "interpreters"],
            "needs Python 3.14 or newer",
            marks=pytest.mark.skipif(sys.version_info >= (3, 14), reason="there are interpreters here"),
        ),
        ([], "INPUT"),
    ],
)
def test_wrong_inputs_and_options_are_named(
    arguments: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything was worked on or overwritten."""
    assert run("tools_of_mine:double", *arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert told in streams.err
    assert Path("tools_of_mine.py").read_text(encoding="utf-8") == FUNCTIONS


def test_input_that_breaks_half_way(capsys: pytest.CaptureFixture[str]) -> None:
    """What came before it is written and counted; then the line is named. Exit code 2."""
    Path("items.jsonl").write_text("1\n2\nthree\n4\n", encoding="utf-8")
    assert run("builtins:str", "items.jsonl", "-o", "out.jsonl") == 2
    assert [record["result"] for record in written()] == ["1", "2"]
    err = capsys.readouterr().err
    assert "2 items, none failed" in err
    assert "items.jsonl, line 3, is not JSON" in err


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_output_file_gets_the_results_and_stdout_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tools_of_mine:double", lines("a", "b"), "-o", "out.jsonl") == 0
    assert [record["result"] for record in written()] == ["aa", "bb"]
    streams = capsys.readouterr()
    assert streams.out == ""
    assert re.fullmatch(
        r"potok map: 2 items, none failed, \d+\.\d\d s, [\d.]+ items/s; results in out\.jsonl\n", streams.err
    )


@pytest.mark.parametrize("on", ["inline", "threads", "processes"])
def test_failures_are_records_notes_and_exit_code_1(on: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are worked on; a note says which item failed, how and where; the summary counts."""
    assert run("tools_of_mine:picky", lines("a", "bad", "c"), "--on", on) == 1
    streams = capsys.readouterr()
    assert records(streams.out) == [
        {"index": 0, "input": "a", "result": "A"},
        {"index": 1, "input": "bad", "error": {"type": "ValueError", "message": "no bad ones"}},
        {"index": 2, "input": "c", "result": "C"},
    ]
    assert re.search(
        r"item 1 \(bad\) failed: ValueError: no bad ones \(.*tools_of_mine\.py, line 13\)", streams.err
    )
    assert "3 items, 1 failed" in streams.err


def test_pattern_that_the_shell_has_expanded_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each item failed as no file: then the files may have been meant, and not their lines. Not if one did not."""
    hint = "the items are the lines of 'items.txt' and 1 more INPUT. If the files themselves are meant, quote"
    assert run("os.path:getsize", lines("absent", ""), "tools_of_mine.py", "--on", "processes") == 1
    assert hint in capsys.readouterr().err
    assert run("os.path:getsize", lines("absent", "items.txt"), "tools_of_mine.py", "--on", "threads") == 1
    assert "the items are the lines" not in capsys.readouterr().err
    Path("absent.jsonl").write_text('"absent"\n', encoding="utf-8")
    assert run("os.path:getsize", "absent.jsonl", "--on", "threads") == 1
    assert "the items are the lines" not in capsys.readouterr().err


def test_many_failures_are_not_all_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tools_of_mine:picky", lines(*["bad"] * 50)) == 1
    streams = capsys.readouterr()
    assert len(streams.out.splitlines()) == 50
    assert len(streams.err.splitlines()) == 7
    assert "50 items, 50 failed" in streams.err


def test_keep_order_writes_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tools_of_mine:double", lines(*map(str, range(300))), "--keep-order", "-j", "4") == 0
    indexes = [json.loads(line)["index"] for line in capsys.readouterr().out.splitlines()]
    assert indexes == list(range(300))


def test_what_cannot_be_json_is_its_repr_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Where only a part is at fault, the rest stays JSON; every line can be read back."""
    assert run("tools_of_mine:strange", lines("set", "nan", "key"), "--on", "inline") == 0
    streams = capsys.readouterr()
    assert [record["result"] for record in records(streams.out)] == [
        "{1}",
        "{'set': {1}, 'nan': nan}",
        "{(1, 2): 'key'}",
    ]
    assert streams.err.count("written as its repr") == 1
    assert "first in item 0: {1}, of type set" in streams.err


@pytest.mark.parametrize("to_file", [True, False])
def test_json_summary(to_file: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """One versioned object: on stdout where that is free, else as the last line of stderr."""
    output = ["-o", "out.jsonl"] if to_file else []
    assert run("tools_of_mine:picky", lines("a", "bad"), "--json", *output) == 1
    streams = capsys.readouterr()
    summary = json.loads(streams.out if to_file else streams.err.splitlines()[-1])
    assert summary.pop("seconds") > 0
    assert summary.pop("items_per_second") > 0
    assert "map over picky" in summary.pop("explained")
    assert summary == {
        "version": 1,
        "function": "tools_of_mine:picky",
        "items": 2,
        "failed": 1,
        "from_journal": 0,
        "interrupted": False,
        "halted": False,
        "broken": False,
        "output": "out.jsonl" if to_file else None,
        "journal": None,
        "go_on": None,
    }


def test_help_explains_inputs_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(
        part in out
        for part in (
            "'dir/**/*.py'",
            ".jsonl",
            "1    some items failed; an item that kills its worker is one",
            "4    workers were lost for good: they can't be started",
            "what the function prints there goes to stderr",
            "os.path:getsize",
            "hashlib:sha256",
            ".csv",
            "--retry-failed",
            "soon,3",
        )
    )


# ── rows, halts, previews ───────────────────────────────────────────────────────────────────────────────────────


def test_rows_of_csv_are_dicts(capsys: pytest.CaptureFixture[str]) -> None:
    Path("people.csv").write_text("name,born\nAda,1815\n", encoding="utf-8")
    assert run("builtins:dict", "people.csv") == 0
    assert records(capsys.readouterr().out)[0]["result"] == {"name": "Ada", "born": "1815"}


def test_halt_soon_pulls_no_more_and_lets_the_rest_end(capsys: pytest.CaptureFixture[str]) -> None:
    """What the workers had been given is written; exit code 1; the summary says that it is not all."""
    items = lines("bad", *map(str, range(1000)))
    assert run("tools_of_mine:picky", items, "--halt", "1", "-j", "1", "--keep-order", "--on", "threads") == 1
    streams = capsys.readouterr()
    done = len(streams.out.splitlines())
    assert 1 <= done < 100
    assert f"halted after {done} item" in streams.err


def test_halt_now_writes_nothing_further(capsys: pytest.CaptureFixture[str]) -> None:
    items = lines(*["fine"] * 9, "bad", *["fine"] * 100)
    assert run("tools_of_mine:picky", items, "--halt", "now,1", "--keep-order", "--json") == 1
    streams = capsys.readouterr()
    assert len(streams.out.splitlines()) == 10
    assert json.loads(streams.err.splitlines()[-1])["halted"] is True


def test_halt_by_share_waits_for_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    """One failure in the first ten is not yet more than a tenth; the second is."""
    items = lines("bad", *["fine"] * 8, "bad", *["fine"] * 100)
    assert run("tools_of_mine:picky", items, "--halt", "now,11%", "--keep-order", "--on", "inline") == 1
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_fewer_failures_than_halt_says_are_no_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tools_of_mine:picky", lines("bad", "a", "bad"), "--halt", "3") == 1
    streams = capsys.readouterr()
    assert len(streams.out.splitlines()) == 3
    assert "halted" not in streams.err


def test_dry_run_shows_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Function, executor, the number of items and the first of them; no output, no journal."""
    arguments = ("--dry-run", "-o", "out.jsonl", "--journal", "j", "--on", "threads", "-j", "3")
    assert run("tools_of_mine:picky", lines(*"abcdefg"), *arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"function   tools_of_mine:picky \(def, .*tools_of_mine\.py, line 11\)", out[0])
    assert out[1:] == [
        "executor   threads, 3 items at a time",
        "items      7",
        *(f"{index:>8}   '{item}'" for index, item in enumerate("abcde")),
        "journal    j (a new one)",
    ]
    assert not Path("out.jsonl").exists()
    assert not Path("j").exists()


def test_dry_run_as_json_does_not_wait_for_the_end_of_stdin() -> None:
    """Nobody knows how many there will be; the first ones are enough."""
    command = [sys.executable, "-m", "potok", "map", "builtins:len", "-", "--dry-run", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"a\nb\nc\nd\ne\n")
        process.stdin.flush()  # and it stays open
        plan = json.loads(process.stdout.readline())
    assert plan["items"] is None
    assert plan["first"] == list("abcde")
    assert plan["source"] == "built in"


def test_dry_run_finds_what_is_wrong_with_the_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("items.jsonl").write_text("1\n" * 100 + "oops\n", encoding="utf-8")
    assert run("builtins:str", "items.jsonl", "--dry-run") == 2
    assert "line 101, is not JSON" in capsys.readouterr().err


# ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────


SLOW = """
import os, signal, time, potok

def caller_waits():
    return any("outcomes" in info.waits_for for info in potok.tasks())

def f(x):
    if x == "1":
        return x
    while {pooled} and not (os.path.getsize("out.jsonl") and caller_waits()):
        potok.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    {wait}
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("on", "wait"),
    [
        ("inline", "time.sleep(60)"),
        ("coroutines", "time.sleep(60)"),
        ("coroutines", "potok.Event().wait()"),
        ("threads", "time.sleep(60)"),
        ("threads", "potok.Event().wait()"),
    ],
)
def test_ctrl_c_ends_with_a_summary(here: Path, on: str, wait: str) -> None:
    """No traceback, exit code 130, and what was done is in the file; also with a function that can't be stopped."""
    (here / "slow.py").write_text(SLOW.format(pooled=on != "inline", wait=wait), encoding="utf-8")
    done = potok_map("slow.py:f", lines("1", "2"), "-o", "out.jsonl", "--on", on, "--keep-order", "-j", "1")
    assert done.returncode == 130, done.stderr
    assert written() == [{"index": 0, "input": "1", "result": "1"}]
    summary, advice = done.stderr.decode().splitlines()
    assert summary.startswith("potok map: interrupted after 1 item, none failed")
    assert advice == "potok map: with --journal FILE a run can be interrupted, and gone on with by --resume"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (potok.WorkerDied("worker 3 of the map is gone", signal=9), 4),
        (potok.PotokError("the journal can't be written"), 2),
    ],
)
def test_map_that_breaks_off_says_why(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done before is written and counted; a lost worker has an exit code of its own."""

    class Broken:
        def __init__(self, *_: Any, **options: Any) -> None:
            self.explain = str

        def __iter__(self) -> Iterator[Any]:
            yield 0, "a", "aa"
            raise error

    monkeypatch.setattr(potok, "starmap", Broken)
    assert run("tools_of_mine:double", lines("a", "b"), "-o", "out.jsonl") == code
    assert [record["result"] for record in written()] == ["aa"]
    err = capsys.readouterr().err
    assert "1 item, none failed" in err
    assert f"error: {error}" in err


def test_options_that_do_not_go_together_are_named_before_the_output_is_touched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the library says it."""

    def refusing(*_: Any, **options: Any) -> None:
        raise ValueError("this can't be had on threads")

    monkeypatch.setattr(potok, "starmap", refusing)
    Path("out.jsonl").write_text("precious", encoding="utf-8")
    assert run("tools_of_mine:double", lines("a"), "-o", "out.jsonl") == 2
    assert "error: this can't be had on threads" in capsys.readouterr().err
    assert Path("out.jsonl").read_text(encoding="utf-8") == "precious"


def test_broken_pipe_ends_quietly() -> None:
    """`potok map … | head -n 1`: no traceback, no summary, and the rest is not worked on."""
    command = [sys.executable, "-m", "potok", "map", "tools_of_mine:double", lines(*map(str, range(100_000)))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["index"] in range(100)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("to_file", [True, False])
def test_full_disk_is_named(to_file: bool) -> None:
    """No traceback; the summary says that the run was broken off, and that a result is missing."""
    command = [sys.executable, "-m", "potok", "map", "tools_of_mine:double", lines("a", "b")]
    command += ["--on", "inline", *(["-o", "/dev/full"] if to_file else [])]
    with Path("/dev/full" if not to_file else os.devnull).open("wb") as stdout:
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    summary, error = done.stderr.splitlines()
    assert re.match(r"potok map: broken off after 1 item, .*; the last is not in the results$", summary)
    called = "'/dev/full'" if to_file else "the results"
    assert error == f"potok map: error: {called} can't be written: No space left on device"


@pytest.mark.parametrize("on", ["threads", "processes", "inline", "auto"])
def test_what_the_function_prints_is_not_among_the_records(here: Path, on: str) -> None:
    """By any way there is, from the import on; it goes to stderr, and the summary of `--json` is as safe."""
    noisy = """
import os, sys
print("imported")
kept = sys.stdout

def f(x):
    print("printed")
    kept.write("kept\\\\n")
    kept.flush()
    os.write(1, b"written\\\\n")
    os.system("echo from a child")
    return x
"""
    (here / "noisy.py").write_text(noisy.replace("\\\\", "\\"), encoding="utf-8")
    done = potok_map("noisy.py:f", lines("a", "b"), "--on", on)
    assert done.returncode == 0
    assert [record["result"] for record in records(done.stdout.decode())] == ["a", "b"]
    for told in (b"imported\n", b"printed\n", b"kept\n", b"written\n", b"from a child\n"):
        assert told in done.stderr
    done = potok_map("noisy.py:f", lines("a", "b"), "--on", on, "--json", "-o", "out.jsonl")
    assert json.loads(done.stdout)["items"] == 2


def test_stdout_is_as_it_was_afterwards() -> None:
    """What the program prints before and after goes where it always went, buffered or not."""
    program = """
import os, sys
from potok.cli.main import main
print("before")
assert main(["map", "tools_of_mine:double", sys.argv[1], "--on", "threads"]) == 0
print("after", flush=True)
os.write(1, b"unbuffered\\n")
"""
    command = [sys.executable, "-c", program, lines("a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    record = '{"index": 0, "input": "a", "result": "aa"}'
    assert done.stdout.splitlines() == ["before", record, "after", "unbuffered"], done.stderr


# ── progress ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_progress_is_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("potok.dataflow.progress.INTERVAL", 0.0)
    assert run("tools_of_mine:picky", "--paths", "--progress", "--on", "inline", "tools_of_mine.py", ".") == 0
    err = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"potok map: 0/2 items, 0\.0 s, 0 items/s", err[0])
    assert re.fullmatch(r"potok map: 1/2 items, \d\.\d s, [\d.]+ items/s, \d:\d\d left", err[1])
    assert re.fullmatch(r"potok map: 2/2 items, \d\.\d s, [\d.]+ items/s, 0:00 left", err[2])
    assert len(err) == 4


def map_on_a_terminal(*arguments: str, **variables: str) -> str:
    """What `potok map` shows where its stderr is a terminal."""
    options = {"COLUMNS": "120"} | variables
    return on_a_terminal("map", *arguments, stream="stderr", statuses=(0, 1), **options)


def test_progress_is_a_bar_on_a_terminal() -> None:
    """Coloured, with the count; notes stay readable; NO_COLOR takes away the colours, a dumb terminal the bar."""
    arguments = ("tools_of_mine:picky", lines("a", "bad"), "--progress")
    shown = map_on_a_terminal(*arguments)
    assert SGR.search(shown)
    assert "2/?" in SGR.sub("", shown)
    assert "item 1 (bad) failed: ValueError: no bad ones" in shown
    assert "2 items, 1 failed" in shown
    assert shown.splitlines()[-1].startswith("  now, after 2 items")
    plain = map_on_a_terminal(*arguments, NO_COLOR="1")
    assert "2/?" in plain
    assert not SGR.search(plain)
    dumb = map_on_a_terminal(*arguments, TERM="dumb")
    assert "\x1b" not in dumb


def test_choice_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Where progress was asked for: what was measured, and what that led to; without, in the JSON summary only."""
    items = lines(*map(str, range(2000)))
    assert run("tools_of_mine:double", items, "-o", "out.jsonl", "--progress") == 0
    err = capsys.readouterr().err
    assert "potok map: map over double" in err
    assert "each item takes" in err
    assert run("tools_of_mine:double", items, "-o", "out.jsonl") == 0
    assert "map over" not in capsys.readouterr().err


def test_function_is_never_tried_in_the_process_of_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What ends its process ends a worker, also where the executor is ours to choose."""
    Path("deadly.py").write_text("import os\ndef f(x):\n    os._exit(3)\n", encoding="utf-8")
    assert run("deadly.py:f", lines("a")) == 1
    assert records(capsys.readouterr().out)[0]["error"]["type"] == "WorkerDied"


def test_nothing_is_drawn_without_progress() -> None:
    """And rich is not even imported."""
    assert "\x1b" not in map_on_a_terminal("tools_of_mine:picky", lines("a", "bad"))
    program = (
        "import sys; from potok.cli.main import main; main(sys.argv[1:]); sys.exit('rich' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "map", "tools_of_mine:double", lines("a")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


# ── the first thing that newcomers run ──────────────────────────────────────────────────────────────────────────


def test_example_hashes_files() -> None:
    """What README's first command runs, over a few files of this project."""
    example = ROOT / "examples" / "hash_stdlib.py"
    assert run(f"{example}:digest", f"{ROOT}/src/potok/*.py", "-o", "out.jsonl", "--on", "threads") == 0
    for record in written():
        data = Path(record["input"]).read_bytes()
        assert record["result"]["path"] == record["input"]
        assert record["result"]["lines"] == data.count(b"\n")
        assert len(record["result"]["sha256"]) == 64
