"""The target side: every stored row within the mapping's scope, read anew in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import key_digests
from migrate.mapping.duck import connect, quoted
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY
from migrate.values import SourceSpec
from migrate.verify.replay import CHUNK_BYTES
from migrate.write.target import WriteTarget

_ROWS = "stored"


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Rows within the scope, with the columns of the contract; `unreadable`: why rows beside them cannot be read without loss, and their key digests."""

    rows: pa.Table
    unreadable: tuple[str, ...]
    unreadable_keys: frozenset[bytes]


class Stored:
    """One reader of one target table; every walk sees the same snapshot. For one thread at a time."""

    def __init__(self, target: WriteTarget, url: str) -> None:
        self._contract = target.contract
        self._columns = tuple(name for name, _ in target.contract.columns)
        self._scope = target.scope_sql
        self._connection = connect()
        self._reader = open_source(SourceSpec(url=url, table=target.name, key=target.key)).reader()

    def chunks(self) -> Iterator[StoredChunk]:
        """All of the table that the mapping answers for."""
        for batch in self._reader.scan(self._columns, CHUNK_BYTES):
            rows, broken = split_unreadable(pa.Table.from_batches([batch]))
            reasons = tuple(broken[ANOMALY].to_pylist())
            keys = frozenset(key_digests(broken, self._contract).cast(pa.binary()).to_pylist())
            yield StoredChunk(self._inside(rows.drop_columns([ANOMALY])), reasons, keys)

    def close(self) -> None:
        """Free the connection."""
        self._reader.close()
        self._connection.close()

    def _inside(self, rows: pa.Table) -> pa.Table:
        if self._scope is None or rows.num_rows == 0:
            return rows
        self._connection.register(_ROWS, rows)
        try:
            inside = self._connection.sql(f"SELECT coalesce(({self._scope}), false) AS i FROM {quoted(_ROWS)}")
            return rows.filter(inside.to_arrow_table()["i"])
        finally:
            self._connection.unregister(_ROWS)


def split_unreadable(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows that were read whole, and those of which something could not be read without loss; both with `ANOMALY`."""
    if rows[ANOMALY].null_count == rows.num_rows:
        return rows, rows.slice(0, 0)
    return rows.filter(pc.is_null(rows[ANOMALY])), rows.filter(pc.is_valid(rows[ANOMALY]))
