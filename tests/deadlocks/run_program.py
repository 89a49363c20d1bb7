"""Runs programs, each in a process of its own: `python run_program.py [--limit SECONDS] NAME…`.

A line of JSON for each, as it has ended: its name and "outcome", which is "fine", "deadlock" (with what DeadlockError
says, each text once), "error" (with the traceback) or "hang" (with the stacks, after the limit).

The processes are forked from this one, which has imported potok and the programs, and has no threads: nothing is left
of one program that might wake the tasks of the next, or hold their ends, or keep the detector from looking. In pytest's
process its handler of SIGALRM might, for all that one knows: no deadlock there is total.
"""

import argparse
import faulthandler
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

PROGRAMS = str(Path(__file__).parent / "programs")
if PROGRAMS not in sys.path:
    sys.path.insert(0, PROGRAMS)

from catalogue import Program, load  # noqa: E402 - found from here on

import potok  # noqa: E402

LIMIT = 30.0
"""Seconds that a program may take; only one that hangs takes that long."""

AT_ONCE = 6  # processes; mostly they wait

Outcome = dict[str, str]


class Child(NamedTuple):
    """A process in which a program runs."""

    name: str
    pid: int
    told: IO[bytes]  # what it prints; the last line is the outcome
    ends: float


def run(programs: Sequence[Program], limit: float) -> Iterator[Outcome]:
    """How these programs have ended, as they do."""
    ahead, running = deque(programs), list[Child]()
    while ahead or running:
        while ahead and len(running) < AT_ONCE:
            running.append(_fork(ahead.popleft(), limit))
        for child in list(running):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                running.remove(child)
                yield _told(child, status)
            elif time.monotonic() > child.ends:
                os.kill(child.pid, signal.SIGABRT)  # faulthandler shows where it is
        time.sleep(0.005)


def _fork(program: Program, limit: float) -> Child:
    told = tempfile.TemporaryFile()  # noqa: SIM115 - read, and closed, as the process has ended
    pid = os.fork()
    if pid:
        return Child(program.name, pid, told, time.monotonic() + limit)
    os.dup2(told.fileno(), 1)
    os.dup2(told.fileno(), 2)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("\n" + json.dumps({"name": program.name, **_outcome(program)}), flush=True)  # noqa: T201 - to whom it forked
    sys.exit()


def _told(child: Child, status: int) -> Outcome:
    with child.told as file:
        file.seek(0)
        text = file.read().decode(errors="replace")
    if status == 0:
        outcome: Outcome = json.loads(text.splitlines()[-1])
        return outcome
    hangs = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT
    how = f"exit status {os.waitstatus_to_exitcode(status)}\n{text}"
    return {"name": child.name, "outcome": "hang" if hangs else "error", "message": how}


def _outcome(program: Program) -> Outcome:
    try:
        program.run()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the outcome
        leaves = list(_leaves(error))
        messages = dict.fromkeys(str(leaf) for leaf in leaves if isinstance(leaf, potok.DeadlockError))
        if messages and all(map(_is_deadlock, leaves)):
            return {"outcome": "deadlock", "message": "\n".join(messages)}
        return {"outcome": "error", "message": "".join(traceback.format_exception(error))}
    return {"outcome": "fine", "message": ""}


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _is_deadlock(error: BaseException | None) -> bool:
    """Whether it is one, or tells that a peer has ended with one: a channel that was closed with that cause."""
    while error is not None:
        if isinstance(error, potok.DeadlockError):
            return True
        error = error.__cause__
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for each program")
    parser.add_argument("names", nargs="+", metavar="NAME")
    given = parser.parse_args()
    programs = load()
    for outcome in run([programs[name] for name in given.names], given.limit):
        print(json.dumps(outcome), flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
