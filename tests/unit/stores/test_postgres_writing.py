"""PostgreSQL as a target: transactions, locks, keys and sequences."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from threading import Thread

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrate.errors import ConnectionLost, ConstraintViolation, EnvironmentFault, TransientFault
from migrate.stores.postgres_target import PostgresTarget
from tests.databases import PostgresServer
from tests.unit.stores.postgres_database import Database, shape_of


def test_a_failed_transaction_is_never_committed(database: Database) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with success: the session says what happened instead."""
    database.run("CREATE TABLE t (id int PRIMARY KEY)")
    target = database.target()
    shape = shape_of(target, "t")
    session = database.session(target)
    session.begin()
    session.insert(shape, pa.table({"id": [1]}))
    with pytest.raises(ConstraintViolation):
        session.insert(shape, pa.table({"id": [1]}))
    with pytest.raises(EnvironmentFault, match="nothing was committed"):
        session.commit()
    assert database.rows("SELECT * FROM t") == []
    session.begin()
    session.insert(shape, pa.table({"id": [2]}))
    session.commit()
    assert database.rows("SELECT * FROM t") == [(2,)]


def test_deferred_constraints_speak_up_at_once(database: Database) -> None:
    """A foreign key that waits for COMMIT is checked with the rows, so that they can be told apart."""
    database.run(
        "CREATE TABLE p (id int PRIMARY KEY)", "CREATE TABLE c (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)"
    )
    target = database.target()
    shape = shape_of(target, "c")
    session = database.session(target)
    session.begin()
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, pa.table({"id": [1]}))
    assert refused.value.kind == "foreign_key"
    session.rollback()


def test_a_lock_that_does_not_come_is_transient(database: Database) -> None:
    """A wait for a lock ends after the time-out; the transaction can be tried again."""
    database.run("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 1)")
    target = database.target(lock_timeout="50ms")
    shape = shape_of(target, "t")
    holder, waiter = database.session(target), database.session(target)
    key = pa.table({"id": pa.array([1], pa.int64())})
    holder.begin()
    holder.fetch(shape, ("id",), key, lock=True)
    waiter.begin()
    with pytest.raises(TransientFault):
        waiter.fetch(shape, ("id",), key, lock=True)
    waiter.rollback()
    holder.rollback()
    waiter.begin()
    assert waiter.fetch(shape, ("id",), key, lock=True).num_rows == 1
    waiter.rollback()


def test_keys_beyond_the_column_find_nothing(database: Database) -> None:
    """A key that the column cannot even hold is no error: no row is equal to it."""
    database.run("CREATE TABLE t (id smallint PRIMARY KEY, code char(3))", "INSERT INTO t VALUES (1, 'a')")
    target = database.target()
    shape = shape_of(target, "t")
    session = database.session(target)
    session.begin()
    keys = pa.table({"id": pa.array([2**40, 1, None], pa.int64())})
    assert session.fetch(shape, ("id",), keys, lock=False)["_n"].to_pylist() == [1]
    assert session.fetch(shape, ("code",), pa.table({"code": ["abcdef", "a", "a  "]}), lock=False)[
        "_n"
    ].to_pylist() == [1, 2]
    session.rollback()


def test_many_keys_go_in_slices(database: Database) -> None:
    """More keys than one statement takes are looked up, changed and deleted all the same, each once."""
    count = 120_000
    database.run(
        "CREATE TABLE t (id bigint PRIMARY KEY, n bigint)",
        f"INSERT INTO t SELECT i, 0 FROM generate_series(1, {count}) i",
    )
    target = database.target()
    shape = shape_of(target, "t")
    session = database.session(target)
    keys = pa.table({"id": pa.array(range(1, count + 1), pa.int64())})
    session.begin()
    assert session.fetch(shape, ("id",), keys, lock=True)["_n"].to_pylist() == list(range(count))
    session.update(shape, ("id",), keys.append_column("n", keys["id"]))
    assert list(session.execute(sa.text("SELECT count(*) FROM t WHERE n = id"))) == [(count,)]
    session.delete(shape, ("id",), keys)
    assert list(session.execute(sa.text("SELECT count(*) FROM t"))) == [(0,)]
    session.rollback()


