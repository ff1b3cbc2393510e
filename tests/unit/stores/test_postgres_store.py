"""What only PostgreSQL has: its types, its odd values, its catalogue, its transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrate.errors import ConnectionLost, ConstraintViolation, EnvironmentFault, InputError, TransientFault
from migrate.stores.port import ANOMALY
from migrate.stores.postgres_session import PostgresSession
from migrate.stores.postgres_source import PostgresReader, PostgresSource
from migrate.stores.postgres_target import PostgresTarget
from migrate.values import KeyRange, SourceSpec, TableShape
from tests.databases import PostgresServer


@dataclass
class Database:
    """A fresh database; what is opened through it is closed at the end of the test."""

    url: str
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, *statements: str) -> None:
        """Run statements, each committed."""
        with self.target().engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self.target().engine().connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement.replace("%", "%%"))]

    def target(self, lock_timeout: str = "30s") -> PostgresTarget:
        """The target store."""
        target = PostgresTarget(self.url, lock_timeout=lock_timeout)
        self.stack.callback(target.close)
        return target

    def session(self, target: PostgresTarget) -> PostgresSession:
        """A session."""
        session = target.session()
        self.stack.callback(session.close)
        return session

    def reader(self, table: str, key: tuple[str, ...] = ()) -> PostgresReader:
        """A reader of a table."""
        reader = PostgresSource(SourceSpec(self.url, table=table, key=key)).reader()
        self.stack.callback(reader.close)
        return reader


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """A fresh database."""
    made = Database(postgres_url)
    with made.stack:
        yield made


def shape_of(target: PostgresTarget, table: str) -> TableShape:
    """The shape of a table that is there."""
    shape = target.describe(table)
    assert shape is not None
    return shape


def everything(reader: PostgresReader, key: str, chunk_bytes: int = 1 << 20) -> pa.Table:
    """All rows in the order of a key."""
    return pa.Table.from_batches(list(reader.read(KeyRange(0, (key,), None, None), (key,), chunk_bytes)))


ZOO = """CREATE TABLE zoo (
    id bigint PRIMARY KEY, small smallint, whole integer, money numeric(10, 2) DEFAULT 1.005, free numeric, single real,
    double double precision DEFAULT 0.1, flag boolean DEFAULT true, day date DEFAULT '2020-01-01', at time(3), moment timestamp(3),
    instant timestamptz DEFAULT now(), short varchar(5) DEFAULT 'a''b', fixed char(5) DEFAULT 'x', words text COLLATE "C", raw bytea,
    number uuid, document json, binary_document jsonb, mood mood DEFAULT 'good', amount positive, list int[], span interval,
    counted integer GENERATED ALWAYS AS IDENTITY, doubled integer GENERATED ALWAYS AS (whole * 2) STORED, serial serial, label name)"""


@pytest.fixture
def zoo(database: Database) -> Database:
    """A table with a column of every type."""
    database.run(
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE DOMAIN positive AS numeric(8, 2) NOT NULL DEFAULT 1.5 CHECK (value > 0)",
        ZOO,
    )
    return database


def test_every_type_is_described(zoo: Database) -> None:
    """Each column has its logical type, and each default what a row that leaves it out gets, as the column stores it."""
    shape = shape_of(zoo.target(), "zoo")
    found = {
        column.name: (
            str(column.type),
            column.default_kind,
            column.default if column.default_kind == "literal" else None,
        )
        for column in shape.columns
    }
    assert found == {
        "id": ("integer", "null", None), "small": ("integer", "null", None), "whole": ("integer", "null", None),
        "money": ("decimal(10,2)", "literal", "1.01"), "free": ("decimal", "null", None), "single": ("float", "null", None),
        "double": ("float", "literal", "0.1"), "flag": ("boolean", "literal", "true"), "day": ("date", "literal", "2020-01-01"),
        "at": ("time", "null", None), "moment": ("timestamp", "null", None), "instant": ("instant", "expression", None),
        "short": ("text(5)", "literal", "a'b"), "fixed": ("text(5)", "literal", "x"), "words": ("text", "null", None),
        "raw": ("bytes", "null", None), "number": ("uuid", "null", None), "document": ("json", "null", None),
        "binary_document": ("json", "null", None), "mood": ("text", "literal", "good"), "amount": ("decimal(8,2)", "literal", "1.50"),
        "list": ("unsupported", "null", None), "span": ("unsupported", "null", None), "counted": ("integer", "identity", None),
        "doubled": ("integer", "generated", None), "serial": ("integer", "identity", None), "label": ("text", "null", None),
    }  # fmt: skip
    assert [column.name for column in shape.columns if not column.nullable] == ["id", "amount", "counted", "serial"]
    assert shape.column("words").collation == "C"
    assert not shape.column("fixed").type.keeps_spaces


ANIMALS: dict[str, list[Any]] = {
    "id": [1, 2],
    "small": [-32768, None],
    "whole": [2**31 - 1 >> 1, -5],
    "money": [Decimal("-99999999.99"), Decimal("0.00")],
    "free": ["12345678901234567890.1234567890123456789012345678901234567890", "1.50"],
    "single": [1.5, -0.25],
    "double": [0.1, 5e-324],
    "flag": [True, None],
    "day": [date(1, 1, 1), date(9999, 12, 31)],
    "at": [time(23, 59, 59, 999000), None],
    "moment": [datetime.fromisoformat("1986-05-04T00:30:00.123"), None],
    "instant": [datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), datetime(1, 1, 1, tzinfo=UTC)],
    "short": ["a\t\n\\", "€😀"],
    "fixed": ["ab", ""],
    "words": ["", "'x"],
    "raw": [b"\0\xff", b""],
    "number": ["00000000-0000-0000-0000-0000000000ff", None],
    "document": ['{"a": 1,  "a":2}', "1"],
    "binary_document": ['{"a": 12345678901234567.89}', '"x"'],
    "mood": ["good", "bad"],
    "amount": [Decimal("1.00"), Decimal("2.00")],
    "list": ["{1,2}", None],
    "span": ["1 day 02:00:00", None],
    "counted": [7, 8],
    "label": ["n1", None],
}


def animals(shape: TableShape, names: list[str]) -> pa.Table:
    """The rows of ANIMALS, only these columns."""
    return pa.table({name: pa.array(ANIMALS[name], shape.column(name).type.arrow) for name in names})


@pytest.mark.parametrize("left_out", [(), ("free", "list", "span")], ids=["through-text", "binary-copy"])
def test_every_type_is_written_and_read_exactly(zoo: Database, left_out: tuple[str, ...]) -> None:
    """Both ways in (binary COPY, and through text where a type has no binary form of ours) end in the same values."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    names = [name for name in ANIMALS if name not in left_out]
    rows = animals(shape, names)
    session = zoo.session(target)
    session.begin()
    session.insert(shape, rows)
    session.commit()
    read = everything(zoo.reader("zoo"), "id")
    stored = session.fetch(shape, ("id",), rows.select(["id"]), lock=False)
    for name in names:
        assert read[name].to_pylist() == ANIMALS[name], name
        assert stored[name].to_pylist() == ANIMALS[name], name
    assert stored["doubled"].to_pylist() == [2 * value for value in ANIMALS["whole"]]


