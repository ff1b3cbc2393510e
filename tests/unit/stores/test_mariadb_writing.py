"""MariaDB stores every row exactly as given, or says which constraint or value stands in the way."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrate.errors import ConnectionLost, ConstraintViolation, DataError, EnvironmentFault, TransientFault
from migrate.stores.mariadb import MariaTarget, open_target
from migrate.stores.mariadb_session import MariaSession
from migrate.stores.port import ORDINAL, Backend
from migrate.values import TableShape
from tests.databases import MariaDbServer

MANY = 200
"""Rows enough for LOAD DATA; a few go through INSERT."""


@pytest.fixture
def target(mariadb_url: str) -> Iterator[MariaTarget]:
    """The target."""
    made = open_target(mariadb_url)
    yield made
    made.close()


@pytest.fixture
def session(target: MariaTarget) -> Iterator[MariaSession]:
    """A session in a transaction."""
    made = target.session()
    made.begin()
    yield made
    made.close()


def create(target: MariaTarget, *statements: str) -> TableShape:
    """Run DDL; the shape of the table `t`."""
    with target.engine().begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    shape = target.describe("t")
    assert shape is not None
    return shape


def filled(shape: TableShape, count: int, **values: Any) -> pa.Table:
    """`count` rows with ids from 0; a value given is that of the last row, the others are NULL."""
    columns = {"id": pa.array(range(count), pa.int64())}
    for name, value in values.items():
        arrow = value.type if isinstance(value, pa.Scalar) else shape.column(name).type.arrow
        last = value.as_py() if isinstance(value, pa.Scalar) else value
        columns[name] = pa.array([*[None] * (count - 1), last], arrow)
    return pa.table(columns)


def count(session: MariaSession) -> int:
    """Rows of `t`."""
    return int(session.execute(sa.text("SELECT count(*) FROM t"))[0][0])


@pytest.mark.parametrize("rows", [3, MANY])
@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("DECIMAL(10,2)", pa.scalar(Decimal("3.456"), pa.decimal128(18, 3))),
        ("DECIMAL(4,2)", pa.scalar(Decimal("123.00"), pa.decimal128(18, 2))),
        ("DECIMAL(5,2) UNSIGNED", Decimal("-1.00")),
        ("VARCHAR(3)", "abcd"),
        ("VARCHAR(3)", "abc "),
        ("CHAR(3)", "ab "),
        ("TINYTEXT", "发" * 86),
        ("VARCHAR(3) CHARACTER SET gbk", "𠮷"),
        ("VARCHAR(3) CHARACTER SET utf8mb3", "😀"),
        ("VARCHAR(9) CHARACTER SET latin1", "发票"),
        ("ENUM('a','b')", "c"),
        ("BINARY(4)", b"abc"),
        ("VARBINARY(2)", b"abc"),
        ("TINYINT UNSIGNED", 256),
        ("BIGINT", pa.scalar(Decimal(2**63), pa.decimal128(38, 0))),
        ("YEAR", 5),
        ("FLOAT", 0.1),
        ("FLOAT(7,2)", 0.125),
        ("DOUBLE", float("inf")),
        ("DOUBLE", float("nan")),
        ("DATETIME", datetime(2025, 1, 1, 0, 0, 0, 500000)),  # noqa: DTZ001 - DATETIME has no zone
        ("TIME(3)", time(1, 2, 3, 400)),
        ("TIMESTAMP NULL", datetime(2039, 1, 1, tzinfo=UTC)),
        ("TIMESTAMP NULL", datetime(1970, 1, 1, tzinfo=UTC)),
        ("JSON", '{"a": }'),
    ],
)
def test_what_the_server_would_change_is_refused(
    target: MariaTarget, session: MariaSession, declared: str, value: Any, rows: int
) -> None:
    """Nothing is rounded, cut, padded, wrapped or replaced, neither by LOAD DATA nor by INSERT."""
    shape = create(target, f"CREATE TABLE t (id INT PRIMARY KEY, v {declared}) CHARACTER SET utf8mb4")
    session.savepoint("before")
    with pytest.raises(ConstraintViolation) as caught:
        session.insert(shape, filled(shape, rows, v=value))
    assert caught.value.kind in {"value", "check"}
    session.rollback_to("before")
    assert count(session) == 0


@pytest.mark.parametrize("rows", [3, MANY])
def test_violations_are_named(target: MariaTarget, session: MariaSession, rows: int) -> None:
    """A duplicate, a missing parent, a failed check, a NULL: each with its kind and the constraint's name, and nothing is stored."""
    shape = create(
        target,
        "CREATE TABLE p (id INT PRIMARY KEY)",
        "CREATE TABLE t (id INT PRIMARY KEY, u VARCHAR(9) UNIQUE, p INT, c INT, n INT NOT NULL DEFAULT 1, "
        "CONSTRAINT to_p FOREIGN KEY (p) REFERENCES p (id), CONSTRAINT positive CHECK (c > 0))",
    )
    session.insert(shape, pa.table({"id": pa.array([-1], pa.int64()), "u": ["A"]}))
    for name, value, kind, constraint in (
        ("u", "a", "unique", "u"),
        ("p", 7, "foreign_key", "to_p"),
        ("c", -1, "check", "positive"),
        ("n", None, "not_null", None),
    ):
        session.savepoint("before")
        with pytest.raises(ConstraintViolation) as caught:
            session.insert(shape, filled(shape, rows, **{name: value}))
        assert (caught.value.kind, caught.value.constraint) == (kind, constraint)
        session.rollback_to("before")
    assert count(session) == 1


