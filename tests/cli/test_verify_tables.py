"""`migrate verify` of two tables without a mapping: by key, or with every row counted where there is none."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Migrate

BILLS = "CREATE TABLE bill (no integer PRIMARY KEY, name varchar(40), net DECIMAL_TEXT(18,2))"
ROWS = "INSERT INTO bill VALUES (1, '北京', '1.00'), (2, '上海', '2.00'), (3, NULL, '3.00')"


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Two databases with the same table of three rows."""
    for name in ("one.db", "two.db"):
        change(tmp_path, name, BILLS, ROWS)
    return tmp_path


def change(folder: Path, name: str, *statements: str) -> None:
    """Do statements to a database."""
    with contextlib.closing(sqlite3.connect(folder / name)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def verified(migrate: Migrate, *words: str, table: str = "bill", into: str = "bill") -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    sides = ("--source", "sqlite:///one.db", "--table", table, "--target", "sqlite:///two.db", "--into", into)
    found = migrate("verify", *sides, *words, "--json")
    assert found.err == ""
    return found.code, json.loads(found.out)


def named(found: dict[str, Any], into: str = "bill") -> list[tuple[str, dict[str, str | None]]]:
    """Kind and key of each difference."""
    differences = found["targets"][into]["differences"]
    return sorted(((each["kind"], each["key"]) for each in differences), key=str)


def test_equal_tables(migrate: Migrate, pair: Path) -> None:
    """Exit 0 with all columns compared, and no ledger is looked for or made."""
    code, found = verified(migrate)
    assert (code, found["verdict"], found["run"], found["rejects"]) == (0, "EQUAL", None, None)
    assert found["targets"]["bill"]["columns"] == ["name", "net", "no"]
    with contextlib.closing(sqlite3.connect(pair / "two.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("bill",)]


def test_different_tables(migrate: Migrate, pair: Path) -> None:
    """A changed, a missing and an extra row are named by the target's primary key; exit 1."""
    change(pair, "two.db", "UPDATE bill SET net = '1.50' WHERE no = 1", "UPDATE bill SET no = 9 WHERE no = 3")
    code, found = verified(migrate)
    assert (code, found["verdict"]) == (1, "DIFFERENT")
    assert named(found) == [("changed", {"no": "1"}), ("extra", {"no": "9"}), ("missing", {"no": "3"})]


def test_a_key_of_ones_own(migrate: Migrate, pair: Path) -> None:
    """`--key` names rows by other columns than the primary key, so that a renumbered row is changed and not missing."""
    change(pair, "two.db", "UPDATE bill SET no = 9 WHERE no = 1")
    assert named(verified(migrate, "--key", "name, net")[1]) == [("changed", {"name": "北京", "net": "1.00"})]
    assert migrate_code(migrate, "--key", "nix") == 2


def migrate_code(migrate: Migrate, *words: str) -> int:
    """Only the exit code."""
    sides = ("--source", "sqlite:///one.db", "--table", "bill", "--target", "sqlite:///two.db", "--into", "bill")
    return migrate("verify", *sides, *words).code


def test_a_column_of_one_side_is_not_verified(migrate: Migrate, pair: Path) -> None:
    """What only one side has is named, and exit 6 while all else is equal; a difference in the rest outranks it."""
    change(pair, "one.db", "ALTER TABLE bill ADD COLUMN note varchar(10)")
    change(pair, "two.db", "ALTER TABLE bill ADD COLUMN memo varchar(10)")
    code, found = verified(migrate)
    assert (code, found["verdict"]) == (6, "NOT_VERIFIED")
    assert found["not_verified"] == [
        {"what": "note", "why": "only the source has this column"},
        {"what": "memo", "why": "only the target has this column"},
    ]
    change(pair, "two.db", "DELETE FROM bill WHERE no = 2")
    assert verified(migrate)[0] == 1


def test_columns_of_different_kind_are_not_verified(migrate: Migrate, pair: Path) -> None:
    """Texts beside dates have no common encoding: both types are named, and the verdict is not EQUAL."""
    change(pair, "one.db", "CREATE TABLE days (no integer PRIMARY KEY, day varchar(10))")
    change(pair, "two.db", "CREATE TABLE days (no integer PRIMARY KEY, day date)")
    for name in ("one.db", "two.db"):
        change(pair, name, "INSERT INTO days VALUES (1, '2025-04-13')")
    code, found = verified(migrate, table="days", into="days")
    assert (code, [each["what"] for each in found["not_verified"]]) == (6, ["day"])
    assert "date" in found["not_verified"][0]["why"]


def test_scales_are_brought_together(migrate: Migrate, pair: Path) -> None:
    """Decimals of another scale are compared as numbers; a digit that only the finer one can hold is a difference."""
    change(pair, "one.db", "CREATE TABLE m (no integer PRIMARY KEY, net DECIMAL_TEXT(18,2))")
    change(pair, "two.db", "CREATE TABLE m (no integer PRIMARY KEY, net DECIMAL_TEXT(18,4))")
    change(pair, "one.db", "INSERT INTO m VALUES (1, '1.50')")
    change(pair, "two.db", "INSERT INTO m VALUES (1, '1.5000')")
    assert verified(migrate, table="m", into="m")[0] == 0
    change(pair, "two.db", "UPDATE m SET net = '1.5001'")
    code, found = verified(migrate, table="m", into="m")
    assert (code, found["targets"]["m"]["differences"][0]["columns"]) == (
        1,
        {"net": {"expected": "1.5000", "actual": "1.5001"}},
    )


def test_duplicates_are_counted_where_there_is_no_key(migrate: Migrate, pair: Path) -> None:
    """Rows that are there more than once are compared with how often: twice and three times is a difference, in any order none."""
    for name in ("one.db", "two.db"):
        change(pair, name, "CREATE TABLE loose (a varchar(10), b integer)")
    change(pair, "one.db", "INSERT INTO loose VALUES ('x', 1), ('x', 1), ('y', 2)")
    change(pair, "two.db", "INSERT INTO loose VALUES ('y', 2), ('x', 1), ('x', 1)")
    assert verified(migrate, table="loose", into="loose")[0] == 0
    change(pair, "two.db", "INSERT INTO loose VALUES ('x', 1), ('z', NULL)", "DELETE FROM loose WHERE a = 'y'")
    code, found = verified(migrate, table="loose", into="loose")
    result = found["targets"]["loose"]
    assert (code, result["multiplicity"], result["missing"], result["extra"]) == (1, 1, 1, 1)
    assert named(found, "loose") == [
        ("extra", {"a": "z", "b": None}),
        ("missing", {"a": "y", "b": "2"}),
        ("multiplicity", {"a": "x", "b": "1"}),
    ]
    notes = {each["kind"]: each.get("note") for each in result["differences"]}
    assert notes["multiplicity"] == "2 times in the source, 3 times in the target"


def test_a_value_that_cannot_be_read(migrate: Migrate, pair: Path) -> None:
    """Bytes in a column of texts make the tables not verified, once and with the reason; the row is neither missing nor extra."""
    change(pair, "two.db", "UPDATE bill SET name = x'ff' WHERE no = 1")
    code, found = verified(migrate)
    assert (code, found["verdict"], named(found)) == (6, "NOT_VERIFIED", [])
    assert [each["why"].count("blob") for each in found["not_verified"]] == [1]
    assert found["targets"]["bill"]["target_rows"] == 3


def test_two_empty_tables(migrate: Migrate, pair: Path) -> None:
    """Both empty is exit 6 without `--allow-empty`; one empty is a difference in any case."""
    change(pair, "two.db", "DELETE FROM bill")
    assert verified(migrate, "--allow-empty")[0] == 1
    change(pair, "one.db", "DELETE FROM bill")
    assert verified(migrate)[0] == 6
    assert verified(migrate, "--allow-empty")[0] == 0


def test_few_are_listed_and_all_are_counted(migrate: Migrate, pair: Path) -> None:
    """`--max-differences 1` lists one of three."""
    change(pair, "two.db", "UPDATE bill SET net = '0.00'")
    found = verified(migrate, "--max-differences", "1")[1]["targets"]["bill"]
    assert (found["changed"], len(found["differences"])) == (3, 1)


@pytest.mark.parametrize("left_out", ["--source", "--table", "--target", "--into"])
def test_all_four_must_be_given(migrate: Migrate, pair: Path, left_out: str) -> None:
    """Exit 2, and the message names the option that is not there."""
    assert pair.exists()
    given = {"--source": "sqlite:///one.db", "--table": "bill", "--target": "sqlite:///two.db", "--into": "bill"}
    found = migrate("verify", *(word for pair in given.items() if pair[0] != left_out for word in pair))
    assert (found.code, found.out) == (2, "")
    assert f"{left_out} must be given" in found.err


def test_a_table_that_is_not_there(migrate: Migrate, pair: Path) -> None:
    """Exit 2 with the name, and no verdict."""
    assert pair.exists()
    found = migrate(
        "verify", "--source", "sqlite:///one.db", "--table", "bil", "--target", "sqlite:///two.db", "--into", "bill"
    )
    assert (found.code, found.out) == (2, "")
    assert "bil" in found.err
