"""The table of examples and executors in README.md, made of what the tests run: `python tests/examples/matrix.py`."""

from pathlib import Path

from programs import EXECUTORS, RUNS_ON

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- made by tests/examples/matrix.py from what the tests run: do not edit -->"
END = "<!-- end of what tests/examples/matrix.py makes -->"


def table() -> str:
    """Markdown: a row for each example, the lecture's in its order."""
    rows = [("example", *EXECUTORS), ("---", *(":-:" for _ in EXECUTORS))]
    rows += [
        (f"[{path}](examples/{path})", *("yes" if name in on else "–" for name in EXECUTORS))
        for path, on in RUNS_ON.items()
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def made() -> str:
    """The whole of README.md with the table in its place."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README} has no place for the table: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(made(), encoding="utf-8")
