"""An engine that wrongly rejects, filters, drops or alters rows is found: verification replays the mapping and believes no ledger; on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from migrate.engine.jobs import Job, RangeJob
from migrate.engine.plan import Plan
from migrate.mapping.program import Program
from migrate.stores.port import SourceReader
from migrate.stores.sqlite_reader import SqliteReader
from migrate.values import KeyRange
from migrate.verify.tables import TwoTables, verify_tables
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import Finished, plan_of, run_scheduled

ROWS = 30
HIT = (3, 7, 28)
MAPPING = """
mapping: faulty
source: {table: bill, key: [no], where: "state is null or state <> 'gone'"}
targets:
  - table: paid
    key: [no]
    fields: {no: no, name: name, net: {from: net, clean: money}}
totals:
  - {target: paid, sum: [net]}
"""


@dataclass(frozen=True)
class Case:
    """A source, a target on one of the databases, and the mapping between them."""

    place: Path
    source: Database
    target: Database

    def plan(self, mapping: str, batch_rows: int = 10) -> Plan:
        """The mapping, planned."""
        return plan_of(self.place, mapping, self.source.url, self.target.url, batch_rows)


@pytest.fixture
def case(tmp_path: Path, database_url: str) -> Case:
    """Thirty bills, one of them filtered and one rejected, and an empty target."""
    source, target = Database(f"sqlite:///{tmp_path / 'bills.db'}"), Database(database_url)
    source.run("CREATE TABLE bill (no integer PRIMARY KEY, name text, net text, state text)")
    source.insert(
        "bill",
        [
            {
                "no": number,
                "name": f"第{number}号",
                "net": "12O" if number == 11 else f"{number}.00",
                "state": "gone" if number == 12 else None,
            }
            for number in range(1, ROWS + 1)
        ],
    )
    money = "DECIMAL_TEXT(18,2)" if target.kind == "sqlite" else "decimal(18,2)"
    target.run(f"CREATE TABLE paid (no bigint NOT NULL PRIMARY KEY, name varchar(60), net {money})")
    return Case(tmp_path, source, target)


def verified(plan: Plan, **options: Any) -> Verification:
    """Compare both sides."""
    return verify_plan(plan, VerifyOptions(**options))


def found_in(verification: Verification, target: str = "paid") -> dict[str, str]:
    """Kind by key of the differences; keys of several columns joined."""
    differences = verification.targets[target].differences
    return {"/".join(str(part) for part in each.key.values()): each.kind for each in differences}


def faulty(fault: Callable[[pa.Table, pa.Array], pa.Table]) -> Callable[[KeyRange], Job]:
    """An engine whose batches see the rows in `HIT` otherwise than they are: `fault` gets the rows and where they are hit."""

    class Faulty(RangeJob):
        def chunks(self, reader: SourceReader, program: Program, chunk_bytes: int) -> Iterator[pa.Table]:
            for chunk in RangeJob.chunks(self, reader, program, chunk_bytes):
                yield fault(chunk, pc.is_in(chunk["no"], value_set=pa.array(HIT, chunk["no"].type)))

    return Faulty


def dropped(rows: pa.Table, hit: pa.Array) -> pa.Table:
    """The rows are lost."""
    return rows.filter(pc.invert(hit))


def replaced(column: str, text: str) -> Callable[[pa.Table, pa.Array], pa.Table]:
    """The rows have another text in a column."""

    def fault(rows: pa.Table, hit: pa.Array) -> pa.Table:
        at = rows.schema.get_field_index(column)
        values = pc.if_else(hit, pa.scalar(text, rows[column].type), rows[column])
        return rows.set_column(at, rows.schema.field(at), values)

    return fault


@pytest.mark.parametrize(
    ("fault", "kind", "recorded"),
    [
        pytest.param(dropped, "missing", 0, id="drops"),
        pytest.param(replaced("state", "gone"), "missing", 0, id="filters"),
        pytest.param(replaced("net", "nix"), "missing", len(HIT), id="rejects"),
        pytest.param(replaced("name", "另一家"), "changed", 0, id="alters"),
    ],
)
def test_an_engine_that_loses_or_alters_rows_is_found(
    case: Case, fault: Callable[[pa.Table, pa.Array], pa.Table], kind: str, recorded: int
) -> None:
    """Exactly the rows that were dropped, filtered, rejected or altered are named, although run and ledger call themselves complete."""
    plan = case.plan(MAPPING)
    finished = run_scheduled(plan, job=faulty(fault))
    assert finished.summary.state == "complete"
    found = verified(plan)
    assert (found.verdict, found.exit_code) == ("DIFFERENT", 1)
    assert found_in(found) == {str(number): kind for number in HIT}
    assert found.targets["paid"].explained == {"filtered": 1, "rejected": 1}
    assert bool(found.totals) == (kind == "missing")
    assert found.rejects is not None
    assert (found.rejects.derived, found.rejects.recorded, found.rejects.differ) == (1, 1 + recorded, recorded)
    notes = [each.note.text() if each.note else None for each in found.targets["paid"].differences]
    assert all(("the ledger has its unit as rejected" in (note or "")) == bool(recorded) for note in notes)


def test_the_same_run_without_a_fault_is_equal(case: Case) -> None:
    """The counter-proof of the others: the untouched engine leaves nothing to find."""
    plan = case.plan(MAPPING)
    run_scheduled(plan, job=faulty(lambda rows, _: rows))
    found = verified(plan)
    assert (found.verdict, found.exit_code, found.totals) == ("EQUAL", 0, ())


def test_rows_deleted_under_false_rejects_are_missing(case: Case) -> None:
    """Rows that were deleted while rejects for their units were put into the ledger are missing: the ledger explains nothing."""
    plan = case.plan(MAPPING)
    run = run_scheduled(plan).summary.run
    units = {number: f'[["i","{number}"]]' for number in HIT}
    case.target.insert(
        "migrate_reject",
        [
            {"run": run, "pass_no": 1, "range_no": 900, "entry_no": number, "unit_key": unit, "target": "paid",
             "rule": "CAST", "reason": "invented"}
            for number, unit in units.items()
        ],
    )  # fmt: skip
    case.target.run(f"DELETE FROM paid WHERE no IN {HIT}")
    found = verified(plan)
    assert found.verdict == "DIFFERENT"
    assert found_in(found) == {str(number): "missing" for number in HIT}
    assert found.rejects is not None
    assert set(found.rejects.only_recorded) == set(units.values())


TWO = """
mapping: two
source: {table: bill, key: [no]}
targets:
  - {table: head, key: [no], fields: {no: no, name: name}}
  - {table: tag, key: [label], fields: {label: {sql: "case when no in (4, 5) then 'same' else name end"}, no: no}}
