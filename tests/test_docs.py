"""What README.md shows is true: every Python snippet runs by itself and prints what is printed below it."""

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


@dataclass(frozen=True)
class Snippet:
    """A Python block of a document and the `text` block that follows it, if one does: what it prints."""

    line: int
    source: str
    output: str | None


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
    script = tmp_path / "snippet.py"
    script.write_text(snippet.source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    if snippet.output is not None:
        assert done.stdout == snippet.output


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


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_into_the_project_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
