"""The classics of CSP print what they should, wherever their processes run."""

from __future__ import annotations

import http.client
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from programs import RUNS_ON

FOLDER = Path(__file__).parents[2] / "examples" / "csp"
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def wherever_it_runs(name: str, *but: str) -> pytest.MarkDecorator:
    """On each executor that README.md shows for it."""
    return pytest.mark.parametrize("on", [on for on in RUNS_ON[f"csp/{name}.py"] if on not in but])


def command(name: str, *options: object) -> list[str]:
    return [sys.executable, "-W", "error", "-X", "dev", str(FOLDER / name), *map(str, options)]


def printed(name: str, *options: object) -> str:
    """The output of one program, which ends by itself, without a warning."""
    done = subprocess.run(
        command(name, *options),
        capture_output=True,
        text=True,
        env=BUFFERED | {"PYTHONIOENCODING": "utf-8"},
        encoding="utf-8",
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@wherever_it_runs("commstime")
def test_commstime(on: str) -> None:
    """The number has gone round as often as it was read; the time is whatever it is."""
    first, second = printed("commstime.py", "--on", on, "--rounds", 50).splitlines()
    assert first == f"after 50 rounds on {on} the number is 50"
    assert second.endswith(" µs for a communication")


@wherever_it_runs("sieve")
def test_sieve(on: str) -> None:
    assert printed("sieve.py", "--on", on, "--below", 20) == "2 3 5 7 11 13 17 19\n"


@wherever_it_runs("philosophers", "simulated")
@pytest.mark.parametrize("cure", ["order", "butler", "either"])
def test_cured_philosophers_eat(on: str, cure: str) -> None:
    assert printed("philosophers.py", cure, "--on", on, "--meals", 2) == f"{cure}: each has eaten 2 2 2 2 2\n"


def test_naive_philosophers_come_to_a_deadlock() -> None:
    """The same one each time; it names all five forks that somebody waits for."""
    told = printed("philosophers.py", "naive")
    assert told == printed("philosophers.py", "naive")
    assert "deadlock" in told
    for number in range(1, 6):
        assert f" waits: recv on fork {number}(1)" in told
    assert told.count("philosopher-") == 5


@wherever_it_runs("monte_carlo")
def test_monte_carlo(on: str) -> None:
    """The bags have seeds: the result is the same everywhere."""
    assert printed("monte_carlo.py", "--on", on) == "20000 darts say that pi is about 3.1362\n"


@wherever_it_runs("mandelbrot")
def test_mandelbrot(on: str, tmp_path: Path) -> None:
    """The picture is a PNG, symmetric, black in the middle of the set and light outside."""
    path = tmp_path / "picture.png"
    assert printed("mandelbrot.py", path, "--on", on, "--width", 40) == f"{path}: 40 x 32\n"
    lines = decoded(path.read_bytes())
    assert (len(lines), {len(line) for line in lines}) == (32, {40})
    assert lines == lines[::-1]
    assert lines[16][27] == 0
    assert lines[0][0] > 240


def decoded(png: bytes) -> list[bytes]:
    """The lines of a grey picture of unfiltered lines; each chunk's checksum holds."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", png, place + 8 + length) == (zlib.crc32(kind + data),)
        chunks[kind], place = data, place + 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 0, 0, 0, 0]
    pixels = zlib.decompress(chunks[b"IDAT"])
    lines = [pixels[start : start + width + 1] for start in range(0, height * (width + 1), width + 1)]
    assert {line[0] for line in lines} == {0}
    return [line[1:] for line in lines]


@wherever_it_runs("token_ring")
def test_token_ring(on: str) -> None:
    told = "after 3 rounds past 6 processes the token is 18\n"
    assert printed("token_ring.py", "--on", on, "--elements", 6, "--rounds", 3) == told


def test_skynet() -> None:
    first, second = printed("skynet.py", "--size", 1000).splitlines()
    assert first == "1000 processes have added up to 499500"
    assert second.startswith("in ")


@wherever_it_runs("web_server")
def test_web_server(on: str) -> None:
    """It answers what is asked, one thing after the other and two at a time, and ends after so many requests."""
    server = subprocess.Popen(
        command("web_server.py", "--on", on, "--requests", 5),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().split(":")[2].split("/")[0])
        assert asked(port, "/hello?potok") == (200, "Hello potok!")
        status, text = asked(port, "/time")
        assert (status, text.count(":")) == (200, 2)
        sleeping, other = http.client.HTTPConnection("127.0.0.1", port), asked
        sleeping.request("GET", "/sleep?0.05")
        assert other(port, "/nothing") == (404, "nobody serves /nothing")
        assert sleeping.getresponse().read() == b"slept 0.05 s"
        sleeping.close()
        assert asked(port, "/hello") == (200, "Hello world!")
        assert server.communicate(timeout=30) == ("", "")
        assert server.returncode == 0
    finally:
        server.kill()
        server.communicate()


def asked(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
