"""Where PyCSP would wait for ever: deadlocks, processes that die, and the end of the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

import potok
from potok.csp import (
    Channel,
    ChannelPoisonException,
    Io,
    Parallel,
    Spawn,
    io,
    multiprocess,
    process,
)


@process
def swap(cin: Any, cout: Any) -> None:
    """Read first, as the other does: neither can."""
    cout(cin())


@process
def read_one(cin: Any) -> Any:
    return cin()


@multiprocess
def write_and_be_killed(cout: Any) -> None:
    cout(1)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_deadlock_is_an_error() -> None:
    """It names who waits for what."""
    a, b = Channel("a"), Channel("b")
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(swap(+a, -b), swap(+b, -a), on="simulated")
    errors = caught.value.exceptions
    assert all(isinstance(error, potok.DeadlockError | ChannelPoisonException) for error in errors)
    [deadlock, *_] = [error for error in errors if isinstance(error, potok.DeadlockError)]
    assert "swap-" in str(deadlock)
    assert "recv on a" in str(deadlock)
    assert "recv on b" in str(deadlock)


def test_a_process_that_nobody_serves_is_a_deadlock() -> None:
    """Its channel has a writer, which its starter keeps and can't use before the process has ended."""
    channel = Channel("unserved")
    cout = -channel
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(read_one(+channel), on="simulated")
    [error] = caught.value.exceptions
    assert isinstance(error, potok.DeadlockError)
    assert "unserved" in str(error)
    cout.retire()


DEADLOCKED = """
from potok.csp import *

@process
def swap(cin, cout):
    cout(cin())

@process
def read(cin):
    cin()

a, b = Channel("a"), Channel("b")
{program}
"""


@pytest.mark.parametrize(
    "program",
    [
        "Parallel(swap(+a, -b), swap(+b, -a), on={on!r})",
        "cout = -a; Parallel(read(+a), on={on!r})",
        "Spawn(read(+a), on={on!r}); cin = +b; cin()",
    ],
)
def test_a_deadlock_while_running_is_an_error(on: str, program: str) -> None:
    """A program in which nobody can go on ends, and says which channel it was."""
    script = DEADLOCKED.format(program=program.format(on=on))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 1
    assert "DeadlockError" in done.stderr
    assert "recv on a" in done.stderr or "recv on b" in done.stderr


def test_a_killed_process_is_an_error_of_parallel() -> None:
    """And who waits for it is cancelled."""
    channel = Channel()
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(write_and_be_killed(-channel), read_one(+channel), read_one(+channel))
    [error] = caught.value.exceptions
    assert isinstance(error, potok.WorkerDied)
    assert error.signal == signal.SIGKILL


def test_a_killed_process_poisons_its_channels(capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever else waits there learns of its death, though the channel has another writer."""
    channel = Channel()
    cin, cout = +channel, -channel
    Spawn(write_and_be_killed(-channel))
    assert cin() == 1
    with pytest.raises(ChannelPoisonException) as caught:
        cin()
    assert isinstance(caught.value.__cause__, potok.WorkerDied)
    with pytest.raises(ChannelPoisonException):
        cout(1)
    for task in [info.task for info in potok.tasks() if info.task.name.startswith("write_and_be_killed")]:
        task.join()
    assert "SIGKILL" in capfd.readouterr().err


# ── the end of the program ──────────────────────────────────────────────────────────────────────────────────

SPAWNING = """
import sys
from potok.csp import *

def say(what):
    sys.stdout.write(f"{{what}}\\n")  # in one piece
    sys.stdout.flush()

@process
def write(cout):
    for number in range(3):
        cout(number)
    retire(cout)

@process
def show(cin):
    while True:
        say(cin())

@process
def late():
    say("late")

@process
def spawn_late():
    Spawn(late())

channel = Channel()
Spawn(show(+channel), write(-channel), spawn_late(), on={on!r})
shutdown()
say("main is done")
"""


def test_the_program_waits_for_what_it_has_spawned(on: str) -> None:
    """Without a word of it, also after shutdown; and nothing is said on stderr."""
    program = [sys.executable, "-W", "error", "-X", "dev", "-c", SPAWNING.format(on=on)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    lines = done.stdout.splitlines()
    assert sorted(lines) == ["0", "1", "2", "late", "main is done"]
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2"]


# ── calls that block elsewhere ──────────────────────────────────────────────────────────────────────────────


def test_io_keeps_nobody_from_running() -> None:
    """On coroutines: one process waits in such a call for what another does after it."""
    happened = threading.Event()

    @io
    def wait() -> bool:
        """Wait for it."""
        return happened.wait(30)

    @process
    def waits() -> bool:
        return bool(wait())

    @process
    def lets_it_happen() -> None:
        happened.set()

    assert Parallel(waits(), lets_it_happen(), on="coroutines") == [True, None]
    assert wait.__doc__ == "Wait for it."


def test_io_returns_and_raises_as_the_function(on: str) -> None:
    @io
    def divide(number: int, by: int = 1) -> float:
        return number / by

    @process
    def compute() -> list[Any]:
        try:
            return [divide(6, by=2), Io(divmod, 7, 2).run(), divide(1, 0)]
        except ZeroDivisionError:
            return [divide(6, by=2), "raised"]

    assert Parallel(compute(), on=on) == [[3.0, "raised"]]
    assert divide(4) == 4.0
