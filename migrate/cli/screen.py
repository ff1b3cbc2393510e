"""Where a command shows things: results on stdout (a table, or with `--json` exactly one document), all else on stderr.

Text is shown as it is: brackets and colons in data are never taken for markup. Nothing is cut; long cells are folded.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from migrate.cli.pasting import Typed
from migrate.cli.texts import Lang, Say, translator

PLAIN_WIDTH: Final = 120
"""Columns of output that goes to a file or pipe, unless COLUMNS says otherwise."""

_UNBOUNDED: Final = 10_000
STATE_STYLES: Final = {
    "running": "cyan",
    "complete": "green",
    "paused": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "rolling_back": "magenta",
    "rolled_back": "magenta",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options that every command has were set to."""

    as_json: bool = False
    lang: Lang = "en"
    log_file: Path | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Screen:
    """The two streams of a command, and the language that it speaks.

    Attributes:
        say: finds a text by its key, in the user's language.
        out: stdout, for results.
        err: stderr, for everything else.
        typed: the command line, for commands that a message names.
    """

    def __init__(self, settings: Settings, typed: Typed | None = None) -> None:
        self.settings = settings
        self.typed = typed
        self.say: Say = translator(settings.lang)
        self.out = console(sys.stdout)
        self.err = console(sys.stderr)

    def complete(self, text: str) -> str:
        """The text with the commands that it names completed by what was typed, so that they can be pasted."""
        return text if self.typed is None else self.typed.complete(text)

    def result(self, document: object, *renderables: RenderableType) -> None:
        """Show the result: the document with `--json`, else the renderables."""
        if self.settings.as_json:
            write_json(document)
        else:
            self.show(*renderables)

    def show(self, *renderables: RenderableType) -> None:
        """Show tables and texts, one below the other."""
        if self.out.is_terminal:
            self._print(renderables)
            return
        # Padding to the width of the page is of no use in a file, and in the way of whoever compares it.
        with self.out.capture() as captured:
            self._print(renderables)
        self.text("\n".join(line.rstrip() for line in captured.get().splitlines()))
        sys.stdout.flush()

    def _print(self, renderables: Iterable[RenderableType]) -> None:
        for each in renderables:
            # A line that is to stay whole is left to the terminal, which breaks it and copies it whole; rich would cut it.
            self.out.print(each, soft_wrap=isinstance(each, Text) and bool(each.no_wrap))

    def lines(self, document: object, *lines: Text) -> None:
        """Show a result whose lines are for editors and other programs: they are never broken."""
        if self.settings.as_json:
            write_json(document)
        else:
            for line in lines:
                self.out.print(line, soft_wrap=True)

    def text(self, text: str) -> None:
        """Put text on stdout unchanged, neither wrapped nor styled (DDL, files)."""
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")

    def note(self, text: str) -> None:
        """A sentence for people, on stderr; left to the terminal to break, so that a command in it can be copied."""
        self.err.print(Text(text, style="dim"), soft_wrap=True)

    def natural_width(self, table: Table) -> int:
        """Columns that a table needs to have none of its cells folded."""
        return self.out.measure(table, options=self.out.options.update(width=_UNBOUNDED)).maximum

    def table(self, *headings: str, numbers: Iterable[int] = ()) -> Table:
        """An empty table with these headings (keys of texts); the columns in `numbers` are aligned right."""
        right = frozenset(numbers)
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
        for position, key in enumerate(headings):
            made.add_column(self.say(key), justify="right" if position in right else "left", overflow="fold")
        return made


def console(stream: TextIO) -> Console:
    """A console that shows text as it is; colours only on a terminal, and not where NO_COLOR is set."""
    width = None if stream.isatty() else int(os.environ.get("COLUMNS") or PLAIN_WIDTH)
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width, soft_wrap=False)


def write_json(document: object) -> None:
    """Write one JSON document to stdout, in UTF-8 whatever the locale is."""
    text = json.dumps(document, ensure_ascii=False, indent=1, default=_plain)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()


def add_rows(table: Table, rows: Iterable[Sequence[Any]]) -> Table:
    """The table with these rows; NULL is shown as a dim word, which no text of that spelling is."""
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    return table


def cell(value: Any) -> Text:
    """A value as shown in a table."""
    if value is None:
        return Text("NULL", style="dim italic")
    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        return Text(str(value).lower())
    if isinstance(value, bytes):
        return Text(f"0x{value.hex()}")
    return Text(_visible(str(value)))


def _visible(text: str) -> str:
    # A control character would move the cursor or end the line; a newline in a cell is shown, not obeyed.
    return "".join(char if char.isprintable() or char == " " else repr(char)[1:-1] for char in text)


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