"""


def two_targets(case: Case) -> tuple[Plan, Finished]:
    """Each bill has a row in both; those of 4 and 5 claim one key in the second, so 5 is rejected as a whole."""
    case.target.run(
        "CREATE TABLE head (no bigint NOT NULL PRIMARY KEY, name varchar(60))",
        "CREATE TABLE tag (label varchar(60) NOT NULL PRIMARY KEY, no bigint)",
    )
    plan = case.plan(TWO)
    return plan, run_scheduled(plan)


def test_each_of_several_targets_is_compared(case: Case) -> None:
    """A unit that loses its key in one target is rightly in none; a row lost from one target is missing in that one alone."""
    plan, finished = two_targets(case)
    assert {each.unit for each in finished.rejects} == {'[["i","5"]]'}
    assert verified(plan).verdict == "EQUAL"
    case.target.run("DELETE FROM tag WHERE no = 9", "UPDATE head SET name = 'x' WHERE no = 10")
    found = verified(plan)
    assert found_in(found, "head") == {"10": "changed"}
    assert found_in(found, "tag") == {"第9号": "missing"}


def test_a_target_that_lost_another_units_row_is_not_explained(case: Case) -> None:
    """A rejected unit explains its own rows only: the winner of its key is missing when it is deleted."""
    plan, _ = two_targets(case)
    case.target.run("DELETE FROM tag WHERE no = 4")
    found = verified(plan)
    assert (found.verdict, found_in(found, "tag")) == ("DIFFERENT", {"same": "missing"})


LINES = """
mapping: grouped
source: {table: line, key: [head, pos]}
targets:
  - table: head
    key: [no]
    one_row_per: [head]
    fields: {no: head, amount: {sql: "sum(n)"}}
  - table: line
    key: [head, pos]
    fields: {head: head, pos: pos, n: n}
