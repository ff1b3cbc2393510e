"""Sample rows before and after the mapping, for `plan`: read, mapped, and shown; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from migrate.engine.lookups import file_lookups, table_lookups
from migrate.engine.plan import Plan
from migrate.mapping.transformer import Mapped, Transformer
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY
from migrate.values import KeyRange
from migrate.write.rows import UNIT


@dataclass(frozen=True, slots=True)
class Sample:
    """A source unit: its rows before, the rows per target after, and `mapped`, `rejected: …` or `filtered`."""

    before: tuple[dict[str, object], ...]
    after: dict[str, list[dict[str, object]]]
    outcome: str


def sample(plan: Plan, units: int) -> list[Sample]:
    """The first units of the source, through the mapping."""
    lookups = {**file_lookups(plan.mapping), **table_lookups(plan.mapping, plan.source.url, plan.target_url)}
    transformer = Transformer(plan.program, lookups)
    store = open_source(plan.source)
    reader = store.reader()
    try:
        upto = reader.border(plan.range_columns, None, units)
        key_range = KeyRange(0, plan.range_columns, None, upto)
        found: list[Sample] = []
        for batch in reader.read(key_range, plan.order, 2**20, plan.program.source_columns):
            for row in range(batch.num_rows):
                if len(found) == units:
                    return found
                found.append(_one(transformer, batch.slice(row, 1)))
        return found
    finally:
        reader.close()


def _one(transformer: Transformer, batch: pa.RecordBatch) -> Sample:
    chunk = pa.Table.from_batches([batch])
    mapped = transformer.apply(chunk)
    before = tuple(chunk.drop_columns([ANOMALY]).to_pylist())
    after = {name: rows.drop_columns([UNIT]).to_pylist() for name, rows in mapped.rows.items()}
    return Sample(before, after, _outcome(mapped))


def _outcome(mapped: Mapped) -> str:
    if mapped.filtered:
        return "filtered"
    if mapped.rejects.num_rows:
        return f"rejected: {mapped.rejects['reason'][0].as_py()}"
    return "mapped"
