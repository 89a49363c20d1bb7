"""A web server of processes, on this machine only.

    python examples/csp/web_server.py --port 8080
    python examples/csp/web_server.py --requests 3       # ends by itself

    http://127.0.0.1:8080/hello    /time    /sleep?0.5    anything else is not found

For each connection there is a process that reads the request and sends it, with a channel end for the answer, to the
dispatcher. Services tell the dispatcher what they serve, by a channel end of their own. Several processes may serve one
path: the dispatcher offers a request to all of them, and whoever is free takes it. So ends travel all the time, and
nobody knows who is at the other side.
"""

import argparse
import socket
import time
from collections.abc import Callable
from typing import Any

from potok.csp import (
    AltSelect,
    Channel,
    InputGuard,
    OutputGuard,
    Parallel,
    Spawn,
    choice,
    io,
    poison,
    process,
)
from potok.csp.channels import ChannelEndRead, ChannelEndWrite

HEAD = "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n"


@process
def service(path: str, answer: Callable[[str], str], register: ChannelEndWrite) -> None:
    """Serve a path: answer each request by the end that comes with it."""
    requests = Channel(path)
    cin = +requests
    register((path, -requests))
    while True:
        query, reply = cin()
        reply(("200 OK", answer(query)))


def hello(query: str) -> str:
    """Greet."""
    return f"Hello {query or 'world'}!"


def tell_time(_: str) -> str:
    """Tell the time."""
    return time.strftime("%H:%M:%S")


@io
def sleep(seconds: str) -> str:
    """Take so many seconds, without keeping others from working."""
    time.sleep(float(seconds or 0))
    return f"slept {seconds or 0} s"


Services = dict[str, list[ChannelEndWrite]]


@choice
def add_service(services: Services, channel_input: Any) -> None:
    """Note who serves a path."""
    path, requests = channel_input
    services.setdefault(path, []).append(requests)


@choice
def pass_on(services: Services, channel_input: Any) -> None:
    """Give a request to whoever is free of those that serve its path."""
    path, query, reply = channel_input
    if path in services:
        AltSelect([OutputGuard(requests, (query, reply)) for requests in services[path]])
    else:
        reply(("404 Not Found", f"nobody serves {path}"))


@process
def dispatch(register: ChannelEndRead, requests: ChannelEndRead) -> None:
    """Know who serves what."""
    services: Services = {}
    try:
        while True:
            AltSelect(
                InputGuard(register, action=add_service(services)),
                InputGuard(requests, action=pass_on(services)),
            )
    finally:
        poison(*services.values())


@io
def receive(connection: socket.socket) -> bytes:
    """Read the head of a request."""
    head = b""
    while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
        head += more
    return head


@process
def connected(connection: socket.socket, requests: ChannelEndWrite) -> None:
    """Serve one connection: one request."""
    with connection:
        line = receive(connection).decode("latin-1").split("\r\n", 1)[0].split()
        if len(line) != 3:
            return
        path, _, query = line[1].partition("?")
        channel = Channel("answer")
        cin = +channel
        requests((path, query, -channel))
        status, text = cin()
        body = text.encode()
        connection.sendall(HEAD.format(status, len(body)).encode() + body)


@process
def listen(server: socket.socket, requests: ChannelEndWrite, count: int | None) -> None:
    """Spawn a process for each connection; after so many, close the shop."""
    accept = io(server.accept)
    while count is None or count > 0:
        connection, _ = accept()
        Spawn(connected(connection, requests))
        count = None if count is None else count - 1


@process
def serve(server: socket.socket, requests: ChannelEndWrite, count: int | None) -> None:
    """When the listener has ended, and all connections with it, so do the others."""
    Parallel(listen(server, requests, count))
    poison(requests)


def main(on: str, port: int, count: int | None) -> None:
    """Open the shop."""
    register, requests = Channel("register"), Channel("requests")
    with socket.create_server(("127.0.0.1", port)) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}/hello", flush=True)
        Parallel(
            serve(server, -requests, count),
            dispatch(+register, +requests),
            service("/hello", hello, -register),
            service("/time", tell_time, -register),
            3 * service("/sleep", sleep, -register),
            on=on,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", default="coroutines", choices=("coroutines", "threads"))
    parser.add_argument("--port", type=int, default=0, help="by default one that is free")
    parser.add_argument("--requests", type=int, help="how many to serve; by default it never ends")
    arguments = parser.parse_args()
    main(arguments.on, arguments.port, arguments.requests)
