"""`potok lesson`: the programs of a lecture on concurrency, explained and run."""

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
from typing import Any, Literal

from potok.adviser.here import why_not
from potok.cli import UsageError
from potok.lessons import LANGUAGES, LESSONS, Lesson, find_lesson, language_of

SCHEMA = 1
"""Version of the `--json` document. It grows when a reader of the old one would misread the new one."""

EXECUTORS = ("inline", "coroutines", "threads", "interpreters", "processes", "simulated")

EPILOG = """\
  potok lesson                          what lessons there are
  potok lesson 2                        explain the second, and run its program
  potok lesson race --on processes      the same one by its name, on processes
  potok lesson 2 --lang ru              explain it in Russian

exit codes: 0 fine, 2 usage, 130 interrupted; else that of the program
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `potok lesson`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "lesson", metavar="N", nargs="?", type=Which(), help="number or name; without it, the list is shown"
    )
    parser.add_argument(
        "--on", metavar="NAME", choices=EXECUTORS, help=f"run on one of {', '.join(EXECUTORS)}"
    )
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        help="explain in this language; by default that of the locale, or English",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the list, or the lesson, as JSON, for programs; run nothing",
    )


class Which:
    """Reads a lesson's number or name."""

    choices = tuple(
        word for lesson in LESSONS for word in (str(lesson.number), lesson.name)
    )  # for completion

    def __call__(self, word: str) -> Lesson:
        """Raises: ArgumentTypeError that says what there is."""
        try:
            return find_lesson(word)
        except LookupError as error:
            raise argparse.ArgumentTypeError(f"{error}; `potok lesson` lists them") from None


def run(args: argparse.Namespace) -> int:
    """List the lessons, or explain one and become its program."""
    language = args.lang or language_of(os.environ)
    lesson: Lesson | None = args.lesson
    if lesson is None and args.on:
        raise UsageError("--on says where a lesson runs: say which, as in `potok lesson 2 --on threads`")
    if lesson is not None and args.on:
        _check(lesson, args.on)
    if args.json:
        print(json.dumps(_document(lesson, language), indent=2))
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where the locale lacks a letter
    if lesson is None:
        _list(language)
        return 0
    command = [sys.executable, str(lesson.program), *(["--on", args.on] if args.on else [])]
    _explain(lesson, language, command)
    return _become(command)


def _check(lesson: Lesson, on: str) -> None:
    """Raise UsageError if it makes no sense there, or can't be run there on this machine."""
    usable = [name for name in lesson.executors if why_not(name) is None]
    take = f"take {' or '.join(usable)}"
    if on not in lesson.executors:
        raise UsageError(f"lesson {lesson.number} ({lesson.name}) makes no sense on {on!r}: {take}")
    if on not in usable:
        reason = str(why_not(on)).partition(": take")[0]  # here it is said what to take for this lesson
        raise UsageError(f"{on!r} can't be used here ({reason}): {take}")


def _document(lesson: Lesson | None, language: str) -> dict[str, Any]:
    """The shape of `--json`."""
    lessons = [
        {
            "number": each.number,
            "name": each.name,
            "title": each.title(language),
            "executors": list(each.executors),
            "program": str(each.program),
            **({} if lesson is None else {"text": each.text(language)}),
        }
        for each in (LESSONS if lesson is None else (lesson,))
    ]
    return {"version": SCHEMA, "language": language, "lessons": lessons}


def _console() -> Any:
    from rich.console import Console

    # NO_COLOR takes the colours away in rich, but leaves bold: no style at all, then.
    color_system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(highlight=False, soft_wrap=True, color_system=color_system)


def _list(language: str) -> None:
    """One lesson a line: number, name, title, and where it runs, the default first."""
    from rich.text import Text

    console = _console()
    rows = [
        (f"{lesson.number:>2}  {lesson.name:<20}", lesson.title(language), lesson.executors)
        for lesson in LESSONS
    ]
    width = max(len(title) for _, title, _ in rows)
    for name, title, executors in rows:
        console.print(
            Text(name, style="bold") + Text(f"{title:<{width}}  ") + Text(" ".join(executors), style="dim")
        )


def _explain(lesson: Lesson, language: str, command: list[str]) -> None:
    """Show the text: drawn on a terminal, as it is elsewhere; and then what is run."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from rich.markdown import Markdown

        _console().print(Markdown(lesson.text(language)), soft_wrap=False)
        print()
    else:
        print(lesson.text(language))
    print(f"$ {shlex.join(command)}\n", flush=True)


def _become(command: list[str]) -> int:
    """Let the program take the place of this process.

    So it is what it would be if it had been started by hand: its `__main__` is the file, Ctrl-C reaches it once and
    nobody else, and its exit code is the exit code. With `runpy` its functions would be those of a main script that
    is not one, under handlers that the command line has set; a child would get the Ctrl-C of a terminal, but not that
    of a `kill`, and `subprocess` kills it a quarter of a second later, while it still ends its own workers.
    """
    if sys.platform == "win32":  # exec there starts another process and does not wait for it
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our interpreter, our program
    return os.execv(command[0], command)  # noqa: S606 - the same
