"""Hostile values of every logical type, as Hypothesis strategies, and Arrow tables that are cut in awkward places."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.values import LogicalType

Rows = list[dict[str, Any]]

NASTY = [
    "",
    " ",
    "\x00",
    "N;",
    "S1:a;",
    ";",
    ":",
    "a",
    "ab",
    "发票",
    "﨎",
    "\ue000",
    "😀",
    "é",
    "e\u0301",
    "\u3000",
    "ﬀ",
    "İ",
    "\r\n",
]
LONG = ["x" * 1023, "x" * 1024, "x" * 65_536, "x" * 65_537, "发" * 21_845, "发" * 21_846 + " ", "😀" * 20_000]

texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=12),
    st.lists(st.sampled_from(NASTY), max_size=6).map("".join),
    st.sampled_from(LONG),
)
integers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 2**63 - 1, -(2**63)]), st.integers(-9, 9)
)
wide_integers = st.one_of(st.integers(-(10**38) + 1, 10**38 - 1), integers)
moments = st.one_of(
    st.datetimes(),
    st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)]),  # noqa: DTZ001 - no zone,
)
floats = st.floats(width=64, allow_nan=True) | st.sampled_from([0.0, -0.0, float("nan"), -float("nan"), 5e-324])
plain_decimals = st.one_of(
    st.from_regex(r"-?[0-9]{1,45}(\.[0-9]{1,45})?", fullmatch=True),
    st.from_regex(r"-?0{0,3}[0-9]{0,3}(\.0{0,3}[0-9]{0,2}0{0,3})?", fullmatch=True),
    st.sampled_from(["NaN", "1e5", "-0", "0.00", "1.", ".5", "+1", "1\n", " 1", "１", ""]),
)
uuids = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: str(u).upper()),
    st.uuids().map(lambda u: f"{{{u}}}"),
    st.sampled_from(NASTY),
)
json_texts = st.one_of(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ).map(json.dumps),
    st.sampled_from(['{"a":1,"a":2}', "NaN", "[", "", "1e2", "-0", "1.50", '{"b":1,"a":2}', '"\\ud800"', " [1 , 2] "]),
)


def exact_decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    """All decimals that decimal128(precision, scale) can hold, negative zero too."""
    largest = 10**precision - 1
    whole = st.integers(-largest, largest) | st.sampled_from([0, 1, -1, largest, -largest])
    numbers = whole.map(lambda units: Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -scale)))
    return numbers | st.just(Decimal((1, (0,), -scale)))


@st.composite
def decimal_types(draw: st.DrawFn) -> LogicalType:
    """Decimals of every scale, in both Arrow forms."""
    precision = draw(st.integers(1, 38) | st.just(60))
    return LogicalType("decimal", precision, draw(st.integers(0, min(precision, 38))))


SIMPLE: dict[LogicalType, st.SearchStrategy[Any]] = {
    LogicalType("integer"): integers,
    LogicalType("integer", low=-(10**38)): wide_integers,
    LogicalType("decimal"): plain_decimals,
    LogicalType("float"): floats,
    LogicalType("boolean"): st.booleans(),
    LogicalType("date"): st.dates(),
    LogicalType("time"): st.times() | st.times().map(lambda moment: moment.replace(microsecond=0)),
    LogicalType("timestamp"): moments,
    LogicalType("instant"): moments.map(lambda moment: moment.replace(tzinfo=UTC)),
    LogicalType("text"): texts,
    LogicalType("text", keeps_spaces=False): texts,
    LogicalType("bytes"): st.binary(max_size=80),
    LogicalType("uuid"): uuids,
    LogicalType("json"): json_texts,
}
logical_types = st.sampled_from(sorted(SIMPLE, key=repr)) | decimal_types()


def values_of(logical: LogicalType) -> st.SearchStrategy[Any]:
    """Values of the type, and NULL."""
    if logical in SIMPLE:
        strategy = SIMPLE[logical]
    elif logical.exact_decimal:
        strategy = exact_decimals(logical.precision or 0, logical.scale or 0)
    else:
        strategy = plain_decimals
    return st.none() | strategy


@dataclass(frozen=True)
class Sample:
    """Rows with the types of their columns, in the order in which they were declared."""

    types: Mapping[str, LogicalType]
    rows: Rows

    @property
    def contract(self) -> Contract:
        """The contract over all columns; the first one is the key."""
        return Contract(tuple(self.types.items()), (next(iter(self.types)),))

    def table(self, cuts: Sequence[int] = (), *, large: bool = False) -> pa.Table:
        """The rows in Arrow, one chunk between two cuts, each chunk a slice out of a longer array."""
        return pa.table(
            {name: self._column(name, sorted({0, len(self.rows), *cuts}), large=large) for name in self.types}
        )

    def _column(self, name: str, borders: list[int], *, large: bool) -> pa.ChunkedArray:
        arrow = _large(self.types[name].arrow) if large else self.types[name].arrow
        values = [row[name] for row in self.rows]
        whole = pa.array([*values, *values[:1], None], arrow)
        return pa.chunked_array([whole.slice(a, b - a) for a, b in pairwise(borders)], arrow)


def _large(arrow: pa.DataType) -> pa.DataType:
    return {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(arrow, arrow)


@st.composite
def samples(draw: st.DrawFn, *, least: int = 0, most: int = 6) -> Sample:
    """A few rows of a few columns of any types."""
    names = draw(
        st.lists(
            st.sampled_from(["a", "Z", "no", "No", "金额", "税额", "😀", "\ue000"]), min_size=1, max_size=4, unique=True
        )
    )
    types = {name: draw(logical_types) for name in names}
    row = st.fixed_dictionaries({name: values_of(logical) for name, logical in types.items()})
    return Sample(types, draw(st.lists(row, min_size=least, max_size=most)))
