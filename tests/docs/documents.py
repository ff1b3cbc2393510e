"""Reads what a document shows: commands to run, files to write, links to follow.

The convention, for everybody who writes README.md or docs/*.md:

- A ```console block is run, in order, in one temporary folder per document, which has `mappings/` as a checkout does.
  `$ ` begins a command, `> ` continues it. A command must exit 0, or as marked by `# exit 5` at its end. Other lines are
  its output: each of them must appear, in this order; `…` stands for any text. Exported variables and `cd` last until
  the end of the document.
- A block of any other language after the line `<!-- file: NAME -->` is written to NAME first.
- `<!-- not run: REASON -->` on the line before a block leaves it out. Shell blocks (```sh, ```bash) are for those.
- `$POSTGRES_URL` and `$MARIADB_URL` are fresh empty databases on real servers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SHELLS: Final = {"sh", "bash", "shell", "zsh"}

_BLOCK = re.compile(
    r"(?:^<!-- *(?P<note>file|not run): *(?P<value>[^\n]*?) *-->\n)?"
    r"^(?P<fence>```+)(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(r"^[ \t]+```(?P<language>[\w-]+)[^\n]*$", re.MULTILINE)
"""Blocks inside of lists, which are not run: a command in one is a mistake."""
_EXIT = re.compile(r"\s+# exit (\d+)$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Command:
    """One command of a document, with the exit code and the lines of output that the reader is told to expect."""

    line: int
    text: str
    exit_code: int
    output: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file that a document shows and its commands use."""

    line: int
    name: str
    content: str


@dataclass(frozen=True)
class Unchecked:
    """A shell block that is neither run nor says why."""

    line: int


def documents() -> list[Path]:
    """README.md, its translations, and everything under docs/."""
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def steps(text: str) -> Iterator[Command | File | Unchecked]:
    """What a document asks its reader to do, in order."""
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("fence")) + 1
        note, language, body = block["note"], block["language"], block["body"]
        if note == "not run":
            continue
        if note == "file":
            yield File(line, block["value"], body)
        elif language == "console":
            yield from _commands(body, line + 1)
        elif language in SHELLS:
            yield Unchecked(line)
    for indented in _INDENTED.finditer(text):
        if indented["language"] in SHELLS | {"console"}:
            yield Unchecked(text.count("\n", 0, indented.start()) + 1)


def _commands(body: str, first_line: int) -> Iterator[Command]:
    lines = body.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in pairwise([*starts, len(lines)]):
        after = start + 1
        while after < end and lines[after].startswith("> "):
            after += 1
        words = "\n".join(line[2:] for line in lines[start:after])
        marked = _EXIT.search(words)
        output = tuple(line for line in lines[after:end] if line.strip())
        yield Command(first_line + start, _EXIT.sub("", words), int(marked[1]) if marked else 0, output)


def missing_line(expected: tuple[str, ...], actual: str) -> str | None:
    """The first expected line that the output does not have in its place, or None when all are there in order."""
    remaining = iter(actual.splitlines())
    for line in expected:
        pattern = re.compile(r"\s+".join(".*".join(map(re.escape, word.split("…"))) for word in line.split()))
        if not any(pattern.fullmatch(candidate.strip()) for candidate in remaining):
            return line
    return None


def links(text: str) -> Iterator[tuple[int, str]]:
    """Line and address of every link and picture outside of code blocks."""
    prose = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for link in _LINK.finditer(prose):
        yield prose.count("\n", 0, link.start()) + 1, link[1] or link[2]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes from the headings of a document."""
    prose = _BLOCK.sub("", text)
    headings = re.findall(r"^#+ +(.*?) *$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
