"""A new run into a scope that holds rows needs a checked backup of them, or the word of whoever runs it that none is wanted.

Looked at for all mappings of an invocation before any of them writes. A run that is resumed began before, and was asked then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrate.engine.databases import as_typed
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan
from migrate.engine.preflight import Preflight
from migrate.engine.start import begins_anew
from migrate.errors import StateError
from migrate.ledger.backups import BackupRecord, checked_backup
from migrate.ledger.connection import Ledger
from migrate.stores.opening import open_source, open_target
from migrate.stores.port import ANOMALY
from migrate.values import SourceSpec
from migrate.write.scope import rows_in_scope
from migrate.write.target import WriteTarget


def safeguards(plans: Sequence[Plan], options: RunOptions) -> list[dict[str, Any]]:
    """For each plan what its run's `begin` says about a backup. Raises StateError where one is missing, for the first such plan."""
    return [_safeguard(plan, options) for plan in plans]


def with_safeguard(plan: Plan, options: RunOptions) -> Plan:
    """The plan with a warning among its findings where a run of it would be refused for want of a backup; writes nothing."""
    try:
        _safeguard(plan, options)
    except StateError as refused:
        tables = ", ".join(target.name for target in plan.targets)
        finding = Preflight("warning", f"target {tables}", refused.message, refused.next_step)
        return replace(plan, findings=(*plan.findings, finding))
    return plan


def _safeguard(plan: Plan, options: RunOptions) -> dict[str, Any]:
    if options.no_backup:
        return {"no_backup": True}
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        known = ledger.exists()
        if known and not begins_anew(ledger, plan):
            return {}
        filled = [target.name for target in plan.targets if _holds_rows(target, plan)]
        if not filled:
            return {}
        scopes = {target.name: target.scope_sql for target in plan.targets}
        backup = checked_backup(ledger, plan.name, scopes) if known else None
    finally:
        store.close()
    if backup is None:
        raise _refusal(plan, options, filled)
    return _named(backup)


def _named(backup: BackupRecord) -> dict[str, Any]:
    return {"backup": backup.backup, "manifest": backup.manifest}


def _holds_rows(target: WriteTarget, plan: Plan) -> bool:
    """Does the mapping answer for any row of this table yet? One that cannot be read counts."""
    scope = target.scope_sql
    columns = target.key if scope is None else tuple(name for name in target.shape.names if name in scope)
    with closing(open_source(SourceSpec(url=plan.target_url, table=target.name, key=target.key)).reader()) as reader:
        return any(_in_scope(chunk, scope) for chunk in reader.scan(columns, plan.chunk_bytes))


def _in_scope(chunk: pa.RecordBatch, scope: str | None) -> bool:
    rows = pa.Table.from_batches([chunk])
    inside = rows_in_scope(rows.drop_columns([ANOMALY]), scope)
    return bool(pc.any(inside).as_py()) or rows[ANOMALY].null_count < rows.num_rows


def _refusal(plan: Plan, options: RunOptions, filled: Sequence[str]) -> StateError:
    path = as_typed(plan.mapping.path, options)
    return StateError(
        f"{plan.name} would begin a new run, but {', '.join(filled)} has rows within its scope already, and there is no checked backup of them as they are",
        next_step=f"migrate backup create {path} and migrate backup check {path}, then run again; or run without one: --no-backup",
    )