def test_zero_is_zero_in_an_identity_column(target: MariaTarget, session: MariaSession) -> None:
    """LOAD DATA with a SET clause numbers a row with 0 anew after an earlier load; the toolkit keeps the 0."""
    shape = create(target, "CREATE TABLE t (v VARCHAR(9) PRIMARY KEY, b BLOB, id INT AUTO_INCREMENT UNIQUE)")
    rows = pa.table({"v": [f"v{n}" for n in range(MANY)], "b": [b"x"] * MANY, "id": pa.array(range(MANY), pa.int64())})
    for _ in range(3):
        session.savepoint("again")
        session.insert(shape, rows)
        assert session.execute(sa.text("SELECT min(id), max(id) FROM t")) == [(0, MANY - 1)]
        session.rollback_to("again")


def test_without_local_infile_rows_are_inserted(target: MariaTarget, mariadb_server: MariaDbServer) -> None:
    """A server that refuses LOAD DATA LOCAL is written with INSERT, with the same values."""
    shape = create(target, "CREATE TABLE t (id INT PRIMARY KEY, w VARCHAR(50), b BLOB, f DOUBLE)")
    hostile = "\t\n\\N'\"\x00,NULL%s"
    rows = pa.table(
        {"id": pa.array(range(MANY), pa.int64()), "w": [hostile] * MANY, "b": [b"\x00'\\"] * MANY, "f": [1e-300] * MANY}
    )
    mariadb_server.execute("SET GLOBAL local_infile = 0")
    try:
        session = target.session()
        session.begin()
        session.insert(shape, rows)
        assert not session._loader._local_infile
        stored = session.fetch(shape, ("id",), rows.select(["id"]), lock=False)
        session.close()
    finally:
        mariadb_server.execute("SET GLOBAL local_infile = 1")
    assert stored.select(rows.column_names).equals(rows)


def test_keys_are_found_as_the_database_compares_them(target: MariaTarget, session: MariaSession) -> None:
    """`fetch` goes by the column's collation, finds NULL by NULL, and keys that cannot be stored find nothing, cut ones neither."""
    shape = create(
        target,
        "CREATE TABLE t (id INT, k VARCHAR(4) COLLATE utf8mb4_general_ci, v INT, KEY (k), PRIMARY KEY (id)) CHARACTER SET utf8mb4",
        "INSERT INTO t VALUES (1, 'Abcd', 1), (2, NULL, 2), (3, 'x', 3), (4, 'X ', 4)",
    )
    keys = pa.table({"k": ["aBCD", None, "abcde", "X", "none"]})
    found = session.fetch(shape, ("k",), keys, lock=True, columns=("id",))
    pairs = sorted(zip(found[ORDINAL].to_pylist(), found["id"].to_pylist(), strict=True))
    assert pairs == [(0, 1), (1, 2), (3, 3), (3, 4)]
    assert found.column_names == [ORDINAL, "id", "_anomaly"]


