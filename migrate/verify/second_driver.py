"""Does another driver read the same of the source? A sample of what the replay read, fetched again by key through SQLAlchemy and its driver.

The replay shares its driver with the run: a value that the driver damages would be damaged on both sides alike. Rows are taken from
everywhere, and those with the least, greatest and longest values. What the second driver has no exact value for proves nothing, and is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract, encodable
from migrate.checksum.vectorised import row_digests
from migrate.engine.plan import Plan
from migrate.errors import MigrateError
from migrate.stores.generic import GenericSource
from migrate.stores.generic import open_source as open_by_sqlalchemy
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, SourceReader
from migrate.stores.typed_keys import key_text
from migrate.stores.urls import dialect_of, parse_url
from migrate.values import Key, Kind, LogicalType, SourceSpec, TableShape
from migrate.verify.notes import Note

SAMPLE_ROWS: Final = 512
MOST_BYTES: Final = 2**20
"""A row that is larger is not sampled, so that the sample's memory is bounded."""

_OWN_DRIVERS: Final = frozenset({"postgresql", "mariadb", "sqlite"})
_EXACT: Final[frozenset[Kind]] = frozenset(
    {"integer", "decimal", "boolean", "date", "time", "timestamp", "instant", "text", "bytes", "uuid"}
)
"""Kinds of which SQLAlchemy's drivers give every value exactly; a float of MariaDB comes with six digits."""

_NAMING: Final[frozenset[Kind]] = frozenset({"integer", "decimal", "text", "uuid", "bytes"})
"""Kinds of a key by whose values a row is asked for: any of them is a value in Python too."""


