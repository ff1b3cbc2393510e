"""PostgreSQL as a source: odd values, names, the catalogue, snapshots and streams."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from migrate.errors import ConnectionLost, EnvironmentFault, InputError
from migrate.stores.port import ANOMALY
from migrate.stores.postgres_source import PostgresSource
from migrate.values import KeyRange, SourceSpec
from tests.databases import PostgresServer
from tests.unit.stores.postgres_database import Database, everything, shape_of

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
