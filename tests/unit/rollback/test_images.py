"""The net of a batch's records, and whether a row is as the batch left it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from migrate.checksum.contract import Contract
from migrate.checksum.vectorised import row_digests
from migrate.rollback.images import Net, missing_columns, net_of, stands
from migrate.stores.port import ANOMALY, ORDINAL
from migrate.values import Column, LogicalType, TableShape
from migrate.write.undo import Op, UndoSubject
from migrate.write.units import half_digests

INTEGER, TEXT = LogicalType("integer", low=-(2**63), high=2**63 - 1), LogicalType("text")
MONEY = LogicalType("decimal", precision=18, scale=2)
COLUMNS = (
    Column("k", INTEGER, nullable=False),
    Column("c", TEXT),
    Column("spare", TEXT, default_kind="literal", default="none"),
    Column("fee", MONEY, default_kind="literal", default="0.50"),
    Column("on", LogicalType("boolean"), default_kind="literal", default="true"),
    Column("free", TEXT),
)
SHAPE = TableShape("t", COLUMNS)
SUBJECT = UndoSubject(
    "t", ("id",), ("k",), ("k", "c"), (("spare", "none"), ("fee", "0.50"), ("on", "true"), ("free", None))
)
SCHEMA = pa.schema([(column.name, column.type.arrow) for column in COLUMNS])


def row(k: int, c: str | None = "x", **more: Any) -> dict[str, Any]:
    """A row as it is inserted, or with other values in the columns that the mapping does not write."""
    return {"k": k, "c": c, "spare": "none", "fee": Decimal("0.50"), "on": True, "free": None, **more}


def digest(content: dict[str, Any]) -> bytes:
    """What an undo record keeps of a row."""
    contract = Contract((("k", INTEGER), ("c", TEXT)), ("k",))
    return bytes(half_digests(row_digests(pa.Table.from_pylist([content], SCHEMA), contract))[0].as_py())


Record = tuple[Op, dict[str, Any] | None, dict[str, Any] | None]
"""Operation, the row that it left, the row before it."""


def net(*records: Record) -> Net:
    """The net of these records, each as a chunk of its own."""
    chunks = []
    for op, left, before in records:
        key = (left or before or {})["k"]
        columns: dict[str, pa.Array] = {
            "key_k": pa.array([key], pa.int64()),
            "op": pa.array([int(op)], pa.int8()),
            "digest": pa.array([None if left is None else digest(left)], pa.binary(16)),
        }
        if before is not None:
            columns |= {f"before_{name}": pa.array([before[name]], SCHEMA.field(name).type) for name in SCHEMA.names}
        chunks.append((SUBJECT, pa.table(columns)))
    return net_of(chunks)


def stored(*rows: tuple[int, dict[str, Any]], anomaly: str | None = None) -> pa.Table:
    """What `fetch` gives back: each row with the position of the key that it answers."""
    table = pa.Table.from_pylist([content for _, content in rows], SCHEMA)
    numbered = table.add_column(0, ORDINAL, pa.array([at for at, _ in rows], pa.int64()))
    return numbered.append_column(ANOMALY, pa.array([anomaly] * len(rows), pa.string()))


def flags(found: Iterable[Any]) -> list[bool]:
    """Plain values."""
    return [bool(each) for each in found]


def test_the_net_of_several_records_is_from_the_first_to_the_last() -> None:
    """A row that was updated twice, one that came and went, one that was only looked at, one that was taken away."""
    found = net(
        (Op.UPDATE, row(1, "b"), row(1, "a")),
        (Op.INSERT, row(2), None),
        (Op.IDENTICAL, row(3), None),
        (Op.UPDATE, row(1, "c"), row(1, "b")),
        (Op.DELETE, None, row(2)),
        (Op.DELETE, None, row(4, "z")),
    )
    assert found.keys["k"].to_pylist() == [1, 2, 4]
    assert flags(found.was_there) == [True, False, True]
    assert flags(found.is_left) == [True, False, False]
    assert found.before(["k", "c"]).to_pylist()[0] == {"k": 1, "c": "a"}
    assert found.before(["k", "c"]).to_pylist()[2] == {"k": 4, "c": "z"}
    assert found.records == 6


def test_a_row_stands_when_every_column_does() -> None:
    """An inserted row has its constants, an updated one what stood in the other columns before."""
    found = net((Op.INSERT, row(1), None), (Op.UPDATE, row(2, "b"), row(2, "a", spare="own", free="f", on=None)))
    assert flags(stands(found, SHAPE, stored((0, row(1)), (1, row(2, "b", spare="own", free="f", on=None))))) == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    "change",
    [{"c": "y"}, {"c": None}, {"spare": "x"}, {"spare": None}, {"fee": None}, {"on": False}, {"free": ""}],
    ids=str,
)
def test_any_changed_column_is_seen(change: dict[str, Any]) -> None:
    """Mapped or not, also where NULL came or went."""
    found = net((Op.INSERT, row(1), None))
    assert flags(stands(found, SHAPE, stored((0, row(1) | change)))) == [False]
    updated = net((Op.UPDATE, row(1), row(1, "a")))
    assert flags(stands(updated, SHAPE, stored((0, row(1) | change)))) == [False]


def test_a_row_that_is_gone_or_came_back_does_not_stand() -> None:
    """What was left must be there, once; what was taken away must not."""
    assert flags(stands(net((Op.INSERT, row(1), None)), SHAPE, stored())) == [False]
    assert flags(stands(net((Op.INSERT, row(1), None)), SHAPE, stored((0, row(1)), (0, row(1))))) == [False]
    gone = net((Op.DELETE, None, row(1)))
    assert flags(stands(gone, SHAPE, stored())) == [True]
    assert flags(stands(gone, SHAPE, stored((0, row(1))))) == [False]


def test_what_cannot_be_read_does_not_stand() -> None:
    """A value that is no value of its column any more counts as changed."""
    assert flags(stands(net((Op.INSERT, row(1), None)), SHAPE, stored((0, row(1)), anomaly="c: x'ff'"))) == [False]


def test_a_column_added_since_holds_its_default() -> None:
    """Another value counts as changed; a default that only the database can work out is not looked at."""
    found = net((Op.INSERT, row(1), None))
    kinds = (("literal", "7"), ("null", None), ("expression", "now()"))
    for (kind, default), values in zip(kinds, (("7", "8"), (None, "8"), ("7", "8")), strict=True):
        shape = TableShape("t", (*COLUMNS, Column("new", TEXT, default_kind=kind, default=default)))  # type: ignore[arg-type]
        judged = [
            flags(stands(found, shape, stored((0, row(1))).append_column("new", pa.array([value], pa.string()))))[0]
            for value in values
        ]
        assert judged == [True, kind == "expression"]


def test_a_column_that_is_gone_is_named() -> None:
    """Without it nobody can tell whether a row stands."""
    assert missing_columns(SUBJECT, TableShape("t", (COLUMNS[0], *COLUMNS[2:]))) == ["c"]