class Sample:
    """Rows of the source as they were read: some of every part of it, and for each column those with extreme values."""

    def __init__(self) -> None:
        self._everywhere: list[pa.Table] = []
        self._stride = 1
        self._chunks = 0
        self._extremes: dict[tuple[str, str], tuple[Any, pa.Table]] = {}

    def add(self, rows: pa.Table) -> None:
        """Take a few of these rows, which are as the reader gave them; those that it could not read prove nothing."""
        if rows[ANOMALY].null_count < rows.num_rows:
            rows = rows.filter(pc.is_null(rows[ANOMALY]))
        if not rows.num_rows:
            return
        if self._chunks % self._stride == 0:
            places = sorted({0, rows.num_rows // 2, rows.num_rows - 1})
            self._everywhere += [row for at in places if (row := _copied(rows, at)) is not None]
        self._chunks += 1
        if len(self._everywhere) > SAMPLE_ROWS:
            # Half of them go, and half as many come from now on: the sample stays spread over all that was read.
            self._everywhere = self._everywhere[::2]
            self._stride *= 2
        for name in rows.column_names:
            if name != ANOMALY:
                self._note_extremes(name, rows)

    def rows(self) -> pa.Table | None:
        """What was taken, each row once or more; None when nothing was read."""
        taken = [*self._everywhere, *(row for _, row in self._extremes.values())]
        return pa.concat_tables(taken).drop_columns([ANOMALY]) if taken else None

    @classmethod
    def of(cls, rows: pa.Table | None) -> Sample:
        """A sample of what another one took."""
        sample = cls()
        if rows is not None:
            sample._everywhere = [rows.append_column(ANOMALY, pa.nulls(rows.num_rows, pa.string()))]
        return sample

    def _note_extremes(self, name: str, rows: pa.Table) -> None:
        measured = _measured(rows[name])
        if measured is None:
            return
        ends = pc.min_max(measured)
        for end in ("min", "max"):
            value, kept = ends[end].as_py(), self._extremes.get((name, end))
            if value is None or (kept is not None and not (value < kept[0] if end == "min" else value > kept[0])):
                continue
            row = _copied(rows, pc.index(measured, ends[end]).as_py())
            if row is not None:
                self._extremes[name, end] = (value, row)


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """How many rows another driver read too, where it read something else, and why it could not be asked (None: neither)."""

    rows: int
    differs: Note | None = None
    unable: str | None = None


def second_opinion(plan: Plan, sample: Sample) -> SecondOpinion | None:
    """Compare the sample with what SQLAlchemy's driver reads; None where there is no second driver, or no key to find a row by.

    Rows that differ are read once more through both, so that a source that moved meanwhile accuses nobody.
    """
    rows = sample.rows()
    if rows is None or not _has_second(plan):
        return None
    try:
        second = open_by_sqlalchemy(_read_only(plan.source))
    except MigrateError as error:
        return SecondOpinion(0, unable=error.message)
    try:
        columns = _shared(plan.source_shape, second.shape, plan.program.source_columns)
        if not set(plan.program.unit_columns) <= {name for name, _ in columns}:
            return SecondOpinion(0, unable="the key has another type there")
        return _Pair(plan, second, Contract(columns, plan.program.unit_columns)).opinion(rows)
    except MigrateError as error:
        return SecondOpinion(0, unable=error.message)
    finally:
        second.engine.dispose()


def _has_second(plan: Plan) -> bool:
    spec, program = plan.source, plan.program
    keys = [frozenset(key.columns) for key in plan.source_shape.unique_keys]
    return (
        spec.url is not None
        and spec.table is not None
        and dialect_of(parse_url(spec.url)) in _OWN_DRIVERS
        and not program.grouped
        and frozenset(program.unit_columns) in keys
        and all(plan.source_shape.column(name).type.kind in _NAMING for name in program.unit_columns)
    )


class _Rows:
    """Rows found by their key, with the digest of each (None: it has none, or could not be read whole)."""

    def __init__(self, rows: pa.Table, contract: Contract) -> None:
        self.rows = rows
        keys = zip(*(rows[name].to_pylist() for name in contract.key), strict=True)
        self.at: dict[Key, int] = {key: at for at, key in enumerate(keys)}
        self.digests = row_digests(rows, contract).to_pylist()
        if ANOMALY in rows.column_names:
            unread = pc.is_valid(rows[ANOMALY]).to_pylist()
            self.digests = [None if odd else digest for digest, odd in zip(self.digests, unread, strict=True)]


class _Pair:
    """Both ways to read one table."""

    def __init__(self, plan: Plan, second: GenericSource, contract: Contract) -> None:
        self._spec = plan.source
        self._second = second
        self._contract = contract

    def opinion(self, rows: pa.Table) -> SecondOpinion:
        """The sample beside the second driver's reading of it."""
        for name in self._contract.key:
            rows = rows.filter(pc.is_valid(rows[name]))
        first = _Rows(rows, self._contract)
        with closing(self._second.reader()) as reader:
            second = self._picked(reader, first.at)
        suspects = [key for key in first.at if not _same(first, second, key)]
        return SecondOpinion(len(first.at), self._still_different(suspects) if suspects else None)

    def _still_different(self, suspects: list[Key]) -> Note | None:
        """The first of these rows that is not the same to both when they read it anew."""
        with closing(open_source(self._spec).reader()) as one, closing(self._second.reader()) as other:
            first, second = self._picked(one, suspects), self._picked(other, suspects)
        key = next((key for key in first.at if not _same(first, second, key)), None)
        return None if key is None else self._said(first, second, key)

    def _picked(self, reader: SourceReader, wanted: Collection[Key]) -> _Rows:
        names = tuple(name for name, _ in self._contract.columns)
        return _Rows(reader.pick(self._contract.key, list(wanted), self._contract.key, names), self._contract)

    def _said(self, first: _Rows, second: _Rows, key: Key) -> Note:
        row = f"{', '.join(self._contract.key)} = {key_text(key)}"
        if key not in second.at:
            return Note.of("second_misses", row=row)
        one, other = (each.rows.slice(each.at[key], 1) for each in (first, second))
        columns = [name for name, _ in self._contract.columns if not one[name].equals(other[name])]
        return Note.of("second_reads", columns=", ".join(columns), row=row)


def _same(first: _Rows, second: _Rows, key: Key) -> bool:
    """Do both have one content under this key? A row that one of them cannot read whole proves nothing."""
    if key not in second.at:
        return False
    one, other = first.digests[first.at[key]], second.digests[second.at[key]]
    return one is None or other is None or one == other


def _read_only(spec: SourceSpec) -> SourceSpec:
    """The source for SQLAlchemy; a file of SQLite is opened so that nothing can be written."""
    url = parse_url(spec.url or "")
    if dialect_of(url) != "sqlite" or not url.database or url.database.startswith("file:"):
        return spec
    only = url.set(database=f"file:{quote(url.database)}").update_query_dict({"mode": "ro", "uri": "true"})
    return replace(spec, url=only.render_as_string(hide_password=False))


def _shared(first: TableShape, second: TableShape, names: tuple[str, ...]) -> tuple[tuple[str, LogicalType], ...]:
    """The columns that both readers hold in one exact type."""
    shared: list[tuple[str, LogicalType]] = []
    for name in names:
        if name in first.names and name in second.names:
            one, other = first.column(name).type, second.column(name).type
            if one.kind == other.kind and one.kind in _EXACT and encodable(one) and one.arrow == other.arrow:
                shared.append((name, replace(one, keeps_spaces=one.keeps_spaces and other.keeps_spaces)))
    return tuple(shared)


def _copied(rows: pa.Table, at: int) -> pa.Table | None:
    """One row by itself, not a view that keeps all of them in memory; None for one that is too large."""
    return rows.take([at]) if rows.slice(at, 1).nbytes <= MOST_BYTES else None


def _measured(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """What is least and greatest about a column: the length of texts and bytes, else the value; None for booleans."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pc.binary_length(values)
    if pa.types.is_boolean(kind):
        return None
    if pa.types.is_date32(kind):
        return values.cast(pa.int32())
    return values.cast(pa.int64()) if pa.types.is_temporal(kind) else values
