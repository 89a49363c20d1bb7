"""*interpreters*: what only a whole program shows: its end, Ctrl-C, forks."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

if sys.version_info < (3, 14):
    pytest.skip("sub-interpreters need Python 3.14", allow_module_level=True)

SRC = str(Path(__file__).parents[2] / "src")

BUSY = """
import sys, threading, time
import potok

def spin(ready):
    ready.set()
    while True:
        pass

def compute(ready):
    ready.set()
    sum(range(10**13))

def leave_a_thread(ready):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    spin(ready)

if __name__ == "__main__":
    ready = potok.Event()
    potok.start(globals()[sys.argv[1]], ready, on="interpreters", name="busy")
    ready.wait()
    print("end of main")
    sys.exit(7)
"""


def run(program: str, *args: str, signals: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter; send SIGINT each time it prints 'now', at most `signals` times."""
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": SRC},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line == "now\n" and signals:
                signals -= 1
                process.send_signal(signal.SIGINT)
        return subprocess.CompletedProcess(
            process.args, process.wait(30), "".join(seen), process.stderr.read()
        )


def test_program_with_idle_interpreters_ends_as_ever() -> None:
    """With its own exit code, and not a word; functions of `__main__`, lambdas and closures had run there."""
    done = run(
        """
        import sys, potok

        def double(n):
            return factor * n

        factor = 2
        if __name__ == "__main__":
            with potok.scope(on="interpreters") as s:
                tasks = [s.start(double, 3), s.start(lambda: factor), s.start(str.upper, "x")]
                print(*[task.result() for task in tasks])
            sys.exit(7)
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("6 2 X\n", "", 7)


def test_program_with_a_busy_interpreter_ends_with_its_own_code() -> None:
    """What can't be killed is named with its stack, and does not keep the program."""
    done = run(BUSY, "spin")
    assert done.stdout == "end of main\n"
    assert "task busy still runs in interpreter 1" in done.stderr
    assert "in spin" in done.stderr
    assert "remaining subinterpreters" not in done.stderr
    assert done.returncode == 7


@pytest.mark.parametrize(("what", "told"), [("compute", "C code"), ("leave_a_thread", "in spin")])
def test_program_with_an_interpreter_that_python_cannot_end_ends_all_the_same(what: str, told: str) -> None:
    """Python would wait for ever: what was printed is flushed, and the code tells that something is wrong."""
    done = run(BUSY, what)
    assert done.stdout == "end of main\n"
    assert "task busy still runs in interpreter 1" in done.stderr
    assert told in done.stderr
    assert done.returncode == 1


def test_os_exit_in_an_interpreter_ends_the_program() -> None:
    """It is one process: the code is the task's."""
    done = run(
        """
        import os, potok
        potok.run(os._exit, 3, on="interpreters")
        print("went on")
        """
    )
    assert (done.stdout, done.returncode) == ("", 3)


def test_ctrl_c_is_one_clean_cancellation() -> None:
    """Every task sees Cancelled and cleans up; one KeyboardInterrupt leaves the scope."""
    done = run(
        """
        import potok

        def wait(tx, name):
            try:
                tx.send(name)
                potok.sleep(3600)
            except potok.Cancelled as cancelled:
                print(f"{name} {cancelled.reason}\\n", end="", flush=True)
                raise

        if __name__ == "__main__":
            tx, rx = potok.channel()
            try:
                with potok.scope(on="interpreters") as s:
                    tasks = [s.start(wait, tx, name) for name in "ab"]
                    assert {rx.recv(), rx.recv()} == {"a", "b"}
                    print("now", flush=True)
            except KeyboardInterrupt:
                print("interrupted")
        """,
        signals=1,
    )
    assert sorted(done.stdout.splitlines()) == [
        "a interrupted by Ctrl-C",
        "b interrupted by Ctrl-C",
        "interrupted",
        "now",
    ]
    assert (done.stderr, done.returncode) == ("", 0)


def test_ctrl_c_beside_an_interpreter_that_python_cannot_end() -> None:
    """The program ends as Python ends on Ctrl-C, killed by the signal."""
    done = run(BUSY.replace("sys.exit(7)", "raise KeyboardInterrupt"), "compute")
    assert "task busy still runs in interpreter 1" in done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode == -signal.SIGINT


FORK = """
import os, sys, warnings, potok
warnings.simplefilter("ignore", DeprecationWarning)

def serve(rx, tx):
    for item in rx:
        tx.send(item + 1)

def fork():
    pid = os.fork()
    if not pid:
        print("child", potok.run(abs, -3, on="interpreters"), flush=True)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

if __name__ == "__main__":
    print(potok.run(abs, -1, on="interpreters"), flush=True)
    if sys.argv[1] == "idle":
        print(fork(), flush=True)
    (ask, asked), (told, tell) = potok.channel(), potok.channel()
    with ask, potok.scope(on="interpreters") as s:
        s.start(serve, asked, told, name="serving")
        ask.send(1)
        print(tell.recv(), flush=True)
        if sys.argv[1] == "busy":
            fork()
        ask.send(4)
        print(tell.recv(), flush=True)
        ask.close()
"""


def test_fork_beside_idle_interpreters_starts_anew() -> None:
    """Those end first, as Python could not fork beside them. Child and parent then have new ones."""
    done = run(FORK, "idle")
    assert (done.stdout, done.stderr, done.returncode) == ("1\nchild 3\n0\n2\n5\n", "", 0)


def test_fork_beside_a_busy_interpreter_is_warned_of() -> None:
    """Python crashes in the child, which nothing can prevent: the log says so, and the parent goes on."""
    done = run(FORK, "busy")
    assert done.stdout.replace("child 3\n", "") == "1\n2\n5\n"
    assert "a fork while interpreters run tasks (serving)" in done.stderr
    assert done.returncode == 0
