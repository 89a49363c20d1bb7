"""Parse a Python file and count the nodes of its syntax tree: work for the processor, which holds the GIL.

    potok compare examples/parse_stdlib.py:count_nodes "/usr/lib/python3.11/**/*.py"
    potok map     examples/parse_stdlib.py:count_nodes "/usr/lib/python3.11/**/*.py" --progress -o out.jsonl
    python examples/parse_stdlib.py                  # the standard library of the Python that runs it

Threads would take turns at it; processes share it. Some files of a standard library are no valid Python on purpose:
tests of the parser. Those are items that fail, and the others go on.
"""

import argparse
import ast
import sysconfig
import warnings
from pathlib import Path

import potok


def count_nodes(path: str) -> int:
    """Return how many nodes the syntax tree of a Python file has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in old files
        return sum(1 for _ in ast.walk(ast.parse(Path(path).read_bytes(), path)))


def main(folder: str) -> None:
    """Count the nodes of all Python files in a folder."""
    paths = sorted(str(path) for path in Path(folder).rglob("*.py"))
    results = potok.map(count_nodes, paths, on_error="return", progress=True)
    counts = dict(zip(paths, results, strict=True))
    failed = [path for path, count in counts.items() if isinstance(count, potok.BadItem)]
    nodes = sum(count for count in counts.values() if isinstance(count, int))
    print(f"{nodes} nodes in {len(paths) - len(failed)} files; {len(failed)} could not be parsed")
    print(results.explain())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", default=sysconfig.get_path("stdlib"))
    main(parser.parse_args().folder)
