"""The lecture, executable: its programs in their order, each with an explanation in English and in Russian.

The programs are those of `examples/lecture`; a wheel carries them beside this file, in `programs`. What a program says
of itself is said there and nowhere else: `EXECUTORS`, the first of which is the default. Its explanation is
`texts/LANGUAGE/NAME.md`, whose first line is the title.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["LANGUAGES", "LESSONS", "Lesson", "find_lesson", "language_of"]

LANGUAGES = ("en", "ru")

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "examples" / "lecture"
PROGRAMS = SOURCES if SOURCES.is_dir() and not (HERE / "programs").is_dir() else HERE / "programs"


class Lesson(NamedTuple):
    """One program of the lecture."""

    number: int
    name: str

    @property
    def program(self) -> Path:
        """The file to run."""
        return PROGRAMS / f"{self.name}.py"

    @property
    def executors(self) -> tuple[str, ...]:
        """Where it makes sense to run it, as the program itself has it; it runs on the first if it isn't told."""
        for node in ast.parse(self.program.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXECUTORS":
                return tuple(ast.literal_eval(node.value))
        raise LookupError(f"{self.program} does not say its EXECUTORS")

    def text(self, language: str) -> str:
        """What it shows, what potok does better, and what to try: Markdown, beginning with the title."""
        return (HERE / "texts" / language / f"{self.name}.md").read_text(encoding="utf-8")

    def title(self, language: str) -> str:
        """The title alone."""
        return self.text(language).partition("\n")[0].removeprefix("# ")


NAMES = (
    "low_level_threads",
    "race",
    "thread_class",
    "through_a_queue",
    "through_a_pipe",
    "shared_list",
    "shared_namespace",
    "csp_two_processes",
    "reference_counts",
    "gil_countdown",
    "start_tasks",
    "generator_coroutine",
    "fetch_json",
    "which_process",
    "task_names",
    "one_at_a_time",
    "logs",
    "pool",
    "no_sentinel",
)

LESSONS = tuple(Lesson(number, name) for number, name in enumerate(NAMES, 1))
"""In the order of the lecture."""


def find_lesson(word: str) -> Lesson:
    """Find a lesson by its number or its name. Raises LookupError, which says what there is."""
    for lesson in LESSONS:
        if word in (str(lesson.number), lesson.name):
            return lesson
    raise LookupError(f"there is no lesson {word!r}: take a number from 1 to {len(LESSONS)}, or a name")


def language_of(environment: Mapping[str, str]) -> str:
    """The language that the locale asks for, if it is one of ours: English otherwise.

    The first of LC_ALL, LC_MESSAGES and LANG that is set and not empty decides, as POSIX has it.
    """
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    language = re.split(r"[._@]", locale)[0].lower()
    return language if language in LANGUAGES else "en"
