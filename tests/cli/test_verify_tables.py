"""`migrate verify` of two tables without a mapping: by key, or with every row counted where there is none."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
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


@pytest.mark.parametrize(("scan", "reason"), [("auto", "no_sql"), ("sql", "no_sql"), ("stream", "asked")])
def test_files_of_sqlite_are_read_whatever_is_asked(migrate: Migrate, pair: Path, scan: str, reason: str) -> None:
    """`coverage` of the document says for each side how its rows were summed up, and why."""
    assert pair.is_dir()
    code, found = verified(migrate, "--scan", scan)
    assert (code, found["verdict"]) == (0, "EQUAL")
    entry: dict[str, Any] = {
        "table": "bill",
        "scan": "stream",
        "reason": reason,
        "detail": None,
        "tested": 0,
        "notes": [],
    }
    assert found["coverage"] == [{"side": side, **entry} for side in ("source", "target")]


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


def test_why_nothing_can_be_compared_is_told(migrate: Migrate, pair: Path) -> None:
    """A column that both have in types that do not meet is no column that is missing; a file that is not there is called by its option."""
    change(pair, "one.db", "CREATE TABLE k (no integer PRIMARY KEY)")
    change(pair, "two.db", "CREATE TABLE k (no text PRIMARY KEY)")
    found = migrate(
        "verify", "--source", "sqlite:///one.db", "--table", "k", "--target", "sqlite:///two.db", "--into", "k"
    )
    assert found.code == 2
    assert "the tables have no column in common that can be compared" in found.err
    assert "no: its types have no common encoding: integer on one side, text on the other" in " ".join(
        found.err.split()
    )
    found = migrate(
        "verify", "--source", "sqlite:///one.db", "--table", "k", "--target", "sqlite:///no.db", "--into", "k"
    )
    assert (found.code, "no file no.db\n  where: --target\n" in found.err) == (2, True)


def test_a_table_is_not_compared_with_itself(migrate: Migrate, pair: Path) -> None:
    """It is always equal: who asks that has mistyped a name, and would believe in a copy that nobody looked at."""
    for target in ("sqlite:///two.db", f"sqlite:///{pair}/./two.db"):
        words = ("--source", "sqlite:///two.db", "--table", "bill", "--target", target, "--into", "bill")
        found = migrate("verify", *words)
        assert (found.code, found.out, "with itself" in found.err) == (2, "", True)


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


@pytest.mark.parametrize(
    ("one", "other", "equal", "unequal"),
    [
        pytest.param("DECIMAL_TEXT(18,2)", "numeric", ("'1.50'", "'1.5000'"), "'1.501'", id="a scale beside none"),
        pytest.param(
            "integer", "DECIMAL_TEXT(12,0)", ("7", "'7'"), "'8'", id="integer beside decimal without fraction"
        ),
        pytest.param("integer", "numeric", ("7", "'7.0'"), "'7.01'", id="integer beside a decimal of no scale"),
        pytest.param("DECIMAL_TEXT(38,0)", "DECIMAL_TEXT(38,30)", ("'7'", "'7.0'"), "'7.1'", id="more digits than fit"),
    ],
)
def test_numbers_of_different_types_are_compared_as_numbers(
    migrate: Migrate, pair: Path, one: str, other: str, equal: tuple[str, str], unequal: str
) -> None:
    """Equal numbers are equal whatever their columns declare, in either direction, and a digit more is a difference."""
    for sides in (((one, equal[0]), (other, equal[1])), ((other, equal[1]), (one, equal[0]))):
        for name, (declared, value) in zip(("one.db", "two.db"), sides, strict=True):
            change(pair, name, "DROP TABLE IF EXISTS n", f"CREATE TABLE n (no integer PRIMARY KEY, v {declared})")
            change(pair, name, f"INSERT INTO n VALUES (1, {value})")
        code, found = verified(migrate, table="n", into="n")
        assert (code, found["verdict"], found["not_verified"]) == (0, "EQUAL", [])
    change(pair, "one.db", f"UPDATE n SET v = {unequal}")
    assert verified(migrate, table="n", into="n")[1]["targets"]["n"]["changed"] == 1


def test_nothing_is_said_of_a_mapping_where_there_is_none(migrate: Migrate, pair: Path) -> None:
    """Terminal and page speak of two tables."""
    sides = ("--source", "sqlite:///one.db", "--table", "bill", "--target", "sqlite:///two.db", "--into", "bill")
    for statement in ("DELETE FROM bill WHERE no = 9", "UPDATE bill SET name = '' WHERE no = 3"):
        change(pair, "two.db", "DROP TABLE bill", BILLS, ROWS, statement)
        for lang in ("en", "zh"):
            told = migrate("verify", *sides, "--lang", lang, "--report", "page.html").out
            assert "mapping" not in told
            assert "映射" not in told
            assert "ledger" not in told
        page = (pair / "page.html").read_text(encoding="utf-8").partition("</style>")[2]
        assert not re.search("mapping|映射|台账|ledger", page)


def test_values_that_people_cannot_read_are_told_in_words(migrate: Migrate, pair: Path) -> None:
    """Floats as numbers, booleans as true and false, bytes with their length and beginning; the document has the canonical texts too."""
    for name, row in (("one.db", "(1, 1.5, 1, x'0102')"), ("two.db", "(1, 2.5, 0, x'0103')")):
        change(pair, name, "CREATE TABLE v (no integer PRIMARY KEY, f double, b boolean, x blob)")
        change(pair, name, f"INSERT INTO v VALUES {row}")
    columns = verified(migrate, table="v", into="v")[1]["targets"]["v"]["differences"][0]["columns"]
    assert columns["f"]["expected"] == "3ff8000000000000"
    assert columns["f"]["shown"] == {"expected": "1.5", "actual": "2.5"}
    assert columns["b"]["shown"] == {"expected": "true", "actual": "false"}
    assert columns["x"]["shown"]["expected"].startswith("2 bytes: 01 02 (SHA-256 ")


def test_an_empty_text_in_a_key_is_seen(migrate: Migrate, pair: Path) -> None:
    """A key of no character is shown by its quotes."""
    for name in ("one.db", "two.db"):
        change(pair, name, "CREATE TABLE e (k varchar(10) NOT NULL PRIMARY KEY, v integer)")
    change(pair, "one.db", "INSERT INTO e VALUES ('', 1)")
    found = migrate(
        "verify", "--source", "sqlite:///one.db", "--table", "e", "--target", "sqlite:///two.db", "--into", "e"
    )
    assert "k=''" in found.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--key", "no", "--key", "name"), "--key is given 2 times", id="twice"),
        pytest.param(("--key", ""), "--key has an empty name", id="empty"),
        pytest.param(("--key", "no,,name"), "--key has an empty name", id="an empty name"),
        pytest.param(("--key", "no,no"), "--key names no more than once", id="one name twice"),
        pytest.param(("--ledger-schema", "x"), "--ledger-schema belongs to a mapping", id="a ledger"),
    ],
)
def test_options_that_cannot_be_meant(migrate: Migrate, pair: Path, words: tuple[str, ...], said: str) -> None:
    """Exit 2 with what is wrong, and nothing is compared."""
    assert pair.exists()
    sides = ("--source", "sqlite:///one.db", "--table", "bill", "--target", "sqlite:///two.db", "--into", "bill")
    found = migrate("verify", *sides, *words)
    assert (found.code, found.out) == (2, "")
    assert said in found.err


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
    assert notes["multiplicity"] == "how often it is there: 2 in the source, 3 in the target"


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


def test_two_tables_are_compared_without_the_mapping() -> None:
    """Nothing that reads mappings is loaded: a third of the start, and proof that the comparison rests on none of it."""
    program = "import sys, migrate.verify.tables; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"pydantic", "ruamel", "sqlglot"} & set(done.stdout.split())
