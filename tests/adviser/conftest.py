"""Let the test files here import what stands beside them; and a browser, where there is one."""

import fcntl
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

sys.path.insert(0, str(Path(__file__).parent))

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "headless_shell")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
PATIENCE = 30.0  # seconds that an answer of the browser may take; only a failing test waits that long


class Browser:
    """Headless Chromium, spoken to over a pair of pipes (its DevTools protocol, messages that end with a NUL)."""

    def __init__(self, program: str, profile: Path) -> None:
        # The browser reads from descriptor 3 and writes to 4: ours must be others for the time of the exchange.
        low = [*os.pipe(), *os.pipe()]
        theirs_in, self._out, self._in, theirs_out = (
            fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low
        )
        for end in low:
            os.close(end)
        nowhere = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
        pipes = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        arguments = (*ARGUMENTS, f"--user-data-dir={profile}", "about:blank")
        self._pid = os.posix_spawn(
            program, [program, *arguments], os.environ, file_actions=[*nowhere, *pipes]
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self.call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        os.waitpid(self._pid, 0)

    def call(self, method: str, session: str | None = None, **arguments: Any) -> dict[str, Any]:
        """One command; its result. Events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            got = self._receive()
            if got.get("id") != self._number:
                self._events.append(got)
                continue
            assert "error" not in got, got
            result: dict[str, Any] = got["result"]
            return result

    def wait_for(self, event: str) -> None:
        """Until that event came, now or before."""
        while not any(got.get("method") == event for got in self._events):
            self._events.append(self._receive())

    def complaints(self) -> list[dict[str, Any]]:
        """What the console has shown since this was asked last."""
        names = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        found = [got for got in self._events if got.get("method") in names]
        self._events.clear()
        return found

    def _receive(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        got: dict[str, Any] = json.loads(message)
        return got


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests."""
    found = os.environ.get("POTOK_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell")
    with Browser(found, tmp_path_factory.mktemp("browser")) as running:
        yield running
