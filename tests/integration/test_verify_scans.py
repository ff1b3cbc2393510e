"""Rows that a database sums up are compared as rows that are read; what cannot be summed up without doubt is read, and the document says why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from migrate.verify import buckets
from migrate.verify.sql_scan import Scan
from migrate.verify.tables import TwoTables, verify_tables
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

BILLS = "CREATE TABLE bill (no bigint PRIMARY KEY, name varchar(40), net decimal(18,2), day date)"
ROWS = 2500


@pytest.fixture
def pair(new_database: Callable[[str], str]) -> tuple[Database, Database]:
    """One table on PostgreSQL and the same on MariaDB, rows in another order, larger than a sample."""
    source, target = Database(new_database("postgresql")), Database(new_database("mariadb"))
    rows: list[dict[str, Any]] = [
        {
            "no": number,
            "name": f"公司{number}" if number % 9 else None,
            "net": f"{number}.{number % 100:02}",
            "day": "2025-04-01",
        }
        for number in range(ROWS)
    ]
    for database, content in ((source, rows), (target, rows[::-1])):
        database.run(BILLS)
        database.insert("bill", content)
    return source, target


def verified(source: Database, target: Database, scan: Scan, into: str = "bill") -> Verification:
    """The two tables `bill`, compared."""
    return verify_tables(TwoTables(source.url, "bill", target.url, into, ("no",), scan=scan))


def scans(found: Verification) -> list[tuple[str, str]]:
    """How each side was scanned, and why."""
    return [(each.scan, each.reason) for each in found.coverage]


def test_two_databases_sum_up_by_themselves(pair: tuple[Database, Database]) -> None:
    """With `sql` neither side's rows are read while they are equal; both were tested on a sample and on extremes."""
    found = verified(*pair, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("sql", "asked")] * 2), found.to_json()
    assert all(each.tested >= 1000 for each in found.coverage)
    result = found.targets["bill"]
    assert (result.source_rows, result.target_rows) == (ROWS, ROWS)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("scan", ["sql", "stream", "auto"])
