"""Fetch 300 pages at a time: work that waits. Coroutines do it in one thread.

    pip install aiohttp
    python examples/fetch_pages.py                   # 300 pages from a server that this program starts by itself
    python examples/fetch_pages.py --pages 1000 --at-a-time 50

The server listens on this machine alone (127.0.0.1) and takes its time for each page. Among the pages are three lists
of titles in JSON, as in a lecture on concurrency that reads them from a web forum: there three asyncio tasks run under
a loop that is stopped by a signal handler, which loses what is under way. Here Ctrl-C cancels what runs, closes client
and server, says how far it was, and ends with exit code 130.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

import potok

LISTS = ("python", "programming", "compsci")
DELAY = 0.02  # seconds that the server takes for a page


async def answer(request: web.Request) -> web.Response:
    """Be a slow server of pages and lists."""
    await asyncio.sleep(DELAY)
    name = request.match_info["name"]
    if name in LISTS:
        titles = [{"score": 50 - 7 * rank, "title": f"{name}, number {rank + 1}"} for rank in range(3)]
        return web.json_response({"data": {"children": [{"data": title} for title in titles]}})
    return web.Response(text=f"<title>page {name}</title>" + "word " * (int(name) % 100))


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve on a free port of this machine; the address."""
    app = web.Application()
    app.add_routes([web.get("/{name}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def main(pages: int, at_a_time: int) -> None:
    """Fetch everything, show the lists, count the words of the rest."""
    names = [*LISTS, *map(str, range(pages - len(LISTS)))]
    words = done = 0
    async with serving() as address, aiohttp.ClientSession() as client:

        async def fetch(name: str) -> tuple[str, str]:
            async with client.get(f"{address}/{name}") as response:
                response.raise_for_status()
                return name, await response.text()

        try:
            async with potok.map(fetch, names, workers=at_a_time, timeout=10, retries=2) as results:
                async for name, text in results:
                    done += 1
                    if name in LISTS:
                        show(name, text)
                    else:
                        words += text.count("word ")
        finally:
            print(f"{done} of {len(names)} pages, {words} words")


def show(name: str, text: str) -> None:
    """Print a list as the lecture does."""
    for child in json.loads(text)["data"]["children"]:
        print(f"{child['data']['score']}: {child['data']['title']}")
    print(f"DONE: {name}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--at-a-time", type=int, default=100)
    args = parser.parse_args()
    try:
        potok.run(main, args.pages, args.at_a_time)
    except KeyboardInterrupt:
        sys.exit(130)
