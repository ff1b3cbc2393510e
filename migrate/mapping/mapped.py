"""What a mapping makes of a chunk of source rows, as plain tables: whoever reads it needs nothing of how it came about."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from migrate.mapping.stages import UNIT

ANOMALY = "_anomaly"
ORDINAL = "_ordinal"
ROWS = "_rows"

REJECT_SCHEMA = pa.schema(
    [
        pa.field(UNIT, pa.int64()),
        pa.field("target", pa.string()),
        pa.field("field", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("value", pa.string()),
    ]
)
FINDING_SCHEMA = REJECT_SCHEMA.append(pa.field("level", pa.string()))
RAW_SCHEMA = pa.schema([pa.field(UNIT, pa.int64()), pa.field("raw", pa.string())])


@dataclass(frozen=True)
class Mapped:
    """What became of one chunk.

    `units`: `_unit` (0.. in source order), `_rows`, the unit columns of its first row, `_ordinal`; every unit that is not filtered away.
    `rows`: per target `_unit` and its fields in the Arrow types of the columns; only units without reject, in unit order.
    `rejects`, `findings`: why, several per unit possible. `raw`: source rows of rejected units as JSON.
    """

    rows_read: int
    units: pa.Table
    filtered: int
    rows: dict[str, pa.Table]
    rejects: pa.Table
    findings: pa.Table
    raw: pa.Table
