"""Reads values of MariaDB without loss: the expressions that are selected, and the way from the protocol's text to Arrow.

Seen and reported, with their bytes: zero and impossible dates, times beyond a day, TINYINT(1) other than 0 and 1, and characters
of a column's own character set that Unicode does not have (they arrive as `?`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from migrate.stores.casting import either, joined_reasons, parse_text, valid_utf8
from migrate.stores.mariadb_shape import MariaColumn, quoted
from migrate.stores.mariadb_types import UNICODE_CHARSETS
from migrate.stores.port import ANOMALY
from migrate.values import LogicalType

_SHOWN_BYTES: Final = 4096
_INTEGER: Final = LogicalType("integer")
_NAIVE: Final = LogicalType("timestamp")
_TEXTUAL: Final = frozenset({"text", "json"})


class Readout:
    """Selects `columns` of one relation under the alias `alias`, and converts the chunks that come back."""

    def __init__(self, columns: Sequence[MariaColumn], alias: str) -> None:
        self._columns = tuple(columns)
        self._alias = alias
        self._checked = tuple(column for column in columns if _may_be_damaged(column))
        self.schema = pa.schema(
            [(column.name, column.column.type.arrow) for column in columns] + [(ANOMALY, pa.string())]
        )

    @property
    def select_list(self) -> str:
        """The expressions behind SELECT: one per column, then the stored bytes of damaged characters."""
        plain = [_expression(column, self._source(column)) for column in self._columns]
        return ", ".join([*plain, *(_damage(column, self._source(column)) for column in self._checked)])

    def convert(self, arrays: Sequence[pa.Array]) -> pa.RecordBatch:
        """A chunk of `select_list`, as binary arrays, in the columns' exact Arrow types."""
        told: list[Any] = []
        values = []
        for column, raw in zip(self._columns, arrays, strict=False):
            converted, bad = converted_values(column, raw)
            values.append(converted)
            if bad is not None and pc.any(bad).as_py():
                told.append(_sentences(column, raw, bad))
        for column, stored in zip(self._checked, arrays[len(self._columns) :], strict=True):
            if stored.null_count < len(stored):
                told.append(
                    pc.binary_join_element_wise(
                        f"{column.name}: characters without Unicode in x", stored.cast(pa.string()), ""
                    )
                )
        anomaly = joined_reasons(told, len(arrays[0]))
        return pa.RecordBatch.from_arrays([*values, anomaly], schema=self.schema)

    def _source(self, column: MariaColumn) -> str:
        return f"{self._alias}.{quoted(column.name)}"


def converted_values(column: MariaColumn, raw: pa.Array) -> tuple[pa.Array, Any]:
    """(values in the column's Arrow type, mask of those that are no such value or None)."""
    logical = column.column.type
    if logical.kind == "bytes":
        return raw, None
    texts, broken = valid_utf8(raw)
    if logical.kind == "boolean":
        numbers, bad = parse_text(texts, _INTEGER)
        outside = pc.and_(pc.not_equal(numbers, 0), pc.not_equal(numbers, 1)).fill_null(False)
        return pc.if_else(outside, None, numbers).cast(pa.bool_()), either(either(broken, bad), outside)
    if logical.kind == "instant":
        moments, bad = parse_text(texts, _NAIVE)
        return pc.assume_timezone(moments, "UTC").cast(logical.arrow), either(broken, bad)
    values, bad = parse_text(texts, logical)
    return values, either(broken, bad)


def _expression(column: MariaColumn, source: str) -> str:
    name = column.declared.data_type.lower()
    if name in {"float", "double", "real", "bit"}:
        # FLOAT prints six digits and FLOAT(M,D) rounds; as a double it prints what is stored.
        return f"{source} + 0" if name == "bit" else f"{source} + 0e0"
    if column.column.type.kind == "unsupported" and name != "set":
        return f"hex({source})"
    return source


def _may_be_damaged(column: MariaColumn) -> bool:
    charset = column.declared.charset
    return column.column.type.kind in _TEXTUAL and charset not in {None, "binary", "latin1"} | UNICODE_CHARSETS


def _damage(column: MariaColumn, source: str) -> str:
    """The stored bytes, hexadecimal, where the way to Unicode and back does not lead to the same ones."""
    there_and_back = f"CONVERT(CONVERT({source} USING utf8mb4) USING {column.declared.charset})"
    return f"CASE WHEN CAST({there_and_back} AS BINARY) <> CAST({source} AS BINARY) THEN hex({source}) END"


def _sentences(column: MariaColumn, raw: pa.Array, bad: pa.Array) -> pa.Array:
    sentences: list[str | None] = [None] * len(bad)
    for position in pc.indices_nonzero(bad).to_pylist():
        content = bytes(raw[position].as_buffer())[:_SHOWN_BYTES]
        shown = f"{content.decode()} (x{content.hex().upper()})" if content.isascii() else f"x{content.hex().upper()}"
        sentences[position] = f"{column.name}: {shown} is no {column.column.type}"
    return pa.array(sentences, pa.string())
