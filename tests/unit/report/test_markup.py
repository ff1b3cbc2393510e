"""Elements are whole whatever is put into them."""

from __future__ import annotations

from migrate.report.markup import NOTHING, both, characters, data, facts, table, tag, text
from migrate.report.visible import compared, pieces
from tests.unit.report.pages import read


def test_attributes_are_escaped() -> None:
    """A value cannot end its attribute, nor begin an element."""
    page = read(tag("p", css='a"><script>', title="<b>&amp;'\"", aria_hidden="true"))
    assert [(each.name, each.attributes) for each in page.elements] == [
        ("p", {"class": 'a"><script>', "title": "<b>&amp;'\"", "aria-hidden": "true"})
    ]


def test_text_stays_text() -> None:
    """Markup, entities and braces in a text or in the value of a sentence are shown as they are."""
    hostile = "</p><b>&amp;{count}"
    assert read(tag("p", text(hostile))).text("en") == hostile
    assert hostile in read(both("totals_agree", groups=hostile)).text("zh-CN")
    assert read(data(hostile)).text("en") == hostile


def test_each_character_is_named_once() -> None:
    """Below a value stand the names of its marked characters, and nothing if it has none."""
    left, right = compared("a\u3000b\u3000", "ab")
    assert read(characters(left, right)).text("en") == "U+3000 ideographic space"
    assert characters(pieces("ab"), None) == NOTHING


def test_cells_carry_their_headings() -> None:
    """A narrow page shows each cell beside its heading; numbers are aligned right in head and body."""
    page = read(table([text("name"), text("sum")], [[text("net"), text("1.00")]], numbers=1))
    assert [each.attributes.get("class") for each in page.named("th")] == [None, "n"]
    assert [each.attributes.get("class") for each in page.named("td")] == [None, "n"]
    assert page.text("en") == "namesum" + "namenet" + "sum1.00"
    assert read(facts([(text("a"), text("b"))])).text("en") == "ab"