"""


def test_groups_and_composite_keys(case: Case) -> None:
    """Headers made of several lines and lines of two key columns are found by their keys, also when a key column was exchanged."""
    case.source.run("CREATE TABLE line (head integer, pos integer, n bigint, PRIMARY KEY (head, pos))")
    case.source.insert("line", [{"head": h, "pos": p, "n": 10 * h + p} for h in range(1, 8) for p in range(1, 4)])
    case.target.run(
        "CREATE TABLE head (no bigint NOT NULL PRIMARY KEY, amount bigint)",
        "CREATE TABLE line (head bigint NOT NULL, pos bigint NOT NULL, n bigint, PRIMARY KEY (head, pos))",
    )
    plan = case.plan(LINES, batch_rows=4)
    run_scheduled(plan)
    assert verified(plan).verdict == "EQUAL"
    case.target.run(
        "DELETE FROM head WHERE no = 2",
        "UPDATE head SET amount = amount + 1 WHERE no = 3",
        "DELETE FROM line WHERE head = 4 AND pos = 2",
        "UPDATE line SET head = 5, pos = 4 WHERE head = 4 AND pos = 3",
    )
    found = verified(plan)
    assert found_in(found, "head") == {"2": "missing", "3": "changed"}
    assert found_in(found, "line") == {"4/2": "missing", "4/3": "missing", "5/4": "extra"}


def test_ranges_that_lose_rows_of_a_run_and_of_its_verification(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are read in ranges on both occasions: what these miss, a scan without ranges has, and nothing is called equal."""
    case.source.run("CREATE TABLE line (head integer, pos integer, n bigint, PRIMARY KEY (head, pos))")
    case.source.insert("line", [{"head": h, "pos": p, "n": 10 * h + p} for h in range(1, 8) for p in range(1, 4)])
    case.target.run(
        "CREATE TABLE head (no bigint NOT NULL PRIMARY KEY, amount bigint)",
        "CREATE TABLE line (head bigint NOT NULL, pos bigint NOT NULL, n bigint, PRIMARY KEY (head, pos))",
    )
    read = SqliteReader.read

    def blind(*asked: Any) -> Iterator[pa.RecordBatch]:
        for batch in read(*asked):
            yield batch.filter(pc.not_equal(batch.column("head"), 3))

    monkeypatch.setattr(SqliteReader, "read", blind)
    plan = case.plan(LINES, batch_rows=4)
    assert run_scheduled(plan).summary.state == "complete"
    found = verified(plan)
    assert (found.verdict, found.exit_code) == ("NOT_VERIFIED", 6), found.to_json()
    assert found.not_verified[0].sentences()[0] == "the source"
    assert "have 18 rows, and there are 21" in found.not_verified[0].sentences()[1]


def test_only_rows_within_the_scope_can_be_extra(case: Case) -> None:
    """Rows of others in the same table are left alone; one that claims to be of this mapping is extra, and no key is missing."""
    case.target.run("CREATE TABLE shared (no bigint NOT NULL PRIMARY KEY, origin varchar(10))")
    plan = case.plan("""
mapping: scoped
source: {table: bill, key: [no]}
targets:
  - {table: shared, key: [no], scope: "origin = 'mine'", fields: {no: no, origin: {value: mine}}}
""")
    run_scheduled(plan)
    case.target.insert("shared", [{"no": 1000, "origin": "other"}, {"no": 1001, "origin": None}])
    found = verified(plan)
    assert (found.verdict, found.targets["shared"].target_rows) == ("EQUAL", ROWS)
    case.target.run("INSERT INTO shared VALUES (1002, 'mine')", "UPDATE shared SET origin = 'other' WHERE no = 2")
    assert found_in(verified(plan), "shared") == {"1002": "extra", "2": "missing"}


def test_a_greater_version_is_a_declared_rule(case: Case) -> None:
    """Under `newer` a greater version in the target is equal by a rule that is told; the same or a smaller version is not."""
    case.target.run("CREATE TABLE state (no bigint NOT NULL PRIMARY KEY, name varchar(60), version bigint)")
    plan = case.plan("""
mapping: versions
source: {table: bill, key: [no]}
targets:
  - table: state
    key: [no]
    on_conflict: {newer: version}
    fields: {no: no, name: name, version: {sql: "cast(no + 100 as bigint)"}}
totals:
  - {target: state, sum: [version]}
""")
    run_scheduled(plan)
    case.target.run("UPDATE state SET name = 'later', version = 5000 WHERE no = 3")
    found = verified(plan)
    assert (found.verdict, found.exit_code, found.totals) == ("EQUAL_WITH_DECLARED_RULES", 0, ())
    assert found.rules == ("state: 1 row holds a greater version than the source (on_conflict newer)",)
    assert found.targets["state"].explained["newer"] == 1
    case.target.run("UPDATE state SET name = 'x' WHERE no = 4", "UPDATE state SET name = 'x', version = 1 WHERE no = 5")
    found = verified(plan)
    assert (found.verdict, found_in(found, "state")) == ("DIFFERENT", {"4": "changed", "5": "changed"})


