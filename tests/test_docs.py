"""What README.md shows is true: every Python snippet runs by itself and prints what is printed below it.

README.ru.md is its twin: the same blocks between other words.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

ROOT = Path(__file__).parent.parent
TWINS = ("README.md", "README.ru.md")


@dataclass(frozen=True)
class Snippet:
    """A Python block of a document and the `text` block that follows it, if one does: what it prints.

    `…` in the output stands for what differs from run to run, within a line.
    """

    line: int
    source: str
    output: str | None

    def prints(self, output: str) -> bool:
        """Whether this is what the document shows."""
        return re.fullmatch(re.escape(self.output or "").replace("…", ".+"), output) is not None


def fenced(path: Path, language: str) -> list[tuple[int, str]]:
    """Return the line number and the text of every block in that language."""
    document = Document(path.read_text(encoding="utf-8"), str(path))
    regions = FencedCodeBlockLexer(language)(document)
    return [(document.text.count("\n", 0, r.start) + 1, r.lexemes["source"]) for r in regions]


def snippets(path: Path) -> list[Snippet]:
    """Pair each Python block with its output, which follows it with at most a blank line between."""
    outputs = dict(fenced(path, "text"))
    found = []
    for line, source in fenced(path, "python"):
        end = line + source.count("\n") + 1  # the line of the closing fence
        following = [outputs.pop(number) for number in (end + 1, end + 2) if number in outputs]
        found.append(Snippet(line, source, following[0] if following else None))
    assert not outputs, f"{path.name}: output that belongs to no Python block, in lines {sorted(outputs)}"
    return found


@pytest.mark.parametrize("snippet", snippets(ROOT / "README.md"), ids=lambda s: f"README.md:{s.line}")
def test_snippet_runs_as_printed(snippet: Snippet, tmp_path: Path) -> None:
    """A reader who copies the snippet into a file sees the printed output, no warning, and exit code 0."""
    output = printed(snippet.source, tmp_path)
    if snippet.output is not None:
        assert snippet.prints(output), output


@pytest.mark.parametrize("on", ["coroutines", "processes"])
def test_first_snippet_runs_elsewhere_by_changing_one_word(on: str, tmp_path: Path) -> None:
    """On the executors that its comment names it prints the same."""
    first = snippets(ROOT / "README.md")[0]
    assert first.source.count('on="threads"') == 1
    assert f'"{on}"' in first.source
    assert printed(first.source.replace('on="threads"', f'on="{on}"'), tmp_path) == first.output


def printed(source: str, folder: Path) -> str:
    """What it prints as a file of that folder, where it ends by itself and without a warning."""
    script = folder / "snippet.py"
    script.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_readme_has_an_example_with_output() -> None:
    """Guards the tests above: without a snippet they would all pass."""
    assert any(snippet.output for snippet in snippets(ROOT / "README.md"))


def test_readme_has_two_commands_of_one_line() -> None:
    """The newcomer's commands, which `.ci/run` takes from README.md and runs, are found there."""
    commands = [source.strip() for _, source in fenced(ROOT / "README.md", "sh")]
    assert len(commands) == 2
    assert all(command and "\n" not in command for command in commands)
    assert "potok compare" in commands[0]
    assert "-m pytest" in commands[1]


@pytest.mark.parametrize("language", ["python", "sh", "text"])
def test_twins_show_the_same_blocks(language: str) -> None:
    english, russian = ([source for _, source in fenced(ROOT / name, language)] for name in TWINS)
    assert russian == english


def test_twins_have_the_same_sections() -> None:
    """By the levels of their headings, and the number of rows of their tables: neither has what the other lacks."""
    shapes = [re.findall(r"^(#+|\|) ", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE) for name in TWINS]
    assert shapes[0] == shapes[1]


def test_twins_link_to_each_other() -> None:
    english, russian = ((ROOT / name).read_text(encoding="utf-8") for name in TWINS)
    assert "](README.ru.md)" in english
    assert "](README.md)" in russian


@pytest.mark.parametrize("name", [*TWINS, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_into_the_project_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
