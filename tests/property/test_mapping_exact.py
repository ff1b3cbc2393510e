"""A value comes through the mapping exactly as it is, or not at all: converters against Python's own decimals, dates and codecs."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.values import INT64_HIGH, INT64_LOW, LogicalType
from tests.unit.mapping.harness import TEXT, Rejected, convert

LISTS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

hostile = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="0123456789.-+eE_, xX'\"()%￥¥元０１２９．，（）\u3000\u00a0\u200b\t\n\0", max_size=14),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20).map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.sampled_from(["12.7", " 0x1F", "1e3", "1_000", " 12 ", "0x1F", "1e400", "NaN", "inf", "-0", "-0.00", "+5", "00012", ".5", "5.", "１２", "1O0.00", "", " ", "--", "NULL", "1,234.50", "(1.00)", "9" * 38, "9" * 39, "1.005", "1.0050", "99999999999999999.99"]),
)  # fmt: skip
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


def number(text: str) -> Decimal | None:
    """The number that a text plainly is."""
    return Decimal(text) if NUMBER.fullmatch(text) else None


WIDE = Context(prec=120)


def holds(value: Decimal, precision: int, scale: int) -> bool:
    """Does a decimal(precision, scale) hold this value exactly?"""
    shifted = value.scaleb(scale, context=WIDE)
    return shifted == shifted.to_integral_value(context=WIDE) and abs(shifted) < 10**precision


@LISTS
@given(values=st.lists(hostile, max_size=30), places=st.sampled_from([(18, 2), (5, 0), (38, 13), (18, 6), (38, 38)]))
def test_text_becomes_the_same_decimal_or_none(values: list[str], places: tuple[int, int]) -> None:
    """A text that is a number and fits comes out as exactly that number; every other text rejects its row."""
    precision, scale = places
    found = convert(values, LogicalType("decimal", precision, scale), "x")
    for text, result in zip(values, found, strict=True):
        wanted = number(text)
        if wanted is not None and holds(wanted, precision, scale):
            assert result == wanted, text
        else:
            assert isinstance(result, Rejected), (text, result)
            assert result.rule in ("CAST", "SCALE", "RANGE")


@LISTS
@given(
    values=st.lists(hostile, max_size=30),
    bounds=st.sampled_from([(INT64_LOW, INT64_HIGH), (0, 255), (0, 2**64 - 1), (-(2**15), 2**15 - 1)]),
)
def test_text_becomes_the_same_integer_or_none(values: list[str], bounds: tuple[int, int]) -> None:
    """Only whole numbers in plain digits become integers, and only within the column's bounds, beyond 64 bits too."""
    low, high = bounds
    found = convert(values, LogicalType("integer", low=low, high=high), "x")
    for text, result in zip(values, found, strict=True):
        if re.fullmatch(r"[+-]?[0-9]+", text) and low <= int(text) <= high:
            assert result == int(text)
        else:
            assert isinstance(result, Rejected), (text, result)


@LISTS
@given(
    values=st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**13), max_value=10**13), max_size=30
    )
)
def test_a_decimal_is_never_rounded(values: list[Decimal]) -> None:
    """A finer decimal goes into a coarser column, or into an integer, only if nothing is lost."""
    have = LogicalType("decimal", 20, 6)
    for kind, scale in (
        (LogicalType("decimal", 12, 2), 2),
        (LogicalType("integer", low=INT64_LOW, high=INT64_HIGH), 0),
    ):
        precision = 12 if scale else 19
        for value, result in zip(values, convert(values, kind, "x", have=have), strict=True):
            fits = holds(value, precision, scale)
            assert (result == value) if fits else isinstance(result, Rejected), (value, result)