def test_a_rejected_row_that_was_alone_in_its_group_of_totals(case: Case) -> None:
    """A group of totals that only a rightly rejected row has is expected by nobody."""
    case.target.run("CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, no bigint)")
    plan = case.plan("""
mapping: alone
source: {table: bill, key: [no]}
targets:
  - {table: t, key: [k], fields: {k: {sql: "case when no in (4, 5) then 'same' else name end"}, no: no}}
totals:
  - {target: t, by: {no: no}, sum: [no]}
""")
    run_scheduled(plan)
    found = verified(plan)
    assert (found.verdict, found.totals, found.groups) == ("EQUAL", (), ROWS - 1)


def test_a_source_that_fails_half_way_is_not_verified(postgres_url: str, sqlite_url: str, tmp_path: Path) -> None:
    """A view whose cast fails on a later row gives NOT_VERIFIED with the reason and no figures, never EQUAL and never DIFFERENT."""
    source, target = Database(postgres_url), Database(sqlite_url)
    source.run(
        "CREATE TABLE raw (no bigint PRIMARY KEY, n text)",
        "INSERT INTO raw SELECT i, i::text FROM generate_series(1, 5000) AS i",
        "CREATE VIEW bill AS SELECT no, n::bigint AS n FROM raw",
        "CREATE TABLE copied (no bigint PRIMARY KEY, n bigint)",
        "INSERT INTO copied SELECT no, n::bigint FROM raw",
    )
    target.run("CREATE TABLE t (no bigint NOT NULL PRIMARY KEY, n bigint)")
    plan = plan_of(
        tmp_path,
        """
mapping: failing
source: {table: bill, key: [no]}
targets:
  - {table: t, key: [no], fields: {no: no, n: n}}
""",
        source.url,
        target.url,
    )
    run_scheduled(plan)
    assert verified(plan).verdict == "EQUAL"
    source.run("UPDATE raw SET n = 'nix' WHERE no = 4999")
    found = verified(plan)
    assert (found.verdict, found.exit_code, dict(found.targets)) == ("NOT_VERIFIED", 6, {})
    assert [each.sentences()[0] for each in found.not_verified] == ["the source"]
    tables = verify_tables(TwoTables(source.url, "bill", source.url, "copied", ("no",)))
    assert (tables.verdict, tables.exit_code, dict(tables.targets)) == ("NOT_VERIFIED", 6, {})


def test_a_unit_that_was_written_by_half_is_found(case: Case) -> None:
    """The row of a unit that another target rightly refuses may not stand in the first: it is extra there."""
    plan, _ = two_targets(case)
    case.target.run("INSERT INTO head VALUES (5, '第5号')")
    found = verified(plan)
    assert (found.verdict, found_in(found, "head")) == ("DIFFERENT", {"5": "extra"})


def test_what_has_no_encoding_is_named_as_the_database_calls_it(postgres_url: str) -> None:
    """Types are told by the database's words, and values without one in either language."""
    source = Database(postgres_url)
    for name in ("one", "two"):
        source.run(
            f"CREATE TABLE {name} (no bigint PRIMARY KEY, marks integer[], day date)",
            f"INSERT INTO {name} VALUES (1, NULL, 'infinity')",
        )
    found = verify_tables(TwoTables(source.url, "one", source.url, "two"))
    assert (found.verdict, found.not_verified[0].sentences()[1]) == (
        "NOT_VERIFIED",
        "its types have no common encoding: integer[] on one side, integer[] on the other",
    )
    assert [row.told() for row in found.not_verified[1].rows] == ["day cannot be held: infinity"]
    assert [row.told(chinese=True) for row in found.not_verified[1].rows] == ["day 的值无法表示：infinity"]
