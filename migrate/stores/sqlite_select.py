"""Reads SQLite's values without loss: SQL that shows every value in its own storage class, and the way from there to Arrow.

ADBC takes a column's Arrow type from the first rows, and what comes later is cast in silence or fails. So a first row of samples fixes
the types, each expression yields one storage class only, and whatever lies outside of it makes the row an anomaly with its bytes.
A TEXT column cannot hold numbers (affinity), which spares it the slow `typeof`: 600 k rows/s with 14 of them against 250 k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.stores.casting import either, joined_reasons, parse_text, shortest_decimals, valid_utf8
from migrate.stores.port import ANOMALY
from migrate.stores.sqlite_adbc import Connection
from migrate.stores.sqlite_types import Affinity, affinity
from migrate.values import Column

Mask: TypeAlias = Any
"""A boolean array, or None."""
_SHOWN_BYTES: Final = 4096
_GROUP: Final = 50
"""Terms of one chain of operators; SQLite refuses expressions deeper than 1,000."""
# ASCII's unit and record separators, between a column's number, what is odd about it, and the next.
_OF: Final = 31
_END: Final = 30
_EMPTY: Final = {"text": "''", "integer": "0", "real": "0.0", "blob": "x''"}


@dataclass(frozen=True, slots=True)
class Reading:
    """How one column is read: SQL expressions with the storage class of each, when a value is odd, and how it becomes Arrow."""

    column: Column
    source: str
    parts: tuple[tuple[str, str], ...]
    odd: str
    convert: Callable[[Column, list[pa.Array]], tuple[pa.Array, Mask]]


def reading_of(column: Column, source: str, *, stored: bool) -> Reading:
    """How to read `column`; `source` is its quoted expression. `stored`: it is a column of a table, so its affinity holds."""
    held: Affinity = affinity(column.declared) if stored else "NONE"
    kind = column.type.kind
    if kind == "integer":
        return _single(column, source, "integer", _as_is)
    if kind == "boolean":
        plain = f"CASE WHEN typeof({source}) = 'integer' AND {source} IN (0, 1) THEN {source} END"
        return Reading(column, source, ((plain, "integer"),), f"({source} IS NOT NULL AND {plain} IS NULL)", _boolean)
    if kind == "float":
        return _single(column, source, "real", _as_is)
    if kind == "bytes":
        return _single(column, source, "blob", _as_is)
    if held == "TEXT":
        return Reading(column, source, ((source, "text"),), f"{source} >= x''", _text)
    if kind in {"date", "time", "timestamp", "instant"}:
        return _single(column, source, "text", _text)
    texts = f"CASE typeof({source}) WHEN 'text' THEN {source} WHEN 'integer' THEN CAST({source} AS TEXT) END"
    reals = f"CASE typeof({source}) WHEN 'real' THEN {source} END"
    return Reading(column, source, ((texts, "text"), (reals, "real")), f"typeof({source}) = 'blob'", _text_or_number)


def _single(
    column: Column, source: str, storage: str, convert: Callable[[Column, list[pa.Array]], tuple[pa.Array, Mask]]
) -> Reading:
    """A column that may hold one storage class only."""
    plain = f"CASE typeof({source}) WHEN '{storage}' THEN {source} END"
    return Reading(column, source, ((plain, storage),), f"typeof({source}) NOT IN ('{storage}', 'null')", convert)


@dataclass(frozen=True, slots=True)
class Query:
    """What surrounds a SELECT list: `head` (WITH …, or nothing), `tail` (FROM … to ORDER BY), and the parameters of both in order."""

    tail: str
    parameters: Sequence[object] = ()
    head: str = ""


class Selection:
    """The SELECT list for some columns, and the conversion of its batches. `ordinal` is an integer expression put in front."""

    def __init__(self, readings: Sequence[Reading], *, ordinal: tuple[str, str] | None = None) -> None:
        self._readings = tuple(readings)
        self._ordinal = ordinal
        self.schema = pa.schema(
            ([(ordinal[0], pa.int64())] if ordinal else [])
            + [(reading.column.name, reading.column.type.arrow) for reading in readings]
            + [(ANOMALY, pa.string())]
        )

    def sql(self, tail: str) -> str:
        """The statement; `tail` begins with FROM and may end with ORDER BY."""
        parts = [part for reading in self._readings for part in reading.parts]
        if self._ordinal:
            parts.insert(0, (self._ordinal[1], "integer"))
        samples = ", ".join(f"{_EMPTY[storage]} AS c{number}" for number, (_, storage) in enumerate(parts))
        wanted = ", ".join(f"{expression} AS c{number}" for number, (expression, _) in enumerate(parts))
        # LIMIT keeps SQLite from dropping the ORDER BY of a subquery.
        return (
            f"SELECT {samples}, '' AS odd UNION ALL "
            f"SELECT * FROM (SELECT {wanted}, {self._oddity()} AS odd {tail} LIMIT -1)"
        )

    def batches(
        self, connection: Connection, query: Query, batch_rows: int, chunk_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        """Run the statement and convert what it returns, gathered to chunks of about `chunk_bytes`."""
        waiting: list[pa.RecordBatch] = []
        size = 0
        skip = 1  # the samples
        for batch in connection.stream(query.head + self.sql(query.tail), query.parameters, batch_rows):
            rows = batch.slice(skip)
            skip = 0
            waiting.append(rows)
            size += rows.nbytes
            if size >= chunk_bytes:
                yield self._converted(waiting)
                waiting, size = [], 0
        if any(rows.num_rows for rows in waiting):
            yield self._converted(waiting)

    def _oddity(self) -> str:
        """What is wrong with a row, as text, or NULL."""
        terms = [reading.odd for reading in self._readings]
        told = [
            f"CASE WHEN {reading.odd} THEN '{number}' || char({_OF}) || {_value_shown(reading)} || char({_END}) ELSE '' END"
            for number, reading in enumerate(self._readings)
        ]
        return f"CASE WHEN {chain(terms, ' OR ')} THEN {chain(told, ' || ')} END"

    def _converted(self, batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        whole = batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
        arrays = list(whole.columns)
        odd = _Oddities(arrays.pop(), self._readings)
        done: list[pa.Array] = [arrays.pop(0)] if self._ordinal else []
        told: list[Any] = odd.told
        for number, reading in enumerate(self._readings):
            parts = [odd.without(number, arrays.pop(0)) for _ in reading.parts]
            values, bad = reading.convert(reading.column, parts)
            if bad is not None and pc.any(bad).as_py():
                told.append(_told(reading.column, parts, bad))
            done.append(values)
        return pa.RecordBatch.from_arrays([*done, joined_reasons(told, whole.num_rows)], schema=self.schema)


class _Oddities:
    """What SQLite found odd in a batch: sentences for the rows, and the places whose bytes must not be taken for a value."""

    def __init__(self, odd: pa.Array, readings: Sequence[Reading]) -> None:
        self.told: list[Any] = []
        self._places: dict[int, list[int]] = {}
        self._rows = len(odd)
        if odd.null_count == len(odd):
            return
        sentences: list[str | None] = [None] * len(odd)
        for row in pc.indices_nonzero(pc.is_valid(odd)).to_pylist():
            pairs = [entry.split(chr(_OF), 1) for entry in odd[row].as_py().split(chr(_END)) if entry]
            for number, _ in pairs:
                self._places.setdefault(int(number), []).append(row)
            sentences[row] = "; ".join(f"{readings[int(number)].column.name}: {sentence}" for number, sentence in pairs)
        self.told = [pa.array(sentences, pa.string())]

    def without(self, number: int, part: pa.Array) -> pa.Array:
        """A part of column `number` with NULL in the odd places."""
        if number not in self._places:
            return part
        kept = np.ones(self._rows, dtype=bool)
        kept[self._places[number]] = False
        return pc.if_else(pa.array(kept), part, None)


def _as_is(column: Column, parts: list[pa.Array]) -> tuple[pa.Array, Mask]:
    return parts[0].cast(column.type.arrow), None


def _boolean(_column: Column, parts: list[pa.Array]) -> tuple[pa.Array, Mask]:
    return parts[0].cast(pa.bool_()), None


def _text(column: Column, parts: list[pa.Array]) -> tuple[pa.Array, Mask]:
    texts, broken = valid_utf8(parts[0])
    values, bad = parse_text(texts, column.type)
    return values, either(broken, bad)


def _text_or_number(column: Column, parts: list[pa.Array]) -> tuple[pa.Array, Mask]:
    if parts[1].null_count == len(parts[1]):
        return _text(column, parts[:1])
    texts, broken = valid_utf8(parts[0])
    numbers, inexact = shortest_decimals(parts[1])
    values, bad = parse_text(pc.coalesce(texts, numbers), column.type)
    return values, either(either(broken, inexact), bad)


def _told(column: Column, parts: list[pa.Array], bad: pa.Array) -> pa.Array:
    """A sentence for each bad row, with the bytes of text or the digits of a number."""
    sentences: list[str | None] = [None] * len(bad)
    for position in pc.indices_nonzero(bad).to_pylist():
        raw = next((part[position] for part in parts if part[position].is_valid), None)
        if raw is None:
            continue
        shown = (
            raw.as_py() if pa.types.is_floating(raw.type) else "x" + bytes(raw.as_buffer())[:_SHOWN_BYTES].hex().upper()
        )
        storage = "real" if pa.types.is_floating(raw.type) else "text"
        sentences[position] = f"{column.name}: {storage} {shown} is no exact {column.type}"
    return pa.array(sentences, pa.string())


def _value_shown(reading: Reading) -> str:
    source = reading.source
    return (
        f"typeof({source}) || CASE typeof({source}) WHEN 'integer' THEN ' ' || {source} "
        f"WHEN 'real' THEN ' ' || printf('%!.17g', {source}) ELSE ' x' || hex(substr({source}, 1, {_SHOWN_BYTES})) END"
        f" || {_literal(f' in a column of type {reading.column.declared or reading.column.type}')}"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def chain(terms: Sequence[str], operator: str) -> str:
    """Terms joined in groups, so that the expression's tree stays flat."""
    if len(terms) <= _GROUP:
        return operator.join(terms)
    groups = [terms[start : start + _GROUP] for start in range(0, len(terms), _GROUP)]
    return chain([f"({operator.join(group)})" for group in groups], operator)