AMOUNT = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12)
WIDE_DIGITS = str.maketrans("0123456789.,-()", "０１２３４５６７８９．，－（）")
SPELLINGS = {
    "plain": lambda amount: f"{amount:.2f}",
    "currency": lambda amount: f"￥{amount:,.2f}",
    "half currency": lambda amount: f"¥{amount:,.2f}",
    "yuan": lambda amount: f"{amount:,.2f}元",
    "brackets": lambda amount: f"({-amount:,.2f})" if amount < 0 else f"{amount:,.2f}",
    "wide": lambda amount: f"{amount:,.2f}".translate(WIDE_DIGITS),
    "blanks": lambda amount: f"\u3000 {amount:,.2f}\u00a0",
    "sign first": lambda amount: f"-￥{-amount:,.2f}" if amount < 0 else f"￥{amount:,.2f}",
}


@LISTS
@given(amounts=st.lists(AMOUNT, min_size=1, max_size=15), spelling=st.sampled_from(sorted(SPELLINGS)))
def test_money_reads_every_spelling_of_an_amount(amounts: list[Decimal], spelling: str) -> None:
    """Currency signs, thousands, brackets, full-width digits and blanks around do not change an amount."""
    texts = [SPELLINGS[spelling](amount) for amount in amounts]
    assert convert(texts, LogicalType("decimal", 18, 2), "{from: x, clean: money}") == amounts
    assert convert(texts, LogicalType("decimal", 38, 13), "{sql: money(x)}") == amounts


@LISTS
@given(values=st.lists(hostile, max_size=30))
def test_money_as_a_field_and_as_a_function_agree(values: list[str]) -> None:
    """Whatever the text: both forms give the same amount, or both reject, or both find a blank."""
    field = convert(values, LogicalType("decimal", 38, 13), "{from: x, clean: money}")
    function = convert(values, LogicalType("decimal", 38, 13), "{sql: money(x)}")
    for text, one, other in zip(values, field, function, strict=True):
        assert isinstance(one, Rejected) == isinstance(other, Rejected), (text, one, other)
        assert isinstance(one, Rejected) or one == other
        if one is None:
            assert text.strip(" \t\r\n\v\f\u00a0\u3000\u200b\u200c\u200d\u2060\ufeff") == ""


@pytest.mark.parametrize(
    "text",
    ["1O0.00", "1,23.00", "1.2.3", "--1", "-+1", "(-1.00)", "￥", "元", "1e3", "12a", "()", "1 234", "NaN", "五"],
)
def test_money_refuses_what_is_no_amount(text: str) -> None:
    """A letter O is no zero, a comma in the wrong place no thousands: the row is rejected, never repaired by a guess."""
    assert convert([text], LogicalType("decimal", 18, 2), "{from: x, clean: money}") == [Rejected("CAST")]


dates = st.one_of(
    hostile,
    st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)).map(str),
    st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)).map(lambda day: f"{day:%Y%m%d}"),
    st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)).map(lambda day: f"{day.year}年{day.month}月{day.day}日"),
    st.sampled_from(["2025041", "202541", "25-04-13", " 2025-04-13", "2025-04-13 ", "20250230", "0000-00-00", "1900-01-00", "2025/4/3", "12025-04-13", "2025-04-13 10:11:12", "45760", "２０２５0413", "2025-4-3"]),
)  # fmt: skip
FORMATS = {
    "%Y%m%d": re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})"),
    "%Y-%m-%d": re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"),
    "%Y年%m月%d日": re.compile(r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日"),
}


def day(text: str) -> dt.date | None:
    """The day that a text names in one of the formats."""
    for pattern in FORMATS.values():
        found = pattern.fullmatch(text)
        if found:
            try:
                return dt.date(int(found[1]), int(found[2]), int(found[3]))
            except ValueError:
                return None
    return None


