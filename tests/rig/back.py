"""Rolls runs back as a test wants it, and digests whole tables to compare what is there before and after."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from migrate.engine.options import RunOptions
from migrate.engine.stop import StopToken
from migrate.ledger.connection import Ledger
from migrate.ledger.log import LogVerdict, verify_log
from migrate.rollback.request import Request
from migrate.rollback.rollback import RolledBack, rollback
from migrate.stores.opening import open_target
from tests.rig.database import Database


def table_digests(database: Database, *tables: str) -> dict[str, str]:
    """SHA-256 over all rows of each table with all columns, as the plain driver reads them, in any order."""
    return {name: _digest(database.rows(f"SELECT * FROM {name}")) for name in tables}


EVERYTHING = Request()


def rolled_back(folder: Path, target: str, request: Request = EVERYTHING) -> RolledBack:
    """The rollback of the newest run of the mapping in `folder`, or a part of it; the log holds after it, and everything is sealed."""
    done = rollback(
        folder / "mapping.yaml", RunOptions(target=target), request, stop=StopToken(), listen=lambda _: None
    )
    verdict = log_verdict(target)
    assert verdict.findings == ()
    assert verdict.unsealed == 0
    return done


def log_verdict(target: str) -> LogVerdict:
    """What `ledger verify` finds."""
    store = open_target(target)
    try:
        return verify_log(Ledger(store))
    finally:
        store.close()


def _digest(rows: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for line in sorted(repr(sorted(row.items())) for row in rows):
        digest.update(line.encode())
    return digest.hexdigest()
