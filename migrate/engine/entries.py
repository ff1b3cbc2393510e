"""Turn what the transformer and the write port say about units into rows of the reject and finding tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.engine.jobs import Job, UnitsJob
from migrate.mapping.duck import connect, quoted
from migrate.mapping.mapped import Mapped
from migrate.stores.port import ANOMALY
from migrate.write.rows import UNIT, Aside
from migrate.write.settle import REJECT_SCHEMA, unit_text
from migrate.write.units import UNIT_ORDINAL

FINDING_COLUMNS = ("level", "unit_key", "target", "field", "rule", "reason", "value")

_NUL_SHOWN = "\\x00"


def reject_entries(mapped: Mapped, unit_columns: Sequence[str]) -> pa.Table:
    """Rejects of the transformer, one row per reason; a unit's raw rows stand with its first."""
    if mapped.rejects.num_rows == 0:
        return REJECT_SCHEMA.empty_table()
    units = np.asarray(mapped.rejects[UNIT])
    texts = _unit_texts(mapped.units, unit_columns, units)
    raw = _raw_texts(mapped.raw)
    _, first = np.unique(units, return_index=True)
    firsts = set(first.tolist())
    raws = [raw.get(unit) if place in firsts else None for place, unit in enumerate(units.tolist())]
    columns = {"unit_key": pa.array(texts, pa.string())}
    columns |= {name: mapped.rejects[name] for name in ("target", "field", "rule")}
    columns |= {name: _storable(mapped.rejects[name]) for name in ("reason", "value")}
    return pa.table({**columns, "raw": pa.array(raws, pa.string())}).select(REJECT_SCHEMA.names)


def aside_entries(aside: Sequence[Aside], mapped: Mapped, chunk: pa.Table, unit_columns: Sequence[str]) -> pa.Table:
    """Units that the target refused for good, with their raw source rows."""
    refused = [each for each in aside if not each.pending]
    if not refused:
        return REJECT_SCHEMA.empty_table()
    units = np.array([each.unit for each in refused], dtype=np.int64)
    texts = _unit_texts(mapped.units, unit_columns, units)
    places = np.searchsorted(np.asarray(mapped.units[UNIT]), units)
    keys = mapped.units.select(list(unit_columns)).take(pa.array(places))
    raws = raw_rows(chunk, keys)
    entries = [
        {
            "unit_key": text,
            "target": each.target,
            "field": each.field,
            "rule": each.rule,
            "reason": each.reason.replace("\0", _NUL_SHOWN),
            "value": None,
            "raw": raw,
        }
        for each, text, raw in zip(refused, texts, raws, strict=True)
    ]
    return pa.Table.from_pylist(entries, REJECT_SCHEMA)


def finding_entries(mapped: Mapped, unit_columns: Sequence[str]) -> pa.Table:
    """Findings of the transformer."""
    texts = _unit_texts(mapped.units, unit_columns, np.asarray(mapped.findings[UNIT], dtype=np.int64))
    columns = {"unit_key": pa.array(texts, pa.string())}
    columns |= {name: mapped.findings[name] for name in ("level", "target", "field", "rule")}
    columns |= {name: _storable(mapped.findings[name]) for name in ("reason", "value")}
    return pa.table(columns).select(list(FINDING_COLUMNS))


def only_wanted(mapped: Mapped, job: Job, unit_columns: Sequence[str]) -> Mapped:
    """Without the units that the job did not ask for: source rows can share the key of one that it did."""
    if not isinstance(job, UnitsJob):
        return mapped
    numbers = np.asarray(mapped.units[UNIT])
    texts = _unit_texts(mapped.units, unit_columns, numbers)
    unwanted = [unit for unit, text in zip(numbers.tolist(), texts, strict=True) if not job.wants(text)]
    if not unwanted:
        return mapped

    def without(table: pa.Table) -> pa.Table:
        return table.filter(pc.invert(pc.is_in(table[UNIT], value_set=pa.array(unwanted, pa.int64()))))

    units = without(mapped.units)
    dropped = pc.sum(mapped.units["_rows"]).as_py() - (pc.sum(units["_rows"]).as_py() or 0)
    return Mapped(
        rows_read=mapped.rows_read - dropped,
        units=units,
        filtered=mapped.filtered,
        rows={name: without(rows) for name, rows in mapped.rows.items()},
        rejects=without(mapped.rejects),
        findings=without(mapped.findings),
        raw=without(mapped.raw),
    )


def raw_rows(chunk: pa.Table, keys: pa.Table) -> list[str | None]:
    """For each row of `keys` the source rows of `chunk` with that key, as a JSON array with every value as text.

    Why a row cannot be read stands with it, where there is such a row.
    """
    if ANOMALY in chunk.column_names and chunk[ANOMALY].null_count == chunk.num_rows:
        chunk = chunk.drop_columns([ANOMALY])
    wanted = keys.append_column("_wanted", pa.array(range(keys.num_rows), pa.int64()))
    on = " and ".join(f"chunk.{quoted(name)} is not distinct from wanted.{quoted(name)}" for name in keys.column_names)
    values = ", ".join(f"{quoted(name)} := {_as_text(chunk.schema.field(name))}" for name in chunk.column_names)
    with connect() as connection:
        connection.register("chunk", chunk)
        connection.register("wanted", wanted)
        found = connection.sql(
            f"select _wanted, to_json(list(struct_pack({values})))::varchar as raw from wanted join chunk on {on} group by _wanted"
        ).to_arrow_table()
    by_place = dict(zip(found["_wanted"].to_pylist(), found["raw"].to_pylist(), strict=True))
    return [by_place.get(place) for place in range(keys.num_rows)]


def _storable(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """With U+0000, which PostgreSQL keeps in no text, as the four characters by which it is shown; the raw row has it exactly."""
    return pc.replace_substring(texts, "\0", _NUL_SHOWN)


def _as_text(field: pa.Field) -> str:
    name = f"chunk.{quoted(field.name)}"
    return f"hex({name})" if pa.types.is_binary(field.type) else f"{name}::varchar"


def _unit_texts(units: pa.Table, unit_columns: Sequence[str], wanted: np.ndarray) -> list[str]:
    places = pa.array(np.searchsorted(np.asarray(units[UNIT]), wanted))
    keys = units.select(list(unit_columns)).take(places)
    ordinals = units[UNIT_ORDINAL].take(places).to_pylist()
    rows = zip(*(column.to_pylist() for column in keys.columns), strict=True)
    return [unit_text(key, ordinal) for key, ordinal in zip(rows, ordinals, strict=True)]


def _raw_texts(raw: pa.Table) -> dict[int, str]:
    """JSON array of the source rows of each unit."""
    found: dict[int, list[str]] = {}
    for unit, text in zip(raw[UNIT].to_pylist(), raw["raw"].to_pylist(), strict=True):
        found.setdefault(unit, []).append(text)
    return {unit: f"[{','.join(texts)}]" for unit, texts in found.items()}


def distinct_units(entries: pa.Table) -> np.ndarray:
    """Units that occur in a table with a unit column."""
    return np.asarray(pc.unique(entries[UNIT]))