@LISTS
@given(values=st.lists(dates, max_size=30))
def test_text_becomes_the_day_that_it_names_or_none(values: list[str]) -> None:
    """Eight digits are a date and seven are none; the 30th of February is no day; blanks and times are not passed over."""
    listed = ", ".join(f'"{fmt}"' for fmt in FORMATS)
    found = convert(values, LogicalType("date"), f"{{from: x, type: date, formats: [{listed}]}}")
    for text, result in zip(values, found, strict=True):
        wanted = day(text)
        assert (result == wanted) if wanted else result == Rejected("CAST"), (text, result)


@LISTS
@given(
    values=st.lists(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)), max_size=20),  # noqa: DTZ001 - without zone on purpose
    digits=st.integers(0, 6),
)
def test_fractions_of_a_second_are_kept_or_the_row_is_rejected(values: list[dt.datetime], digits: int) -> None:
    """A column that keeps fewer digits of a second takes only times that have no more."""
    texts = [value.isoformat(sep=" ", timespec="microseconds") for value in values]
    for value, result in zip(values, convert(texts, LogicalType("timestamp", fraction=digits), "x"), strict=True):
        fits = value.microsecond % 10 ** (6 - digits) == 0
        assert result == (value if fits else Rejected("SCALE"))


@LISTS
@given(
    values=st.lists(st.text(max_size=8), max_size=30),
    charset=st.sampled_from([None, "utf8mb3", "gbk", "big5", "latin1", "ascii"]),
    length=st.integers(0, 8),
    nul=st.booleans(),
)
def test_text_fits_or_its_row_is_rejected(values: list[str], charset: str | None, length: int, *, nul: bool) -> None:
    """Length counts characters; a charset lacks what its codec cannot encode and decode back; U+0000 where the column has none."""
    kind = LogicalType("text", length=length, charset=charset, nul=nul)
    for text, result in zip(values, convert(values, kind, "x"), strict=True):
        fits = len(text) <= length and encodable(text, charset) and (nul or "\0" not in text)
        assert (result == text) if fits else isinstance(result, Rejected), (text, result)


@LISTS
@given(
    values=st.lists(st.text(alphabet="a中é𠮷ßя、ｱ", max_size=6), max_size=20),
    charset=st.sampled_from(["gbk", "gb18030", "big5", "euc_jp", "shift_jis", "iso8859_2", "cp1251"]),
    limit=st.integers(0, 9),
)
def test_bytes_are_counted_as_the_charset_counts_them(values: list[str], charset: str, limit: int) -> None:
    """A column bounded in bytes takes exactly what its own encoding brings below the bound."""
    kind = LogicalType("text", max_bytes=limit, charset=charset)
    for text, result in zip(values, convert(values, kind, "x"), strict=True):
        fits = encodable(text, charset) and len(text.encode(charset)) <= limit
        assert (result == text) if fits else isinstance(result, Rejected), (text, result)


def encodable(text: str, charset: str | None) -> bool:
    """Does a text survive the charset?"""
    if charset is None:
        return True
    if charset == "utf8mb3":
        return all(ord(character) < 0x10000 for character in text)
    codec = "cp1252" if charset == "latin1" else charset
    try:
        return text.encode(codec).decode(codec) == text
    except UnicodeError:
        return False


@LISTS
@given(values=st.lists(st.one_of(st.none(), hostile), max_size=30))
def test_a_plain_copy_changes_nothing(values: list[Any]) -> None:
    """Text, empty text, blanks and NULL are copied as they are."""
    assert convert(values, TEXT, "x") == values


@LISTS
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30))
def test_floating_values_become_decimals_only_by_their_shortest_text(values: list[float]) -> None:
    """`float_text` and a cast give the decimal that the shortest text of the number says, or reject."""
    found = convert(
        values,
        LogicalType("decimal", 18, 2),
        '{sql: "cast(float_text(x) as decimal(18,2))"}',
        have=LogicalType("float"),
    )
    for value, result in zip(values, found, strict=True):
        if isinstance(result, Rejected):
            wanted = Decimal(repr(value))
            assert not holds(wanted, 18, 2) or "e" in repr(value)
        else:
            assert float(result) == value
