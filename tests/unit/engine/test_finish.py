"""When a run may say that it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.errors import DataError
from tests.rig.database import Database
from tests.rig.schedule import Order, plan_of, run_scheduled

MAPPING = """
mapping: whole
source: {table: src, key: [id]}
targets: [{table: dst, key: [id], fields: {id: id}}]
"""

FORGOTTEN: dict[str, tuple[Order, str]] = {
    "the first": (lambda ranges: ranges[1:], "batch 0 of pass 1 was never done"),
    "the last, which holds no row": (lambda ranges: ranges[:-1], "batch 3 of pass 1 was never done"),
    "all": (lambda _: [], "batch 0 of pass 1 was never done"),
}


@pytest.mark.parametrize(("order", "reason"), FORGOTTEN.values(), ids=FORGOTTEN.keys())
def test_a_run_whose_batch_was_never_done_is_not_complete(tmp_path: Path, order: Order, reason: str) -> None:
    """The counts of what was done add up whatever was left out: the ranges decide, and the refusal names the batch."""
    source, target = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("source", "target"))
    source.run("CREATE TABLE src (id integer PRIMARY KEY)")
    source.insert("src", [{"id": number} for number in range(6)])
    target.run("CREATE TABLE dst (id integer PRIMARY KEY)")
    plan = plan_of(tmp_path, MAPPING, source.url, target.url, 2)
    with pytest.raises(DataError, match=reason):
        run_scheduled(plan, order)
    assert [row["state"] for row in target.rows("SELECT state FROM migrate_run")] == ["running"]
