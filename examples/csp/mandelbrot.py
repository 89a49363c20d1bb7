"""The Mandelbrot set, computed by a farm of processes and written as a PNG, with nothing but the standard library.

    python examples/csp/mandelbrot.py mandelbrot.png --on processes --width 600

Lines of the picture cost very different amounts of work: those that cross the set are expensive. So a line is a job,
and whoever is free takes the next one; they come back in any order, each with its number.
"""

import argparse
import struct
import zlib
from pathlib import Path

from potok.csp import Channel, ChannelRetireException, Parallel, process, retire
from potok.csp.channels import ChannelEndRead, ChannelEndWrite

LEFT, RIGHT, TOP, BOTTOM = -2.2, 0.8, 1.2, -1.2
STEPS = 80


def steps_of(point: complex) -> int:
    """After how many steps a point is known to run away; STEPS if it is not."""
    z = 0j
    for step in range(STEPS):
        if z.real * z.real + z.imag * z.imag > 4:
            return step
        z = z * z + point
    return STEPS


@process
def produce(jobs: ChannelEndWrite, height: int) -> None:
    """Hand out the numbers of the lines."""
    for line in range(height):
        jobs(line)
    retire(jobs)


@process
def compute(jobs: ChannelEndRead, lines: ChannelEndWrite, width: int, height: int) -> None:
    """Compute lines: a byte for each point, black inside of the set."""
    while True:
        line = jobs()
        y = TOP + (BOTTOM - TOP) * line / (height - 1)
        points = (complex(LEFT + (RIGHT - LEFT) * column / (width - 1), y) for column in range(width))
        lines((line, bytes(255 - 255 * steps_of(point) // STEPS for point in points)))


@process
def gather(lines: ChannelEndRead) -> list[bytes]:
    """Put the lines in their order."""
    found = {}
    try:
        while True:
            line, pixels = lines()
            found[line] = pixels
    except ChannelRetireException:
        return [found[line] for line in sorted(found)]


def png(lines: list[bytes]) -> bytes:
    """A picture of grey pixels in the PNG format: a header, the packed lines, an end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(
        ">IIBBBBB", len(lines[0]), len(lines), 8, 0, 0, 0, 0
    )  # 8 bits of grey, not interlaced
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines), 9)  # each line is unfiltered
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def main(path: str, on: str, workers: int, width: int) -> None:
    """Compute the picture, and write it."""
    height = width * 4 // 5
    jobs, lines = Channel("jobs"), Channel("lines")
    *_, picture = Parallel(
        produce(-jobs, height),
        workers * compute(+jobs, -lines, width, height),
        gather(+lines),
        on=on,
    )
    Path(path).write_bytes(png(picture))
    print(f"{path}: {width} x {height}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", help="where to write the picture")
    parser.add_argument("--on", default="processes", choices=("coroutines", "threads", "processes"))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--width", type=int, default=100)
    arguments = parser.parse_args()
    main(arguments.path, arguments.on, arguments.workers, arguments.width)
