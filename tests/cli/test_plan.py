"""`migrate plan` shows what would happen and changes nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

from tests.cli.conftest import Migrate, steady

PLAN = """\
bills  bill → paid
  fingerprint HASH

  steps
  1  read bill (about 6 rows) in the order of (no), 15,000 rows a batch
  2  map each row to paid; reject whole what does not fit exactly
  3  write each batch with its undo records in one transaction (paid: fail on conflict)
  4  settle what waits for a parent or shares a key, in source order
  5  advance sequences, seal the ledger

  findings
  nothing stands in the way

  sample 1  mapped
  before                                      after
  no     1                                    paid
  name   北京样例科技有限公司                 no      1
  amount ￥1,234.50                           payer   北京样例科技有限公司
  paid   20250413                             amount  1234.50
  state  NULL                                 paid_on 2025-04-13

  sample 2  mapped
  before                                      after
  no     2                                    paid
  name   上海示例贸易有限公司                 no      2
  amount 99999999999999.99                    payer   上海示例贸易有限公司
  paid                                        amount  99999999999999.99
  state  ok                                   paid_on NULL

  sample 3  filtered
  before                                      after
  no     3                                    –
  name   gone
  amount 1.00
  paid   20250101
  state  gone

  sample 4  rejected  amount: '1.005' has more than 2 fraction digits
  before                                      after
  no     4                                    –
  name   广州测试餐饮店
  amount 1.005
  paid   20250230
  state  NULL
"""


def tables(path: Path) -> set[str]:
    """The tables of a SQLite file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_the_whole_plan(migrate: Migrate, project: Path) -> None:
    """Steps, findings and samples side by side; the target has no table more than before."""
    done = migrate("plan", "mapping.yaml", "--sample", "4")
    assert (done.code, done.err) == (0, "")
    assert steady(done.out) == PLAN
    assert tables(project / "new.db") == {"paid"}


def test_the_plan_as_json(migrate: Migrate, project: Path) -> None:
    """One document with fingerprint, steps, findings and samples, values exact."""
    assert project.exists()
    [plan] = json.loads(migrate("plan", "mapping.yaml", "--sample", "2", "--json").out)["plans"]
    assert (plan["mapping"], plan["source"], plan["targets"], plan["estimated_rows"]) == ("bills", "bill", ["paid"], 6)
    assert len(plan["fingerprint"]) == 64
    assert [each["outcome"] for each in plan["samples"]] == ["mapped", "mapped"]
    assert plan["samples"][1]["after"]["paid"][0]["amount"] == "99999999999999.99"


def test_a_target_that_cannot_be_undone_is_refused(migrate: Migrate, project: Path) -> None:
    """A trigger on the target is an error of the plan, with what to do about it; exit 4."""
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        connection.executescript("CREATE TRIGGER t AFTER INSERT ON paid BEGIN DELETE FROM paid WHERE no < 0; END")
    done = migrate("plan", "mapping.yaml")
    assert done.code == 4
    assert "error" in done.out
    assert "trigger" in done.out


def test_ddl_of_a_missing_table_makes_the_plan_possible(migrate: Migrate, project: Path) -> None:
    """`--ddl` prints statements only; after running them there is nothing more to print."""
    (project / "new.db").unlink()
    assert migrate("plan", "mapping.yaml").code == 2
    done = migrate("plan", "mapping.yaml", "--ddl")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("-- proposed from the fields of the mapping")
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        connection.executescript(done.out)
    assert tables(project / "new.db") == {"paid"}
    assert migrate("plan", "mapping.yaml", "--ddl").out == "-- every target table is there\n"
    assert migrate("plan", "mapping.yaml").code == 0


GROUPED = """\
mapping: totals
source:
  url: sqlite:///old.db
  table: line
  key: [bill, pos]
  where: "pos > 0"
target:
  url: sqlite:///new.db
targets:
  - table: total
    key: [bill]
    one_row_per: [bill]
    fields:
      bill: bill
      payer: payer
      lines: {sql: "count(*)"}
"""

LINES = """\
CREATE TABLE line (bill text NOT NULL, pos integer NOT NULL, payer text, PRIMARY KEY (bill, pos));
INSERT INTO line VALUES ('A', 0, 'x'), ('A', 1, 'x'), ('A', 2, 'x'), ('B', 1, 'x'), ('B', 2, 'y'), ('C', 0, 'x'), ('D', 1, 'x');
"""


def test_a_sample_of_groups_shows_whole_groups(migrate: Migrate, tmp_path: Path) -> None:
    """A sample is a unit as the run takes it: all rows of a group, mapped together, rejected together, filtered only if none is left."""
    (tmp_path / "mapping.yaml").write_text(GROUPED, encoding="utf-8")
    new = "CREATE TABLE total (bill varchar(10) NOT NULL PRIMARY KEY, payer varchar(10), lines integer NOT NULL)"
    for name, script in (("old.db", LINES), ("new.db", new)):
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(script)
    [plan] = json.loads(migrate("plan", "mapping.yaml", "--sample", "3", "--json").out)["plans"]
    first, second, third = plan["samples"]
    assert [row["pos"] for row in first["before"]] == [0, 1, 2]
    assert (first["outcome"], first["after"]["total"]) == ("mapped", [{"bill": "A", "payer": "x", "lines": 2}])
    assert (len(second["before"]), second["outcome"].partition(":")[0], second["after"]["total"]) == (2, "rejected", [])
    assert (third["before"], third["outcome"]) == ([{"bill": "C", "pos": 0, "payer": "x"}], "filtered")


