"""Begin a run or take it up again: what the ledger says decides, and the lease is taken before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from migrate.engine.events import Listener, Notice
from migrate.engine.fingerprint import changed_parts
from migrate.engine.plan import Plan
from migrate.errors import InputError, Paused, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import HeldLedger, Holding, Lease, acquire, held_by_another, read_lease
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import (
    Pass,
    Run,
    begin_pass,
    create_run,
    current_run,
    new_run_id,
    now_ms,
    read_definition,
    read_passes,
    read_run,
    set_state,
)
from migrate.ledger.standing import rollback_passes
from migrate.stores.opening import open_target

CHANGES_NAMED: Final = 5
"""Changed parts of a mapping that a refusal names."""
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_ENDED: Final = frozenset({"rolled_back", "complete"})
"""States after which `run` begins a new run, unless a complete one has the same fingerprint."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run that this process now drives."""

    run: Run
    lease: Lease
    current_pass: Pass
    resumed: bool


def already_complete(ledger: Ledger, plan: Plan) -> Run | None:
    """The complete run with the same fingerprint, if that is how it stands."""
    run = current_run(ledger, plan.name)
    if run is not None and run.state == "complete" and run.fingerprint == plan.fingerprint:
        return run
    return None


def complete_before(plan: Plan) -> str | None:
    """The run that is complete with this plan's fingerprint, so that `run` would start nothing; writes nothing."""
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        run = already_complete(ledger, plan) if ledger.exists() else None
        return None if run is None else run.run
    finally:
        store.close()


def start(
    ledger: Ledger, plan: Plan, source_now: str, listen: Listener, safeguard: Mapping[str, object] = _NOTHING
) -> Started:
    """Take the lease and begin or resume. `source_now`: the source's clock, read before its first row.

    `safeguard`: what the log says of a new run about a backup.

    Raises StateError (held by another process, fingerprint changed, being rolled back) or Paused.
    """
    # Looked at before the run: whoever changes the run from here on has taken the lease, and is seen when it is to be taken.
    holding = read_lease(ledger, plan.name)
    existing = _to_resume(ledger, plan, holding)
    run_id = existing.run if existing is not None else new_run_id(now_ms(ledger))
    lease = take_lease(ledger, plan.name, run_id, holding, listen)
    ledger = HeldLedger(ledger, lease)
    run = read_run(ledger, run_id)
    if run is None:
        run = create_run(ledger, _new_run(plan, lease, source_now), plan.program.definition())
        add_event(ledger, plan.name, run_id, "begin", {"fingerprint": plan.fingerprint, **safeguard})
    else:
        _resume(ledger, plan, run, lease)
    return Started(run, lease, _full_pass(ledger, run_id, source_now), existing is not None)


def _full_pass(ledger: Ledger, run: str, source_now: str) -> Pass:
    """The full pass to go on with: the newest, unless something was taken back since; then a new one does what is open."""
    full = [each for each in read_passes(ledger, run) if each.kind == "full"]
    if not full:
        return begin_pass(ledger, run, "full", source_now)
    newest = full[-1]
    if all(number < newest.number for number in rollback_passes(ledger, run)):
        return newest
    return begin_pass(ledger, run, "full", source_now, newest.lookups)


def begins_anew(ledger: Ledger, plan: Plan) -> bool:
    """Would `start` begin a new run? False also where the newest one is complete with the same fingerprint: then nothing is to be done."""
    run = current_run(ledger, plan.name)
    return run is None or (run.state in _ENDED and already_complete(ledger, plan) is None)


def take_up(ledger: Ledger, plan: Plan, run: Run, holding: Holding | None, listen: Listener) -> Lease:
    """Take the lease of a run that is there, whatever its state; `holding` is the lease from before the run was read.

    Raises StateError when another process holds it, or has taken it since.
    """
    lease = take_lease(ledger, plan.name, run.run, holding, listen)
    _resume(HeldLedger(ledger, lease), plan, run, lease)
    return lease


