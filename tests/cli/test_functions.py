"""`module:function` and `file.py:function` on the command line: what is found, and what is said where nothing is."""

import sys
from pathlib import Path
from typing import Any

import pytest

from potok.cli import UsageError
from potok.cli.functions import find_function

MODULE = """
def double(x):
    return x + x

class Tools:
    factor = 3
    @staticmethod
    def triple(x):
        return x * 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with modules, whole and broken, and leave the interpreter's paths as they were."""
    for name, text in {
        "mine": MODULE,
        "broken": "1 / 0",
        "wants": "import no_such_thing",
        "exits": "raise SystemExit(3)",
        "wrong": "def f(:",
        "several": "from os.path import join\ndef one(x): ...\nasync def two(x): ...\ndef _three(x): ...\nclass T: ...",
        "none": "from os.path import join",
    }.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize(
    ("function", "argument", "result"),
    [
        ("mine:double", "a", "aa"),
        ("mine.py:double", "a", "aa"),
        ("./mine.py:double", "a", "aa"),
        ("mine:Tools.triple", "a", "aaa"),
        ("os.path:basename", "a/b", "b"),
        ("builtins:len", "abc", 3),
        ("builtins:str.upper", "a", "A"),
    ],
)
def test_found(function: str, argument: Any, result: Any) -> None:
    """Modules, files, methods, and what Python has built in."""
    assert find_function(function)(argument) == result


def test_file_may_import_its_neighbours(here: Path) -> None:
    """A function's file finds the modules beside it, as a script would."""
    (here / "sub").mkdir()
    (here / "sub" / "far_away.py").write_text("from near_by import f", encoding="utf-8")
    (here / "sub" / "near_by.py").write_text("f = str.upper", encoding="utf-8")
    assert find_function("sub/far_away.py:f")("a") == "A"


def test_file_named_like_a_module_displaces_nothing(here: Path) -> None:
    """A user's own `json.py` can be used, and `json` stays what it is."""
    import json

    (here / "json.py").write_text("def f(x): return x", encoding="utf-8")
    assert find_function("json.py:f")(1) == 1
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("double", "package.module:function"),
        (":double", "package.module:function"),
        ("mine:", "package.module:function"),
        ("mine.double", "is it mine:double?"),
        ("no_such_module:f", "no module named 'no_such_module'"),
        ("mine.sub:f", "no module named 'mine.sub'"),
        ("str:upper", "builtins:str"),
        ("./several.py:", "name the function: ./several.py:NAME; it has one, two"),
        ("none.py", "name the function: none.py:NAME; but none.py has no function of its own"),
        ("no_such_file.py", "no such file: 'no_such_file.py'"),
        ("no_such_file.py:f", "no such file: 'no_such_file.py'"),
        ("mine:doubel", "no function 'doubel' in mine; it has double"),
        ("mine:Tools.factor", "is no function but an object of type int"),
        ("broken:f", "importing broken failed: ZeroDivisionError: division by zero ("),
        ("broken.py:f", "importing broken.py failed: ZeroDivisionError"),
        ("wants:f", "importing wants failed: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("exits:f", "importing exits failed: SystemExit: 3"),
        ("wrong.py:f", "importing wrong.py failed: SyntaxError"),
    ],
)
def test_wrong_ones_are_named(function: str, told: str) -> None:
    """One line that says what is wrong and, where that can be guessed, what was meant."""
    with pytest.raises(UsageError) as caught:
        find_function(function)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_without_a_function_names_those_it_has() -> None:
    """Its own and public ones: neither what it imports nor its classes."""
    with pytest.raises(UsageError, match=r"^name the function: several\.py:NAME; it has one, two$"):
        find_function("several.py")
