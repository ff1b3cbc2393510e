"""SQLite takes anything anywhere, so the store itself refuses what a column does not mean, and one library holds the locks."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrate.errors import ConstraintViolation, DataError, EnvironmentFault, InputError, TransientFault
from migrate.stores.port import ORDINAL
from migrate.stores.sqlite import SqliteTarget, open_target
from migrate.stores.sqlite_session import SqliteSession
from migrate.values import TableShape


@pytest.fixture
def target(sqlite_url: str) -> Iterator[SqliteTarget]:
    """The target."""
    made = open_target(sqlite_url)
    yield made
    made.close()


@pytest.fixture
def session(target: SqliteTarget) -> Iterator[SqliteSession]:
    """A session in no transaction."""
    made = target.session()
    yield made
    made.close()


def create(target: SqliteTarget, *statements: str) -> TableShape:
    """Run DDL; the shape of the table `t`."""
    with target.engine().begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    shape = target.describe("t")
    assert shape is not None
    return shape


def row(shape: TableShape, number: int, **values: Any) -> pa.Table:
    """One row; a scalar keeps its own Arrow type."""
    arrays = {"id": pa.array([number], pa.int64())}
    for name, value in values.items():
        scalar = isinstance(value, pa.Scalar)
        arrow = value.type if scalar else shape.column(name).type.arrow
        arrays[name] = pa.array([value.as_py() if scalar else value], arrow)
    return pa.table(arrays)


def stored(session: SqliteSession, what: str = "v") -> list[tuple[Any, ...]]:
    """(storage class, value) of each row of `t`."""
    return list(session.execute(sa.text(f"SELECT typeof({what}), {what} FROM t ORDER BY id")))


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("VARCHAR(3)", "abcd"),
        ("VARBINARY(2)", b"abc"),
        ("INTEGER", pa.scalar(Decimal(2**63), pa.decimal128(38, 0))),
        ("DECIMAL_TEXT(10,2)", pa.scalar(Decimal("3.456"), pa.decimal128(18, 3))),
        ("DECIMAL_TEXT(4,2)", pa.scalar(Decimal("123.00"), pa.decimal128(18, 2))),
        ("DECIMAL(18,2)", pa.scalar(Decimal("99999999999999.99"), pa.decimal128(18, 2))),
        ("NUMERIC", "1234567890123456"),
        ("NUMERIC", "1e3"),
        ("DOUBLE", float("nan")),
        ("UUID", "12345"),
        ("JSON", "1.50"),
        ("GEOMETRY", " 7 "),
        ("INTEGER NOT NULL", None),
    ],
)
def test_what_sqlite_would_change_is_refused(
    target: SqliteTarget, session: SqliteSession, declared: str, value: Any
) -> None:
    """Lengths, digits, ranges, NaN, and text that a numeric affinity would turn into a number."""
    shape = create(target, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
    session.begin()
    with pytest.raises(ConstraintViolation) as caught:
        session.insert(shape, row(shape, 1, v=value))
    assert caught.value.kind == ("not_null" if value is None else "value")
    assert stored(session) == []


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("DECIMAL_TEXT(18,2)", Decimal("-0.10"), ("text", "-0.10")),
        ("DECIMAL_TEXT(38,13)", Decimal("0.0000000000001"), ("text", "0.0000000000001")),
        ("DECIMAL_TEXT(18,2)", pa.scalar(Decimal("5.000"), pa.decimal128(18, 3)), ("text", "5.00")),
        ("DECIMAL(18,2)", Decimal("1234567890123.45"), ("real", 1234567890123.45)),
        ("DECIMAL(18,0)", Decimal(123456789012345678), ("integer", 123456789012345678)),
        ("BOOLEAN", True, ("integer", 1)),
        ("DATE", date(1, 2, 3), ("text", "0001-02-03")),
        ("DATETIME", datetime(2025, 1, 2, 3, 4, 5), ("text", "2025-01-02 03:04:05.000000")),  # noqa: DTZ001 - no zone
        ("VARCHAR(3)", "", ("text", "")),
        ("VARCHAR(3)", None, ("null", None)),
        ("BLOB", b"", ("blob", b"")),
        ("INTEGER", -(2**63), ("integer", -(2**63))),
        ("DOUBLE", 5e-324, ("real", 5e-324)),
    ],
)
def test_values_are_stored_in_their_canonical_form(
    target: SqliteTarget, session: SqliteSession, declared: str, value: Any, expected: tuple[str, Any]
) -> None:
    """Money is text with exactly its digits, dates are ISO text, booleans 0 and 1; SQLAlchemy's own types read the same."""
    shape = create(target, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
    session.begin()
    session.insert(shape, row(shape, 1, v=value))
    assert stored(session) == [expected]


def test_violations_are_named(target: SqliteTarget, session: SqliteSession) -> None:
    """A duplicate under NOCASE, a missing parent, a failed check, a STRICT table's type; the transaction goes on from the savepoint."""
    shape = create(
        target,
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE, p INT REFERENCES p, c INT CONSTRAINT positive CHECK (c > 0))",
    )
    session.begin()
    session.insert(shape, row(shape, 1, u="A"))
    for values, kind, constraint in (
        ({"u": "a"}, "unique", "t.u"),
        ({"p": 7}, "foreign_key", None),
        ({"c": -1}, "check", "positive"),
    ):
        session.savepoint("before")
        with pytest.raises(ConstraintViolation) as caught:
            session.insert(shape, row(shape, 2, **values))
        assert (caught.value.kind, caught.value.constraint) == (kind, constraint)
        session.rollback_to("before")
    session.commit()
    assert stored(session, "u") == [("text", "A")]


