"""What the plans of several mappings have to agree on."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.engine.options import RunOptions
from migrate.engine.plan import plan_run
from migrate.errors import InputError
from tests.rig.database import Database

MAPPING = """\
mapping: {table}
source: {{url: "sqlite:///{folder}/old.db", table: src}}
target: {{url: "{target}"}}
{more}
targets:
  - table: {table}
    key: [id]
    fields: {{id: id, v: {field}}}
"""


def test_a_lookup_in_a_table_that_the_same_invocation_writes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds would depend on timing; that the database is written differently in the two mappings hides nothing."""
    for name, tables in (("old.db", ["src"]), ("new.db", ["one", "two"])):
        Database(f"sqlite:///{tmp_path / name}").run(
            *(f"create table {each} (id integer primary key, v text)" for each in tables)
        )
    monkeypatch.setenv("NEW_DATABASE", f"sqlite:///{tmp_path}/new.db")
    writes, reads = tmp_path / "writes.yaml", tmp_path / "reads.yaml"
    common = {"folder": str(tmp_path)}
    writes.write_text(MAPPING.format(table="one", target=f"sqlite:///{tmp_path}/new.db", more="", field="v", **common))
    lookups = "lookups:\n  codes: {target_table: one, key: v}"
    field = "{from: v, lookup: codes, take: v}"
    reads.write_text(MAPPING.format(table="two", target="${NEW_DATABASE}", more=lookups, field=field, **common))
    assert [plan.name for plan in plan_run([reads], RunOptions())] == ["two"]
    with pytest.raises(InputError, match="lookup codes reads one, which this invocation writes"):
        plan_run([writes, reads], RunOptions())