def test_a_number_that_only_the_database_draws_is_kept_by_an_update(database: Database) -> None:
    """GENERATED ALWAYS AS IDENTITY: an update that leaves the number as it is goes through, one that would change it is a violation."""
    database.run(
        "CREATE TABLE t (k text PRIMARY KEY, id bigint GENERATED ALWAYS AS IDENTITY, c text)",
        "INSERT INTO t (k, c) VALUES ('a', 'old'), ('b', 'old')",
    )
    target = database.target()
    shape = shape_of(target, "t")
    session = database.session(target)
    session.begin()
    session.update(shape, ("k",), pa.table({"k": ["a", "b"], "id": pa.array([1, 2], pa.int64()), "c": ["new", "new"]}))
    session.update(shape, ("k",), pa.table({"k": ["a"], "id": pa.array([1], pa.int64())}))
    assert list(session.execute(sa.text("SELECT k, id, c FROM t ORDER BY k"))) == [("a", 1, "new"), ("b", 2, "new")]
    with pytest.raises(ConstraintViolation, match="id is 1 and GENERATED ALWAYS"):
        session.update(shape, ("k",), pa.table({"k": ["a"], "id": pa.array([7], pa.int64()), "c": ["x"]}))
    session.rollback()


def test_sequences_are_only_ever_raised(database: Database) -> None:
    """Serial, identity and a falling sequence end beyond the rows; one that is ahead already is left alone and not mentioned."""
    database.run(
        "CREATE SEQUENCE down INCREMENT -1",
        "CREATE TABLE t (a serial, b int GENERATED BY DEFAULT AS IDENTITY, c int DEFAULT nextval('down'))",
        "INSERT INTO t (a, b, c) VALUES (10, 20, -30)",
    )
    target = database.target()
    shape = shape_of(target, "t")
    assert len(target.advance_sequences(shape)) == 3
    database.run("INSERT INTO t DEFAULT VALUES")
    assert database.rows("SELECT a, b, c FROM t ORDER BY a") == [(10, 20, -30), (11, 21, -31)]
    database.run("SELECT setval('t_a_seq', 1000)")
    assert target.advance_sequences(shape) == []
    database.run("INSERT INTO t DEFAULT VALUES")
    assert database.rows("SELECT max(a) FROM t") == [(1001,)]


def test_workers_describe_and_write_at_once(database: Database) -> None:
    """One target serves many threads, each with a session of its own."""
    database.run("CREATE TABLE t (id bigint PRIMARY KEY)")
    target = database.target()
    shape = shape_of(target, "t")

    def write(start: int) -> None:
        session = database.session(target)
        session.begin()
        session.insert(shape, pa.table({"id": pa.array(range(start, start + 100), pa.int64())}))
        session.commit()

    calls: list[Callable[[], None]] = [lambda start=start: write(start) for start in range(0, 400, 100)]  # type: ignore[misc]
    threads = [Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.rows("SELECT count(*) FROM t") == [(400,)]


def test_a_server_that_is_away_is_told_from_a_wrong_database(postgres_server: PostgresServer) -> None:
    """Nothing listens: try again later. No such database: no use in trying again."""
    with pytest.raises(ConnectionLost):
        PostgresTarget("postgresql://u@127.0.0.1:1/x").session()
    with pytest.raises(EnvironmentFault) as refused:
        PostgresTarget(postgres_server.url("no_such_database")).session()
    assert not isinstance(refused.value, TransientFault)
    with pytest.raises(EnvironmentFault):
        PostgresTarget(postgres_server.url("no_such_database")).describe("t")


def test_a_connection_that_is_lost_when_it_is_given_back_is_told_as_lost(database: Database) -> None:
    """A server that goes away between the last statement and the end of its transaction is no defect of the toolkit."""
    with ExitStack() as given_back:
        connection = given_back.enter_context(database.target()._connected())
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        database.run(f"SELECT pg_terminate_backend({backend}, 5000)")
        with pytest.raises(ConnectionLost):
            given_back.close()