def test_rows_and_statements_share_one_transaction(target: SqliteTarget, session: SqliteSession) -> None:
    """Bulk rows and ledger statements are rolled back together, and committed together."""
    shape = create(target, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "CREATE TABLE ledger (n INTEGER)")
    ledger = sa.table("ledger", sa.column("n"))
    for end, expected in ((session.rollback, 0), (session.commit, 1)):
        session.begin()
        session.insert(shape, row(shape, 1, v="x"))
        session.execute(ledger.insert().values(n=1))
        end()
        counts = session.execute(sa.text("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM ledger)"))
        assert counts == [(expected, expected)]


def test_keys_are_found_under_the_columns_collation(target: SqliteTarget, session: SqliteSession) -> None:
    """`fetch` folds case where the column does, finds NULL by NULL, and nothing for a number that SQLite cannot hold."""
    shape = create(
        target,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT COLLATE NOCASE, n INTEGER)",
        "INSERT INTO t VALUES (1, 'Abc', 1), (2, NULL, 2), (3, 'x', NULL), (4, 'X', 4)",
    )
    session.begin()
    found = session.fetch(shape, ("k",), pa.table({"k": ["aBC", None, "X", "none"]}), lock=True, columns=("id",))
    pairs = sorted(zip(found[ORDINAL].to_pylist(), found["id"].to_pylist(), strict=True))
    assert pairs == [(0, 1), (1, 2), (2, 3), (2, 4)]
    wide = pa.table({"n": pa.array([Decimal(2**63), Decimal(4), None], pa.decimal128(38, 0))})
    found = session.fetch(shape, ("n",), wide, lock=True, columns=("id",))
    assert sorted(zip(found[ORDINAL].to_pylist(), found["id"].to_pylist(), strict=True)) == [(1, 4), (2, 3)]


@pytest.mark.parametrize("options", ["", " WITHOUT ROWID"])
def test_update_and_delete_want_each_key_once(target: SqliteTarget, session: SqliteSession, options: str) -> None:
    """A key without a row, two keys of one row, or one of several rows are refused, with and without row ids."""
    shape = create(
        target,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT COLLATE NOCASE, v INT){options}",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'c', 4)",
    )
    session.begin()
    for bad in (["a", "zz"], ["a", "A"], ["c", "a"]):
        session.savepoint("before")
        with pytest.raises(DataError):
            session.delete(shape, ("k",), pa.table({"k": bad}))
        session.rollback_to("before")
        with pytest.raises(DataError):
            session.update(shape, ("k",), pa.table({"k": bad, "v": pa.array([9, 9], pa.int64())}))
        session.rollback_to("before")
    session.update(shape, ("id",), pa.table({"id": pa.array([1, 2], pa.int64()), "v": pa.array([1, 7], pa.int64())}))
    session.delete(shape, ("k",), pa.table({"k": ["A"]}))
    assert session.execute(sa.text("SELECT id, v FROM t ORDER BY id")) == [(2, 7), (3, 3), (4, 4)]


