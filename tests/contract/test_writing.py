"""Writing: exactly the rows that were given, or an error of the right kind; look-ups by the database's own equality."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from migrate.errors import ConstraintViolation, DataError, ViolationKind
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession, TargetStore
from migrate.values import TableShape
from tests.contract.conftest import Store
from tests.contract.family import child, rows_of, tables

VIOLATIONS: list[tuple[dict[str, Any], ViolationKind]] = [
    ({"id": 1}, "unique"),
    ({"name": "one"}, "unique"),
    ({"code": "nobody"}, "foreign_key"),
    ({"amount": None}, "not_null"),
    ({"level": -1}, "check"),
    ({"name": "x" * 11}, "value"),
    ({"level": 2**31}, "value"),
]


@pytest.mark.parametrize(
    ("change", "kind"), VIOLATIONS, ids=[f"{kind}-{next(iter(change))}" for change, kind in VIOLATIONS]
)
def test_what_the_database_refuses_has_a_kind_and_the_transaction_goes_on(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape], change: dict[str, Any], kind: ViolationKind
) -> None:
    """A refused row raises ConstraintViolation with its kind; after `rollback_to`, earlier and later rows are committed."""
    if store.kind == "sqlite" and kind == "value" and "level" in change:
        pytest.skip("SQLite's INTEGER holds 64 bits")
    _, session, shape = opened
    session.begin()
    session.insert(shape, child(shape, 10))
    session.savepoint("rows")
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, pa.concat_tables([child(shape, 11), child(shape, 12, **change)]))
    assert refused.value.kind == kind
    session.rollback_to("rows")
    session.insert(shape, child(shape, 13))
    session.commit()
    assert [row[0] for row in store.rows("SELECT id FROM child ORDER BY id")] == [1, 10, 13]


def test_what_has_too_many_digits_is_never_rounded(store: Store) -> None:
    """A decimal with more fraction digits than the column is refused, also where the server would round it in silence."""
    if store.name == "generic-sqlite":
        pytest.skip("DECIMAL_TEXT is just a text through the generic store")
    store.create(*tables())
    target = store.target()
    shape = target.describe("child")
    assert shape is not None
    session = store.session(target)
    session.begin()
    session.savepoint("rows")
    precise = pa.table({"id": pa.array([1], pa.int64()), "amount": pa.array([Decimal("1.005")], pa.decimal128(18, 3))})
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, precise)
    assert refused.value.kind == "value"
    session.rollback_to("rows")
    exact = pa.table({"id": pa.array([1], pa.int64()), "amount": pa.array([Decimal("1.500")], pa.decimal128(18, 3))})
    session.insert(shape, exact)
    session.commit()
    assert [Decimal(str(row[0])) for row in store.rows("SELECT amount FROM child")] == [Decimal("1.50")]


def test_fetch_goes_by_the_equality_of_the_database(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """A key finds what the column's collation holds equal, says which key it was, and NULL finds NULL."""
    _, session, shape = opened
    session.begin()
    session.insert(shape, child(shape, 40, name=None, code=None))
    session.insert(shape, child(shape, 41, name="Two"))
    keys = rows_of(shape, name=["zero", "TWO", "Two", None, "one"])
    found = session.fetch(shape, ("name",), keys, lock=True)
    session.rollback()
    assert found.column_names == [ORDINAL, *shape.names, ANOMALY]
    pairs = sorted(zip(found[ORDINAL].to_pylist(), found["id"].to_pylist(), strict=True))
    folds = [(1, 41)] if store.kind != "postgresql" else []
    assert pairs == [*folds, (2, 41), (3, 40), (4, 1)]


def test_fetch_finds_several_rows_and_chosen_columns(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """One key may find many rows; only the columns asked for come back; no keys, no rows."""
    del store
    _, session, shape = opened
    session.begin()
    session.insert(shape, pa.concat_tables([child(shape, number) for number in range(50, 60)]))
    found = session.fetch(
        shape, ("code", "level"), rows_of(shape, code=["p", "p"], level=[7, 1]), lock=False, columns=("id",)
    )
    assert found.column_names == [ORDINAL, "id", ANOMALY]
    assert sorted(found["id"].to_pylist()) == list(range(50, 60))
    assert set(found[ORDINAL].to_pylist()) == {1}
    nothing = session.fetch(shape, ("id",), rows_of(shape, id=[]), lock=True)
    assert (nothing.num_rows, nothing.column_names) == (0, [ORDINAL, *shape.names, ANOMALY])
    session.rollback()


def test_update_and_delete_change_exactly_the_named_rows(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """Columns that are not named stay; rows that are not named stay."""
    _, session, shape = opened
    session.begin()
    session.insert(shape, pa.concat_tables([child(shape, number) for number in range(60, 64)]))
    changed = rows_of(shape, id=[63, 60], amount=[Decimal("9.99"), Decimal("-0.01")], level=[None, 3])
    session.update(shape, ("id",), changed)
    session.delete(shape, ("id",), rows_of(shape, id=[61]))
    session.commit()
    stored = [
        (row[0], row[1], Decimal(str(row[2])), row[3])
        for row in store.rows("SELECT id, name, amount, level FROM child ORDER BY id")
    ]
    assert stored == [
        (1, "one", Decimal("1.50"), 0),
        (60, "n60", Decimal("-0.01"), 3),
        (62, "n62", Decimal("2.00"), 1),
        (63, "n63", Decimal("9.99"), None),
    ]


def test_a_change_that_misses_its_row_is_an_error(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """`update` and `delete` raise DataError unless each key matched exactly one row."""
    _, session, shape = opened
    attempts: list[Callable[[], None]] = [
        lambda: session.update(shape, ("id",), rows_of(shape, id=[1, 99], level=[1, 1])),
        lambda: session.delete(shape, ("id",), rows_of(shape, id=[99])),
        lambda: session.delete(shape, ("code",), rows_of(shape, code=["p"])),
    ]
    for attempt in attempts:
        session.begin()
        session.insert(shape, child(shape, 70))
        with pytest.raises(DataError) as refused:
            attempt()
        assert not isinstance(refused.value, ConstraintViolation)
        session.rollback()
    assert store.rows("SELECT id, level FROM child") == [(1, 0)]


def test_a_violating_update_has_its_kind(store: Store, opened: tuple[TargetStore, TargetSession, TableShape]) -> None:
    """An update that breaks a constraint, and a delete of a parent with children, raise like an insert."""
    target, session, shape = opened
    session.begin()
    session.insert(shape, child(shape, 80))
    session.savepoint("rows")
    with pytest.raises(ConstraintViolation) as refused:
        session.update(shape, ("id",), rows_of(shape, id=[80], name=["one"]))
    assert refused.value.kind == "unique"
    session.rollback_to("rows")
    with pytest.raises(ConstraintViolation) as refused:
        session.update(shape, ("id",), rows_of(shape, id=[80], name=["x" * 11]))
    assert refused.value.kind == "value"
    session.rollback_to("rows")
    parent = target.describe("parent")
    assert parent is not None
    with pytest.raises(ConstraintViolation) as refused:
        session.delete(parent, ("code",), rows_of(parent, code=["p"]))
    assert refused.value.kind == "foreign_key"
    session.rollback_to("rows")
    session.commit()
    assert store.rows("SELECT id, name FROM child ORDER BY id") == [(1, "one"), (80, "n80")]
