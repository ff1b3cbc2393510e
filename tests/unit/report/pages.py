"""Reads a page as a browser would, and refuses what is not well-formed."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "input", "br"}


@dataclass
class Element:
    """A start tag, with its attributes and the names of what it stands in."""

    name: str
    attributes: dict[str, str | None]
    within: tuple[str, ...]


@dataclass
class Page:
    """What a parser found: elements in order, and texts with the language that they are shown in (None: in both)."""

    elements: list[Element] = field(default_factory=list)
    texts: list[tuple[str | None, str]] = field(default_factory=list)

    def text(self, lang: str) -> str:
        """All text that a reader of that language sees, without breaks."""
        return "".join(text for language, text in self.texts if language in (None, lang))

    def named(self, name: str) -> list[Element]:
        """The elements of a name."""
        return [each for each in self.elements if each.name == name]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), tuple(each.name for each in self.open))
        assert len(element.attributes) == len(attrs), f"an attribute of <{tag}> is given twice"
        self.page.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop().name == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        languages = [each.attributes.get("lang") for each in self.open if each.name not in ("html", "label")]
        self.page.texts.append((next((each for each in languages if each), None), data))


def read(html: str) -> Page:
    """The page, every element of which is ended in its place."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, f"never ended: {[each.name for each in reader.open]}"
    return reader.page
