"""Put the scope of a mapping back to what a backup has: the lease first, then what differs, part by part, each in one transaction.

    take the lease; the run is *rolling back* from here on
    compare backup and tables; of equal parts nothing is touched
    until nothing is left over                                              (rounds)
        delete what the backup has not, children before parents
        insert and overwrite what it has, parents before children
    read the tables again: they must be what the backup has
    take back what the run counts, seal; the run is *rolled back*

A restore is a pass of its own. It looks at what is there and not at what was done, so that the same command goes on after whatever stopped it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from migrate.backup.batch import RestoredTable
from migrate.backup.differences import Differences, stored_digest
from migrate.backup.manifest import Manifest
from migrate.backup.opened import Opened, Wanted, check_files, look_up, require_known, require_same_tables
from migrate.backup.rounds import Rounds
from migrate.checksum.set_digest import SetDigest
from migrate.engine.access import ledger_of
from migrate.engine.databases import target_url_of
from migrate.engine.events import Listener, PhaseStarted
from migrate.engine.options import RunOptions
from migrate.engine.preflight import in_key_order
from migrate.engine.start import take_lease
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.errors import Interrupted, StateError
from migrate.ledger.backups import RESTORED, position
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import TargetCounts
from migrate.ledger.lease import HeldLedger, Holding, Lease, held_by_another, read_lease
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import (
    Pass,
    Run,
    begin_pass,
    create_run,
    end_pass,
    new_run_id,
    now_ms,
    read_entries,
    read_passes,
    read_run,
    set_state,
    total,
)
from migrate.ledger.steering import lift_pause
from migrate.mapping.model import Mapping as MappingFile
from migrate.mapping.reader import read_mapping
from migrate.rollback.attempt import Attempt, attempting
from migrate.stores.port import TargetStore
from migrate.write.transaction import AlreadyApplied


@dataclass(frozen=True, slots=True)
class TableRestored:
    """Rows of one table: all that the backup has, and what had to be done for them. `deleted`: rows that the backup has not."""

    rows: int
    overwritten: int
    inserted: int
    deleted: int

    def to_json(self) -> dict[str, int]:
        """As it goes into JSON documents and the log."""
        return {
            "rows": self.rows,
            "identical": max(0, self.rows - self.overwritten - self.inserted),
            "overwritten": self.overwritten,
            "inserted": self.inserted,
            "deleted": self.deleted,
        }


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to, over all attempts: how the run stands, from which backup, and per table what was done."""

    summary: RunSummary
    manifest: Manifest
    tables: Mapping[str, TableRestored]


def survey(path: Path, wanted: Wanted, options: RunOptions) -> Manifest:
    """The backup that `restore` would take; nothing is looked at in the target. Raises as `restore` for one that is not there or altered."""
    return look_up(wanted, read_mapping(path), options)[1]


def restore(path: Path, wanted: Wanted, options: RunOptions, *, stop: StopToken, listen: Listener) -> Restored:
    """Bring the rows that the mapping answers for to what the backup has, all columns; rows that are so already stay untouched.

    Raises:
        NotProven: manifest or files are not what the log knows; nothing was touched.
        StateError: there is no backup, another process holds the run, or tables cannot be written safely.
        RowsChanged: rows that the database holds fast; all others are restored, and the same command goes on.
        Interrupted: stopped between two batches.
        EnvironmentFault: the database is out of reach after retries.
    """
    mapping = read_mapping(path)
    folder, manifest = look_up(wanted, mapping, options)
    with ledger_of(path, options) as (ledger, _):
        # As for `run`: looked at before anything is judged, so that whoever takes the lease meanwhile is seen.
        holding = read_lease(ledger, mapping.name)
        if holding is not None and holding.live:
            raise held_by_another(mapping.name, holding)
        require_known(ledger, folder, manifest)
        rows = require_same_tables(mapping, target_url_of(mapping, options), manifest)
        backup = Opened(folder, manifest, rows)
        tables = _tables(ledger.store, backup)
        check_files(folder, manifest, partial(_go_on, stop))
        lease, run = _take(ledger, mapping, holding, listen)
        held = HeldLedger(ledger, lease)
        began = {"epoch": lease.epoch, **manifest.record.to_json()}
        add_event(held, mapping.name, run.run, "restore", began)
        # Before the state: of a run that is rolling back, its last pass says which command goes on with it.
        current = _restore_pass(held, run)
        set_state(held, run.run, "rolling_back")
        attempt = Attempt(held, run, lease, current, stop, listen)
        with attempting(attempt, manifest.rows, resumed=run.state == "rolling_back"):
            _bring_back(attempt, backup, tables)
            done = _finish(attempt, manifest)
        return Restored(summarise(ledger, read_run(ledger, run.run) or run), manifest, done)


def _go_on(stop: StopToken, _rows: int = 0) -> None:
    if stop.is_set:
        raise Interrupted(f"stopped: {stop.reason}", next_step="run the same command again")


def _tables(store: TargetStore, backup: Opened) -> list[RestoredTable]:
    """The tables, parents first. Raises StateError for what changes rows by itself."""
    kept = {each.table.name: each.table for each in backup.rows}
    shapes = {name: shape for name in kept if (shape := store.describe(name)) is not None}
    obstacles = [sentence for shape in shapes.values() for sentence in shape.obstacles]
    if obstacles:
        raise StateError(
            "the backup cannot be restored safely:\n  " + "\n  ".join(obstacles), next_step="take these away meanwhile"
        )
    return [RestoredTable(kept[name], shapes[name]) for name in in_key_order(shapes)]


