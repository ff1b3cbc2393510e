"""Drop the undo records of a run that was signed off: it cannot be taken back any more, and its rejects not replayed.

Said first, done second: the event that says so is committed before the first record goes, so that no record is ever gone in silence. Each
batch's records go in a transaction of their own; whatever stops it, the same command goes on. Digests of the records stay, so that the
log's chain can still be checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from migrate.engine.access import run_of
from migrate.engine.events import Listener
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.options import RunOptions
from migrate.engine.start import take_lease
from migrate.engine.stop import StopToken
from migrate.errors import Interrupted, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import HeldLedger, held_by_another, read_lease, release
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import Run, read_run
from migrate.ledger.undo_check import PRUNED

_FINISHED: Final = frozenset({"complete", "rolled_back"})


@dataclass(frozen=True, slots=True)
class UndoSpace:
    """The undo records of a run that are there: chunks, records, and the bytes that they hold; `pruned`: chunks without records."""

    mapping: str
    run: str
    state: str
    chunks: int
    records: int
    held_bytes: int
    pruned: int


def undo_space(path: Path, options: RunOptions) -> UndoSpace:
    """What `prune` would drop. Writes nothing. Raises StateError when there is no run."""
    with run_of(path, options) as (ledger, run):
        return _space(ledger, run)


def prune(path: Path, options: RunOptions, *, stop: StopToken, listen: Listener) -> UndoSpace:
    """Drop the undo records of the newest run of a mapping, or of the one that `options` name; what they were.

    Raises:
        StateError: the run is not complete (its records are still needed), or another process holds it.
        Interrupted: stopped between two batches.
    """
    with run_of(path, options) as (ledger, named):
        with _held(ledger, named, path, listen) as (held, run):
            space = _space(ledger, run)
            if not space.chunks:
                return space
            detail = {"chunks": space.chunks, "records": space.records, "bytes": space.held_bytes}
            add_event(held, run.mapping, run.run, PRUNED, detail)
            for pass_no, range_no in _batches(ledger, run):
                if stop.is_set:
                    raise Interrupted(
                        f"stopped between two batches: {stop.reason}", next_step="run the same command again to go on"
                    )
                _drop(held, run, pass_no, range_no)
            seal(held, run.run)
        return space


@contextmanager
def _held(ledger: Ledger, run: Run, path: Path, listen: Listener) -> Iterator[tuple[Ledger, Run]]:
    """The ledger in the hands of the run's lease holder. A run that is not the newest has none: nothing works on it any more."""
    holding = read_lease(ledger, run.mapping)
    run = read_run(ledger, run.run) or run
    if holding is not None and holding.run == run.run and holding.live:
        raise held_by_another(run.mapping, holding)
    if run.state not in _FINISHED:
        raise StateError(
            f"run {run.run} of {run.mapping} is {run.state}: its undo records are still needed",
            next_step=f"finish it (migrate run {path}) or take it back (migrate rollback {path}), then prune",
        )
    if holding is None or holding.run != run.run:
        yield ledger, run
        return
    lease = take_lease(ledger, run.mapping, run.run, holding, listen)
    heartbeat = Heartbeat(Ledger(ledger.store, ledger.tables.metadata.schema), lease)
    held = HeldLedger(ledger, lease)
    try:
        heartbeat.start()
        yield held, run
    finally:
        heartbeat.stop()
        release(held, lease)


def _space(ledger: Ledger, run: Run) -> UndoSpace:
    undo = ledger.tables.undo
    there = undo.c.payload.is_not(None)
    query = sa.select(
        sa.func.sum(sa.case((there, 1), else_=0)),
        sa.func.sum(sa.case((there, undo.c.rows), else_=0)),
        sa.func.sum(sa.func.coalesce(sa.func.length(undo.c.payload), 0)),
        sa.func.count(),
    ).where(undo.c.run == run.run)
    with ledger.reading() as connection:
        chunks, records, held, all_chunks = (int(each or 0) for each in connection.execute(query).one())
    return UndoSpace(run.mapping, run.run, run.state, chunks, records, held, all_chunks - chunks)


def _batches(ledger: Ledger, run: Run) -> list[tuple[int, int]]:
    undo = ledger.tables.undo
    query = (
        sa.select(undo.c.pass_no, undo.c.range_no)
        .where(undo.c.run == run.run, undo.c.payload.is_not(None))
        .distinct()
        .order_by(undo.c.pass_no, undo.c.range_no)
    )
    with ledger.reading() as connection:
        return [(row.pass_no, row.range_no) for row in connection.execute(query)]


def _drop(ledger: Ledger, run: Run, pass_no: int, range_no: int) -> None:
    undo = ledger.tables.undo
    which = (undo.c.run == run.run, undo.c.pass_no == pass_no, undo.c.range_no == range_no)
    with ledger.writing() as connection:
        connection.execute(sa.update(undo).where(*which).values(payload=sa.null()))