def test_every_way_finds_the_same(
    pair: tuple[Database, Database], scan: Scan, *, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed, missing, extra and repeated rows are named one by one, whoever summed up, and into however many buckets."""
    monkeypatch.setattr(buckets, "MANY_ROWS", 100 if many else buckets.MANY_ROWS)
    sorted_by: set[int] = set()
    sums = buckets.BucketSums.differing

    def noted(mine: buckets.BucketSums, other: buckets.BucketSums) -> buckets.Buckets:
        sorted_by.update((mine.sorting.bits, other.sorting.bits))
        return sums(mine, other)

    monkeypatch.setattr(buckets.BucketSums, "differing", noted)
    pair[0].run("DELETE FROM bill WHERE no = 7")
    pair[1].run(
        "UPDATE bill SET net = net + 0.01 WHERE no = 5",
        "DELETE FROM bill WHERE no = 9",
        "UPDATE bill SET name = concat(name, ' ') WHERE no = 100",
    )
    found = verified(*pair, scan)
    listed = sorted((each.kind, each.key["no"]) for each in found.targets["bill"].differences)
    assert listed == [("changed", "100"), ("changed", "5"), ("extra", "7"), ("missing", "9")]
    assert (found.verdict, sorted_by) == ("DIFFERENT", {16 if many else 12})
    wanted = {"sql", "stream"} if scan == "auto" else {scan}
    assert {each.scan for each in found.coverage} <= wanted


def test_a_side_is_summed_up_beside_one_that_is_read(pair: tuple[Database, Database], sqlite_url: str) -> None:
    """SQLite is read always; its sums and those of a database are of one kind."""
    copy = Database(sqlite_url)
    copy.run("CREATE TABLE bill (no bigint PRIMARY KEY, name varchar(40), net DECIMAL_TEXT(18,2), day date)")
    copy.insert(
        "bill", [{**row, "net": str(row["net"]), "day": str(row["day"])} for row in pair[0].rows("SELECT * FROM bill")]
    )
    found = verified(pair[0], copy, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("sql", "asked"), ("stream", "no_sql")]), found.to_json()


def test_small_tables_are_read(pair: tuple[Database, Database]) -> None:
    """With `auto`, a table of fewer rows than the sample is not worth a second look."""
    for each in pair:
        each.run("DELETE FROM bill WHERE no > 50")
    found = verified(*pair, "auto")
    assert (found.verdict, scans(found)) == ("EQUAL", [("stream", "small")] * 2)


def test_a_poisoned_row_is_read_to_be_named(pair: tuple[Database, Database]) -> None:
    """A value without an encoding is found by the sums, and its table is read for the reason: NOT_VERIFIED, as without SQL."""
    for each in pair:
        each.run("ALTER TABLE bill ADD moment timestamp NULL")
    pair[0].run("UPDATE bill SET moment = 'infinity' WHERE no = 3")
    pair[1].run(
        "SET SESSION sql_mode = ''",
        "ALTER TABLE bill MODIFY moment datetime",
        "UPDATE bill SET moment = '0000-00-00' WHERE no = 3",
    )
    by_sql, by_rows = verified(*pair, "sql"), verified(*pair, "stream")
    assert scans(by_sql) == [("stream", "poison")] * 2
    assert by_sql.verdict == by_rows.verdict == "NOT_VERIFIED"
    assert by_sql.not_verified == by_rows.not_verified


def test_what_has_no_form_is_read(pair: tuple[Database, Database]) -> None:
    """One column that the database cannot encode makes its whole table read, and is named; the other side may still sum up."""
    for each in pair:
        each.run("ALTER TABLE bill ADD rate double precision", "UPDATE bill SET rate = 0.5")
    found = verified(*pair, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("sql", "asked"), ("stream", "no_form")]), found.to_json()
    assert found.coverage[1].detail == "rate: double does not show its bits in MariaDB"


def shadow_sha256(database: Database, body: str) -> None:
    """Put a function of one's own in the place of PostgreSQL's."""
    (name,) = (row["d"] for row in database.rows("SELECT current_database() AS d"))
    database.run(
        f"CREATE FUNCTION public.sha256(given bytea) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
        f"ALTER DATABASE {name} SET search_path = public, pg_catalog",
    )


def test_a_byte_of_difference_makes_the_table_be_read(pair: tuple[Database, Database]) -> None:
    """A database that encodes otherwise than the reference evaluator is found out on the sample, before anything rests on it."""
    raw = {"postgresql": "bytea", "mariadb": "blob"}
    for each in pair:
        each.run(f"ALTER TABLE bill ADD raw {raw[each.kind]}", "UPDATE bill SET raw = '0'")
    shadow_sha256(pair[0], "RETURN pg_catalog.sha256(given || 'x');")
    found = verified(*pair, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("stream", "differs"), ("sql", "asked")]), found.to_json()
    assert str(found.coverage[0].detail).startswith("the encoding of a row differs at byte ")


def test_a_statement_that_fails_makes_the_table_be_read(pair: tuple[Database, Database]) -> None:
    """A database that refuses the sums, after it encoded the sample well, is read in the same snapshot, and the report has its words."""
    shadow_sha256(pair[0], "RAISE EXCEPTION 'not today';")
    found = verified(*pair, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("stream", "failed"), ("sql", "asked")]), found.to_json()
    assert "not today" in str(found.coverage[0].detail)
    pair[0].run("DELETE FROM bill WHERE no = 1")
    assert verified(*pair, "sql").verdict == "DIFFERENT"


def test_the_target_of_a_mapping_is_summed_up(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replayed source is read; its target is summed up by the database if that can, and a change is found as always."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, v bigint)")
    source.insert("src", [{"id": number, "v": number * 7} for number in range(1200)])
    target.run("CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, v bigint NOT NULL)")
    mapping = """
mapping: plain
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], fields: {k: id, v: v}}
"""
    plan = plan_of(tmp_path, mapping, source.url, target.url)
    run_scheduled(plan)
    expected = ("stream", "no_sql") if target.kind == "sqlite" else ("sql", "asked")
    found = verify_plan(plan, VerifyOptions(scan="sql"))
    assert (found.verdict, scans(found)) == ("EQUAL", [("stream", "replayed"), expected]), found.to_json()
    assert found.coverage[0].sentences() == [
        "read by a second driver too: 3 rows",
        "rows counted by the source itself too: 1,200",
    ]
    target.run("UPDATE t SET v = 1 WHERE k = 11", "DELETE FROM t WHERE k = 12")
    for rows in (buckets.MANY_ROWS, 100):
        monkeypatch.setattr(buckets, "MANY_ROWS", rows)
        found = verify_plan(plan, VerifyOptions(scan="sql"))
        assert sorted(each.kind for each in found.targets["t"].differences) == ["changed", "missing"]
        assert scans(found) == [("stream", "replayed"), expected]


SCOPED = """
mapping: scoped
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], scope: "system = 'a'", fields: {k: id, v: v, system: {value: a}}}
totals:
  - {target: t, by: {odd: "k % 2"}, sum: [v]}
