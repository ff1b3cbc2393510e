"""The target side: every stored row within the mapping's scope, read anew in one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import key_digests
from migrate.mapping.duck import connect_briefly, quoted
from migrate.mapping.scope import scope_equality
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, PositionedReader
from migrate.values import SourceSpec
from migrate.verify.both import CHUNK_BYTES
from migrate.verify.sql_scan import Place, Scan, Scanned, Trial, sql_trial, streamed
from migrate.verify.unread import is_unreadable, split_unreadable
from migrate.write.target import WriteTarget

_ROWS = "stored"


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Rows within the scope, with the columns of the contract; `unread`: rows beside them that cannot be read without loss, with `ANOMALY`."""

    rows: pa.Table
    unread: pa.Table


class Stored:
    """One reader of one target table; every walk sees the same snapshot. For one thread at a time.

    `only_keys`: the digests of those keys to whose rows `chunks` is confined, if not all are meant.
    """

    def __init__(self, target: WriteTarget, url: str, only_keys: pa.Array | None = None) -> None:
        self._place = Place("target", target.name, _equality(target))
        self._contract = target.contract
        self._only_keys = only_keys
        self._columns = tuple(name for name, _ in target.contract.columns)
        self._scope = target.scope_sql
        self._scoped = [name for name in self._columns if self._scope is not None and name in self._scope]
        self._connection = connect_briefly()
        self._reader = open_source(SourceSpec(url=url, table=target.name, key=target.key)).reader()

    def position(self) -> str | None:
        """Where the table stands; None where that cannot be told."""
        return self._reader.position() if isinstance(self._reader, PositionedReader) else None

    def trial(self, nonce: str, scan: Scan, bits: int) -> Trial | Scanned:
        """How to sum up by the database all that the mapping answers for, sorted by so many bits of K; or that its rows have to be read."""
        if self._scope is not None and self._place.equal is None and scan != "stream":
            return streamed(self._place, "within_scope")
        return sql_trial(self._reader, self._contract, nonce, scan, replace(self._place, bits=bits))

    def values(self, expressions: Iterable[str]) -> Iterator[pa.Table]:
        """All that the mapping answers for, with the columns that these expressions of DuckDB name; for rows that `sums` found to be readable."""
        texts = [*expressions, *([self._scope] if self._scope is not None else [])]
        names = tuple(name for name in self._columns if any(quoted(name) in text for text in texts))
        for batch in self._reader.scan(names or self._columns[:1], CHUNK_BYTES):
            rows, _ = split_unreadable(pa.Table.from_batches([batch]))
            yield self._inside(rows.drop_columns([ANOMALY]))

    def chunks(self) -> Iterator[StoredChunk]:
        """All of the table that the mapping answers for."""
        for batch in self._reader.scan(self._columns, CHUNK_BYTES):
            rows, broken = split_unreadable(pa.Table.from_batches([batch]))
            yield StoredChunk(self._meant(self._inside(rows.drop_columns([ANOMALY]))), self._perhaps_inside(broken))

    def close(self) -> None:
        """Free the connection."""
        self._reader.close()
        self._connection.close()

    def _meant(self, rows: pa.Table) -> pa.Table:
        if self._only_keys is None:
            return rows
        return rows.filter(pc.is_in(key_digests(rows, self._contract), value_set=self._only_keys))

    def _inside(self, rows: pa.Table) -> pa.Table:
        inside = self._in_scope(rows)
        return rows if pc.all(inside, min_count=0).as_py() else rows.filter(inside)

    def _perhaps_inside(self, rows: pa.Table) -> pa.Table:
        """Those of the unreadable rows that are not outside for certain: a value that could not be read may be any."""
        unknown = [
            any(is_unreadable(name, value, reason) for name, value in row.items())
            for reason, row in ((row.pop(ANOMALY), row) for row in rows.select([*self._scoped, ANOMALY]).to_pylist())
        ]
        return rows.filter(pc.or_(self._in_scope(rows), pa.chunked_array([pa.array(unknown, pa.bool_())])))

    def _in_scope(self, rows: pa.Table) -> pa.ChunkedArray:
        if self._scope is None or rows.num_rows == 0:
            return pa.chunked_array([pa.repeat(pa.scalar(value=True), rows.num_rows)])
        if self._place.equal is not None:
            # As DuckDB compares texts: byte for byte.
            name, text = self._place.equal
            return pc.fill_null(pc.equal(rows[name], text), fill_value=False)
        self._connection.register(_ROWS, rows)
        try:
            inside = self._connection.sql(f"SELECT coalesce(({self._scope}), false) AS i FROM {quoted(_ROWS)}")
            return inside.to_arrow_table()["i"]
        finally:
            self._connection.unregister(_ROWS)


def _equality(target: WriteTarget) -> tuple[str, str] | None:
    """A scope that every database selects alike: a text column that holds one text."""
    found = None if target.scope_sql is None else scope_equality(target.scope_sql)
    known = dict(target.contract.columns)
    return found if found is not None and found[0] in known and known[found[0]].kind == "text" else None
