"""What INPUT on the command line stands for."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from potok.cli import UsageError
from potok.cli.inputs import find_inputs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a few files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.txt").write_bytes(b"a\r\n\n\xff\n\xd0\xb6")
    (tmp_path / "items.jsonl").write_text('1\n\n{"a": ["ж", null]}\n"text"\n', encoding="utf-8-sig")
    (tmp_path / "rows.csv").write_bytes(
        b'\xef\xbb\xbfname,born\r\n"Lovelace, ""Ada""\r\nCountess",1815\r\n\r\n\xff,\r\n'
    )
    (tmp_path / "rows.tsv").write_text("a\tb,c\n1\t2\n", encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "what[1].txt").write_text("line\n", encoding="utf-8")
    for name in ("b.py", "a.py", "c.txt", "sub/d.py", "folder.py/e.py"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "items"),
    [
        (["items.txt"], ["a", "", "\udcff", "ж"]),
        (["items.jsonl"], [1, {"a": ["ж", None]}, "text"]),
        (
            ["rows.csv"],
            [{"name": 'Lovelace, "Ada"\r\nCountess', "born": "1815"}, {"name": "\udcff", "born": ""}],
        ),
        (["rows.tsv"], [{"a": "1", "b,c": "2"}]),
        (["empty.csv"], []),
        (["tree/**/*.py"], ["tree/a.py", "tree/b.py", "tree/folder.py/e.py", "tree/sub/d.py"]),
        (["tree/[bc].*"], ["tree/b.py", "tree/c.txt"]),
        (["what[1].txt"], ["line"]),
        (["tree/?.txt", "what[1].txt", "tree/?.txt"], ["tree/c.txt", "line", "tree/c.txt"]),
    ],
)
def test_items(names: Sequence[str], items: list[object]) -> None:
    """Lines, JSON values, rows, and paths of files (not of folders), in the order of the INPUTs."""
    assert list(find_inputs(names, paths=False)) == items


def test_paths_takes_names_as_items() -> None:
    """Patterns are patterns all the same."""
    inputs = find_inputs(["items.jsonl", "tree", "tree/*.txt"], paths=True)
    assert list(inputs) == ["items.jsonl", "tree", "tree/c.txt"]


@pytest.mark.parametrize(
    ("names", "total"), [(["tree/*.py", "tree/*.txt"], 3), (["tree/*.py", "items.txt"], None)]
)
def test_total_where_it_takes_no_reading(names: Sequence[str], total: int | None) -> None:
    assert find_inputs(names, paths=False).total == total


@pytest.mark.parametrize(
    ("name", "paths", "told"),
    [
        ("no-such.txt", False, "no such file: 'no-such.txt'"),
        ("no-such/*.txt", False, "no file matches 'no-such/*.txt'"),
        ("no-such/*.txt", True, "no file matches 'no-such/*.txt'"),
        ("tree", False, "'tree' is a folder; write 'tree/**/*' with its quotes"),
        ("no-such", True, "no such file: 'no-such'"),
    ],
)
def test_wrong_ones_are_named_before_anything_is_read(name: str, paths: bool, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_inputs(["items.txt", name], paths)
    assert told in str(caught.value)


def test_line_that_is_no_json_is_named() -> None:
    """With its number; what came before it was given out."""
    Path("bad.jsonl").write_text("1\n\noops\n", encoding="utf-8")
    items = iter(find_inputs(["bad.jsonl"], paths=False))
    assert next(items) == 1
    with pytest.raises(UsageError, match=r"^bad\.jsonl, line 3, is not JSON: Expecting value, column 1$"):
        next(items)


def test_line_that_is_json_but_too_much_is_named() -> None:
    Path("long.jsonl").write_text("1\n" + "9" * 5000 + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^long\.jsonl, line 2, can't be read as JSON: Exceeds the limit"):
        list(find_inputs(["long.jsonl"], paths=False))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n3\n", "line 3, has 1 fields, where the first row names 2"),
        ("a,b\n1,2,3\n", "line 2, has 3 fields, where the first row names 2"),
        ("a,b,a\n1,2,3\n", "names 'a' twice"),
        ('a,b\n1,"2\n3,4\n', "is not CSV: unexpected end of data"),
    ],
)
def test_rows_that_do_not_fit_are_named(text: str, told: str) -> None:
    """To guess would give a function the wrong values under a name."""
    Path("bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.csv.* " + told):
        list(find_inputs(["bad.csv"], paths=False))


def test_file_that_goes_away_is_named() -> None:
    inputs = find_inputs(["items.txt"], paths=False)
    Path("items.txt").unlink()
    with pytest.raises(UsageError, match=r"'items\.txt' can't be read"):
        list(inputs)
