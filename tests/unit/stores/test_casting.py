"""Text becomes exactly the value that it writes, or is marked; the values around it are not disturbed."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.stores.casting import either, joined_reasons, parse_text, shortest_decimals, valid_utf8
from migrate.values import LogicalType


def parsed(logical: LogicalType, texts: list[str | None]) -> tuple[list[Any], list[bool]]:
    """(values, which are marked)."""
    values, bad = parse_text(pa.array(texts, pa.string()), logical)
    assert values.type == logical.arrow
    return values.to_pylist(), [False] * len(texts) if bad is None else bad.to_pylist()


@pytest.mark.parametrize(
    ("logical", "texts", "values"),
    [
        (LogicalType("integer"), ["007", "-9223372036854775808", "9223372036854775808", "1.0", " 1", ""], [7, -(2**63), None, None, None, None]),
        (LogicalType("integer", high=2**64), ["18446744073709551615", "x"], [Decimal(2**64 - 1), None]),
        (LogicalType("decimal", precision=18, scale=2), ["1.5", "1.005", "1e2", "99999999999999999.99", "１"], [Decimal("1.50"), None, Decimal("100.00"), None, None]),
        (LogicalType("decimal"), ["1e-7", "00.10", "1_0", " 1", "nan", None], ["0.0000001", "00.10", None, None, None, None]),
        (LogicalType("float"), ["5e-324", "-0", "x"], [5e-324, -0.0, None]),
        (LogicalType("boolean"), ["0", "1"], [False, True]),
        (LogicalType("date"), ["2024-02-29", "2023-02-29", "0000-00-00", "20240229"], [date(2024, 2, 29), None, None, None]),
        (LogicalType("time"), ["23:59:59.999999", "24:00:00", "-00:00:01", None], [time(23, 59, 59, 999999), None, None, None]),
        (LogicalType("timestamp"), ["2025-01-02 03:04:05.6", "2025-01-02T03:04:05Z", "2025-01-02 03:04:05.1234567"], [datetime(2025, 1, 2, 3, 4, 5, 600000), None, None]),  # noqa: DTZ001
        (LogicalType("instant"), ["2025-01-02 08:00:00+08:00", "2025-01-02 08:00:00"], [datetime(2025, 1, 2, tzinfo=UTC), None]),
    ],
)  # fmt: skip
def test_texts_are_parsed_exactly(logical: LogicalType, texts: list[str | None], values: list[Any]) -> None:
    """Whatever the type cannot hold exactly is NULL and marked; NULL itself is not marked."""
    found, marks = parsed(logical, texts)
    assert found == values
    assert marks == [value is None and text is not None for text, value in zip(texts, values, strict=True)]


@given(
    st.lists(
        st.one_of(st.none(), st.just("x"), st.decimals(-(10**15), 10**15, places=2).map(str)), min_size=1, max_size=40
    )
)
def test_bad_texts_are_found_among_any_number(texts: list[str | None]) -> None:
    """Halving finds exactly the texts that are no numbers."""
    values, marks = parsed(LogicalType("decimal", precision=18, scale=2), texts)
    assert marks == [text == "x" for text in texts]
    assert values == [None if text in (None, "x") else Decimal(text) for text in texts]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=4), st.text(max_size=4).map(str.encode)), min_size=1))
def test_only_utf8_is_text(values: list[bytes | None]) -> None:
    """Bytes that are no UTF-8 are marked and NULL, everything else is the same text."""

    def text(value: bytes) -> str | None:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None

    found, bad = valid_utf8(pa.array(values, pa.binary()))
    expected = [None if value is None else text(value) for value in values]
    assert found.to_pylist() == expected
    marks = [False] * len(values) if bad is None else bad.to_pylist()
    assert marks == [value is not None and result is None for value, result in zip(values, expected, strict=True)]


@given(st.decimals(-(10**12), 10**12, places=3))
def test_decimals_of_fifteen_digits_survive_a_float(value: Decimal) -> None:
    """What was stored as a decimal of at most 15 digits is read back as that decimal."""
    texts, bad = shortest_decimals(pa.array([float(value)]))
    assert bad is None
    assert Decimal(texts[0].as_py()) == value


def test_floats_that_are_no_decimals_are_marked() -> None:
    """A sum with more digits than a decimal keeps, infinity and NaN."""
    texts, bad = shortest_decimals(pa.array([0.1 + 0.2, 0.3, float("inf"), float("nan"), None, 1e300, 100000.0]))
    assert bad is not None
    assert bad.to_pylist() == [True, False, True, True, False, False, False]
    assert texts.to_pylist() == [None, "0.3", None, None, None, "1e+300", "100000"]


@given(st.lists(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b; c"])), min_size=3, max_size=3), max_size=4))
def test_reasons_are_joined_row_by_row(reasons: list[list[str | None]]) -> None:
    """No row is dropped, whatever is NULL; a row without reasons has NULL."""
    joined = joined_reasons([pa.array(column, pa.string()) for column in reasons], 3)
    expected = ["; ".join(text for column in reasons if (text := column[row]) is not None) or None for row in range(3)]
    assert joined.to_pylist() == expected


def test_masks_are_united() -> None:
    """Each of two masks may be None."""
    first, second = pa.array([True, False]), pa.array([False, False])
    assert either(None, None) is None
    assert either(first, None) is first
    assert either(None, second) is second
    both = either(first, second)
    assert both is not None
    assert both.to_pylist() == [True, False]