def test_every_type_is_updated_and_is_a_key(zoo: Database) -> None:
    """`update` sets each type exactly, and `fetch` finds a row by each type that has an equality."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    session = zoo.session(target)
    rows = animals(shape, list(ANIMALS))
    session.begin()
    session.insert(shape, pa.table({"id": rows["id"], "amount": pa.array([Decimal("5.00")] * 2, pa.decimal128(8, 2))}))
    changeable = [name for name in ANIMALS if name != "counted"]
    session.update(shape, ("id",), rows.select(changeable))
    stored = session.fetch(shape, ("id",), rows.select(["id"]), lock=True)
    for name in changeable:
        assert stored[name].to_pylist() == ANIMALS[name], name
    for name in set(changeable) - {"document", "id"}:
        found = session.fetch(shape, (name, "id"), rows.select([name, "id"]), lock=False, columns=("id",))
        assert found["id"].to_pylist() == [1, 2], name
    session.rollback()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("small", 40000), ("single", 0.1), ("at", time(1, 2, 3, 456789)), ("moment", datetime.fromisoformat("2020-01-01T00:00:00.000001")),
        ("short", "abcdef"), ("short", "abc   "), ("fixed", "ab "), ("words", "a\0"), ("number", "xx"), ("document", "{"),
        ("binary_document", '"\\u0000"'), ("mood", "zz"), ("span", "24 hours"), ("list", "{1, 2}"), ("list", "{x}"),
        ("money", Decimal("100000000.00")), ("free", "1e3"), ("free", "NaN"), ("label", "x" * 64),
    ],
)  # fmt: skip
def test_what_the_server_would_change_is_refused(zoo: Database, column: str, value: object) -> None:
    """Rounding, cutting, normalising: each raises before or in the server, and the transaction goes on after `rollback_to`."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    session = zoo.session(target)
    arrow = pa.decimal128(38, 2) if column == "money" else shape.column(column).type.arrow
    row = pa.table({"id": pa.array([1], pa.int64()), column: pa.array([value], arrow)})
    session.begin()
    session.savepoint("rows")
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, row)
    assert refused.value.kind == "value"
    session.rollback_to("rows")
    assert list(session.execute(sa.text("SELECT count(*) FROM zoo"))) == [(0,)]


