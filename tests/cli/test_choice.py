"""A command means the newest run with all its passes, unless `--run` or `--pass` names another."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.cli.conftest import MAPPING, Migrate


def test_an_older_run_and_one_pass_can_be_looked_at(migrate: Migrate, project: Path) -> None:
    """`status`, `rejects` and `ledger show` narrow to a run and a pass; the passes add up to the run; each wrong choice names the right ones."""
    assert migrate("run", "mapping.yaml").code == 0
    first = _runs(migrate)[0]
    with contextlib.closing(sqlite3.connect(project / "old.db")) as old:
        old.execute("UPDATE bill SET amount = '120.00' WHERE no = 6")
        old.commit()
    assert migrate("rejects", "replay", "mapping.yaml").code == 0
    (project / "mapping.yaml").write_text(
        MAPPING.replace("payer: name", "payer: {from: name, clean: trim}"), encoding="utf-8"
    )
    assert migrate("run", "mapping.yaml", "--no-backup").code == 0
    newest = _runs(migrate)[0]
    assert newest["run"] != first["run"]

    older = _runs(migrate, "--run", first["run"])[0]
    passes = [_runs(migrate, "--run", first["run"], "--pass", str(number))[0] for number in (1, 2)]
    assert (older["run"], older["passes"]) == (first["run"], 2)
    assert passes[0]["rows"] == first["rows"]
    assert older["rows"] == {name: sum(each["rows"][name] for each in passes) for name in older["rows"]}

    def of_pass(*words: str) -> list[str]:
        return [each["field"] for each in _json(migrate, "rejects", "list", "mapping.yaml", *words)["rejects"]]

    assert of_pass("--run", first["run"], "--pass", "1") == ["amount", "paid_on", "amount"]
    assert of_pass("--run", first["run"]) == ["paid_on", "amount"]
    assert len(_json(migrate, "rejects", "show", "mapping.yaml", "--run", first["run"])["rejects"]) == 2
    assert len(_json(migrate, "rejects", "show", "mapping.yaml", "--run", first["run"], "--pass", "1")["rejects"]) == 3
    shown = _json(migrate, "ledger", "show", "mapping.yaml", "--run", first["run"], "--pass", "2")
    assert {each["pass_no"] for each in shown["batches"]} == {2}

    wrong = migrate("status", "mapping.yaml", "--run", "20200101T000000-0000")
    assert wrong.code == 2
    assert first["run"] in wrong.err
    assert newest["run"] in wrong.err
    assert "its passes: 1" in migrate("ledger", "show", "mapping.yaml", "--pass", "7").err
    assert "has no run x" in migrate("status", "--target", "sqlite:///new.db", "--run", "x").err


def test_a_table_that_is_not_there_has_a_nearest_name(migrate: Migrate, project: Path) -> None:
    """The source's table in a mapping and both tables of `init`: what is there, or what was meant."""
    (project / "mapping.yaml").write_text(MAPPING.replace("table: bill", "table: bil"), encoding="utf-8")
    assert "there is no table bil\n" in migrate("check", "mapping.yaml").err
    assert "did you mean bill?" in migrate("plan", "mapping.yaml").err
    words = ("init", "--source", "sqlite:///old.db", "--target", "sqlite:///new.db")
    assert "did you mean paid?" in migrate(*words, "--table", "bill", "--into", "payd").err
    assert "its tables: bill" in migrate(*words, "--table", "zzz", "--into", "paid").err


def test_a_missing_variable_is_named_with_its_place(migrate: Migrate, project: Path) -> None:
    """A URL's variable that is not set: file, line and path of the URL."""
    (project / "mapping.yaml").write_text(MAPPING.replace("sqlite:///new.db", "${NEW_URL}"), encoding="utf-8")
    done = migrate("check", "mapping.yaml")
    assert (done.code, "mapping.yaml:7 → target.url" in done.err, "NEW_URL" in done.err) == (2, True, True)


def _runs(migrate: Migrate, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _json(migrate, "status", "mapping.yaml", *words)["runs"]
    return found


def _json(migrate: Migrate, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(migrate(*words, "--json").out)
    return document