def test_update_and_delete_want_each_key_once(target: MariaTarget, session: MariaSession) -> None:
    """A key without a row, two keys of one row, or one of several rows are refused; a row that is the same already counts."""
    shape = create(
        target,
        "CREATE TABLE t (id INT PRIMARY KEY, k VARCHAR(4) COLLATE utf8mb4_general_ci, v INT) CHARACTER SET utf8mb4",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'c', 4)",
    )
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


def test_a_backend_is_ended_only_while_it_is_the_same(target: MariaTarget, session: MariaSession) -> None:
    """`end_backend` rolls the other connection back, and never touches a later one of the same number."""
    shape = create(target, "CREATE TABLE t (id INT PRIMARY KEY)")
    other = target.session()
    other.begin()
    other.insert(shape, filled(shape, 5))
    backend = other.backend()
    assert not session.end_backend(Backend(backend.id, "migrate:another start"))
    assert session.end_backend(backend)
    assert not session.end_backend(backend)
    with pytest.raises(ConnectionLost):
        other.commit()
    other.rollback()
    other.close()
    assert count(session) == 0


def test_a_lock_that_is_not_given_is_transient(target: MariaTarget, session: MariaSession) -> None:
    """Error 1205 rolls back one statement only; it is told as transient, so that the whole is tried again."""
    shape = create(target, "CREATE TABLE t (id INT PRIMARY KEY)")
    session.insert(shape, filled(shape, 1))
    other = target.session()
    other.begin()
    other.execute(sa.text("SET SESSION innodb_lock_wait_timeout = 1"))
    with pytest.raises(TransientFault):
        other.insert(shape, filled(shape, 1))
    other.close()


def test_a_deadlock_is_transient(target: MariaTarget) -> None:
    """Two sessions that wait for each other: one of them is told to try again."""
    shape = create(target, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    keys = [pa.table({"id": pa.array([number], pa.int64())}) for number in (1, 2)]
    sessions = [target.session(), target.session()]
    barrier = threading.Barrier(2)
    errors: list[Exception] = []

    def work(session: MariaSession, first: pa.Table, second: pa.Table) -> None:
        session.begin()
        session.fetch(shape, ("id",), first, lock=True)
        barrier.wait()
        try:
            session.fetch(shape, ("id",), second, lock=True)
        except TransientFault as error:
            errors.append(error)
        session.rollback()
        session.close()

    threads = [threading.Thread(target=work, args=(session, *keys[:: 1 - 2 * n])) for n, session in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 1


def test_a_server_that_dies_is_a_lost_connection(target: MariaTarget, mariadb_server: MariaDbServer) -> None:
    """After a crash the session says that its connection is gone, rolls back in peace, and a new one works."""
    shape = create(target, "CREATE TABLE t (id INT PRIMARY KEY)")
    session = target.session()
    session.begin()
    session.insert(shape, filled(shape, MANY))
    mariadb_server.restart()
    with pytest.raises(ConnectionLost):
        session.insert(shape, filled(shape, MANY))
    session.rollback()
    session.close()
    again = target.session()
    again.begin()
    assert count(again) == 0
    again.close()


def test_passwords_stay_out_of_messages(mariadb_server: MariaDbServer) -> None:
    """A refused login names the user and the place, and not the password."""
    url = mariadb_server.url("mysql").replace("root@", "root:s3cret-word@")
    with pytest.raises(EnvironmentFault) as caught:
        open_target(url).session()
    assert "s3cret-word" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_text_of_a_temporary_stage_does_not_outlive_the_transaction(target: MariaTarget, session: MariaSession) -> None:
    """Staging commits nothing: what was written before is rolled back with the rest."""
    shape = create(target, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    session.insert(shape, filled(shape, 10))
    session.fetch(shape, ("id",), pa.table({"id": pa.array([1], pa.int64())}), lock=True)
    session.update(shape, ("id",), pa.table({"id": pa.array([1], pa.int64()), "v": pa.array([1], pa.int64())}))
    session.delete(shape, ("id",), pa.table({"id": pa.array([2], pa.int64())}))
    session.rollback()
    session.begin()
    assert count(session) == 0


def test_sequences_are_beyond_what_is_stored(target: MariaTarget, session: MariaSession) -> None:
    """After explicit numbers the next row of the application gets a new one."""
    shape = create(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    session.insert(shape, filled(shape, MANY))
    session.commit()
    assert target.advance_sequences(shape) == []
    with target.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO t (v) VALUES (1)")
        assert connection.exec_driver_sql("SELECT max(id) FROM t").scalar() == MANY
