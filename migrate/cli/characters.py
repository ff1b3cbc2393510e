"""Texts of the data on the terminal: what the eye does not see carries its code point, and what is too long is counted."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from migrate.cli.screen import Screen
from migrate.report.visible import Piece, Pieces, pieces
from migrate.units import count_text

_DIFFERS: Final = "bold yellow"
_CODE: Final = "bold magenta"


def side_text(parts: Pieces | None, absent: str, screen: Screen) -> Text:
    """One side of a comparison, or a value by itself; `absent` stands where there is none."""
    if parts is None:
        return Text(absent, style="dim italic")
    if not parts:
        return Text(screen.say("empty_text"), style="dim italic")
    return Text.assemble(*(_piece(part, screen) for part in parts))


def _piece(part: Piece, screen: Screen) -> tuple[str, str]:
    if part.left_out:
        return f"… {screen.say('left_out_characters', count=count_text(part.left_out))} …", "dim"
    if part.code:
        return part.written, _CODE
    return part.text, _DIFFERS if part.differs else ""


def data_text(value: str | None, style: str = "") -> Text:
    """A text of the data, with its invisible characters; nothing is left out."""
    if value is None:
        return Text("NULL", style="dim italic")
    parts = pieces(value, whole=True)
    return Text.assemble(*((part.written, _CODE if part.code else style) for part in parts))
