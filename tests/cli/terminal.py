"""The command line on a terminal."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping

import pytest


def on_a_terminal(
    *arguments: str,
    stream: str = "stdout",
    statuses: Collection[int] = (0,),
    environment: Mapping[str, str] = os.environ,
    **variables: str,
) -> str:
    """Run `potok` with a pseudo-terminal as this stream of its, and return what arrives there."""
    try:
        ours, theirs = os.openpty()
    except (AttributeError, OSError):
        pytest.skip("no pseudo-terminals here: not Unix, or a container without /dev/pts")
    kept = {k: v for k, v in environment.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | {stream: theirs}
    process = subprocess.Popen(
        [sys.executable, "-m", "potok", *arguments],
        env=kept | {"TERM": "xterm-256color"} | variables,
        **streams,
    )
    os.close(theirs)
    received = b""
    try:
        while chunk := os.read(ours, 4096):
            received += chunk
    except OSError:  # how Linux says that the other side of a terminal was closed
        pass
    os.close(ours)
    assert process.wait() in statuses
    return received.decode()
