"""Steer a run from outside: pause, resume, throttle. Written to the lease row, which the run reads at every beat and batch."""

from __future__ import annotations

import sqlalchemy as sa

from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import Lease, read_lease
from migrate.ledger.log import add_event
from migrate.ledger.runs import Run, current_run


def pause(ledger: Ledger, mapping: str, reason: str) -> None:
    """Ask the run to stop at the next batch border; raises StateError when there is none to pause."""
    run = _open_run(ledger, mapping)
    table = ledger.tables.lease
    with ledger.writing() as connection:
        connection.execute(
            sa.update(table).where(table.c.mapping == mapping).values(pause_reason=reason, paused_ms=ledger.clock)
        )
    add_event(ledger, mapping, run.run, "pause", {"reason": reason})


def resume(ledger: Ledger, mapping: str) -> str | None:
    """Clear the pause, start nothing; the reason it had, or None when it was not paused."""
    run = _open_run(ledger, mapping)
    holding = read_lease(ledger, mapping)
    reason = holding.steering.pause_reason if holding is not None else None
    if reason is None:
        return None
    lease, runs = ledger.tables.lease, ledger.tables.run
    paused = (runs.c.run == run.run) & (runs.c.state == "paused")
    with ledger.writing() as connection:
        connection.execute(
            sa.update(lease).where(lease.c.mapping == mapping).values(pause_reason=sa.null(), paused_ms=sa.null())
        )
        if holding is not None and not holding.live:
            # Together with the pause: once that is gone, somebody else may run it, and say how it stands.
            connection.execute(
                sa.update(runs).where(paused).values(state="interrupted", reason=sa.null(), changed_ms=ledger.clock)
            )
    add_event(ledger, mapping, run.run, "resume-allowed", {"was": reason})
    return reason


def throttle(ledger: Ledger, mapping: str, rows_per_second: int | None) -> None:
    """Limit the run to so many source rows per second, over all its workers; None lifts the limit."""
    run = _open_run(ledger, mapping)
    table = ledger.tables.lease
    with ledger.writing() as connection:
        connection.execute(sa.update(table).where(table.c.mapping == mapping).values(throttle_rows=rows_per_second))
    add_event(ledger, mapping, run.run, "throttle", {"rows_per_second": rows_per_second})


def set_pause(ledger: Ledger, lease: Lease, reason: str) -> None:
    """Pause from inside: a limit is over. An operator's own reason stays."""
    table = ledger.tables.lease
    unpaused = (
        (table.c.mapping == lease.mapping) & (table.c.wanted_epoch == lease.epoch) & table.c.pause_reason.is_(None)
    )
    with ledger.writing() as connection:
        connection.execute(sa.update(table).where(unpaused).values(pause_reason=reason, paused_ms=ledger.clock))


def lift_pause(ledger: Ledger, mapping: str) -> None:
    """Forget a pause with the run that it was meant for, which is rolled back: it must not stop the next one."""
    table = ledger.tables.lease
    with ledger.writing() as connection:
        connection.execute(
            sa.update(table).where(table.c.mapping == mapping).values(pause_reason=sa.null(), paused_ms=sa.null())
        )


def _open_run(ledger: Ledger, mapping: str) -> Run:
    run = current_run(ledger, mapping)
    if run is None:
        raise StateError(f"{mapping} was never run into this database", next_step="`migrate status` shows what was")
    if run.state in {"complete", "rolled_back"}:
        raise StateError(
            f"run {run.run} of {mapping} is {run.state.replace('_', ' ')}: there is nothing to steer",
            next_step="pause, resume and throttle are for a run or a rollback that is not at its end: begin it first",
        )
    return run
