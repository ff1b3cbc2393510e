"""Canonical JSON: one text for a document, and nothing that a document could hide behind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.signing.canonical import canonical_digest, canonical_json, parse_strictly

documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_a_document_comes_back_from_its_text(document: Any) -> None:
    """Reading the text gives the document, and the document the same text again, whatever the order of its members."""
    text = canonical_json(document)
    assert parse_strictly(text) == document
    if isinstance(document, dict):
        turned = dict(reversed(list(document.items())))
        assert canonical_json(turned) == text
        assert canonical_digest(turned) == canonical_digest(document)


def test_the_text_is_that_of_rfc_8785() -> None:
    """The example of section 3.2.3: members in the order of UTF-16 code units, only what must be escaped is."""
    names = {"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew", "1": "One", "\U0001f600": "Smiley",
             "\u0080": "Control", "\u00f6": "Latin"}  # fmt: skip
    assert list(parse_strictly(canonical_json(names))) == [
        "\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"
    ]  # fmt: skip
    assert canonical_json({"b": [1, None, True], "a": '\x07\b"\\/€'}) == '{"a":"\\u0007\\b\\"\\\\/€","b":[1,null,true]}'


@pytest.mark.parametrize("value", [1.5, 2**53, {1: "a"}, b"bytes", "\ud800", {"a": [float("nan")]}])
def test_what_has_no_one_text_is_refused(value: object) -> None:
    """Floats, integers that some readers round, names that are no texts, bytes and half characters have none."""
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeEncodeError is one too
        canonical_json(value)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "[1.0]", "[1e3]", "[NaN]", "[9007199254740992]", "{", "[" * 99_999])
def test_what_a_document_could_hide_behind_is_refused(text: str) -> None:
    """A member that is there twice, numbers that are no plain integers, and text that is no JSON."""
    with pytest.raises(ValueError):  # noqa: PT011 - each kind has words of its own
        parse_strictly(text)
