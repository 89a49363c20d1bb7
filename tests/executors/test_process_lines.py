"""What tasks print in worker processes: lines stay whole, nothing is held back longer than it must."""

import os
import subprocess
import threading
from collections.abc import Callable

import pytest

from potok.remote.lines import WholeLines

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_lines_of_many_workers_stay_whole(program: Program, stream: str) -> None:
    """Up to 4 KiB, whatever they are printed by; all arrive, those of each worker in order."""
    done = program(
        f"""
        import sys, threading, potok

        def shout(who):
            out = sys.{stream}
            for n in range(120):
                size = (n * 733 + who * 97) % 4080
                line = f"{{who}} {{n}} {{'x' * size}}"[:4094] + "."
                if n % 3 == 0:
                    print(*line.split(" "), file=out)
                elif n % 3 == 1:
                    out.buffer.write(line.encode() + b"\\n")
                else:
                    print(line, line, sep="\\n", file=out)

        with potok.scope(on="processes") as s:
            for who in range(6):
                s.start(shout, who)
        """,
    )
    lines = getattr(done, stream).splitlines()
    assert getattr(done, "stderr" if stream == "stdout" else "stdout") == ""
    assert len(lines) == 6 * (80 + 2 * 40)
    got: dict[str, list[int]] = {}
    for line in lines:
        who, n, rest = line.split(" ")
        assert rest.strip("x") == ".", line
        got.setdefault(who, []).append(int(n))
    each = [n for n in range(120) for _ in range(1 + (n % 3 == 2))]
    assert got == {str(who): each for who in range(6)}


def test_what_is_no_whole_line_is_printed_as_the_task_ends(program: Program) -> None:
    """Or when it is flushed; a line of a killed worker that was whole is there."""
    done = program(
        """
        import os, signal, subprocess, sys, threading, potok

        def partial(go, tell):
            print("first", end="")
            thread = threading.Thread(target=print, args=("thread",))
            thread.start()
            thread.join()
            print(" half", end="")
            tell.set()
            go.wait()

        def flushed(go, tell):
            print("flushed ", end="", flush=True)
            tell.set()
            go.wait()

        def killed():
            print("last words")
            print("never", end="")
            os.kill(os.getpid(), signal.SIGKILL)

        def child():
            subprocess.run([sys.executable, "-c", "print('child')"], check=True)

        go, tell = potok.Event(), potok.Event()
        go.set()
        with potok.scope(on="processes") as s:
            s.start(partial, go, tell).join()
            s.start(print).join()
            tell.clear()
            go.clear()
            half = s.start(flushed, go, tell)
            tell.wait()
            print("main", flush=True)
            go.set()
            half.join()
            s.start(child).join()
        try:
            with potok.scope(on="processes") as s:
                s.start(killed)
        except* potok.WorkerDied:
            print("died")
        """,
    )
    assert done.stderr == ""
    assert done.stdout == "thread\nfirst half\nflushed main\nchild\nlast words\ndied\n"


def test_fork_in_a_worker_prints_nothing_twice(program: Program) -> None:
    """What the worker had begun is the worker's to end."""
    done = program(
        """
        import os, warnings, potok

        def forks():
            warnings.simplefilter("ignore", DeprecationWarning)
            print("begun", end="")
            pid = os.fork()
            if not pid:
                print("copy")
                os._exit(0)
            os.waitpid(pid, 0)
            print(" ended")

        with potok.scope(on="processes") as s:
            s.start(forks)
        """,
    )
    assert (done.stdout, done.stderr) == ("copy\nbegun ended\n", "")


def test_each_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines together, up to what the system writes in one piece; a longer line goes alone."""
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(bytes(data)) or len(data))
    out = WholeLines(1)
    out.write(b"a")
    assert written == []
    out.write(b"b\nc\nd")
    assert written == [b"ab\nc\n"]
    out.flush()
    assert written[1:] == [b"d"]
    del written[:]
    lines = [b"x" * size + b"\n" for size in (4000, 90, 10, 5000, 3, 4095, 1)]
    out.write(b"".join(lines))
    assert written == [b"".join(lines[:2]), lines[2], lines[3], lines[4], lines[5], lines[6]]


def test_stream_that_does_not_wait_gets_everything() -> None:
    """A pipe that somebody has set non-blocking, and that is full for a while."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def write() -> None:
        WholeLines(writer).write(b"y" * 1_000_000 + b"\n")
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as pipe:
        assert len(pipe.read()) == 1_000_001
    thread.join()