def test_a_file_that_is_not_there_is_no_missing_table(migrate: Migrate, project: Path) -> None:
    """A mistyped SQLite target is told as that, with the command that shows what a new file needs; no file is made, and that command needs none."""
    following = "migrate plan mapping.yaml --target sqlite:///nwe.db --ddl"
    for words in (("plan",), ("check",), ("run",)):
        done = migrate(*words, "mapping.yaml", "--target", "sqlite:///nwe.db")
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            "error: no file nwe.db\n  where: target → url\n"
            f"  next:  check the target URL (--target), or see the tables that a new file needs: {following}\n"
        )
    assert "CREATE TABLE paid" in migrate(*following.split()[1:]).out
    assert not (project / "nwe.db").exists()


def test_a_missing_table_names_the_command_that_proposes_it(migrate: Migrate, project: Path) -> None:
    """The next step has the mapping and the target that were typed, and can be pasted; so has the suggestion of `check`."""
    with contextlib.closing(sqlite3.connect(project / "other.db")) as connection:
        connection.execute("CREATE TABLE something (no integer)")
    following = "migrate plan mapping.yaml --target sqlite:///other.db --ddl"
    refused = migrate("plan", "mapping.yaml", "--target", "sqlite:///other.db")
    assert refused.code == 2
    assert refused.err.endswith(f"\n  next:  {following}\n")
    assert f"(`{following}` proposes it)" in migrate("check", "mapping.yaml", "--target", "sqlite:///other.db").out
    assert "CREATE TABLE paid" in migrate(*following.split()[1:]).out


def test_a_plan_of_what_is_complete_says_so(migrate: Migrate, project: Path) -> None:
    """What a run migrated to its end is told with that run, and that `run` starts nothing, in both languages and with `--json`; not before, not after it went back."""
    assert json.loads(migrate("plan", "mapping.yaml", "--json").out)["plans"][0]["complete_run"] is None
    run = json.loads(migrate("run", "mapping.yaml", "--json").out)["run"]
    told = migrate("plan", "mapping.yaml", "--target", "sqlite:///new.db").out
    assert f"  run {run} did all of this and is complete: `migrate run` would start nothing\n" in told
    assert "  → to do it again, take it back first: migrate rollback mapping.yaml --target sqlite:///new.db\n" in told
    assert f"  任务 {run} 已按此计划全部完成" in migrate("plan", "mapping.yaml", "--lang", "zh").out
    assert json.loads(migrate("plan", "mapping.yaml", "--json").out)["plans"][0]["complete_run"] == run
    assert "nothing to do" in migrate("run", "mapping.yaml").err
    mapping = project / "mapping.yaml"
    mapping.write_text(
        mapping.read_text(encoding="utf-8")
        .replace("amount >= 0", "amount > 0")
        .replace("payer: name", "payer: {from: name, clean: trim}"),
        encoding="utf-8",
    )
    assert json.loads(migrate("plan", "mapping.yaml", "--json").out)["plans"][0]["complete_run"] is None
    migrate("rollback", "mapping.yaml", "--yes")
    assert "did all of this" not in migrate("plan", "mapping.yaml").out


def test_a_decimal_that_keeps_fewer_digits_than_it_declares(migrate: Migrate, project: Path) -> None:
    """Of a plain DECIMAL SQLite keeps 15 digits exactly: the plan says so, and a reject names the type as it is declared, and why."""
    with contextlib.closing(sqlite3.connect(project / "plain.db")) as connection:
        connection.execute(
            "CREATE TABLE paid (no bigint NOT NULL PRIMARY KEY, payer text, amount Decimal(18,2), paid_on date)"
        )
    kept = "of which {} 15 digits exactly"
    planned = " ".join(migrate("plan", "mapping.yaml", "--target", "sqlite:///plain.db", "--sample", "0").out.split())
    assert (
        f"warning target paid.amount: is declared Decimal(18,2), {kept.format('it keeps')}: values with more are rejected"
        in planned
    )
    migrate("run", "mapping.yaml", "--target", "sqlite:///plain.db")
    found = json.loads(migrate("rejects", "list", "mapping.yaml", "--target", "sqlite:///plain.db", "--json").out)[
        "rejects"
    ]
    [example] = [each["example"] for each in found if each["rule"] == "RANGE"]
    assert (
        example == f"amount: '99999999999999.99' is out of range for Decimal(18,2), {kept.format('the column keeps')}"
    )
