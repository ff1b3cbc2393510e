"""Showing two texts side by side loses nothing and hides no difference."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrate.report.visible import compared, pieces

# Few characters, so that the texts have much in common: look-alikes, spaces, marks, halves of pairs.
TEXTS = st.text(st.sampled_from("aАａ \u3000\u200b\u0301é\ud800一—"), max_size=12) | st.text(max_size=20)


@given(TEXTS, TEXTS)
def test_what_is_not_marked_is_the_same_on_both_sides(expected: str, actual: str) -> None:
    """The pieces make up the texts, the unmarked ones are equal, and equal texts have no mark."""
    left, right = compared(expected, actual)
    assert left is not None
    assert right is not None
    assert "".join(part.text for part in left) == expected
    assert "".join(part.text for part in right) == actual
    same = ["".join(part.text for part in side if not part.differs) for side in (left, right)]
    assert same[0] == same[1]
    assert any(part.differs for part in left + right) == (expected != actual)


@given(TEXTS)
def test_a_shown_text_holds_no_invisible_character(text: str) -> None:
    """Outside of pieces with a code point, every character can be printed; a space stands between others."""
    shown = "".join(part.text for part in pieces(text) if not part.code)
    assert all(char.isprintable() for char in shown)
