"""Where a snapshot of PostgreSQL stands: every transaction that writes has a number, so that equal snapshots see equal tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from migrate.errors import ConnectionLost, Interrupted, MigrateError
from migrate.stores.postgres_types import literal

# With the start of the server and of its checkpointer, which begins anew after a crash: numbers that were never written down are used again then.
_POSITION: Final = """SELECT concat_ws(' ', system.system_identifier, base.oid, class.oid, last.timeline_id, pg_postmaster_start_time(), writer.backend_start, pg_current_snapshot())
FROM pg_control_system() AS system, pg_control_checkpoint() AS last, pg_catalog.pg_database AS base, pg_catalog.pg_class AS class, pg_catalog.pg_stat_activity AS writer
WHERE NOT pg_is_in_recovery() AND base.datname = current_database() AND class.oid = {relation}::regclass AND class.relkind IN ('r', 'p', 'm')
AND writer.backend_type = 'checkpointer' AND writer.backend_start IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_table)"""


def position_in(ask: Callable[[str], list[tuple[Any, ...]]], relation: str) -> str | None:
    """The position of the snapshot that `ask` asks in, for a relation of it.

    None on a standby, whose snapshots do not name the transactions that are under way, for what is no table of this server's own (a view may ask for the time, foreign tables change elsewhere), and for a user who does not
    see the server's own processes (pg_monitor).
    """
    try:
        found = ask(_POSITION.format(relation=literal(relation)))
    except (ConnectionLost, Interrupted):
        raise
    except MigrateError:
        return None
    return str(found[0][0]) if found else None
