"""The target side: every stored row within the mapping's scope, read anew in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from migrate.mapping.duck import connect, quoted
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY
from migrate.values import SourceSpec
from migrate.verify.replay import CHUNK_BYTES
from migrate.verify.unread import is_unreadable
from migrate.write.target import WriteTarget

_ROWS = "stored"


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Rows within the scope, with the columns of the contract; `unread`: rows beside them that cannot be read without loss, with `ANOMALY`."""

    rows: pa.Table
    unread: pa.Table


class Stored:
    """One reader of one target table; every walk sees the same snapshot. For one thread at a time."""

    def __init__(self, target: WriteTarget, url: str) -> None:
        self._columns = tuple(name for name, _ in target.contract.columns)
        self._scope = target.scope_sql
        self._scoped = [name for name in self._columns if self._scope is not None and name in self._scope]
        self._connection = connect()
        self._reader = open_source(SourceSpec(url=url, table=target.name, key=target.key)).reader()

    def chunks(self) -> Iterator[StoredChunk]:
        """All of the table that the mapping answers for."""
        for batch in self._reader.scan(self._columns, CHUNK_BYTES):
            rows, broken = split_unreadable(pa.Table.from_batches([batch]))
            yield StoredChunk(self._inside(rows.drop_columns([ANOMALY])), self._perhaps_inside(broken))

    def close(self) -> None:
        """Free the connection."""
        self._reader.close()
        self._connection.close()

    def _inside(self, rows: pa.Table) -> pa.Table:
        return rows.filter(self._in_scope(rows))

    def _perhaps_inside(self, rows: pa.Table) -> pa.Table:
        """Those of the unreadable rows that are not outside for certain: a value that could not be read may be any."""
        unknown = [
            any(is_unreadable(name, value, reason) for name, value in row.items())
            for reason, row in ((row.pop(ANOMALY), row) for row in rows.select([*self._scoped, ANOMALY]).to_pylist())
        ]
        return rows.filter(pc.or_(self._in_scope(rows), pa.chunked_array([pa.array(unknown, pa.bool_())])))

    def _in_scope(self, rows: pa.Table) -> pa.ChunkedArray:
        if self._scope is None or rows.num_rows == 0:
            return pa.chunked_array([pa.array([True] * rows.num_rows, pa.bool_())])
        self._connection.register(_ROWS, rows)
        try:
            inside = self._connection.sql(f"SELECT coalesce(({self._scope}), false) AS i FROM {quoted(_ROWS)}")
            return inside.to_arrow_table()["i"]
        finally:
            self._connection.unregister(_ROWS)


def split_unreadable(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows that were read whole, and those of which something could not be read without loss; both with `ANOMALY`."""
    if rows[ANOMALY].null_count == rows.num_rows:
        return rows, rows.slice(0, 0)
    return rows.filter(pc.is_null(rows[ANOMALY])), rows.filter(pc.is_valid(rows[ANOMALY]))
