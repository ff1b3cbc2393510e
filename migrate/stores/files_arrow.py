"""Parquet and Arrow files (IPC, Feather) as rows in the Arrow types of the toolkit; a value that does not fit them is an anomaly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from migrate.errors import EnvironmentFault, InputError
from migrate.stores.casting import cast_or_mark
from migrate.stores.files_spool import reason, told
from migrate.stores.port import ANOMALY
from migrate.values import LogicalType

_BATCH_ROWS: Final = 16_384
_WIDEST_DECIMAL: Final = 38


def arrow_schema(path: Path, form: str) -> tuple[pa.Schema, int | None]:
    """The schema of a file and, where it tells, its number of rows.

    Raises:
        InputError: it is no such file.
    """
    try:
        if form == "parquet":
            metadata = pq.read_metadata(path)
            return metadata.schema.to_arrow_schema(), metadata.num_rows
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).schema, None
    except pa.ArrowInvalid as error:
        raise InputError(f"not a {form} file: {error}", where=str(path)) from error
    except OSError as error:
        raise EnvironmentFault(f"cannot read the file: {error}", where=str(path)) from error


def logical_of(arrow: pa.DataType) -> LogicalType:
    """The logical type of a column; nested and other types are `unsupported` and shown as JSON."""
    for kind, matches in _KINDS:
        if matches(arrow):
            return _bounded(kind, arrow)
    return LogicalType("unsupported")


def arrow_batches(path: Path, form: str, types: dict[str, LogicalType]) -> Iterator[pa.RecordBatch]:
    """All rows in order, in the Arrow types of `types`, with `ANOMALY`."""
    schema = pa.schema([*((name, logical.arrow) for name, logical in types.items()), (ANOMALY, pa.string())])
    try:
        for batch in _raw_batches(path, form, list(types)):
            yield _converted(batch, types, schema)
    except pa.ArrowInvalid as error:
        raise InputError(f"the {form} file is damaged: {error}", where=str(path)) from error
    except OSError as error:
        raise EnvironmentFault(f"cannot read the file: {error}", where=str(path)) from error


def _raw_batches(path: Path, form: str, names: list[str]) -> Iterator[pa.RecordBatch]:
    if form == "parquet":
        with pq.ParquetFile(path) as file:
            yield from (batch.select(names) for batch in file.iter_batches(_BATCH_ROWS, columns=names))
        return
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield batch.slice(start, _BATCH_ROWS).select(names)


def _converted(batch: pa.RecordBatch, types: dict[str, LogicalType], schema: pa.Schema) -> pa.RecordBatch:
    columns, reasons = [], []
    for name, logical in types.items():
        raw = batch.column(name)
        values, bad = _in_type(raw, logical)
        columns.append(values)
        if bad is not None:
            reasons.append(_sentences(name, raw, bad, logical))
    anomaly = told(reasons, batch.num_rows)
    return pa.RecordBatch.from_arrays([*columns, anomaly], schema=schema)


def _in_type(raw: pa.Array, logical: LogicalType) -> tuple[pa.Array, Any]:
    if isinstance(raw, pa.ExtensionArray):
        raw = raw.storage
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    if logical.kind == "unsupported":
        shown = [
            None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in raw.to_pylist()
        ]
        return pa.array(shown, pa.string()), None
    if pa.types.is_decimal256(raw.type):
        return pa.array([None if value is None else f"{value:f}" for value in raw.to_pylist()], pa.string()), None
    return cast_or_mark(raw, lambda values: values.cast(logical.arrow), logical.arrow)


def _sentences(name: str, raw: pa.Array, bad: pa.Array, logical: LogicalType) -> pa.Array:
    sentences: list[str | None] = [None] * len(bad)
    for position in pc.indices_nonzero(bad).to_pylist():
        value = raw[position]
        shown = str(value.cast(pa.int64()).as_py()) if pa.types.is_temporal(raw.type) else str(value.as_py())
        sentences[position] = reason(name, f"{shown} ({raw.type}) is no {logical}")
    return pa.array(sentences, pa.string())


def _bounded(kind: str, arrow: pa.DataType) -> LogicalType:
    if kind == "integer":
        bits = arrow.bit_width
        unsigned = pa.types.is_unsigned_integer(arrow)
        return LogicalType("integer", low=0 if unsigned else -(2 ** (bits - 1)), high=2 ** (bits - (not unsigned)) - 1)
    if kind == "decimal":
        if arrow.precision > _WIDEST_DECIMAL or arrow.scale < 0:
            return LogicalType("decimal")
        return LogicalType("decimal", precision=arrow.precision, scale=arrow.scale)
    if kind == "float":
        return LogicalType("float", bits=min(arrow.bit_width, 64))
    if kind == "timestamp" and arrow.tz is not None:
        return LogicalType("instant")
    return LogicalType(kind)  # type: ignore[arg-type] # the kinds below are such


def _is_text(arrow: pa.DataType) -> bool:
    if pa.types.is_dictionary(arrow):
        arrow = arrow.value_type
    return bool(
        pa.types.is_string(arrow)
        or pa.types.is_large_string(arrow)
        or pa.types.is_string_view(arrow)
        or pa.types.is_null(arrow)
    )


def _is_bytes(arrow: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(arrow)
        or pa.types.is_large_binary(arrow)
        or pa.types.is_fixed_size_binary(arrow)
        or pa.types.is_binary_view(arrow)
    )


_KINDS: Final[tuple[tuple[str, Callable[[pa.DataType], bool]], ...]] = (
    ("text", _is_text),
    ("bytes", _is_bytes),
    ("integer", pa.types.is_integer),
    ("decimal", pa.types.is_decimal),
    ("float", pa.types.is_floating),
    ("boolean", pa.types.is_boolean),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("timestamp", pa.types.is_timestamp),
)
