"""Which of several units comes first under the mapping's rules, and how the ledger names them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from migrate.mapping.mapped import ORDINAL
from migrate.verify.claims import Claimant, in_claiming_order
from migrate.verify.units import UNIT_PREFIX, VERSION_PREFIX, UnitSet, unit_name, unit_versions, units_of


def rows(*units: tuple[str, int, Any]) -> pa.Table:
    """Rows of units: key, ordinal, version."""
    keys, ordinals, versions = (list(each) for each in zip(*units, strict=True))
    return pa.table({f"{UNIT_PREFIX}no": keys, ORDINAL: ordinals, "version": pa.array(versions)})


def in_order(table: pa.Table, version: str | None = None) -> list[str]:
    """The units, first the one that wins; the source's own order is that of the alphabet backwards."""
    if version is not None:
        table = table.append_column(f"{VERSION_PREFIX}t", table[version])
    units, order = units_of(table, ["no"]), unit_versions(table)
    claimants = [
        Claimant("t", str(number).encode(), b"", unit, (False, 0), order[number]) for number, unit in enumerate(units)
    ]
    keys = sorted({key for key, _ in units}, reverse=True)
    found = in_claiming_order([claimants], {key: number for number, key in enumerate(keys)})
    return [unit_name(*unit) for unit in found]


def test_units_are_named_as_the_ledger_names_them() -> None:
    """The typed key, and the rank behind it where several units have that key."""
    assert unit_name(("a", 1), 0) == '[["s","a"],["i","1"]]'
    assert unit_name(("a", 1), 2) == '[["s","a"],["i","1"]]#2'


def test_the_source_order_decides_and_then_the_ordinal() -> None:
    """Without versions the source's own order counts, not that of the key; units of one key follow their ordinal."""
    table = rows(("a", 0, 9), ("c", 1, 1), ("c", 0, 1), ("b", 0, 5))
    assert in_order(table) == ['[["s","c"]]', '[["s","c"]]#1', '[["s","b"]]', '[["s","a"]]']


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(9, 10, id="numbers, not texts"),
        pytest.param(Decimal("1.10"), Decimal("1.20"), id="decimals"),
        pytest.param(dt.date(2025, 4, 30), dt.date(2025, 5, 1), id="dates"),
        pytest.param(
            dt.datetime.fromisoformat("9999-12-31T23:59:59.000001"),
            dt.datetime.fromisoformat("9999-12-31T23:59:59.000002"),
            id="times, to the microsecond",
        ),
        pytest.param(
            dt.datetime.fromisoformat("2025-04-30T23:00:00+08:00"),
            dt.datetime.fromisoformat("2025-04-30T16:00:00+00:00"),
            id="instants",
        ),
    ],
)
def test_the_greatest_version_comes_first(old: Any, new: Any) -> None:
    """Under `newer` the greatest version wins, equal ones stand in source order, and rows without a version come last."""
    table = rows(("z", 0, None), ("a", 0, old), ("y", 0, old), ("b", 0, new))
    assert in_order(table, "version") == ['[["s","b"]]', '[["s","y"]]', '[["s","a"]]', '[["s","z"]]']


def test_a_unit_that_left_the_source_comes_last() -> None:
    """A key that the source does not know any more stands behind all that it knows."""
    claimants = [Claimant("t", key.encode(), b"", ((key,), 0), (False, 0)) for key in ("a", "b")]
    assert in_claiming_order([claimants], {("b",): 7}) == [(("b",), 0), (("a",), 0)]


def test_the_rows_of_some_units_are_told_from_others() -> None:
    """Each column of a unit alone may be that of others: only a whole key with its ordinal counts."""
    table = pa.table(
        {f"{UNIT_PREFIX}a": [1, 1, 2, 2, None], f"{UNIT_PREFIX}b": ["x", "y", "x", "y", "x"], ORDINAL: [0, 0, 0, 1, 0]}
    )
    some = UnitSet({((1, "y"), 0), ((2, "x"), 0), ((2, "y"), 0), ((None, "x"), 0)}, ["a", "b"])
    assert some.owns(table).tolist() == [False, True, True, False, True]
    assert not UnitSet(set(), ["a", "b"]).owns(table).any()
