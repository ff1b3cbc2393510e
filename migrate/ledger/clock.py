"""The database's own clock, so that no two machines have to agree on the time."""

from __future__ import annotations

import sqlalchemy as sa

from migrate.errors import InputError

_MILLISECONDS = {
    "postgresql": "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)",
    "mysql": "cast(unix_timestamp(sysdate(6)) * 1000 as signed)",
    "mariadb": "cast(unix_timestamp(sysdate(6)) * 1000 as signed)",
    "sqlite": "cast((julianday('now') - 2440587.5) * 86400000 as integer)",
}


def clock_ms(dialect: str) -> sa.ColumnElement[int]:
    """Milliseconds since 1970-01-01 UTC at the moment of the statement, as an SQL expression.

    Raises InputError for a dialect whose clock has not been tried: such a database can be a source, not a target.
    """
    form = _MILLISECONDS.get(dialect)
    if form is None:
        raise InputError(
            f"{dialect} cannot be a target: its clock has no form here",
            where="migrate/ledger/clock.py",
            next_step=f"use one of {', '.join(sorted(set(_MILLISECONDS)))} as target",
        )
    return sa.literal_column(form, sa.BigInteger())
