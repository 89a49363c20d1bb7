"""The lessons: every program of the lecture, in its order, explained in both languages."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import potok
from potok.lessons import LANGUAGES, LESSONS, Lesson, find_lesson, language_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "lecture"

HEADINGS = {
    "en": ["In the lecture", "What potok does better", "Try"],
    "ru": ["В лекции", "Чем лучше potok", "Попробуйте"],
}

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
every_language = pytest.mark.parametrize("language", LANGUAGES)


def code(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def potok_names(program: Path) -> set[str]:
    """What it takes from potok, modules included."""
    nodes = list(ast.walk(ast.parse(program.read_text(encoding="utf-8"))))
    names = {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "potok"
    }
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return names | {module.removeprefix("potok.") for module in modules if module.startswith("potok.")}


def test_every_program_is_a_lesson() -> None:
    assert sorted(lesson.program for lesson in LESSONS) == sorted(FOLDER.glob("*.py"))
    assert [lesson.number for lesson in LESSONS] == list(range(1, len(LESSONS) + 1))


def test_programs_are_found_where_a_wheel_puts_them(tmp_path: Path) -> None:
    """Beside the package, as pyproject.toml lays them out; the sources are not needed then."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layout = project["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]
    for source, target in layout.items():
        for folder in (ROOT / source).iterdir() if source == "src" else [ROOT / source]:
            name = folder.name if source == "src" else target
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(folder, tmp_path / name, ignore=ignored, dirs_exist_ok=True)
    program = "import potok.lessons as l; print(*[each.program for each in l.LESSONS], sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    programs = [Path(line) for line in done.stdout.splitlines()]
    assert all(path.is_file() and path.is_relative_to(tmp_path) for path in programs)
    assert len(programs) == len(LESSONS)


@every_lesson
def test_program_says_what_it_shows(lesson: Lesson) -> None:
    """A docstring with the command that runs it, and executors that there are."""
    docstring = ast.get_docstring(ast.parse(lesson.program.read_text(encoding="utf-8"))) or ""
    assert f"python examples/lecture/{lesson.name}.py" in docstring
    for name in lesson.executors:
        assert name in ("inline", "coroutines", "threads", "interpreters", "processes", "simulated")


@every_lesson
@every_language
def test_text_has_its_parts(lesson: Lesson, language: str) -> None:
    """A title, and under the same three headings some paragraphs that fit any terminal."""
    text = lesson.text(language)
    assert text.startswith(f"# {lesson.title(language)}\n")
    title, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    assert len(title.split("\n\n")) == 2
    assert [part.partition("\n")[0] for part in parts] == HEADINGS[language]
    assert all(len(part.split()) > 15 for part in parts)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("`") % 2 == 0


@every_lesson
def test_both_texts_speak_of_the_same(lesson: Lesson) -> None:
    """What is code is the same in both, and so is the number of paragraphs."""
    english, russian = lesson.text("en"), lesson.text("ru")
    assert code(english) == code(russian)
    assert english.count("\n\n") == russian.count("\n\n")


@every_lesson
def test_text_names_what_its_program_uses(lesson: Lesson) -> None:
    """At least one of potok's names that the program uses, and no name that potok does not have."""
    named = {name for span in code(lesson.text("en")) for name in re.findall(r"\bpotok\.(\w+)", span)}
    used = potok_names(lesson.program)
    assert named & used
    modules = {"csp"}
    assert {name for name in named - modules if not hasattr(potok, name)} == set()


@every_lesson
def test_russian_is_russian(lesson: Lesson) -> None:
    """Outside of code nearly all letters are Cyrillic; quotes are «ёлочки», and a dash is a dash."""
    prose = re.sub(r"`[^`]+`", "", lesson.text("ru"))
    letters = [letter for letter in prose if letter.isalpha()]
    cyrillic = [letter for letter in letters if "а" <= letter.lower() <= "я" or letter in "ёЁ"]
    assert len(cyrillic) / len(letters) > 0.85
    assert not re.search(r'["“”„]| - ', prose)


@every_lesson
def test_english_is_english(lesson: Lesson) -> None:
    assert not re.search("[а-яё]", lesson.text("en"), re.IGNORECASE)


def test_lessons_are_found_by_number_and_by_name() -> None:
    assert find_lesson("2") == find_lesson("race") == LESSONS[1]
    for word in ("0", "20", "-1", "02", "no_such", ""):
        with pytest.raises(LookupError, match=rf"no lesson {word!r}: take a number from 1 to {len(LESSONS)}"):
            find_lesson(word)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru"}, "ru"),
        ({"LANG": "ru_RU@variant"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_MESSAGES": "ru_RU.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": ""}, "ru"),
        ({"LANG": "rum_RO"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_language_is_that_of_the_locale(environment: dict[str, str], language: str) -> None:
    """LC_ALL before LC_MESSAGES before LANG, an empty one counts as unset; English where it is none of ours."""
    assert language_of(environment) == language