def _take(ledger: Ledger, mapping: MappingFile, holding: Holding | None, listen: Listener) -> tuple[Lease, Run]:
    """The lease of the mapping's newest run, and that run; one that holds nothing but the restore where the mapping never ran."""
    run = None if holding is None else read_run(ledger, holding.run)
    name = new_run_id(now_ms(ledger)) if run is None else run.run
    lease = take_lease(ledger, mapping.name, name, holding, listen)
    if run is None:
        run = create_run(HeldLedger(ledger, lease), _run_of_nothing(mapping, lease), {})
    return lease, run


def _run_of_nothing(mapping: MappingFile, lease: Lease) -> Run:
    settings = {"batch_rows": 0, "range_columns": [], "rows_expected": 0, "grouped": [], "path": str(mapping.path)}
    return Run(
        run=lease.run,
        mapping=mapping.name,
        fingerprint="",
        epoch=lease.epoch,
        state="rolled_back",
        reason=None,
        created_ms=0,
        changed_ms=0,
        ended_ms=None,
        source_start=None,
        settings=settings,
        mapping_text=mapping.text,
    )


def _restore_pass(ledger: Ledger, run: Run) -> Pass:
    """The restore pass that was begun and not ended, or a new one."""
    last = read_passes(ledger, run.run)
    if last and last[-1].kind == "restore" and last[-1].ended_ms is None:
        return last[-1]
    return begin_pass(ledger, run.run, "restore", None)


def _bring_back(attempt: Attempt, backup: Opened, tables: Sequence[RestoredTable]) -> None:
    attempt.listen(PhaseStarted(attempt.run.mapping, "restore"))
    entries, watch = backup.manifest.tables, partial(_go_on, attempt.stop)
    with ExitStack() as kept:
        differences = {
            rows.table.name: kept.enter_context(Differences(backup.folder, rows, entries[rows.table.name], watch))
            for rows in backup.rows
        }
        Rounds(attempt, tables, differences).finish()
    for rows in backup.rows:
        _require_equal(rows.table.name, stored_digest(rows, watch), entries[rows.table.name].digest)


def _require_equal(table: str, stored: SetDigest, expected: SetDigest) -> None:
    if stored != expected:
        raise StateError(
            f"{table} is not what the backup has, although every difference was mended: somebody else writes to it",
            where=f"{stored} stored, {expected} in the backup",
            next_step="stop whatever writes there, then restore again",
        )


def _finish(attempt: Attempt, manifest: Manifest) -> dict[str, TableRestored]:
    run, ledger = attempt.run, attempt.ledger
    attempt.lane.persist(partial(_take_counts_back, attempt, _balance_number(attempt)), "taking the counts back")
    done = _done(attempt, manifest)
    for each in read_passes(ledger, run.run):
        if each.ended_ms is None:
            end_pass(ledger, run.run, each.number)
    detail = {
        **manifest.record.to_json(),
        # From here on the target is what the backup has, as if it had been made now.
        "position": position(ledger, run.mapping),
        "pass": attempt.pass_no,
        "tables": {name: table.to_json() for name, table in done.items()},
    }
    add_event(ledger, run.mapping, run.run, RESTORED, detail)
    lift_pause(ledger, run.mapping)
    seal(ledger, run.run)
    set_state(ledger, run.run, "rolled_back")
    return done


def _balance_number(attempt: Attempt) -> int:
    """Numbers below 0 are entries that change no row."""
    entries = read_entries(attempt.ledger, attempt.run.run, attempt.pass_no)
    return min((0, *(entry.range_no for entry in entries))) - 1


def _take_counts_back(attempt: Attempt, number: int) -> None:
    """One entry after which the run's counts and digests sum up to nothing; its pending units are forgotten."""
    run, pending = attempt.run.run, attempt.ledger.tables.pending
    entries = read_entries(attempt.ledger, run)
    transaction = attempt.lane.transaction(number)
    try:
        session = attempt.lane.session
        transaction.begin("restore")
        session.execute(sa.delete(pending).where(pending.c.run == run))
        record = transaction.record
        record.counts = -total(entries)
        for entry in entries:
            record.add_digests({name: SetDigest.parse(text) for name, text in entry.removed.items()})
            record.remove_digests({name: SetDigest.parse(text) for name, text in entry.digests.items()})
        transaction.finish([])
    except AlreadyApplied:
        return
    except BaseException:
        transaction.abandon()
        raise


def _done(attempt: Attempt, manifest: Manifest) -> dict[str, TableRestored]:
    """What all attempts of this pass did, by what they left in the ledger."""
    entries = read_entries(attempt.ledger, attempt.run.run, attempt.pass_no)
    counts = total([entry for entry in entries if entry.range_no > 0]).targets
    found = {name: counts.get(name, TargetCounts()) for name in manifest.tables}
    return {
        name: TableRestored(table.rows, found[name].updated, found[name].written, found[name].deleted)
        for name, table in manifest.tables.items()
    }