def test_a_second_writer_waits_and_is_told_to_try_again(target: SqliteTarget, session: SqliteSession) -> None:
    """While one session writes, another does not get the lock, and readers see the state before."""
    shape = create(target, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    session.begin()
    session.insert(shape, row(shape, 1, v="x"))
    other = target.session()
    other._raw.run("PRAGMA busy_timeout=10")
    assert stored(other) == []
    with pytest.raises(TransientFault, match="locked"):
        other.begin()
    session.commit()
    other.begin()
    assert stored(other) == [("text", "x")]
    other.close()


def _write_for_ever(url: str, ready: Any) -> None:
    session = open_target(url).session()
    session.begin()
    session.execute(sa.text("INSERT INTO t (id, v) VALUES (9, 'lost')"))
    ready.set()
    signal.pause()


def test_locks_of_another_process_hold_until_it_dies(
    target: SqliteTarget, session: SqliteSession, sqlite_url: str
) -> None:
    """Opening and closing other connections in this process does not free the lock of another one; its death does."""
    create(target, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=_write_for_ever, args=(sqlite_url, ready))
    writer.start()
    assert ready.wait(60)
    session._raw.run("PRAGMA busy_timeout=10")
    with target.engine().connect() as connection:
        connection.exec_driver_sql("SELECT * FROM t").fetchall()
    with pytest.raises(TransientFault):
        session.begin()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    session.begin()
    assert stored(session) == []


def test_the_engine_is_of_the_same_library(target: SqliteTarget) -> None:
    """DDL, inserts with returned keys, counted updates and rollbacks work through SQLAlchemy over ADBC."""
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime),
        sa.Column("b", sa.LargeBinary),
    )
    engine = target.engine()
    table.metadata.create_all(engine)
    table.metadata.create_all(engine)
    moment = datetime(2025, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - no zone
    with engine.begin() as connection:
        done = connection.execute(table.insert().values(at=moment, b=b"\x00"))
        assert done.inserted_primary_key == (1,)
        assert connection.execute(table.insert(), [{"b": b""}, {"b": None}]).rowcount == 2
        assert connection.execute(table.update().where(table.c.id > 1).values(at=moment)).rowcount == 2
        assert connection.execute(table.delete().where(table.c.id > 7)).rowcount == 0
    with engine.connect() as connection:
        connection.execute(table.insert().values(b=b"gone"))
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(table.insert().values(id=1))
    with pytest.raises(sa.exc.ProgrammingError), engine.connect() as connection:
        connection.execute(sa.text("SELECT nothing"))
    with engine.connect() as connection:
        assert connection.execute(sa.select(table).order_by(table.c.id)).fetchall() == [
            (1, moment, b"\x00"),
            (2, moment, b""),
            (3, moment, None),
        ]


def test_a_target_that_cannot_be(tmp_path: Path) -> None:
    """A database in memory, a folder that is not there, a ledger schema: each is told before anything is written."""
    with pytest.raises(InputError, match="memory"):
        open_target("sqlite://")
    with pytest.raises(InputError, match="schemas"):
        open_target(f"sqlite:///{tmp_path / 'x.db'}", "ledger")
    with pytest.raises(EnvironmentFault):
        open_target(f"sqlite:///{tmp_path / 'missing' / 'x.db'}").session()


def test_looking_at_a_target_makes_nothing(tmp_path: Path) -> None:
    """`describe` neither makes a file nor changes its journal; the first session does."""
    path = tmp_path / "x.db"
    target = open_target(f"sqlite:///{path}")
    assert target.describe("t") is None
    assert not path.exists()
    target.session().close()
    assert path.exists()
    assert target.describe("t") is None
    target.close()


def test_obstacles_and_keys_are_described(target: SqliteTarget) -> None:
    """Triggers and cascades stand in the way, partial and expression indexes are remarks, defaults and generated columns are told."""
    shape = create(
        target,
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT 'it''s', b INT DEFAULT -7, c DATETIME DEFAULT CURRENT_TIMESTAMP, "
        "d INT AS (b + 1) STORED, e TEXT COLLATE NOCASE NOT NULL UNIQUE, p INT REFERENCES p ON DELETE CASCADE)",
        "CREATE TABLE c (t INT REFERENCES t (id) ON UPDATE SET NULL)",
        "CREATE UNIQUE INDEX some ON t (a) WHERE b > 0",
        "CREATE UNIQUE INDEX folded ON t (lower(a))",
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END",
    )
    told = {column.name: (column.default_kind, column.default) for column in shape.columns}
    assert told == {
        "id": ("identity", None), "a": ("literal", "it's"), "b": ("literal", "-7"), "c": ("expression", "CURRENT_TIMESTAMP"),
        "d": ("generated", None), "e": ("null", None), "p": ("null", None),
    }  # fmt: skip
    assert shape.primary_key == ("id",)
    assert [key.columns for key in shape.unique_keys] == [("id",), ("e",)]
    assert shape.column("e").collation == "NOCASE"
    assert [(key.columns, key.parent, key.parent_columns, key.cascades) for key in shape.foreign_keys] == [
        (("p",), "p", ("id",), True)
    ]
    assert [obstacle.split()[0] for obstacle in shape.obstacles] == ["trigger", "changes"]
    assert len(shape.remarks) == 2