"""


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_scope_and_totals_of_a_target_that_is_summed_up(
    kind: str, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """Rows of other systems are in no sum, also where the collation holds their name to be equal; totals are found as always."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(new_database(kind))
    source.run("CREATE TABLE src (id integer PRIMARY KEY, v bigint)")
    source.insert("src", [{"id": number, "v": number * 7} for number in range(1200)])
    target.run("CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, v bigint NOT NULL, system varchar(9), note varchar(9))")
    plan = plan_of(tmp_path, SCOPED, source.url, target.url)
    run_scheduled(plan)
    target.insert(
        "t", [{"k": -1, "v": 1, "system": "A"}, {"k": -2, "v": 1, "system": "a "}, {"k": -3, "v": 1, "system": None}]
    )
    for scan in ("sql", "stream"):
        found = verify_plan(plan, VerifyOptions(scan=scan))
        assert (found.verdict, found.groups, scans(found)[1]) == ("EQUAL", 2, (scan, "asked")), found.to_json()
        assert found.targets["t"].target_rows == 1200
    target.run("UPDATE t SET v = v + 1 WHERE k = 11", "UPDATE t SET system = 'A' WHERE k = 12")
    by_sql, by_rows = (verify_plan(plan, VerifyOptions(scan=scan)) for scan in ("sql", "stream"))
    assert sorted(each.kind for each in by_sql.targets["t"].differences) == ["changed", "missing"]
    assert len(by_sql.totals) == 2
    assert (by_sql.totals, by_sql.targets) == (by_rows.totals, by_rows.targets)


def test_padding_of_one_side_is_no_value_of_the_other(pair: tuple[Database, Database]) -> None:
    """Where one side pads its texts, spaces at the end are no part of the value on either, in SQL as in rows."""
    pair[0].run("ALTER TABLE bill ALTER name TYPE char(40)")
    pair[1].run("UPDATE bill SET name = concat(name, '  ') WHERE no < 100")
    assert verified(*pair, "sql").to_json()["verdict"] == "EQUAL"
    assert scans(verified(*pair, "sql")) == [("sql", "asked")] * 2
    pair[0].run("ALTER TABLE bill ALTER name TYPE varchar(40)", "UPDATE bill SET name = name || ' ' WHERE no < 50")
    pair[1].run("ALTER TABLE bill MODIFY name char(40)")
    found = verified(*pair, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("sql", "asked")] * 2), found.to_json()


def test_a_column_may_have_any_name(new_database: Callable[[str], str]) -> None:
    """A column that is named as a part of the statement is none of it: one altered row among groups of equal values is found."""
    source, target = (Database(new_database("mariadb")) for _ in range(2))
    rows = [{"no": number, "b": number % 3, "v": number} for number in range(ROWS)]
    for each in (source, target):
        each.run("CREATE TABLE bill (no bigint PRIMARY KEY, b bigint, v bigint)")
        each.insert("bill", rows)
    found = verified(source, target, "sql")
    assert (found.verdict, scans(found)) == ("EQUAL", [("sql", "asked")] * 2), found.to_json()
    target.run("UPDATE bill SET v = -1 WHERE no = 17")
    found = verified(source, target, "sql")
    assert (found.verdict, found.targets["bill"].counts["changed"]) == ("DIFFERENT", 1), found.to_json()


