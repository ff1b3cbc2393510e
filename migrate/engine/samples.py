"""Sample rows before and after the mapping, for `plan`: read, mapped, and shown; nothing is written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from migrate.engine.lookups import file_lookups, table_lookups
from migrate.engine.plan import Plan
from migrate.mapping.mapped import Mapped
from migrate.mapping.transformer import Transformer
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, SourceReader
from migrate.values import KeyRange
from migrate.write.rows import UNIT


@dataclass(frozen=True, slots=True)
class Sample:
    """A source unit: its rows before, the rows per target after, and `mapped`, `rejected: …` or `filtered`."""

    before: tuple[dict[str, object], ...]
    after: dict[str, list[dict[str, object]]]
    outcome: str


def sample(plan: Plan, units: int) -> list[Sample]:
    """The first units of the source, through the mapping: rows, or whole groups."""
    lookups = {**file_lookups(plan.mapping), **table_lookups(plan.mapping, plan.source.url, plan.target_url)}
    transformer = Transformer(plan.program, lookups)
    store = open_source(plan.source)
    reader = store.reader()
    try:
        return [_one(transformer, unit) for unit in itertools.islice(_units(plan, reader, units), units)]
    finally:
        reader.close()


def _units(plan: Plan, reader: SourceReader, rows: int) -> Iterator[pa.Table]:
    """The source's units, read in ranges of about so many rows: groups take more than one range to be enough."""
    program, after = plan.program, None
    for number in itertools.count():
        upto = reader.border(plan.range_columns, after, rows)
        key_range = KeyRange(number, plan.range_columns, after, upto)
        batches = reader.read(key_range, plan.order, 2**20, program.source_columns)
        yield from _groups(batches, program.unit_columns) if program.grouped else _rows(batches)
        if upto is None:
            return
        after = upto


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    for batch in batches:
        for row in range(batch.num_rows):
            yield pa.Table.from_batches([batch.slice(row, 1)])


def _groups(batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Rows with equal values of the columns, NULL among them; groups may interleave under the source's collation."""
    held = list(batches)
    if not held:
        return
    table = pa.Table.from_batches(held)
    places: dict[tuple[object, ...], list[int]] = {}
    for place, key in enumerate(zip(*(table[name].to_pylist() for name in columns), strict=True)):
        places.setdefault(key, []).append(place)
    for rows in places.values():
        yield table.take(pa.array(rows, pa.int64()))


def _one(transformer: Transformer, unit: pa.Table) -> Sample:
    mapped = transformer.apply(unit)
    before = tuple(unit.drop_columns([ANOMALY]).to_pylist())
    after = {name: rows.drop_columns([UNIT]).to_pylist() for name, rows in mapped.rows.items()}
    return Sample(before, after, _outcome(mapped))


def _outcome(mapped: Mapped) -> str:
    if mapped.rejects.num_rows:
        return f"rejected: {mapped.rejects['reason'][0].as_py()}"
    # A group of which a `where` leaves some rows is mapped.
    return "mapped" if mapped.units.num_rows else "filtered"
