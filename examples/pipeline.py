"""Fetch, parse, store: three kinds of work, each where it is best done, with channels between them.

    pip install aiohttp
    python examples/pipeline.py

Pages wait for the network: coroutines, 50 at a time. To parse them takes the processor: processes. The database takes
one writer: a thread. Each stage is paced by the next one, however fast it could be, and a failure in any of them ends
all. The server is the one of `fetch_pages.py`, on this machine.
"""

import argparse
import hashlib
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from fetch_pages import LISTS, serving

import potok


class Titles(HTMLParser):
    """Keeps what stands between <title> and </title>."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as it is called
        """Note where a title begins."""
        self._inside = tag == "title"

    def handle_data(self, data: str) -> None:
        """Keep the title."""
        if self._inside:
            self.title += data
            self._inside = False


def parse(page: tuple[str, str]) -> tuple[str, str, str]:
    """Return the address, the title and the digest of a page."""
    url, text = page
    parser = Titles()
    parser.feed(text)
    return url, parser.title, hashlib.sha256(text.encode()).hexdigest()[:16]


async def main(pages: int) -> None:
    """Run the pipeline and show what is in the database then."""
    async with serving() as address, aiohttp.ClientSession() as client:

        async def fetch(name: str) -> tuple[str, str]:
            async with client.get(f"{address}/{name}") as response:
                return name, await response.text()

        with TemporaryDirectory() as folder:
            path = Path(folder, "pages.db")
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE pages (url TEXT, title TEXT, digest TEXT)")
            database.close()

            def store(rows: list[tuple[str, str, str]]) -> None:
                with sqlite3.connect(path) as database:
                    database.executemany("INSERT INTO pages VALUES (?, ?, ?)", rows)
                database.close()

            await (
                potok.pipeline([*LISTS, *map(str, range(pages))])
                .map(fetch, on="coroutines", workers=50)
                .filter(lambda page: page[0] not in LISTS)
                .map(parse, on="processes")
                .batch(20)
                .afor_each(store, on="threads", workers=1)
            )
            with sqlite3.connect(path) as database:
                count, titles = database.execute(
                    "SELECT count(*), count(DISTINCT title) FROM pages"
                ).fetchone()
            database.close()
    print(f"{count} pages stored, with {titles} titles")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pages", type=int, default=200)
    potok.run(main, parser.parse_args().pages)
