"""What only a whole process shows: Ctrl-C, the interpreter's exit, fork, the dump by signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[2] / "src")


def run(program: str, *args: str, signals: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter; send SIGINT each time it prints 'now', at most `signals` times."""
    env = os.environ | {"PYTHONPATH": SRC}
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line == "now\n" and signals:
                signals -= 1
                process.send_signal(signal.SIGINT)
        err = process.stderr.read() if process.stderr else ""
        return subprocess.CompletedProcess(process.args, process.wait(30), "".join(seen), err)


@pytest.mark.parametrize("on", ["threads", "coroutines"])
@pytest.mark.parametrize("colour", ["def", "async def", "foreign await"])
def test_ctrl_c_cancels_once_and_leaves_as_keyboard_interrupt(on: str, colour: str) -> None:
    """Every task sees Cancelled and cleans up; KeyboardInterrupt leaves the scope; no traceback but that."""
    done = run(
        """
        import asyncio, sys, potok
        on, colour = sys.argv[1:]

        def plain(name):
            try:
                print("now\\n" * (name == "a"), end="", flush=True)
                potok.sleep(600)
            except potok.Cancelled as cancelled:
                print(f"{name} {cancelled.reason}\\n", end="", flush=True)
                raise

        async def coloured(name):
            try:
                print("now\\n" * (name == "a"), end="", flush=True)
                await (asyncio.sleep(600) if colour == "foreign await" else potok.asleep(600))
            except (potok.Cancelled, asyncio.CancelledError) as cancelled:
                print(f"{name} {cancelled.args}\\n", end="", flush=True)
                raise

        try:
            with potok.scope(on=on) as s:
                for name in "ba":
                    s.start(plain if colour == "def" else coloured, name)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        on,
        colour,
        signals=1,
    )
    assert done.stderr == ""
    reason = "" if colour == "foreign await" else "interrupted by Ctrl-C"
    told = sorted(line.strip() for line in done.stdout.splitlines())
    assert told[-1:] == ["now"]
    assert sorted(line.split(" ")[0] for line in told) == ["a", "b", "interrupted", "now"]
    assert all(reason in line for line in told if line.startswith(("a", "b")))
    assert "interrupted\n" in done.stdout
    assert done.returncode == 0


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    """Code that reaches no park point is interrupted by the second Ctrl-C, where it stands."""
    done = run(
        """
        import potok
        try:
            with potok.scope(on="threads"):
                try:
                    for _ in range(2):
                        print("now", flush=True)
                        heard = potok.current_scope()
                        while not heard.cancelled:
                            pass
                        if _ == 0:
                            continue
                        while True:
                            pass
                except KeyboardInterrupt:
                    print("second", flush=True)
                    raise
        except KeyboardInterrupt:
            print("out")
        """,
        signals=2,
    )
    assert done.stdout == "now\nnow\nsecond\nout\n"
    assert done.stderr == ""


def test_the_handler_is_only_in_place_inside_scopes_and_over_the_default_one() -> None:
    """A handler of the user's own is never replaced; Python's is put back."""
    done = run(
        """
        import signal, potok
        with potok.scope(on="threads"):
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            with potok.scope(on="threads"):
                pass
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        mine = lambda *_: None
        signal.signal(signal.SIGINT, mine)
        with potok.scope(on="threads"):
            assert signal.getsignal(signal.SIGINT) is mine
        print("ok")
        """
    )
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_root_tasks_are_cancelled_as_the_interpreter_exits() -> None:
    """Each gets Cancelled and may clean up; what reaches no park point does not keep the process alive."""
    done = run(
        """
        import threading, potok

        def clean_up(name, ready):
            try:
                ready.set()
                potok.sleep(600)
            except potok.Cancelled as cancelled:
                print(f"{name} {cancelled.reason}\\n", end="", flush=True)
                raise

        for on in ("threads", "coroutines"):
            ready = threading.Event()
            potok.start(clean_up, on, ready, on=on)
            ready.wait()
        never = threading.Lock()
        never.acquire()
        potok.start(never.acquire)
        print("end of main", flush=True)
        """
    )
    assert done.stdout.splitlines()[0] == "end of main"
    assert sorted(done.stdout.splitlines()[1:]) == [
        "coroutines the interpreter exits",
        "threads the interpreter exits",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failed_root_task_is_reported_and_its_siblings_live() -> None:
    """The traceback goes to stderr, with the task's name; the process goes on."""
    done = run(
        """
        import potok

        def fail():
            raise ValueError("on purpose")

        tx, rx = potok.channel()
        failed = potok.start(fail)
        failed.join()
        sibling = potok.start(lambda: tx.send("alive"))
        print(rx.recv(), sibling.join())
        """
    )
    assert done.stdout == "alive True\n"
    assert "potok task fail-1" in done.stderr
    assert "ValueError: on purpose" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_bare_fork_starts_with_a_clean_root() -> None:
    """Parent and child both go on using potok after the user's own fork."""
    done = run(
        """
        import os, sys, warnings, potok
        warnings.simplefilter("ignore", DeprecationWarning)

        def work(tag):
            tx, rx = potok.channel()
            with potok.scope(on="threads") as s:
                s.start(lambda tx: tx.send(tag), tx)
                got = list(rx)
            return got + potok.run(lambda: [tag], on="coroutines")

        ready, go = potok.Event(), potok.Event()

        def parked():
            ready.set()
            go.wait()

        t = potok.start(parked)
        ready.wait()
        print(work("before"), flush=True)
        pid = os.fork()
        if not pid:
            print(work("child"), len(potok.tasks()), flush=True)
            sys.exit(0)
        print(os.waitpid(pid, 0)[1])
        print(work("parent"))
        go.set()
        t.join()
        """
    )
    assert done.stdout.splitlines() == [
        "['before', 'before']",
        "['child', 'child'] 0",
        "0",
        "['parent', 'parent']",
    ]
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
def test_the_dump_by_signal_says_what_each_task_waits_for() -> None:
    """Names, what is waited for, the holder of the lock, and the line of the program."""
    done = run(
        """
        import os, signal, potok
        from potok.testing import wait_all_parked
        potok.dump_on(signal.SIGUSR1)
        tx, rx = potok.channel(3)
        lock = potok.Lock()

        def reader():
            rx.recv()

        def locker():
            lock.acquire()

        with potok.scope(on="coroutines") as s:
            holder = s.start(lambda: (lock.acquire(), potok.sleep(600)), name="holder")
            s.start(reader)
            s.start(locker, on="threads")
            wait_all_parked()
            os.kill(os.getpid(), signal.SIGUSR1)
            s.cancel()
        """
    )
    assert "reader-1 on coroutines: waits for recv on channel(3), 0 buffered" in done.stderr
    assert "held by holder" in done.stderr
    assert "rx.recv()" in done.stderr or "in reader" in done.stderr
    assert done.returncode == 0
