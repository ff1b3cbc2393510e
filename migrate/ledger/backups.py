"""What the log knows of backups: which were made and checked, of which rows, and whether the mapping has changed these since.

The events of a backup stand under the backup's own name in the place of a run, so that they are sealed also where nothing was ever run.
Nothing here looks at the files of a backup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from migrate.ledger.connection import Ledger
from migrate.ledger.log import ABOUT_BACKUPS, add_event, seal
from migrate.signing.canonical import canonical_digest

CREATED: Final = f"{ABOUT_BACKUPS}created"
CHECKED: Final = f"{ABOUT_BACKUPS}checked"
FAILED: Final = f"{ABOUT_BACKUPS}failed"
RESTORED: Final = "restored"

Scopes = Mapping[str, str | None]
"""Target table: the condition for the rows that the mapping answers for, in DuckDB's SQL, or None for all of them."""


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """A backup as the log names it. `position`: what `position` found when it was made; `manifest`: SHA-256 of what its manifest states."""

    backup: str
    manifest: str
    scope: str
    position: int

    def to_json(self) -> dict[str, Any]:
        """The detail of an event."""
        return {"backup": self.backup, "manifest": self.manifest, "scope": self.scope, "position": self.position}


def scope_digest(scopes: Scopes) -> str:
    """SHA-256 that tells which rows of which tables are meant."""
    return canonical_digest(dict(scopes))


def position(ledger: Ledger, mapping: str) -> int:
    """The sum of `applied_seq` over all runs of a mapping, 0 before the first: it moves with everything that the mapping does to its rows.

    The newest one would not: numbers are drawn before the commit, and a lower one may be committed after a higher.
    """
    applied, run = ledger.tables.applied, ledger.tables.run
    entries = sa.select(sa.func.coalesce(sa.func.sum(applied.c.applied_seq), 0)).join(run, run.c.run == applied.c.run)
    with ledger.reading() as connection:
        return int(connection.execute(entries.where(run.c.mapping == mapping)).scalar_one())


def log_backup(
    ledger: Ledger, mapping: str, kind: str, record: BackupRecord, more: Mapping[str, object] | None = None
) -> None:
    """Enter what was done with a backup into the log, and seal it."""
    add_event(ledger, mapping, record.backup, kind, {**record.to_json(), **(more or {})})
    seal(ledger, record.backup)


def created_backup(ledger: Ledger, mapping: str, backup: str) -> BackupRecord | None:
    """The backup of that name as the log has it since it was made; None for one that was not made of this target."""
    for kind, detail in _events(ledger, mapping):
        if kind == CREATED and detail["backup"] == backup:
            return _record(detail)
    return None


def checked_backup(ledger: Ledger, mapping: str, scopes: Scopes) -> BackupRecord | None:
    """The newest backup of exactly these rows whose last check found it good, or that was restored, since the mapping last changed any of them."""
    wanted, now, spoilt = scope_digest(scopes), position(ledger, mapping), set[str]()
    judged: set[str] = set()
    for kind, detail in _events(ledger, mapping):
        if kind == CREATED:
            continue
        if detail["backup"] not in judged and kind == FAILED:
            spoilt.add(detail["backup"])
        judged.add(detail["backup"])
        # A check says of which moment the backup was made, an earlier restore that the rows are as then again: any of them will do.
        if detail["backup"] not in spoilt and (detail["scope"], detail["position"]) == (wanted, now):
            return _record(detail)
    return None


def is_current(ledger: Ledger, mapping: str, backup: str) -> bool:
    """True where the mapping has changed nothing since this backup was made, or was last put back."""
    now = position(ledger, mapping)
    of_it = [detail for kind, detail in _events(ledger, mapping) if kind != FAILED and detail["backup"] == backup]
    return any(detail["position"] == now for detail in of_it)


def _record(detail: Mapping[str, Any]) -> BackupRecord:
    return BackupRecord(detail["backup"], detail["manifest"], detail["scope"], detail["position"])


def _events(ledger: Ledger, mapping: str) -> list[tuple[str, dict[str, Any]]]:
    """Kind and detail of all events about backups of a mapping, newest first."""
    event = ledger.tables.event
    about = event.c.kind.in_((CREATED, CHECKED, FAILED, RESTORED))
    query = sa.select(event.c.kind, event.c.detail).where(event.c.mapping == mapping, about)
    with ledger.reading() as connection:
        rows = connection.execute(query.order_by(event.c.event_no.desc())).all()
    return [(row.kind, json.loads(row.detail)) for row in rows]
