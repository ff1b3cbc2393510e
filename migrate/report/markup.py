"""HTML that cannot be broken by data: elements are built from parts that are already HTML, and text becomes HTML here only, escaped.

Pure. A sentence is written in both languages; the page shows one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final, NewType

from migrate.report.visible import Piece, Pieces, name_of, pieces
from migrate.report.words import PAGE
from migrate.verify.notes import Note

Html = NewType("Html", str)
"""Well-formed HTML; made by this module only."""

NOTHING: Final = Html("")
LANGUAGES: Final = (("en", 0), ("zh-CN", 1))


def text(value: object) -> Html:
    """Any value as text, escaped. For what comes out of the data, `data` also shows what is invisible in it."""
    return Html(escape(str(value), quote=True))


def joined(parts: Iterable[Html], between: Html = NOTHING) -> Html:
    """The parts, one after the other."""
    return Html(between.join(parts))


def tag(name: str, *children: Html, css: str = "", **attributes: str) -> Html:
    """An element; `css` is its class, and an underscore in the name of an attribute stands for a hyphen."""
    given = {"class": css, **attributes} if css else attributes
    written = "".join(f' {key.replace("_", "-")}="{escape(value, quote=True)}"' for key, value in given.items())
    return Html(f"<{name}{written}>{''.join(children)}</{name}>")


def both(key: str, **values: object) -> Html:
    """The text of a key in both languages, with its values escaped."""
    return joined(
        tag("span", text(PAGE[key][column].format(**values)), lang=language) for language, column in LANGUAGES
    )


def remark(note: Note) -> Html:
    """A remark in both languages; what of the data is in it is shown as data."""
    return told(note.text(), note.text(chinese=True))


def told(english: str, chinese: str) -> Html:
    """A sentence with data in it, in both languages; written once where they are the same."""
    if english == chinese:
        return data(english)
    sentences = zip(LANGUAGES, (english, chinese), strict=True)
    return joined(tag("span", data(sentence), lang=language) for (language, _), sentence in sentences)


def word(family: str, name: str) -> Html:
    """A word out of the data in both languages, such as a cause; one that no text knows stays as it is."""
    key = f"{family}_{name}"
    return both(key) if key in PAGE else text(name.replace("_", " "))


def data(value: str | None) -> Html:
    """A text of the data: NULL and the empty text are words, and invisible characters carry their code points."""
    return shown(None if value is None else pieces(value))


def shown(parts: Pieces | None) -> Html:
    """The pieces of a text; what differs is marked."""
    if parts is None:
        return tag("span", text("NULL"), css="null")
    if not parts:
        return tag("span", both("empty_text"), css="null")
    return tag("span", *(_piece(part) for part in parts), css="v", translate="no")


def characters(*sides: Pieces | None) -> Html:
    """The names of the characters that carry a code point on these sides; nothing if there are none."""
    named = {part.text: part.label for side in sides for part in side or () if part.code}
    if not named:
        return NOTHING
    names = (
        tag(
            "span",
            tag("code", text(label)),
            text(" "),
            *(tag("span", text(name_of(char, chinese=bool(column))), lang=language) for language, column in LANGUAGES),
            css="name",
        )
        for char, label in named.items()
    )
    return tag("div", *names, css="names")


def table(headings: Iterable[Html], rows: Iterable[Iterable[Html]], *, css: str = "", numbers: int = 0) -> Html:
    """A table that scrolls inside of its own width; the last `numbers` columns are aligned right.

    Each cell also carries its heading, for pages too narrow for columns.
    """
    heads = tuple(headings)
    styles = tuple("n" if position >= len(heads) - numbers else "" for position in range(len(heads)))
    head = tag("tr", *(tag("th", each, css=style, scope="col") for each, style in zip(heads, styles, strict=True)))
    body = (
        tag(
            "tr",
            *(
                tag("td", tag("span", heading, css="label"), tag("div", cell), css=style)
                for heading, cell, style in zip(heads, row, styles, strict=True)
            ),
        )
        for row in rows
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), css=css), css="scroll")


def facts(pairs: Iterable[tuple[Html, Html]], *, css: str = "facts") -> Html:
    """Names with their values, as a list of definitions."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), css=css)


def _piece(part: Piece) -> Html:
    if part.left_out:
        content = tag(
            "span", text("… "), both("left_out_characters", count=f"{part.left_out:,}"), text(" …"), css="gap"
        )
    elif part.code:
        content = tag("span", text(part.glyph), tag("small", text(part.label)), css="cp", title=name_of(part.text))
    else:
        content = text(part.text)
    return tag("mark", content) if part.differs else content
