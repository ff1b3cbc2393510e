"""Sessions and readers: transactions, snapshots, lost connections, deadlocks, sequences."""

from __future__ import annotations

from threading import Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrate.errors import ConnectionLost, TransientFault
from migrate.invoice import types
from migrate.stores.port import TargetSession, TargetStore
from migrate.values import PointingTable, TableShape
from tests.contract.conftest import Store
from tests.contract.family import child, rows_of


def use_until_it_fails(session: TargetSession) -> None:
    """A server that ends a connection may answer a few more statements before it does."""
    for _ in range(1000):
        session.execute(sa.text("SELECT 1"))


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
    assert target.pointing_at(["parent"]) == [PointingTable(shape.name, foreign)]
    assert target.pointing_at(["parent", shape.name]) == target.pointing_at([shape.name]) == []
    assert target.describe("nothing_here") is None
    assert target.fingerprint()["version"]
    assert set(store.source("child").fingerprint()) == {"engine", "version"}
