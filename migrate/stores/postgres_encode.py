"""How values enter PostgreSQL exactly as given: the Arrow types whose binary COPY form is the column's, and arrays for UNNEST.

Binary COPY carries no types, so what counts is the wire form: a uuid is its sixteen bytes, jsonb a version byte and text, an enum its
label. Columns without such a form (numeric without scale, arrays, ranges) go through UNNEST of text and a cast.
Pure. Callers check first that values fit (`fits.check_fits`): a cast on the server would round in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import ConstraintViolation
from migrate.stores.port import ORDINAL
from migrate.stores.postgres_keys import cast_suffix
from migrate.stores.postgres_types import PostgresColumn, quote

Positions = npt.NDArray[np.int64]

_UUID: Final = r"\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\z"
_JSONB_VERSION: Final = b"\x01"
_TEXT_ON_THE_WIRE: Final = ("text", "varchar", "bpchar", "name", "citext", "json")
_WIRE_TYPES: Final = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
_ARRAY_NAMES: Final = {
    "integer": "int8[]",
    "float": "float8[]",
    "boolean": "bool[]",
    "bytes": "bytea[]",
    "date": "date[]",
    "timestamp": "timestamp[]",
    "instant": "timestamptz[]",
}


def copyable(columns: Sequence[PostgresColumn], rows: pa.Table) -> pa.Table | None:
    """`rows` (names and order of `columns`) in the types that binary COPY needs, or None when a column has no such form.

    Raises:
        ConstraintViolation: a text that is no uuid.
    """
    encoders = [_wire_encoder(column) for column in columns]
    arrays = [
        None if encode is None else _each_chunk(rows.column(column.name), encode)
        for column, encode in zip(columns, encoders, strict=True)
    ]
    if any(array is None for array in arrays):
        return None
    return pa.table(arrays, names=[column.name for column in columns])


@dataclass(frozen=True, slots=True)
class Unnested:
    """Rows as array parameters: `sql` is a subquery with `ORDINAL` and one column `c0`, `c1`, … per column given."""

    sql: str
    parameters: pa.RecordBatch


def unnested(columns: Sequence[PostgresColumn], rows: pa.Table, positions: Positions) -> Unnested:
    """`rows` with their positions as a subquery, in types that compare with the columns under the columns' own collations.

    Integers and floats keep their widest type, so that a key that the column cannot hold finds nothing instead of failing.
    """
    arrays = [_array_form(column, rows.column(column.name)) for column in columns]
    everything = [_one_list(pa.array(positions)), *(_one_list(values) for values, _ in arrays)]
    names = ["int8[]", *(name for _, name in arrays)]
    sources = ", ".join(f"${index + 1}::{name}" for index, name in enumerate(names))
    raw = ", ".join(["n", *(f"r{index}" for index in range(len(columns)))])
    selected = [f"u.n AS {quote(ORDINAL)}"]
    for index, column in enumerate(columns):
        plain = column.type.kind in ("integer", "float") or (column.type.kind == "bytes")
        selected.append(f"u.r{index}{'' if plain else cast_suffix(column)} AS c{index}")
    return Unnested(
        f"(SELECT {', '.join(selected)} FROM unnest({sources}) AS u({raw}))",
        pa.RecordBatch.from_arrays(everything, names=[f"p{index}" for index in range(len(everything))]),
    )


def _wire_encoder(column: PostgresColumn) -> Callable[[Any], Any] | None:
    name = column.facts.name
    if name in _WIRE_TYPES:
        return _casting_to(_WIRE_TYPES[name])
    if name in _TEXT_ON_THE_WIRE or column.facts.typtype == "e":
        return _casting_to(pa.string())
    if name == "numeric" and column.type.exact_decimal:
        return _casting_to(column.type.arrow)
    return {"uuid": _uuid_bytes, "jsonb": _jsonb_bytes}.get(name)


def _casting_to(arrow: pa.DataType) -> Callable[[Any], Any]:
    def cast(values: Any) -> Any:
        if values.type == arrow:
            return values
        # Narrower floats were checked to be exact; every other cast must not lose anything.
        return values.cast(arrow, safe=not pa.types.is_float32(arrow))

    return cast


def _uuid_bytes(values: Any) -> Any:
    import polars as pl

    bad = pc.invert(pc.match_substring_regex(values, _UUID)).fill_null(False)
    if pc.any(bad).as_py():
        raise ConstraintViolation(f"not a uuid: {values.filter(bad)[0].as_py()!r}", kind="value")
    digits = pl.from_arrow(pc.replace_substring(values, "-", ""))
    if not isinstance(digits, pl.Series):
        raise TypeError(type(digits).__name__)
    return digits.cast(pl.String).str.decode("hex").to_arrow().cast(pa.binary())


def _jsonb_bytes(values: Any) -> Any:
    return pc.binary_join_element_wise(_JSONB_VERSION, values.cast(pa.binary()), b"")


def _array_form(column: PostgresColumn, values: Any) -> tuple[Any, str]:
    """(values, the SQL name of their array type)."""
    kind = column.type.kind
    if kind in _ARRAY_NAMES:
        return values if values.type == column.type.arrow else values.cast(column.type.arrow), _ARRAY_NAMES[kind]
    if kind == "decimal" and pa.types.is_decimal(values.type):
        return values, "numeric[]"
    return values.cast(pa.string()), "text[]"


def _one_list(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = values.chunk(0) if values.num_chunks else pa.array([], values.type)
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _each_chunk(values: Any, encode: Callable[[Any], Any]) -> Any:
    try:
        encoded = [encode(chunk) for chunk in values.chunks]
    except pa.ArrowInvalid as error:
        raise ConstraintViolation(f"a value does not fit its column: {error}", kind="value") from error
    return pa.chunked_array(encoded) if encoded else encode(pa.array([], values.type))