def test_rows_that_a_policy_hides_are_not_called_equal(postgres_url: str) -> None:
    """A user who may see some rows only learns that, of a table as of a view on it: the others are on neither side of his comparison."""
    database = Database(postgres_url)
    user = f"peeker_{make_url(postgres_url).database}"
    database.run(
        "CREATE TABLE bill (no bigint PRIMARY KEY, v bigint)",
        "INSERT INTO bill VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE TABLE copy (no bigint PRIMARY KEY, v bigint)",
        "INSERT INTO copy VALUES (1, 1), (2, 2)",
        "ALTER TABLE bill ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY part ON bill USING (no < 3)",
        "CREATE VIEW seen WITH (security_invoker) AS SELECT * FROM bill",
        f"CREATE ROLE {user} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}",
    )
    try:
        url = make_url(postgres_url).set(username=user).render_as_string(hide_password=False)
        for table in ("bill", "seen"):
            found = verify_tables(TwoTables(url, table, url, "copy", ("no",)))
            assert (found.verdict, [each.sentences()[0] for each in found.not_verified]) == (
                "NOT_VERIFIED",
                ["the source"],
            )
            assert "row-level security" in found.not_verified[0].sentences()[1]
        owners = verify_tables(TwoTables(postgres_url, "bill", postgres_url, "copy", ("no",)))
        assert owners.targets["copy"].counts["missing"] == 1
    finally:
        database.run(f"DROP OWNED BY {user}", f"DROP ROLE {user}")


def after_both_scans(repair: Callable[[], None]) -> Callable[[str, int], None]:
    """A watch that changes something when each side was read once; both are small enough to be read at once."""
    lock, heard = threading.Lock(), []

    def watch(side: str, _rows: int) -> None:
        with lock:
            heard.append(side)
            if len(heard) == 2:
                repair()

    return watch


def test_a_difference_that_is_gone_at_the_second_reading_is_no_equality(
    new_database: Callable[[str], str], sqlite_url: str
) -> None:
    """An engine without transactions has no snapshot: rows that changed between the two readings were never seen to be equal as a whole."""
    source, target = Database(sqlite_url), Database(new_database("mariadb"))
    source.run("CREATE TABLE bill (no bigint PRIMARY KEY, v bigint)")
    target.run("CREATE TABLE bill (no bigint PRIMARY KEY, v bigint) ENGINE = MyISAM")
    rows = [{"no": number, "v": number} for number in range(20)]
    for each in (source, target):
        each.insert("bill", rows)
    target.run("UPDATE bill SET v = 0 WHERE no = 7")
    asked = TwoTables(source.url, "bill", target.url, "bill", ("no",), scan="stream")
    found = verify_tables(asked, after_both_scans(lambda: target.run("UPDATE bill SET v = 7 WHERE no = 7")))
    assert (found.verdict, found.exit_code) == ("NOT_VERIFIED", 6), found.to_json()
    assert [each.sentences()[0] for each in found.not_verified] == ["the source or the target"]
    assert "were others when they were read a second time" in found.not_verified[0].sentences()[1]
    assert verify_tables(asked).verdict == "EQUAL"


def test_a_mapped_source_without_snapshot_is_not_verified(
    new_database: Callable[[str], str], sqlite_url: str, tmp_path: Path
) -> None:
    """A source that is put right between the two readings: the target is not called equal to what was read first."""
    source, target = Database(new_database("mariadb")), Database(sqlite_url)
    source.run("CREATE TABLE src (id bigint PRIMARY KEY, v bigint) ENGINE = MyISAM")
    source.insert("src", [{"id": number, "v": number} for number in range(20)])
    target.run("CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, v bigint NOT NULL)")
    mapping = """
mapping: moving
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], fields: {k: id, v: v}}
"""
    plan = plan_of(tmp_path, mapping, source.url, target.url)
    run_scheduled(plan)
    source.run("UPDATE src SET v = 0 WHERE id = 7")
    watch = after_both_scans(lambda: source.run("UPDATE src SET v = 7 WHERE id = 7"))
    found = verify_plan(plan, VerifyOptions(), watch)
    assert (found.verdict, found.targets["t"].verdict) == ("NOT_VERIFIED", "NOT_VERIFIED"), found.to_json()
    assert [each.sentences()[0] for each in found.not_verified] == ["the source or the target"]
    assert verify_plan(plan, VerifyOptions()).verdict == "EQUAL"