def take_lease(ledger: Ledger, mapping: str, run_id: str, before: Holding | None, listen: Listener) -> Lease:
    """Take the lease of a mapping for a run, and put a takeover on record; `before` is the lease from before the run was read.

    Raises StateError when another process holds it, or has taken it since.
    """
    lease = acquire(ledger, mapping, run_id, before)
    if before is not None and before.holder is not None:
        detail = {"from": str(before.holder), "epoch": lease.epoch}
        held = HeldLedger(ledger, lease)
        seal(held, before.run)
        add_event(held, mapping, run_id, "takeover", detail)
        listen(Notice(mapping, "warning", f"took over the run from {before.holder}, which is gone"))
    return lease


def _resume(ledger: Ledger, plan: Plan, run: Run, lease: Lease) -> None:
    set_state(ledger, run.run, "running")
    add_event(ledger, plan.name, run.run, "resume", {"epoch": lease.epoch})


def _to_resume(ledger: Ledger, plan: Plan, holding: Holding | None) -> Run | None:
    """The run to take up again, or None to begin a new one."""
    run = read_run(ledger, holding.run) if holding is not None else None
    if run is None or run.state in _ENDED:
        return None
    if holding is not None and holding.live:
        raise held_by_another(plan.name, holding)
    if run.state == "rolling_back":
        raise going_back(ledger, run, plan.mapping.path)
    if holding is not None and holding.steering.pause_reason is not None:
        raise Paused(
            f"the run of {plan.name} is paused: {holding.steering.pause_reason}",
            where=f"run {run.run}",
            next_step=f"migrate resume {plan.mapping.path}, then migrate run {plan.mapping.path}",
        )
    if run.fingerprint != plan.fingerprint:
        raise _another_fingerprint(ledger, plan, run)
    if not plan.resumable:
        raise StateError(
            f"run {run.run} of {plan.name} cannot be resumed: its source has no key, and the snapshot that numbered its rows is gone",
            next_step="empty the target within the mapping's scope and begin under another `mapping:` name, or give the source a key",
        )
    return run


def _another_fingerprint(ledger: Ledger, plan: Plan, run: Run) -> StateError:
    changed = changed_parts(read_definition(ledger, run.run), plan.program.definition())
    what = (
        f"changed: {', '.join(changed[:CHANGES_NAMED])}" + (" …" if len(changed) > CHANGES_NAMED else "")
        if changed
        else "the mapping and the tables are the same; the content of a lookup file or the version of a database is not"
    )
    return StateError(
        f"{plan.name} is not what run {run.run} was begun with",
        where=f"{what} (fingerprint {plan.fingerprint[:12]} now, {run.fingerprint[:12]} then)",
        next_step="put it back as it was and run again (the mapping it was begun with: `mapping_text` in migrate ledger show --json)",
    )


def going_back(ledger: Ledger, run: Run, path: Path) -> StateError:
    """The refusal of everything but what takes the run back, while that is not at its end."""
    how = how_it_goes_back(ledger, run)
    what = "rolled back" if how == "rollback" else "restored from a backup"
    return StateError(f"run {run.run} of {run.mapping} is being {what}", next_step=f"finish it: migrate {how} {path}")


def how_it_goes_back(ledger: Ledger, run: Run) -> str:
    """Of a run that is rolling back, the command that goes on with it: `rollback`, or `backup restore` once that has begun."""
    last = read_passes(ledger, run.run)[-1:]
    return "backup restore" if last and last[0].kind == "restore" else "rollback"


def _new_run(plan: Plan, lease: Lease, source_now: str) -> Run:
    if len(plan.name) > 64:  # noqa: PLR2004 - the mapping model's own limit, kept here for library callers
        raise InputError(f"the mapping name {plan.name} is too long for the ledger")
    return Run(
        run=lease.run,
        mapping=plan.name,
        fingerprint=plan.fingerprint,
        epoch=lease.epoch,
        state="running",
        reason=None,
        created_ms=0,
        changed_ms=0,
        ended_ms=None,
        source_start=source_now,
        settings={
            "batch_rows": plan.batch_rows,
            "range_columns": plan.range_columns,
            "rows_expected": plan.estimated_rows,
            "grouped": [target.name for target in plan.targets if target.grouped],
            "resumable": plan.resumable,
            "path": str(plan.mapping.path),
        },
        mapping_text=plan.mapping.text,
    )
