"""Sessions: strict writing, look-ups by the database's own equality, transactions, and errors of the right kind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrate.errors import ConnectionLost, ConstraintViolation, DataError, TransientFault, ViolationKind
from migrate.invoice import types
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession, TargetStore
from migrate.values import TableShape
from tests.contract.conftest import Store, codes, folded


def tables() -> tuple[sa.Table, sa.Table]:
    """A parent, and a child with every kind of constraint."""
    metadata = sa.MetaData()
    parent = sa.Table("parent", metadata, sa.Column("code", codes(10), primary_key=True))
    child = sa.Table(
        "child",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("code", codes(10), sa.ForeignKey("parent.code")),
        sa.Column("name", folded(10), unique=True),
        sa.Column("amount", types.money(), nullable=False),
        sa.Column("level", sa.Integer),
        sa.CheckConstraint("level >= 0", name="level_positive"),
    )
    return parent, child


@pytest.fixture
def opened(store: Store) -> tuple[TargetStore, TargetSession, TableShape]:
    """Target, session and shape of the child table, with one parent and one child there."""
    store.create(*tables())
    store.run(
        "INSERT INTO parent VALUES ('p')",
        "INSERT INTO child (id, code, name, amount, level) VALUES (1, 'p', 'one', '1.50', 0)",
    )
    target = store.target()
    shape = target.describe("child")
    assert shape is not None
    return target, store.session(target), shape


def rows_of(shape: TableShape, **columns: list[Any]) -> pa.Table:
    """Rows in the Arrow types of their columns (decimals as text where the store sees text)."""
    arrays = {}
    for name, values in columns.items():
        arrow = shape.column(name).type.arrow
        plain = [str(value) if isinstance(value, Decimal) and arrow == pa.string() else value for value in values]
        arrays[name] = pa.array(plain, arrow)
    return pa.table(arrays)


def child(shape: TableShape, number: int, **changes: Any) -> pa.Table:
    """One good child row, with changes."""
    row = {"id": number, "code": "p", "name": f"n{number}", "amount": Decimal("2.00"), "level": 1, **changes}
    return rows_of(shape, **{name: [value] for name, value in row.items()})


def use_until_it_fails(session: TargetSession) -> None:
    """A server that ends a connection may answer a few more statements before it does."""
    for _ in range(1000):
        session.execute(sa.text("SELECT 1"))


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


def test_a_rolled_back_transaction_leaves_nothing(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """`rollback` undoes rows and statements alike, may be called again, and the session can begin anew."""
    _, session, shape = opened
    session.begin()
    session.insert(shape, child(shape, 20))
    session.execute(sa.text("UPDATE child SET level = 5 WHERE id = 1"))
    session.rollback()
    session.rollback()
    session.begin()
    session.insert(shape, child(shape, 21))
    session.commit()
    assert store.rows("SELECT id, level FROM child ORDER BY id") == [(1, 0), (21, 1)]


def test_savepoints_nest_and_are_replaced(store: Store, opened: tuple[TargetStore, TargetSession, TableShape]) -> None:
    """`rollback_to` takes back exactly what came after the newest savepoint of that name."""
    _, session, shape = opened
    session.begin()
    session.savepoint("outer")
    session.insert(shape, child(shape, 30))
    session.savepoint("inner")
    session.insert(shape, child(shape, 31))
    session.savepoint("inner")
    session.insert(shape, child(shape, 32))
    session.rollback_to("inner")
    session.insert(shape, child(shape, 33))
    session.rollback_to("inner")
    session.commit()
    assert [row[0] for row in store.rows("SELECT id FROM child ORDER BY id")] == [1, 30, 31]
    session.begin()
    session.savepoint("outer")
    session.insert(shape, child(shape, 34))
    session.savepoint("inner")
    session.insert(shape, child(shape, 35))
    session.rollback_to("outer")
    session.insert(shape, child(shape, 36))
    session.commit()
    assert [row[0] for row in store.rows("SELECT id FROM child ORDER BY id")] == [1, 30, 31, 36]


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


def test_statements_of_the_ledger_run_in_the_same_transaction(store: Store) -> None:
    """SQLAlchemy statements see and join the rows of the session, and return plain tuples of exact values."""
    metadata = sa.MetaData()
    log = sa.Table(
        "log",
        metadata,
        sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("word", sa.String(40)),
        sa.Column("data", sa.LargeBinary().with_variant(mysql.LONGBLOB(), *types.MARIADB)),
    )
    store.create(log)
    session = store.session(store.target())
    session.begin()
    data = bytes(range(256)) * 300
    session.execute(sa.insert(log).values(n=2**62, word="it's 100% 发票 $1 ? :x", data=data))
    session.execute(sa.insert(log).values([{"n": 1, "word": None, "data": None}, {"n": 2, "word": "", "data": b""}]))
    found = session.execute(
        sa.select(log.c.n, log.c.word, log.c.data).where(log.c.n.in_([1, 2, 2**62])).order_by(log.c.n)
    )
    assert [tuple(row) for row in found] == [(1, None, None), (2, "", b""), (2**62, "it's 100% 发票 $1 ? :x", data)]
    assert list(session.execute(sa.update(log).where(log.c.n == 1).values(word="x"))) == []
    assert list(session.execute(sa.select(log.c.n).where(log.c.word == "x"))) == [(1,)]
    assert int(session.execute(sa.select(sa.func.sum(log.c.n)))[0][0]) == 2**62 + 3
    session.rollback()
    assert store.rows("SELECT count(*) FROM log") == [(0,)]


def test_a_reader_keeps_its_snapshot(store: Store, opened: tuple[TargetStore, TargetSession, TableShape]) -> None:
    """Rows that are committed later are not seen by an open reader, nor by a new one in the same shared snapshot."""
    _, session, shape = opened
    session.rollback()
    source = store.source("child")
    snapshot = source.snapshot()
    reader = source.reader(snapshot)
    before = reader.lookup(("id",)).num_rows
    session.begin()
    session.insert(shape, child(shape, 90))
    session.commit()
    assert reader.lookup(("id",)).num_rows == before
    late = source.reader(snapshot)
    assert late.lookup(("id",)).num_rows == before + (0 if snapshot.shared else 1)
    late.close()
    snapshot.close()
    assert reader.lookup(("id",)).num_rows == before
    reader.close()
    reader.close()
    assert store.reader(source).lookup(("id",)).num_rows == before + 1


def test_a_source_cannot_be_written(store: Store, opened: tuple[TargetStore, TargetSession, TableShape]) -> None:
    """Opening, describing and reading a source takes no lock that a writer would wait for."""
    _, session, shape = opened
    reader = store.reader(store.source("child"))
    assert reader.lookup(("id",)).num_rows == 1
    session.begin()
    session.insert(shape, child(shape, 95))
    session.delete(shape, ("id",), rows_of(shape, id=[1]))
    session.commit()
    assert reader.lookup(("id",))["id"].to_pylist() == [1]


def test_an_ended_connection_is_lost_and_nothing_else(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """A connection that the server ended raises ConnectionLost; `rollback` and `close` do not; a new session works."""
    if store.kind == "sqlite":
        pytest.skip("a file does not hang up")
    target, session, shape = opened
    session.begin()
    session.insert(shape, child(shape, 100))
    end = "SELECT pg_terminate_backend({})" if store.kind == "postgresql" else "KILL CONNECTION {}"
    own = "pg_backend_pid()" if store.kind == "postgresql" else "connection_id()"
    [(number,)] = session.execute(sa.text(f"SELECT {own}"))
    store.run(end.format(int(number)))
    with pytest.raises(ConnectionLost):
        use_until_it_fails(session)
    session.rollback()
    session.close()
    session.close()
    again = store.session(target)
    again.begin()
    again.insert(shape, child(shape, 101))
    again.commit()
    assert [row[0] for row in store.rows("SELECT id FROM child ORDER BY id")] == [1, 101]


def test_a_backend_is_ended_only_if_it_is_the_same(
    store: Store, opened: tuple[TargetStore, TargetSession, TableShape]
) -> None:
    """`end_backend` ends the connection with that id and start, and no other; where there is no identity it says false."""
    target, session, _ = opened
    other = store.session(target)
    identity = other.backend()
    assert identity == other.backend()
    if identity.id is None:
        assert not session.end_backend(identity)
        return
    assert identity != session.backend()
    assert identity.start is not None
    assert not session.end_backend(type(identity)(identity.id, identity.start + "0"))
    other.begin()
    assert list(other.execute(sa.text("SELECT 1"))) == [(1,)]
    assert session.end_backend(identity)
    with pytest.raises(ConnectionLost):
        use_until_it_fails(other)
    assert not session.end_backend(identity)


def test_a_deadlock_is_transient(store: Store, opened: tuple[TargetStore, TargetSession, TableShape]) -> None:
    """Of two sessions that wait for each other, one gets TransientFault and rolls back; the other commits."""
    if store.kind == "sqlite":
        pytest.skip("one writer at a time")
    target, first, shape = opened
    second = store.session(target)
    first.begin()
    first.insert(shape, child(shape, 110))
    first.commit()
    outcomes: dict[str, BaseException | None] = {}

    def change(name: str, session: TargetSession, number: int) -> None:
        try:
            session.update(shape, ("id",), rows_of(shape, id=[number], level=[9]))
            session.commit()
            outcomes[name] = None
        except TransientFault as fault:
            session.rollback()
            outcomes[name] = fault

    first.begin()
    second.begin()
    first.update(shape, ("id",), rows_of(shape, id=[1], level=[8]))
    second.update(shape, ("id",), rows_of(shape, id=[110], level=[8]))
    threads = [Thread(target=change, args=("first", first, 110)), Thread(target=change, args=("second", second, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome is None for outcome in outcomes.values()) == [False, True]
    assert not any(isinstance(outcome, ConnectionLost) for outcome in outcomes.values())
    assert {row[0] for row in store.rows("SELECT level FROM child")} == {8, 9}


def test_sequences_go_on_behind_the_rows(store: Store) -> None:
    """After rows with numbers of their own, the database numbers the next row beyond them."""
    if not store.own:
        pytest.skip("the generic store leaves sequences alone, and says so")
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    store.create(
        sa.Table("numbered", sa.MetaData(), sa.Column("id", number, primary_key=True), sa.Column("word", sa.String(9)))
    )
    target = store.target()
    shape = target.describe("numbered")
    assert shape is not None
    assert shape.column("id").default_kind == "identity"
    session = store.session(target)
    session.begin()
    session.insert(shape, rows_of(shape, id=[5, 41], word=["a", "b"]))
    session.commit()
    target.advance_sequences(shape)
    store.run("INSERT INTO numbered (word) VALUES ('c')")
    assert store.rows("SELECT id FROM numbered WHERE word = 'c'") == [(42,)]
    target.advance_sequences(shape)
    store.run("INSERT INTO numbered (word) VALUES ('d')")
    assert store.rows("SELECT id FROM numbered WHERE word = 'd'") == [(43,)]


def test_shapes_tell_keys_and_foreign_keys(store: Store, opened: tuple[TargetStore, TargetSession, TableShape]) -> None:
    """`describe` knows the primary key, unique keys, foreign keys and nullability; a table that is not there is None."""
    target, _, shape = opened
    assert shape.primary_key == ("id",)
    assert ("name",) in {key.columns for key in shape.unique_keys}
    [foreign] = shape.foreign_keys
    assert (foreign.columns, foreign.parent, foreign.parent_columns, foreign.cascades) == (
        ("code",),
        "parent",
        ("code",),
        False,
    )
    assert [column.name for column in shape.columns if not column.nullable] == ["id", "amount"]
    assert target.describe("nothing_here") is None
    assert target.fingerprint()["version"]
    assert set(store.source("child").fingerprint()) == {"engine", "version"}
