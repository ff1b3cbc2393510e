"""`migrate verify`: what it says of a target that is right, altered, not final, or not to be looked at, and how it exits."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import MAPPING, Migrate, steady


@pytest.fixture
def done(migrate: Migrate, project: Path) -> Path:
    """The project after a run."""
    assert migrate("run", "mapping.yaml").code == 0
    return project


def change(folder: Path, *statements: str, database: str = "new.db") -> None:
    """Do statements to a database behind the toolkit's back."""
    with contextlib.closing(sqlite3.connect(folder / database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def document(migrate: Migrate, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of `verify --json`; nothing stands on stderr."""
    found = migrate("verify", *words, "--json")
    assert found.err == ""
    return found.code, json.loads(found.out)


EQUAL = """\
bills  EQUAL  RUN
  Every row that the mapping demands is in the target, value for value, and there is no other row
  within its scope.

  target  source rows  target rows  missing  extra  changed  verdict
  paid              3            3        0      0        0  EQUAL
  paid · filtered by the mapping 1 · rejected by the mapping 2

  source bill · rows read here: the mapping is replayed · read by a second driver too: 5 rows
    rows counted by the source itself too: 5
  target paid · rows read here: files and this database are always read
  sqlite:///old.db · bill → sqlite:///new.db
  TIME · N s
"""


def test_a_target_that_a_run_filled_is_equal(migrate: Migrate, done: Path) -> None:
    """Exit 0; what was filtered and rejected is explained, and nothing is written into either database."""
    before = {name: (done / name).read_bytes() for name in ("old.db", "new.db")}
    found = migrate("verify", "mapping.yaml")
    assert (found.code, found.err) == (0, "")
    assert re.sub(r"TIME\.\d+\+00:00", "TIME", steady(re.sub(r"\.\d{6}\+00:00", "", found.out))) == EQUAL
    assert {name: (done / name).read_bytes() for name in before} == before


def test_an_altered_cell_is_named(migrate: Migrate, done: Path) -> None:
    """Exit 1, and the document has the row by its key, the column with both values, the cause, and the figures."""
    change(done, "UPDATE paid SET amount = '12345.00' WHERE no = 1")
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"], found["rules"], found["not_verified"]) == (1, "DIFFERENT", [], [])
    paid = found["targets"]["paid"]
    assert paid["differences"] == [
        {
            "kind": "changed",
            "key": {"no": "1"},
            "columns": {"amount": {"expected": "1234.50", "actual": "12345.00"}},
            "cause": "scale",
        }
    ]
    figures = ("source_rows", "target_rows", "missing", "extra", "changed", "multiplicity", "superseded")
    assert [paid[name] for name in figures] == [3, 3, 0, 0, 1, 0, 0]
    assert paid["explained"] == {"filtered": 1, "rejected": 2}


def test_missing_and_extra_rows_and_totals(migrate: Migrate, done: Path) -> None:
    """A deleted and an added row are named by their keys, and the control totals of their groups show both sums."""
    totals = "totals:\n  - {target: paid, by: {day: paid_on}, sum: [amount]}\n"
    (done / "totals.yaml").write_text(MAPPING.replace("bills", "totals") + totals, encoding="utf-8")
    change(done, "DELETE FROM paid WHERE no = 2", "INSERT INTO paid VALUES (9, 'x', '1.00', '2025-05-01')")
    code, found = document(migrate, "totals.yaml")
    assert (code, found["verdict"]) == (1, "DIFFERENT")
    assert {(each["kind"], each["key"]["no"]) for each in found["targets"]["paid"]["differences"]} == {
        ("missing", "2"),
        ("extra", "9"),
    }
    assert [(each["by"], each["sum"]["amount"]) for each in found["totals"]] == [
        ({"day": None}, {"expected": "99999999999999.99", "actual": None}),
        ({"day": "2025-05-01"}, {"expected": "-3.00", "actual": "-2.00"}),
    ]


def test_few_are_listed_and_all_are_counted(migrate: Migrate, done: Path) -> None:
    """`--max-differences 1` lists one and counts three; 0 lists none and is DIFFERENT all the same."""
    change(done, "UPDATE paid SET payer = 'x'", "DELETE FROM paid WHERE no = 5")
    for listed in (1, 0):
        code, found = document(migrate, "mapping.yaml", "--max-differences", str(listed))
        paid = found["targets"]["paid"]
        assert (code, paid["changed"], paid["missing"], len(paid["differences"])) == (1, 2, 1, listed)


def test_a_run_that_is_paused_is_not_verified(migrate: Migrate, done: Path) -> None:
    """The reason is named; exit 6 while nothing differs, and 1 as soon as something does."""
    change(done, "UPDATE migrate_run SET state = 'paused'")
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"]) == (6, "NOT_VERIFIED")
    ((only,),) = [found["not_verified"]]
    assert re.fullmatch(r"run \d{8}T\d{6}-[0-9a-f]{4} is paused, not complete", only["why"])
    change(done, "UPDATE paid SET payer = 'x' WHERE no = 1")
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"], len(found["not_verified"])) == (1, "DIFFERENT", 1)


def test_a_run_that_stopped_at_its_limit_shows_what_is_missing(migrate: Migrate, project: Path) -> None:
    """A run that paused before its end is named as not complete, and what it never came to is a difference."""
    limited = MAPPING + "limits: {rejects: 0, first_batches: 1}\n"
    (project / "mapping.yaml").write_text(limited, encoding="utf-8")
    assert migrate("run", "mapping.yaml", "--batch-rows", "1", "--workers", "1").code == 5
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"]) == (1, "DIFFERENT")
    assert "paused, not complete" in found["not_verified"][0]["why"]
    assert found["rejects"]["only_derived"] == ['[["i","6"]]']


def test_another_mapping_than_that_of_the_run_is_not_verified(migrate: Migrate, done: Path) -> None:
    """An edited mapping that makes the same rows is exit 6 and says that the run was made under another one."""
    (done / "mapping.yaml").write_text(MAPPING.replace('nulls: [""]', 'nulls: ["", "-"]'), encoding="utf-8")
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"], found["targets"]["paid"]["verdict"]) == (6, "NOT_VERIFIED", "EQUAL")
    assert "made under another mapping" in found["not_verified"][0]["why"]


def test_a_target_without_any_run_is_compared(migrate: Migrate, project: Path) -> None:
    """Without a ledger every row is looked at all the same: here all are missing, and there are no rejects to compare with."""
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["run"], found["rejects"]) == (1, None, None)
    assert found["targets"]["paid"]["missing"] == 3
    assert found["rejects_compared"] is False
    assert "rejects were not compared" in migrate("verify", "mapping.yaml").out
    assert "未比对拒收记录" in migrate("verify", "mapping.yaml", "--lang", "zh").out
    change(project, "DELETE FROM bill", database="old.db")
    assert document(migrate, "mapping.yaml")[0] == 6


@pytest.mark.parametrize("emptied", ["DELETE FROM bill", "UPDATE bill SET state = 'gone'"])
def test_nothing_on_both_sides_is_not_equal(migrate: Migrate, project: Path, emptied: str) -> None:
    """An empty source, or one that the mapping filters as a whole, is exit 6; with `--allow-empty` it is equal."""
    change(project, emptied, database="old.db")
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"]) == (6, "NOT_VERIFIED")
    assert "--allow-empty" in found["not_verified"][0]["why"]
    code, found = document(migrate, "mapping.yaml", "--allow-empty")
    assert (code, found["verdict"], found["not_verified"]) == (0, "EQUAL", [])


def test_an_empty_source_does_not_hide_rows_of_the_target(migrate: Migrate, done: Path) -> None:
    """Rows that nothing in the source stands for are extra, with and without `--allow-empty`."""
    change(done, "DELETE FROM bill", database="old.db")
    for words in ((), ("--allow-empty",)):
        code, found = document(migrate, "mapping.yaml", *words)
        assert (code, found["targets"]["paid"]["extra"]) == (1, 3)


@pytest.mark.parametrize(
    ("statement", "only_derived", "only_recorded"),
    [
        pytest.param("DELETE FROM migrate_reject WHERE unit_key LIKE '%\"6\"%'", ['[["i","6"]]'], [], id="deleted"),
        pytest.param(
            'INSERT INTO migrate_reject SELECT run, pass_no, range_no, 99, \'[["i","1"]]\', target, field, rule, reason,'
            " value, raw FROM migrate_reject LIMIT 1",
            [],
            ['[["i","1"]]'],
            id="added",
        ),
    ],
)
def test_a_reject_list_that_was_touched_is_a_difference(
    migrate: Migrate, done: Path, statement: str, only_derived: list[str], only_recorded: list[str]
) -> None:
    """The ledger's rejects are compared with those of the replay: a deleted and an added one make the verdict DIFFERENT and are named."""
    change(done, statement)
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"], found["targets"]["paid"]["verdict"]) == (1, "DIFFERENT", "EQUAL")
    assert found["rejects"]["differ"] == 1
    assert (found["rejects"]["only_derived"], found["rejects"]["only_recorded"]) == (only_derived, only_recorded)
    told = migrate("verify", "mapping.yaml").out
    assert "only the ledger's list of rejects is not what the replay derives" in " ".join(told.split())
    assert re.search(r"(not in|only in) the ledger: [16]\n", told)


def test_the_report_is_one_page(migrate: Migrate, done: Path) -> None:
    """`--report` writes a page that loads nothing from elsewhere and names the row that differs; the terminal says where it is."""
    change(done, "UPDATE paid SET payer = '<b>另一家</b>' WHERE no = 1")
    found = migrate("verify", "mapping.yaml", "--report", "page.html")
    assert found.code == 1
    assert "page.html" in found.out
    page = (done / "page.html").read_text(encoding="utf-8")
    assert "另一家" in page
    assert "<b>另一家" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!#|data:)\w|@import|url\((?!["']?data:)""", page)


def test_a_report_that_cannot_be_written(migrate: Migrate, done: Path) -> None:
    """A place where no file can be is told before anything is read, exit 2; one that turns out not to be writable costs no verdict, exit 3."""
    (done / "folder").mkdir()
    for place, told in (("nix/page.html", "there is no folder nix"), ("folder", "folder is a folder"), (".", "folder")):
        found = migrate("verify", "mapping.yaml", "--report", place)
        assert (found.code, found.out) == (2, "")
        assert told in found.err
    (done / "page.html").symlink_to("nix/page.html")
    found = migrate("verify", "mapping.yaml", "--report", "page.html")
    assert found.code == 3
    assert "the report cannot be written" in found.err
    assert "bills  EQUAL" in found.out
    found = migrate("verify", "mapping.yaml", "--report", "page.html", "--json")
    assert (found.code, json.loads(found.out)["verdict"]) == (3, "EQUAL")


def test_a_report_is_written_over_nothing_but_a_report(migrate: Migrate, done: Path) -> None:
    """A database or mapping that is named as the report by mistake stays what it was, exit 4; the report of yesterday may go, and an empty file."""
    for name in ("old.db", "new.db", "mapping.yaml"):
        before = (done / name).read_bytes()
        found = migrate("verify", "mapping.yaml", "--report", name)
        assert (found.code, found.out) == (4, "")
        assert f"{name} is there already, and is no report" in found.err
        assert (done / name).read_bytes() == before
    (done / "page.html").touch()
    for verdict, statement in (("EQUAL", "SELECT 1"), ("DIFFERENT", "DELETE FROM paid WHERE no = 1")):
        change(done, statement)
        migrate("verify", "mapping.yaml", "--report", "page.html")
        assert f"<title>{verdict} · bills" in (done / "page.html").read_text(encoding="utf-8")


def test_a_value_that_cannot_be_read_is_not_verified(migrate: Migrate, done: Path) -> None:
    """Bytes in a column of texts are named and exit 6: the row is there, so it is neither missing nor equal."""
    change(done, "UPDATE paid SET payer = x'00ff' WHERE no = 1")
    code, found = document(migrate, "mapping.yaml")
    assert (code, found["verdict"]) == (6, "NOT_VERIFIED")
    assert "blob" in found["not_verified"][0]["why"]
    assert found["targets"]["paid"]["missing"] == 0
    change(done, "DELETE FROM paid WHERE no = 2")
    code, found = document(migrate, "mapping.yaml")
    assert (code, [each["key"] for each in found["targets"]["paid"]["differences"]]) == (1, [{"no": "2"}])


def test_what_can_be_read_of_an_unreadable_row_is_compared(migrate: Migrate, done: Path) -> None:
    """The row is named by its key, bytes that are ASCII can be read, no reason is told twice, and its other columns and its key count."""
    totals = "totals:\n  - {target: paid, sum: [amount]}\n"
    (done / "totals.yaml").write_text(MAPPING.replace("bills", "totals") + totals, encoding="utf-8")
    change(done, "UPDATE paid SET payer = x'414243' WHERE no = 1")
    code, found = document(migrate, "totals.yaml")
    assert (code, found["verdict"], found["totals"]) == (6, "NOT_VERIFIED", [])
    (why,) = [each["why"] for each in found["not_verified"]]
    assert why.startswith("1 row cannot be read without loss: no = 1: ")
    assert "('ABC')" in why
    told = " ".join(migrate("verify", "totals.yaml").out.split())
    assert "control totals agree" not in told
    assert "no difference in what could be compared" in told
    change(done, "UPDATE paid SET amount = '7.00' WHERE no = 1", "INSERT INTO paid VALUES (9, x'00', '1.00', NULL)")
    code, found = document(migrate, "totals.yaml")
    paid = found["targets"]["paid"]
    assert (code, paid["changed"], paid["extra"], paid["missing"]) == (1, 1, 1, 0)
    differences = {each["kind"]: each for each in paid["differences"]}
    assert differences["extra"]["key"] == {"no": "9"}
    assert differences["changed"]["columns"] == {"amount": {"expected": "1234.50", "actual": "7.00"}}


def test_every_unreadable_row_is_named(migrate: Migrate, done: Path) -> None:
    """The document has each with key and reason; the terminal the first ten, one a line; page and terminal say it in Chinese, too."""
    change(done, *(f"INSERT INTO paid VALUES ({number}, x'00', '1.00', NULL)" for number in range(100, 112)))
    code, found = document(migrate, "mapping.yaml")
    assert code == 1
    (doubt,) = found["not_verified"]
    assert [each["key"] for each in doubt["rows"]] == [{"no": str(number)} for number in range(100, 112)]
    assert {each["reason"].split(":")[0] for each in doubt["rows"]} == {"payer"}
    told = migrate("verify", "mapping.yaml").out
    assert (
        "  paid: 12 rows cannot be read without loss\n    no=100  payer: blob x00 in a column of type varchar(40)"
        in told
    )
    assert "    … and 2 more (--json)\n" in told
    told = migrate("verify", "mapping.yaml", "--lang", "zh", "--report", "page.html").out
    assert "  paid：有 12 行无法无损读取\n    no=100  payer: blob x00，却在类型为 varchar(40) 的字段中" in told
    page = (done / "page.html").read_text(encoding="utf-8")
    assert "有 12 行无法无损读取" in page
    assert page.count("却在类型为 varchar(40) 的字段中") == 12


def test_what_cannot_be_read_outside_of_the_scope_is_nobodys_doubt(migrate: Migrate, done: Path) -> None:
    """A row of others may hold what it likes; one whose column of the scope itself cannot be read may be ours."""
    scoped = MAPPING.replace("    key: [no]\n", '    key: [no]\n    scope: "no < 100"\n')
    assert scoped != MAPPING
    (done / "scoped.yaml").write_text(scoped.replace("bills", "scoped"), encoding="utf-8")
    change(done, "INSERT INTO paid VALUES (900, x'00', '1.00', NULL)")
    code, found = document(migrate, "scoped.yaml")
    assert (code, found["verdict"], found["targets"]["paid"]["target_rows"]) == (0, "EQUAL", 3)
    change(done, "UPDATE paid SET no = 9 WHERE no = 900")
    assert document(migrate, "scoped.yaml")[1]["targets"]["paid"]["extra"] == 1


def test_a_row_whose_scope_cannot_be_read_is_looked_at(migrate: Migrate, done: Path) -> None:
    """It may be ours: it is there, and neither missing nor left out of what could not be compared."""
    scoped = MAPPING.replace("    key: [no]\n", '    key: [no]\n    scope: "amount < 1000000"\n')
    (done / "scoped.yaml").write_text(scoped.replace("bills", "scoped"), encoding="utf-8")
    before = document(migrate, "scoped.yaml")[1]
    assert before["verdict"] == "EQUAL"
    change(done, "UPDATE paid SET amount = x'00' WHERE no = 1")
    code, found = document(migrate, "scoped.yaml")
    paid = found["targets"]["paid"]
    assert (code, paid["verdict"], paid["missing"]) == (6, "NOT_VERIFIED", 0)
    assert paid["target_rows"] == before["targets"]["paid"]["target_rows"]


def test_a_total_that_cannot_be_computed_is_not_verified(migrate: Migrate, done: Path) -> None:
    """A grouping that fails on a value is exit 6 with its reason, and the rows are compared all the same."""
    totals = 'totals:\n  - {target: paid, by: {n: "cast(payer as integer)"}, sum: [amount]}\n'
    (done / "totals.yaml").write_text(MAPPING.replace("bills", "totals") + totals, encoding="utf-8")
    code, found = document(migrate, "totals.yaml")
    assert (code, found["verdict"], found["targets"]["paid"]["verdict"]) == (6, "NOT_VERIFIED", "EQUAL")
    assert found["not_verified"][0]["what"] == "a control total of paid"


def test_chinese_says_the_same(migrate: Migrate, done: Path) -> None:
    """Verdict, headings and explanations are told in the user's language; the document is the same."""
    assert "bills  一致" in migrate("verify", "mapping.yaml", "--lang", "zh").out
    change(done, "UPDATE paid SET amount = '1.00' WHERE no = 1")
    found = migrate("verify", "mapping.yaml", LANG="zh_CN.UTF-8").out
    assert "bills  存在差异" in found
    assert "按映射过滤 1 · 按映射拒收 2" in found


def test_what_is_not_there_is_an_error_and_no_verdict(migrate: Migrate, done: Path) -> None:
    """A mapping file, a target table or a database that is gone: exit 2 or 3 with its name, and no document of a verification."""
    assert migrate("verify", "nix.yaml").code == 2
    change(done, "ALTER TABLE paid RENAME TO payed")
    found = migrate("verify", "mapping.yaml", "--json")
    assert (found.code, list(json.loads(found.out))) == (2, ["error"])
    assert "paid" in found.err
    gone = migrate("verify", "mapping.yaml", "--target", "postgresql://nobody@127.0.0.1:1/none", "--json")
    assert (gone.code, list(json.loads(gone.out))) == (3, ["error"])
    assert not (done / "nix.db").exists()
    assert migrate("verify", "mapping.yaml", "--source", "sqlite:///nix.db").code in (2, 3)
    assert not (done / "nix.db").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("mapping.yaml", "--max-differences", "-1"),
        ("mapping.yaml", "--table", "bill"),
        ("mapping.yaml", "--key", "no", "--into", "paid"),
        ("mapping.yaml", "other.yaml"),
        ("--source", "sqlite:///old.db", "--table", "bill"),
        (),
    ],
)
def test_a_command_line_that_cannot_be_meant(migrate: Migrate, project: Path, words: tuple[str, ...]) -> None:
    """Exit 2 with what is wrong, and nothing on stdout."""
    assert project.exists()
    found = migrate("verify", *words)
    assert (found.code, found.out) == (2, "")
    assert "error" in found.err


def test_a_state_file_is_used_and_gone_with_the_verdict(migrate: Migrate, done: Path) -> None:
    """`--state` changes no verdict and leaves no file; one of something else is refused with exit 4 and stays as it was."""
    found = migrate("verify", "mapping.yaml", "--state", "verify.state")
    assert (found.code, (done / "verify.state").exists()) == (0, False)
    (done / "verify.state").write_text("my notes")
    refused = migrate("verify", "mapping.yaml", "--state", "verify.state")
    assert refused.code == 4
    assert "is no state file of a verification, or is damaged" in refused.err
    assert (done / "verify.state").read_text() == "my notes"


def test_a_state_file_needs_a_mapping_and_sides_at_rest(migrate: Migrate, done: Path) -> None:
    """With `--live`, or without a mapping, `--state` is refused with exit 2."""
    assert done.is_dir()
    live = migrate("verify", "mapping.yaml", "--live", "--state", "s")
    tables = ("--source", "sqlite:///old.db", "--table", "bill", "--target", "sqlite:///new.db", "--into", "paid")
    both = migrate("verify", *tables, "--state", "s")
    assert (live.code, both.code) == (2, 2)
    assert "--state belongs to sides that stand still" in live.err
    assert "--state belongs to a mapping" in both.err
