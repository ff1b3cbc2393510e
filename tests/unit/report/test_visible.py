"""Differences that the eye misses get code points; those that it sees do not."""

from __future__ import annotations

import pytest

from migrate.report.visible import LONGEST, Pieces, compared, name_of, pieces


def written(parts: Pieces | None) -> str:
    """The pieces as one text: `[…]` around what differs, `<U+…>` for a code point."""
    if parts is None:
        return "NULL"
    return "".join(
        ("[{}]" if part.differs else "{}").format(
            f"~{part.left_out}~" if part.left_out else f"{part.glyph}<{part.label}>" if part.code else part.text
        )
        for part in parts
    )


@pytest.mark.parametrize(
    ("expected", "actual", "left", "right"),
    [
        ("100.00", "1.00", "1[00].00", "1.00"),
        ("张三", "李四", "[张三]", "[李四]"),
        ("a", "a ", "a", "a[␣<U+0020>]"),
        ("a b", "ab", "a[␣<U+0020>]b", "ab"),
        ("ab cd", "", "[ab cd]", ""),
        ("a b", "a\u00a0b", "a[␣<U+0020>]b", "a[<U+00A0>]b"),
        ("公司", "公\u200b司", "公司", "公[<U+200B>]司"),
        ("A1", "Ａ1", "[A<U+0041>]1", "[Ａ<U+FF21>]1"),
        ("A1", "А1", "[A<U+0041>]1", "[А<U+0410>]1"),
        ("é", "e\u0301", "[é<U+00E9>]", "[e<U+0065>][◌\u0301<U+0301>]"),
        ("阿·力", "阿•力", "阿[·<U+00B7>]力", "阿[•<U+2022>]力"),
        ("户", "戸", "[户<U+6237>]", "[戸<U+6238>]"),
        ("豈", "\uf900", "[豈<U+8C48>]", "[\uf900<U+F900>]"),
        ("丽", "?", "[丽]", "[?]"),
        ("丽", "\ufffd", "[丽]", "[\ufffd<U+FFFD>]"),
        ("x\ud800", "x", "x[<U+D800>]", "x"),
        (None, "a", "NULL", "[a]"),
        ("", None, "", "NULL"),
    ],
)
def test_the_part_that_differs_is_told_apart(expected: str | None, actual: str | None, left: str, right: str) -> None:
    """What differs is marked; code points stand where two parts look alike, or where a character cannot be seen."""
    shown = compared(expected, actual)
    assert (written(shown[0]), written(shown[1])) == (left, right)


def test_invisible_characters_are_shown_without_a_comparison() -> None:
    """A key that holds a zero-width space or ends in a space does not look like one that holds none; common spaces stay text."""
    assert written(pieces(" a b\u200b c ")) == "␣<U+0020>a b<U+200B> c␣<U+0020>"
    assert written(pieces("发票　号")) == "发票<U+3000>号"


def test_long_texts_are_shown_by_their_differences() -> None:
    """Of long runs, the ends and the number of the rest are shown; how long it takes does not explode."""
    same = "一" * 60_000
    left, right = compared(f"{same}甲{same}", f"{same}乙{same}")
    assert written(left) == f"{'一' * 60}~59880~{'一' * 60}[甲]{'一' * 60}~59880~{'一' * 60}"
    assert written(right).count("[乙]") == 1
    left, right = compared("ab" * 30_000, "ba" * 20_000)
    assert all(sum(len(part.text) for part in side or ()) < 2 * LONGEST for side in (left, right))
    assert sum(len(part.text) + part.left_out for part in left or ()) == 60_000
    assert pieces(same, whole=True)[0].text == same


def test_characters_have_names_in_both_languages() -> None:
    """A name of the table, of Unicode, or none; the Chinese one says what width a character has."""
    assert (name_of("\u3000"), name_of("\u3000", chinese=True)) == ("ideographic space", "全角空格")
    assert (name_of("（"), name_of("（", chinese=True)) == ("fullwidth left parenthesis", "全角 (")
    assert name_of("(", chinese=True) == "半角 ("
    assert name_of("户", chinese=True) == "汉字"
    assert name_of("\uf900", chinese=True) == "兼容汉字"
    assert name_of("\u0301", chinese=True).startswith("组合符号")
    assert (name_of("\x1b"), name_of("\x1b", chinese=True)) == ("control character", "控制字符")