def test_a_domain_check_is_a_check(zoo: Database) -> None:
    """A value that a domain refuses is a violated check with the constraint's name."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    session = zoo.session(target)
    session.begin()
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, pa.table({"id": [1], "amount": pa.array([Decimal("-1.00")], pa.decimal128(8, 2))}))
    assert (refused.value.kind, refused.value.constraint) == ("check", "positive_check")
    session.rollback()


ODD = {
    "moment": ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "10000-01-01 00:00:00"],
    "instant": ["infinity", "0044-03-15 12:00:00+00 BC"],
    "day": ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"],
    "at": ["24:00:00"],
    "money": ["NaN"],
    "free": ["NaN", "Infinity", "-Infinity"],
}


def test_what_arrow_cannot_hold_is_an_anomaly_with_its_text(database: Database) -> None:
    """Infinity, BC, the year 10000, 24:00 and NaN are never another value: NULL, and the row says what stands there."""
    database.run(
        "CREATE TABLE odd (id int PRIMARY KEY, moment timestamp, instant timestamptz, day date, at time, money numeric(18, 2), free numeric)"
    )
    expected = {}
    number = 0
    for column, texts in ODD.items():
        for text in texts:
            number += 1
            expected[number] = (column, text)
            database.run(f"INSERT INTO odd (id, {column}) VALUES ({number}, '{text}')")
    database.run("INSERT INTO odd VALUES (0, '2020-01-01', '2020-01-01', '2020-01-01', '23:59', '1.00', '0.1')")
    database.run("INSERT INTO odd (id, moment, free) VALUES (99, 'infinity', 'NaN')")
    rows = everything(database.reader("odd"), "id").to_pylist()
    assert rows[0][ANOMALY] is None
    assert rows[0]["free"] == "0.1"
    for row in rows[1:-1]:
        column, text = expected[row["id"]]
        assert row[column] is None
        assert row[ANOMALY] == f"{column} cannot be held: {text}"
    assert rows[-1][ANOMALY] == "moment cannot be held: infinity; free cannot be held: NaN"
    found = database.reader("odd").read(KeyRange(0, ("id",), None, None), ("id",), 1 << 20, ("id", "free"))
    assert pa.Table.from_batches(list(found))[ANOMALY].null_count == len(rows) - 4


def test_infinite_keys_are_in_the_ranges_too(database: Database) -> None:
    """A key that no Python date can be is a border like any other, as text."""
    database.run("CREATE TABLE days (day date PRIMARY KEY)")
    database.run(
        "INSERT INTO days VALUES ('-infinity'), ('0044-03-15 BC'), ('2020-01-01'), ('10000-01-01'), ('infinity')"
    )
    reader = database.reader("days")
    borders = []
    after = None
    for _ in range(5):
        after = reader.border(("day",), after, 1)
        borders.append(after)
    assert borders == [("-infinity",), ("0044-03-15 BC",), (date(2020, 1, 1),), ("10000-01-01",), ("infinity",)]
    middle = KeyRange(0, ("day",), borders[0], borders[3])
    assert sum(batch.num_rows for batch in reader.read(middle, ("day",), 1 << 20)) == 3


def test_broken_bytes_are_an_anomaly(postgres_server: PostgresServer) -> None:
    """A database without an encoding (SQL_ASCII) can hold what is no text: the row says so with its bytes, the others are read."""
    postgres_server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    try:
        postgres_server.execute("CREATE TABLE words (id int PRIMARY KEY, word text, name varchar(20))", "ascii")
        postgres_server.execute(
            r"INSERT INTO words VALUES (1, convert_from('\xe58f91e7a5a8', 'SQL_ASCII'), 'good'), (2, convert_from('\xb7a2', 'SQL_ASCII'), 'x'), (3, NULL, NULL)",
            "ascii",
        )
        reader = PostgresSource(SourceSpec(postgres_server.url("ascii"), table="words")).reader()
        rows = everything(reader, "id").to_pylist()
        reader.close()
    finally:
        postgres_server.drop_database("ascii")
    assert [row["word"] for row in rows] == ["发票", None, None]
    assert [row[ANOMALY] for row in rows] == [None, "word cannot be held: \\xb7a2", None]


def test_names_are_found_as_written(database: Database) -> None:
    """Upper case, reserved words, dots and quotes in names; a schema before the dot; an unknown one is an InputError."""
    database.run(
        'CREATE SCHEMA "Old One"',
        'CREATE TABLE "Old One"."order" ("select" int PRIMARY KEY, "Mixed %s Case" text, "a""b" text)',
        'CREATE TABLE "dotted.name" (id int PRIMARY KEY)',
    )
    target = database.target()
    for name in ('"Old One"."order"', "Old One.order"):
        shape = shape_of(target, name)
        assert shape.names == ("select", "Mixed %s Case", 'a"b')
        session = database.session(target)
        session.begin()
        session.insert(shape, pa.table({"select": [1], "Mixed %s Case": ["x"], 'a"b': ["y"]}))
        session.update(shape, ("select",), pa.table({"select": [1], 'a"b': ["z"]}))
        assert session.fetch(shape, ("Mixed %s Case",), pa.table({"Mixed %s Case": ["x"]}), lock=True)[
            'a"b'
        ].to_pylist() == ["z"]
        session.commit()
        read = everything(database.reader(name), "select")
        assert read.to_pylist() == [{"select": 1, "Mixed %s Case": "x", 'a"b': "z", ANOMALY: None}]
        session.begin()
        session.delete(shape, ("select",), pa.table({"select": [1]}))
        session.commit()
    assert shape_of(target, "dotted.name").primary_key == ("id",)
    assert target.describe("order") is None
    with pytest.raises(InputError, match="no table order"):
        database.reader("order")


def test_what_changes_rows_by_itself_is_an_obstacle(database: Database) -> None:
    """Triggers, rules, followers by cascade and row security are named; odd indexes are remarks, and never keys."""
    database.run(
        "CREATE TABLE parent (id int PRIMARY KEY, word text, level int, since int UNIQUE DEFERRABLE, UNIQUE (word, level))",
        "CREATE TABLE follower (id int REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL)",
        "CREATE UNIQUE INDEX partly ON parent (word) WHERE level > 0",
        "CREATE UNIQUE INDEX folded ON parent (lower(word))",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE RULE quiet AS ON DELETE TO parent WHERE id < 0 DO INSTEAD NOTHING",
    )
    shape = shape_of(database.target(), "parent")
    assert {key.columns for key in shape.unique_keys} == {("id",), ("word", "level")}
    assert shape.obstacles == (
        "rule quiet rewrites statements",
        "trigger stamp runs on insert and update",
        "rows of follower (id, foreign key follower_id_fkey) follow: ON DELETE CASCADE",
        "rows of follower (id, foreign key follower_id_fkey) follow: ON UPDATE SET NULL",
    )
    assert [remark.split(" is ")[0] for remark in shape.remarks] == ["folded", "parent_since_key", "partly"]
    [key] = shape_of(database.target(), "follower").foreign_keys
    assert (key.parent, key.parent_columns, key.cascades) == ("parent", ("id",), True)


def test_a_query_that_the_server_refuses_is_an_input_error(database: Database) -> None:
    """Bad SQL, a repeated column and a missing key column are named; a semicolon or a comment at the end is not minded."""
    for query, key, message in [
        ("SELECT nothing FROM nowhere", (), "nowhere"),
        ("SELECT 1 AS a, 2 AS a", (), "several columns named a"),
        ("SELECT 1 AS a", ("b",), "no column b"),
    ]:
        with pytest.raises(InputError, match=message):
            PostgresSource(SourceSpec(database.url, query=query, key=key))
    for tail in (";", " -- done", ""):
        query = f"SELECT 1::int2 AS a, 1.50::numeric(5,2) AS b{tail}"
        source = PostgresSource(SourceSpec(database.url, query=query, key=("a",)))
        assert [str(column.type) for column in source.shape.columns] == ["integer", "decimal(5,2)"]


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


def test_readers_share_an_exported_snapshot(database: Database) -> None:
    """All readers of a snapshot see one state, and keep it when the snapshot ends; a reader that comes too late fails."""
    database.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    source = PostgresSource(SourceSpec(database.url, table="t"))
    snapshot = source.snapshot()
    database.run("INSERT INTO t VALUES (2)")
    readers = [source.reader(snapshot) for _ in range(2)]
    snapshot.close()
    for reader in readers:
        assert reader.lookup(("id",))["id"].to_pylist() == [1]
        reader.close()
    with pytest.raises(EnvironmentFault):
        source.reader(snapshot)


def test_a_source_connection_refuses_to_write(database: Database) -> None:
    """Even SQL that a `query:` smuggles in cannot change the source."""
    database.run("CREATE TABLE t (id int PRIMARY KEY)")
    database.run("CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING id'")
    source = PostgresSource(SourceSpec(database.url, query="SELECT g() AS id", key=("id",)))
    reader = source.reader()
    with pytest.raises(EnvironmentFault, match="read-only"):
        reader.lookup(("id",))
    reader.close()
    assert database.rows("SELECT * FROM t") == []


def test_a_connection_cut_in_the_middle_of_a_range_is_lost(database: Database) -> None:
    """A stream that breaks raises ConnectionLost and never ends as if it were complete."""
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, filler text)",
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i",
    )
    reader = database.reader("t")
    batches = reader.read(KeyRange(0, ("id",), None, None), ("id",), 100_000)
    assert next(batches).num_rows > 0
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'migrate' AND state = 'active' AND pid <> pg_backend_pid()"
    )
    with pytest.raises(ConnectionLost):
        list(batches)
    reader.close()


def test_chunks_are_bounded_and_a_reader_can_stop_early(database: Database) -> None:
    """Batches stay near the asked size; a stream that is left in the middle frees the connection for the next."""
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, filler text)",
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i",
    )
    reader = database.reader("t")
    sizes = [batch.nbytes for batch in reader.read(KeyRange(0, ("id",), None, None), ("id",), 100_000)]
    assert max(sizes) < 400_000
    assert len(sizes) > 20
    stopped = reader.read(KeyRange(0, ("id",), None, None), ("id",), 100_000)
    next(stopped)
    stopped.close()  # type: ignore[attr-defined]
    assert reader.border(("id",), None, 5000) == (5000,)


def test_only_a_single_heap_is_read_by_position(database: Database) -> None:
    """A partitioned table or view without key has no row number: `positional` is false."""
    database.run(
        "CREATE TABLE heap (a int)",
        "CREATE TABLE parts (a int) PARTITION BY RANGE (a)",
        "CREATE VIEW seen AS SELECT * FROM heap",
    )
    shapes = {name: PostgresSource(SourceSpec(database.url, table=name)).shape for name in ("heap", "parts", "seen")}
    assert {name: shape.positional for name, shape in shapes.items()} == {"heap": True, "parts": False, "seen": False}
    assert not PostgresSource(SourceSpec(database.url, table="heap", key=("a",))).shape.positional


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
