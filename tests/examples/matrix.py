"""The table of examples and executors in README.md and its twin, made of what the tests run.

    python tests/examples/matrix.py
"""

from pathlib import Path

from programs import EXECUTORS, RUNS_ON

ROOT = Path(__file__).parents[2]
WORDS = {"README.md": ("example", "yes"), "README.ru.md": ("пример", "да")}
BEGIN = "<!-- made by tests/examples/matrix.py from what the tests run: do not edit -->"
END = "<!-- end of what tests/examples/matrix.py makes -->"


def table(example: str, yes: str) -> str:
    """Markdown: a row for each example, the lecture's in its order."""
    rows = [(example, *EXECUTORS), ("---", *(":-:" for _ in EXECUTORS))]
    rows += [
        (f"[{path}](examples/{path})", *(yes if name in on else "–" for name in EXECUTORS))
        for path, on in RUNS_ON.items()
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def shown(name: str) -> str:
    """The whole of that file."""
    return (ROOT / name).read_text(encoding="utf-8")


def made(name: str) -> str:
    """The whole of that file, with the table in its place."""
    before, begin, rest = shown(name).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{name} has no place for the table: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{table(*WORDS[name])}\n{END}{after}"


if __name__ == "__main__":
    for name in WORDS:
        (ROOT / name).write_text(made(name), encoding="utf-8")
