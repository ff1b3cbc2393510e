"""`migrate verify` of a run that was taken back: said first, so that nobody reads what is missing as a loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Migrate


def document(migrate: Migrate) -> tuple[int, dict[str, Any]]:
    """Exit code and document of `verify --json`."""
    found = migrate("verify", "mapping.yaml", "--json")
    return found.code, json.loads(found.out)


@pytest.mark.parametrize("back", [("rollback",), ("backup", "restore")], ids=" ".join)
def test_a_run_that_was_taken_back_is_told_first(migrate: Migrate, project: Path, back: tuple[str, ...]) -> None:
    """After a rollback or a restore the line below the verdict says so, in both languages, on the page too: what is missing was not lost."""
    assert project.exists()
    migrate("backup", "create", "mapping.yaml")
    migrate("run", "mapping.yaml")
    assert document(migrate)[1]["run_state"] == "complete"
    assert migrate(*back, "mapping.yaml", "--yes").code == 0
    code, found = document(migrate)
    assert (code, found["verdict"], found["run_state"]) == (1, "DIFFERENT", "rolled_back")
    why = "is rolled back, not complete: what it wrote was taken back (`rollback` or `backup restore`), so its rows are missing or as they were before"
    assert found["not_verified"][0]["why"] == f"run {found['run']} {why}"
    shown = migrate("verify", "mapping.yaml", "--report", "page.html", COLUMNS="300").out.splitlines()
    assert shown[1] == f"  run {found['run']} {why}"
    chinese = migrate("verify", "mapping.yaml", "--lang", "zh").out.splitlines()
    assert chinese[1].startswith(f"  任务 {found['run']} 已回退：其写入的数据已被收回")
    banner = (project / "page.html").read_text(encoding="utf-8").partition('class="means"')[0]
    assert why in banner
    assert "已回退：其写入的数据已被收回" in banner
