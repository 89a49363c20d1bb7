"""The lecture's program that fetches three lists: all of them, wherever its tasks run, and a clean end by Ctrl-C."""

import re
import signal
import subprocess

import pytest
from programs import command, environment, printed, runs

LISTS = """\
fetching 3 lists
336: A bot that moderates
175: Sample code for robots
17: A blog on task queues
DONE: python

1360: Bundles of commits
1191: Which hash is the fastest?
430: Facts about chips
DONE: programming

50: Parsing theory in 1965
12: The best prefix, and what fails
1: Does RAID fail?
DONE: compsci

"""

on_its_executors = pytest.mark.parametrize(("path", "on"), runs("lecture/fetch_json.py"))


@on_its_executors
def test_three_lists(path: str, on: str) -> None:
    """Not in development mode: there asyncio warns of a loop that is held up while the first worker is started."""
    told = printed(path, "--on", on, dev=False)
    assert told.startswith(LISTS)
    assert re.fullmatch(r"3 answers of 0\.1 s each, in \d+\.\d\d s\n", told.removeprefix(LISTS))


@on_its_executors
def test_ctrl_c(path: str, on: str) -> None:
    """What is under way is cancelled, nothing warns, and the exit code is 130."""
    program = command(path, "--on", on, "--delay", "3600", dev=False)
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "fetching 3 lists\n"
        process.send_signal(signal.SIGINT)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert (rest, process.returncode) == ("", 130)
    assert errors == "interrupted: what was under way is cancelled, the server is closed\n"
