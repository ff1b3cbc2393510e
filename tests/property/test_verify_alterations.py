"""Whatever is altered in the target by hand, verification finds it and names row, column and cause; on each database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.engine.plan import Plan
from migrate.verify.verdict import Difference, Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.databases import KINDS
from tests.rig.database import Database
from tests.rig.places import share_of_examples
from tests.rig.schedule import plan_of, run_scheduled

ROWS = 40
COLUMNS = ("name", "net", "day", "at", "flag")
MAPPING = """
mapping: altered
source: {table: bill, key: [no]}
targets:
  - table: paid
    key: [no]
    fields: {no: no, name: name, net: {from: net, clean: money}, day: {from: day, formats: ["%Y%m%d"]},
             at: {from: at, formats: ["%Y-%m-%d %H:%M:%S"]}, flag: {sql: "no > 20"}}
totals:
  - {target: paid, by: {flag: "flag"}, sum: [net]}
"""


@dataclass(frozen=True)
class Filled:
    """A target that a run filled, and the source that it was filled from."""

    plan: Plan
    target: Database

    def verified(self) -> Verification:
        """Compare."""
        return verify_plan(self.plan, VerifyOptions())

    @contextmanager
    def altered(self, *statements: str) -> Iterator[Verification]:
        """The verification of the target with these statements done to it, which are taken back afterwards."""
        self.target.run("CREATE TABLE spare AS SELECT * FROM paid")
        try:
            self.target.run(*statements)
            yield self.verified()
        finally:
            self.target.run("DELETE FROM paid", "INSERT INTO paid SELECT * FROM spare", "DROP TABLE spare")


@pytest.fixture(scope="module", params=KINDS)
def filled(request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Forty bills, run into a database of each kind, once: whoever alters them takes that back."""
    place = tmp_path_factory.mktemp("altered")
    if request.param == "sqlite":
        yield fill(place, f"sqlite:///{place / 'target.db'}")
        return
    with servers.get(request.param).fresh_database() as url:
        yield fill(place, url)


def fill(place: Path, url: str) -> Filled:
    """A run into this database."""
    source, target = Database(f"sqlite:///{place / 'bills.db'}"), Database(url)
    source.run("CREATE TABLE bill (no integer PRIMARY KEY, name text, net text, day text, at text)")
    rows: list[dict[str, Any]] = [
        {
            "no": number,
            "name": f"北京第{number}号样例公司",
            "net": f"￥{number * 37}.{number:02}",
            "day": f"202504{number % 28 + 1:02}",
            "at": f"2025-04-{number % 28 + 1:02} 10:{number:02}:00",
        }
        for number in range(1, ROWS + 1)
    ]
    source.insert("bill", rows)
    stamp = {"mariadb": "datetime(6)", "sqlite": "timestamp"}.get(target.kind, "timestamp")
    money = "DECIMAL_TEXT(18,2)" if target.kind == "sqlite" else "decimal(18,2)"
    target.run(
        f"CREATE TABLE paid (no bigint NOT NULL PRIMARY KEY, name varchar(60), net {money}, day date, at {stamp}, flag boolean)"
    )
    plan = plan_of(place, MAPPING, source.url, target.url, 16)
    run_scheduled(plan)
    return Filled(plan, target)


def only(verification: Verification) -> Difference:
    """The one difference there is; the verdict is DIFFERENT."""
    assert verification.verdict == "DIFFERENT", verification.to_json()
    (difference,) = verification.targets["paid"].differences
    return difference


def test_what_was_not_altered_is_equal(filled: Filled) -> None:
    """The untouched target is EQUAL, with all of its columns compared, all groups of the totals, and exit code 0."""
    found = filled.verified()
    assert (found.verdict, found.exit_code, found.groups) == ("EQUAL", 0, 2)
    assert found.targets["paid"].columns == tuple(sorted(("no", *COLUMNS)))
    assert (found.targets["paid"].source_rows, found.targets["paid"].target_rows) == (ROWS, ROWS)


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("name", "'北京第7号样例公司 '", "trailing_space"),
        ("name", "'北京第7号样例'", "truncation"),
        ("name", "'???7?????'", "charset"),
        ("name", "'北京第７号样例公司'", "normalisation"),
        ("name", "NULL", "value"),
        ("net", "'2590.70'", "scale"),
        ("net", "'259.08'", "value"),
        ("day", "'2025-04-09'", "value"),
        ("at", "'2025-04-08 02:07:00'", "hours_offset"),
        ("flag", "true", "value"),
    ],
)
def test_one_altered_cell_has_its_cause(filled: Filled, column: str, value: str, cause: str) -> None:
    """The row by its key, the one column, what was expected and what is there, and why that may be."""
    with filled.altered(f"UPDATE paid SET {column} = {value} WHERE no = 7") as found:
        if cause == "scale":
            # 259.07 and 2590.70: a factor of ten, and a difference of the totals besides.
            assert found.totals
        difference = only(found)
    assert (difference.kind, dict(difference.key), set(difference.columns)) == ("changed", {"no": "7"}, {column})
    assert difference.cause == cause


@pytest.mark.campaign
@settings(max_examples=share_of_examples(0.3))
@given(
    data=st.data(),
)
def test_any_altered_cell_is_found(filled: Filled, data: st.DataObject) -> None:
    """A row that is changed, deleted, added or moved to another key: exactly this row is named, with the columns that differ."""
    number = data.draw(st.integers(1, ROWS), label="row")
    column = data.draw(st.sampled_from(COLUMNS), label="column")
    what = data.draw(st.sampled_from(("changed", "missing", "extra", "swapped")), label="what")
    other = number % ROWS + 1
    statements = {
        "changed": [f"UPDATE paid SET {column} = {_another(column)} WHERE no = {number}"],
        "missing": [f"DELETE FROM paid WHERE no = {number}"],
        "extra": [f"INSERT INTO paid (no, name) VALUES ({ROWS + number}, 'x')"],
        "swapped": [
            f"UPDATE paid SET no = 0 WHERE no = {number}",
            f"UPDATE paid SET no = {number} WHERE no = {other}",
            f"UPDATE paid SET no = {other} WHERE no = 0",
        ],
    }[what]
    with filled.altered(*statements) as found:
        kinds = {each.key["no"]: each.kind for each in found.targets["paid"].differences}
    assert found.verdict == "DIFFERENT"
    expected = {
        "changed": {str(number): "changed"},
        "missing": {str(number): "missing"},
        "extra": {str(ROWS + number): "extra"},
        "swapped": {str(number): "changed", str(other): "changed"},
    }
    assert kinds == expected[what]
    if what == "changed":
        assert set(only(found).columns) == {column}


def _another(column: str) -> str:
    """A value that no row has."""
    return {"name": "'另一家'", "net": "'0.01'", "day": "'2001-01-01'", "at": "'2001-01-01 01:02:03'", "flag": "NULL"}[
        column
    ]
