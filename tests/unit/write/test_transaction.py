"""A batch whose counts do not add up is not committed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from migrate.engine.drive import record_tables
from migrate.errors import Miscount
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts, TargetCounts
from migrate.ledger.lease import acquire
from migrate.ledger.runs import Run, create_run
from migrate.stores.opening import open_target
from migrate.write.transaction import BatchId, BatchTransaction
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

SOUND = Counts(read=5, mapped=3, filtered=2, targets={"t": TargetCounts(written=2, identical=1)})
MAPPING = """
mapping: miscount
source: {table: src, key: [id]}
targets: [{table: dst, key: [id], one_row_per: [id], fields: {id: id}}]
"""


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        pytest.param(SOUND, None, id="sound"),
        pytest.param(replace(SOUND, read=6), "do not add up", id="a row that is in no class"),
        pytest.param(replace(SOUND, mapped=2, filtered=3), "do not add up", id="a target with a row too many"),
        pytest.param(replace(SOUND, read=6, rejected=1), "0 reasons of rejects", id="a reject without a reason"),
    ],
)
def test_a_batch_is_committed_only_when_its_counts_add_up(
    sqlite_url: str, counts: Counts, complaint: str | None
) -> None:
    """Every row read is in one class, every target accounts for the mapped ones, every reject has a reason: else nothing is there afterwards."""
    with closing(open_target(sqlite_url)) as store:
        ledger = Ledger(store)
        ledger.create()
        lease = acquire(ledger, "m", "r", None)
        create_run(ledger, Run("r", "m", "f", 1, "running", None, 0, 0, None, None, {}, "mapping: m"), {})
        with closing(store.session()) as session:
            transaction = BatchTransaction(ledger, session, lease, BatchId("r", 1, 0), record_tables(ledger))
            transaction.begin("worker")
            transaction.record.counts = counts
            if complaint is None:
                transaction.finish(["t"])
            else:
                with pytest.raises(Miscount, match=complaint):
                    transaction.finish(["t"])
                transaction.abandon()
    rows = Database(sqlite_url).rows(
        "SELECT range_no FROM migrate_batch UNION ALL SELECT range_no FROM migrate_applied"
    )
    assert len(rows) == (2 if complaint is None else 0)


def test_a_unit_that_misses_a_target_stops_the_batch(tmp_path: Path, sqlite_url: str) -> None:
    """Mapped rows that lack a unit which was not rejected are a fault of the toolkit; nothing of the batch is written."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(sqlite_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY)")
    source.insert("src", [{"id": number} for number in range(3)])
    target.run("CREATE TABLE dst (id integer PRIMARY KEY)")
    plan = plan_of(tmp_path, MAPPING, source.url, target.url)
    (level,) = plan.program.levels
    losing = replace(level, main=f"SELECT * FROM ({level.main}) WHERE _unit <> 1")
    with pytest.raises(Miscount, match="dst got rows of 2 units, and 3 were mapped"):
        run_scheduled(replace(plan, program=replace(plan.program, levels=(losing,))))
    assert target.rows("SELECT id FROM dst UNION ALL SELECT range_no FROM migrate_batch") == []
