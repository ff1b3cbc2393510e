"""`ledger prune`: undo records go after sign-off, never in silence, and nothing that needs them goes on as if they were there."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan
from migrate.engine.prune import UndoSpace, prune, undo_space
from migrate.engine.replay import rejects_replay
from migrate.engine.stop import StopToken
from migrate.errors import Interrupted, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import acquire, read_lease, release
from migrate.ledger.log import read_events
from migrate.ledger.runs import set_state
from migrate.stores.opening import open_target
from tests.rig.back import log_verdict, rolled_back
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: pruned
source: {table: src, key: [id]}
targets: [{table: dst, key: [k], fields: {k: k, c: c}}]
"""


class Stopping(StopToken):
    """Somebody asks to stop once this many batches were begun."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._left = batches

    @property
    def is_set(self) -> bool:
        """True after so many looks."""
        self._left -= 1
        return self._left < 0


class Site:
    """A run of three batches with one reject."""

    def __init__(self, place: Path, url: str) -> None:
        self.path, self.options = place / "mapping.yaml", RunOptions(target=url)
        source, self.target = Database(f"sqlite:///{place / 'source.db'}"), Database(url)
        source.run("CREATE TABLE src (id integer PRIMARY KEY, k integer, c text)")
        source.insert("src", [{"id": n, "k": min(n, 7), "c": str(n)} for n in range(9)])
        self.target.run("CREATE TABLE dst (k integer NOT NULL PRIMARY KEY, c varchar(10))")
        self.plan: Plan = plan_of(place, MAPPING, source.url, url, 3)
        self.run = run_scheduled(self.plan).summary.run

    def prune(self, stop: StopToken | None = None) -> UndoSpace:
        """Drop the records of the newest run."""
        return prune(self.path, self.options, stop=stop or StopToken(), listen=lambda _: None)

    def kept(self) -> int:
        """Undo chunks that have their records."""
        return int(self.target.rows("SELECT count(*) AS n FROM migrate_undo WHERE payload IS NOT NULL")[0]["n"])


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Site:
    """Fresh."""
    return Site(tmp_path, database_url)


def test_records_go_and_the_log_says_so(site: Site) -> None:
    """What is dropped is what was announced; the event has the same figures, the chain holds, and again there is nothing to drop."""
    announced = undo_space(site.path, site.options)
    assert announced.chunks == site.kept() >= 3
    assert announced.records >= 8
    assert announced.held_bytes > 0
    assert site.prune() == announced
    assert site.kept() == 0
    store = open_target(site.options.target or "")
    try:
        events = [each for each in read_events(Ledger(store), site.run) if each["kind"] == "prune"]
    finally:
        store.close()
    assert [each["detail"] for each in events] == [
        {"chunks": announced.chunks, "records": announced.records, "bytes": announced.held_bytes}
    ]
    verdict = log_verdict(site.options.target or "")
    assert (verdict.findings, verdict.unsealed) == ((), 0)
    assert (site.prune().chunks, undo_space(site.path, site.options).pruned) == (0, announced.chunks)


def test_what_needs_the_records_is_refused(site: Site, tmp_path: Path) -> None:
    """Neither rolled back nor replayed: exit 4 with the reason, and nothing is written."""
    site.prune()
    before = site.target.rows("SELECT * FROM dst ORDER BY k")
    with pytest.raises(StateError, match="were pruned") as refused:
        rolled_back(tmp_path, site.options.target or "")
    assert refused.value.exit_code == 4
    with pytest.raises(StateError, match="cannot be replayed: its undo records were pruned"):
        rejects_replay(
            site.path,
            RunOptions(source=site.plan.source.url, target=site.options.target),
            stop=StopToken(),
            listen=lambda _: None,
        )
    assert site.target.rows("SELECT * FROM dst ORDER BY k") == before


def test_a_prune_that_was_stopped_goes_on(site: Site, tmp_path: Path) -> None:
    """Stopped after one batch, the log holds and the run can no longer be rolled back; the same command drops the rest."""
    chunks = site.kept()
    with pytest.raises(Interrupted):
        site.prune(Stopping(1))
    assert 0 < site.kept() < chunks
    assert log_verdict(site.options.target or "").findings == ()
    with pytest.raises(StateError, match="were pruned"):
        rolled_back(tmp_path, site.options.target or "")
    site.prune()
    assert site.kept() == 0


def test_a_run_whose_records_are_needed_keeps_them(site: Site) -> None:
    """A run that is not complete, and one that a process holds, are refused; one that was rolled back is not."""
    store = open_target(site.options.target or "")
    try:
        ledger = Ledger(store)
        set_state(ledger, site.run, "interrupted")
        with pytest.raises(StateError, match="is interrupted: its undo records are still needed"):
            site.prune()
        set_state(ledger, site.run, "complete")
        holding = read_lease(ledger, "pruned")
        lease = acquire(ledger, "pruned", site.run, holding)
        with pytest.raises(StateError, match="another process holds the run"):
            site.prune()
        release(ledger, lease)
    finally:
        store.close()
    assert site.kept() > 0
    rolled_back(site.path.parent, site.options.target or "")
    site.prune()
    assert site.kept() == 0


def test_an_older_run_is_pruned_by_its_name(site: Site) -> None:
    """The newest run keeps its records, and can be taken back."""
    older = site.run
    rolled_back(site.path.parent, site.options.target or "")
    run_scheduled(site.plan)
    named = RunOptions(target=site.options.target, run=older)
    assert prune(site.path, named, stop=StopToken(), listen=lambda _: None).run == older
    left = site.target.rows("SELECT DISTINCT run FROM migrate_undo WHERE payload IS NOT NULL")
    assert [each["run"] != older for each in left] == [True]
    assert rolled_back(site.path.parent, site.options.target or "").batches > 0
