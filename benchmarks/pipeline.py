"""A pipeline of three stages, each on another executor: fetch on coroutines, parse on processes, store on a thread.

2,000 pages of HTML come from a server on the loopback interface that runs in a process of its own and takes 5 ms to
answer; 50 are fetched at a time. Two processes look for their links and headings, which takes them some milliseconds a
page. One thread writes what was found into SQLite. Measured are pages a second over all, the start of the workers
included.

- *potok*: one `potok.pipeline`, in order and as completed.
- *by hand*: asyncio, a ProcessPoolExecutor and a ThreadPoolExecutor of one thread; a task for each page, at most 50 of
  them waiting for the server. It pulls all addresses at once, and nothing holds back the pages that wait to be parsed.
- *pypeln*: `pypeln.task`, `pypeln.process` and `pypeln.thread` chained.

What was found, with two cores, which all of them keep busy: it is processor time that counts, and cores that wait. Of
some 7 s of it (6.5 by hand) parsing takes 5, alike. Two things were mended, which took it from 0.90 to 0.97 of what is
done by hand (in order; 0.91 to 0.99 unordered; six repetitions each, on a machine that was not quiet):

- Each of the some 170 lots of a worker was waited for, 1.4 ms in the mean and 250 ms in all, though it had been given
  out ahead: a receiver elsewhere that comes seldom was sent nothing unasked. The only receiver of a channel, if it is
  a task's own, now has the next item sent to it while the task works on one.
- Each result woke the thread in `for_each`, which only counted it: 80 ms. Now the last stage counts.

What potok still takes more, in ms of processor time: the forkserver that starts its workers, 50 (by hand they are
forked); its own import, 20; the look for deadlocks while workers start, 35; the loop, some 50, which steps coroutines
in Python where asyncio does it in C; the server, 50, as under back-pressure pages are fetched in dribs and drabs. The
source's thread takes 90 to 160, but parks 200 times only, not for each page: as it does, it reads the workers' links,
which somebody has to. To give pages out to the parsers takes less than by hand, 230 in place of 310.

HTTP is spoken over asyncio's streams, by all peers with the same function: no client's own work is measured.
"""

import asyncio
import functools
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from html.parser import HTMLParser
from time import perf_counter
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

PAGES = size(2_000)
AT_A_TIME = 50
PARSERS = 2
ANSWER_SECONDS = 0.005
LINKS = 150  # on a page

Address = tuple[int, int]
"""The server's port, and the number of the page."""

Found = tuple[int, list[str], list[str]]
"""What was found on a page: its number, links, headings."""

# ---------------------------------------------------------------- the server


def page(number: int) -> str:
    """Write a page."""
    rows = (
        f"<h2>Part {i} of {number}</h2><p class='text'>Some <b>words</b> &amp; a <a href='/{number}/{i}'>link</a></p>"
        for i in range(LINKS)
    )
    return f"<html><head><title>{number}</title></head><body>{''.join(rows)}</body></html>"


async def answer_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, after a while."""
    request = await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(ANSWER_SECONDS)
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + page(int(request.split(b" ")[1].strip(b"/"))).encode())
    await writer.drain()
    writer.close()


def serve(told: Any) -> None:
    """Be the server: tell the port, then answer for ever."""

    async def main() -> None:
        server = await asyncio.start_server(answer_page, "127.0.0.1", 0, backlog=1024)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


# ---------------------------------------------------------------- the stages


async def fetch(address: Address) -> tuple[int, str]:
    """Get a page: its number and its text."""
    port, number = address
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{number} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return number, answer.partition(b"\r\n\r\n")[2].decode()


class Finder(HTMLParser):
    """Collects links and headings."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.headings: list[str] = []
        self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link."""
        self._in_heading = tag == "h2"
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        """Note a heading."""
        if self._in_heading:
            self.headings.append(data)


def parse(fetched: tuple[int, str]) -> Found:
    """Find the links and headings of a page."""
    number, text = fetched
    finder = Finder()
    finder.feed(text)
    return number, finder.links, finder.headings


class Store:
    """A database in memory, opened by the thread that writes into it."""

    def __init__(self) -> None:
        self.written = 0

    @functools.cached_property
    def database(self) -> sqlite3.Connection:
        """The connection, which belongs to the thread that asks first."""
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE links (page INTEGER, link TEXT, heading TEXT)")
        return database

    def write(self, found: Found) -> None:
        """Write one page's."""
        number, links, headings = found
        rows = zip(links, headings, strict=True)
        with self.database:
            self.database.executemany("INSERT INTO links VALUES (?, ?, ?)", ((number, *row) for row in rows))
        self.written += 1


# ---------------------------------------------------------------- the peers


def with_potok(addresses: Iterator[Address], store: Store, ordered: bool) -> None:
    """As a pipeline."""
    import potok

    (
        potok.pipeline(addresses, ordered=ordered)
        .map(fetch, on="coroutines", workers=AT_A_TIME)
        .map(parse, on="processes", workers=PARSERS)
        .for_each(store.write, on="threads", workers=1)
    )


def by_hand(addresses: Iterator[Address], store: Store) -> None:
    """With what the standard library has."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        turn = asyncio.Semaphore(AT_A_TIME)

        async def handle(address: Address) -> None:
            async with turn:
                fetched = await fetch(address)
            found = await loop.run_in_executor(parsers, parse, fetched)
            await loop.run_in_executor(thread, store.write, found)

        with ProcessPoolExecutor(PARSERS) as parsers, ThreadPoolExecutor(1) as thread:
            await asyncio.gather(*map(handle, addresses))

    asyncio.run(main())


def with_pypeln(addresses: Iterator[Address], store: Store) -> None:
    """As pypeln's documentation joins stages."""
    import pypeln as pl

    fetched = pl.task.map(fetch, addresses, workers=AT_A_TIME, maxsize=AT_A_TIME)
    found = pl.process.map(parse, fetched, workers=PARSERS, maxsize=16)
    pl.thread.run(pl.thread.map(store.write, found, workers=1, maxsize=16))


def measure(run: Callable[[Iterator[Address], Store], None]) -> float:
    """Return pages a second, from the first address to the last row."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    store = Store()
    began = perf_counter()
    run(((port, number) for number in range(PAGES)), store)
    seconds = perf_counter() - began
    assert store.written == PAGES, f"{store.written} of {PAGES} pages were written"
    server.terminate()
    return PAGES / seconds


TITLE = "fetch, parse, store"
TABLES = [
    Table(
        TITLE,
        "pages/s",
        [
            Row("potok", lambda: measure(functools.partial(with_potok, ordered=True))),
            Row("potok unordered", lambda: measure(functools.partial(with_potok, ordered=False))),
            Row("by hand", lambda: measure(by_hand)),
            Row("pypeln", lambda: measure(with_pypeln), modules=["pypeln"]),
        ],
    )
]

GOALS = [
    Goal(f"{TITLE}: potok", f"{TITLE}: by hand", at_least=1),
    Goal(f"{TITLE}: potok unordered", f"{TITLE}: by hand", at_least=1),
    Goal(f"{TITLE}: potok", f"{TITLE}: pypeln", at_least=1),
]

if __name__ == "__main__":
    alternate.main("A pipeline over coroutines, processes and a thread", TABLES, GOALS)
