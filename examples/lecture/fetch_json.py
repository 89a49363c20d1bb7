"""Fetch three lists in JSON at once, and show the titles in them; Ctrl-C ends it cleanly.

    python examples/lecture/fetch_json.py --on coroutines
    python examples/lecture/fetch_json.py --delay 60          # and press Ctrl-C

The lecture asks a web forum with aiohttp. Its loop runs for ever, so the program has to be interrupted even after all
is done, and then its signal handler exits with whatever is under way. Here the answers are recorded, and come from a
server that this program starts for itself (127.0.0.1); the block ends with the last of the three; Ctrl-C cancels what
runs, closes connections and server, and the exit code is 130. An `async def` task runs on other executors, too: there
it has an event loop of its own. (`examples/fetch_pages.py` fetches with aiohttp, hundreds at a time.)
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import potok

EXECUTORS = ("coroutines", "threads", "processes", "interpreters")
NAMES = ("python", "programming", "compsci")
RECORDED = {
    "python": [(336, "A bot that moderates"), (175, "Sample code for robots"), (17, "A blog on task queues")],
    "programming": [
        (1360, "Bundles of commits"),
        (1191, "Which hash is the fastest?"),
        (430, "Facts about chips"),
    ],
    "compsci": [
        (50, "Parsing theory in 1965"),
        (12, "The best prefix, and what fails"),
        (1, "Does RAID fail?"),
    ],
}


class Server(ThreadingHTTPServer):
    """Answers each request in a thread, after a while."""

    daemon_threads = False  # the end of the block waits for them

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.delay, self.closing = delay, threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: who asked has gone."""


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Send the list of that name."""
        if self.server.closing.wait(self.server.delay):
            return
        recorded = RECORDED.get(self.path.strip("/"))
        children = [{"data": {"score": score, "title": title}} for score, title in recorded or ()]
        self.send_response(200 if recorded else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"data": {"children": children}}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(delay: float) -> Iterator[tuple[str, int]]:
    """Serve on a free port of this machine; its address."""
    with Server(delay) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[:2]
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


async def get_json(address: tuple[str, int], path: str) -> Any:
    """Fetch one document. aiohttp and httpx do it for any server; this does it for the one above."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(f"GET /{path} HTTP/1.0\r\nHost: {address[0]}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    status = head.decode().partition("\r\n")[0]
    if " 200 " not in status:
        raise OSError(f"{path}: {status}")
    return json.loads(body)


async def top(address: tuple[str, int], name: str) -> str:
    """Fetch a list; its titles, as text."""
    document = await get_json(address, name)
    titles = [child["data"] for child in document["data"]["children"]]
    return "".join(f"{title['score']}: {title['title']}\n" for title in titles) + f"DONE: {name}\n"


async def main(on: str, delay: float) -> None:
    """Fetch the three at once."""
    print(f"fetching {len(NAMES)} lists", flush=True)
    begin = time.monotonic()
    with serving(delay) as address:
        async with potok.scope(on=on) as scope:
            tasks = [scope.start(top, address, name) for name in NAMES]
            for task in tasks:
                print(await task)
    print(f"{len(NAMES)} answers of {delay} s each, in {time.monotonic() - begin:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default=EXECUTORS[0], choices=EXECUTORS)
    parser.add_argument(
        "--delay", type=float, default=0.1, help="seconds that the server takes for an answer"
    )
    args = parser.parse_args()
    try:
        potok.run(main, args.on, args.delay)
    except KeyboardInterrupt:
        print("interrupted: what was under way is cancelled, the server is closed", file=sys.stderr)
        sys.exit(130)
