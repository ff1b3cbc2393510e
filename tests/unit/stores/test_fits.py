"""A value fits a column exactly or is named; nothing in between."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import ConstraintViolation
from migrate.stores.fits import check_fits, misfits
from migrate.values import Column, LogicalType, TableShape

EXACT = pa.decimal128(38, 6)


def judged(logical: LogicalType, values: list[Any], arrow: pa.DataType | None = None) -> list[bool]:
    """Which of the values do not fit."""
    bad = misfits(logical, pa.array(values, arrow or logical.arrow))
    return [False] * len(values) if bad is None else bad.to_pylist()


@pytest.mark.parametrize(
    ("logical", "values", "expected"),
    [
        (LogicalType("integer", low=-128, high=127), [127, -128, 128, -129, None], [False, False, True, True, False]),
        (LogicalType("float", bits=32), [0.5, 0.1, float("inf"), 1e300], [False, True, False, True]),
        (LogicalType("text", length=2), ["发票", "a😀b", "", None], [False, True, False, False]),
        (LogicalType("text", max_bytes=4), ["abcd", "发票"], [False, True]),
        (LogicalType("text", max_bytes=4, charset="gbk"), ["发票", "发票a"], [False, True]),
        (LogicalType("text", charset="utf8mb3"), ["发票", "𠮷", "😀"], [False, True, True]),
        (LogicalType("text", charset="gbk"), ["发票", "𠮷", "abc", None], [False, True, False, False]),
        (LogicalType("text", nul=False), ["a\0", "a"], [True, False]),
        (LogicalType("text", keeps_spaces=False), ["a ", " a", " "], [True, False, True]),
        (LogicalType("bytes", length=2), [b"ab", b"abc"], [False, True]),
        (LogicalType("date", earliest="1000-01-01"), [date(999, 12, 31), date(1000, 1, 1)], [True, False]),
        (LogicalType("time", fraction=3), [time(1, 2, 3, 4000), time(1, 2, 3, 4)], [False, True]),
        (LogicalType("timestamp", fraction=0), [datetime(1969, 1, 1), datetime(1969, 1, 1, 0, 0, 0, 1)], [False, True]),  # noqa: DTZ001
        (
            LogicalType("instant", earliest="1970-01-01T00:00:01", latest="2038-01-19T03:14:07.999999"),
            [datetime(1970, 1, 1, tzinfo=UTC), datetime(2038, 1, 19, 3, 14, 7, 999999, UTC), datetime(2038, 1, 19, 3, 14, 8, 0, UTC)],
            [True, False, True],
        ),
        (LogicalType("decimal", precision=65, scale=2), ["1.00", "1.001", "1.0010", "x", "", "1e3", "-0001.1"], [False, True, True, True, True, True, False]),
    ],
)  # fmt: skip
def test_what_fits(logical: LogicalType, values: list[Any], expected: list[bool]) -> None:
    """Each fact of a logical type is checked, NULL always fits."""
    assert judged(logical, values) == expected


@given(
    st.lists(st.decimals(-(10**8), 10**8, places=6), min_size=1),
    st.integers(1, 20).flatmap(lambda precision: st.tuples(st.just(precision), st.integers(0, min(precision, 8)))),
)
def test_decimals_fit_when_they_have_no_more_digits(values: list[Decimal], digits: tuple[int, int]) -> None:
    """A decimal fits exactly when rounding to the column's scale changes nothing and the whole part has room."""
    precision, scale = digits
    step = Decimal(1).scaleb(-scale)
    expected = [value % step != 0 or abs(value) >= 10 ** (precision - scale) for value in values]
    assert judged(LogicalType("decimal", precision=precision, scale=scale), values, EXACT) == expected


@given(st.lists(st.integers(-(2**64), 2**64), min_size=1), st.integers(-(2**64), 0), st.integers(0, 2**64))
def test_integers_beyond_int64_are_compared_exactly(values: list[int], low: int, high: int) -> None:
    """Bounds hold for integers that only a decimal can carry."""
    decimals = [Decimal(value) for value in values]
    expected = [not low <= value <= high for value in values]
    assert judged(LogicalType("integer", low=low, high=high), decimals, pa.decimal128(38, 0)) == expected


def test_the_first_misfit_is_named() -> None:
    """The error names column, type and value, or the column that may not be NULL."""
    shape = TableShape(
        "t",
        (
            Column("v", LogicalType("text", length=2), declared="VARCHAR(2)"),
            Column("n", LogicalType("text"), nullable=False),
        ),
    )
    with pytest.raises(ConstraintViolation, match=r"v VARCHAR\(2\) cannot hold 'abc' exactly") as caught:
        check_fits(shape, pa.table({"v": ["ab", "abc"]}))
    assert caught.value.kind == "value"
    with pytest.raises(ConstraintViolation, match="n is NULL in 1 rows") as caught:
        check_fits(shape, pa.table({"n": pa.array([None], pa.string())}))
    assert caught.value.kind == "not_null"
    check_fits(shape, pa.table({"v": ["ab", None], "n": ["", "x"]}))
