"""Puts Arrow rows into a table: LOAD DATA LOCAL when every row is sure to be stored as given, else strict INSERTs that say what is wrong.

LOAD DATA LOCAL implies IGNORE whatever sql_mode says: it skips duplicates, rounds, cuts and stores '0000-00-00', and only counts
warnings. So it stands only with as many rows as were sent and no warning at all; otherwise it is taken back and the same rows go
through INSERT, which raises. Values are written as hexadecimal there, so nothing needs escaping.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pymysql

from migrate.errors import ConstraintViolation
from migrate.stores import mariadb_wire as wire
from migrate.stores.fits import check_fits, value_violation
from migrate.stores.mariadb_errors import local_infile_refused
from migrate.stores.mariadb_shape import quoted
from migrate.stores.mariadb_types import fixed_bytes, float_digits
from migrate.values import Column, TableShape

_SAVEPOINT: Final = "migrate_load"
_FEW_ROWS: Final = 64
"""Rows below which one INSERT is faster than a load."""
_FORMATS: Final = {
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S%.6f",
    "timestamp": "%Y-%m-%d %H:%M:%S%.6f",
    "instant": "%Y-%m-%d %H:%M:%S%.6f",
}
_SHOWN_WARNINGS: Final = 3


def check_rows(table: TableShape, rows: pa.Table) -> None:
    """Raise ConstraintViolation for the first value that the server would store as something else without an error."""
    check_fits(table, rows)
    for name in rows.column_names:
        column = table.column(name)
        if column.default_kind == "generated":
            raise ConstraintViolation(f"{name} is generated and cannot be written", kind="value", where=table.name)
        for chunk in rows.column(name).chunks:
            bad = _silently_changed(column, chunk)
            if bad is not None and pc.any(bad).as_py():
                raise value_violation(table, column, chunk.filter(bad.fill_null(False))[0])


def _silently_changed(column: Column, values: pa.Array) -> pa.Array | None:
    declared = column.declared
    if column.type.kind == "float":
        digits = float_digits(declared)
        infinite = pc.invert(pc.is_finite(values))
        return infinite if digits is None else pc.or_(infinite, pc.not_equal(pc.round(values, digits), values))
    padded = fixed_bytes(declared) if column.type.kind == "bytes" else None
    return None if padded is None else pc.not_equal(pc.binary_length(values), padded)


class Loader:
    """Loads rows over one connection inside its open transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._local_infile = True
        [(packet,)] = wire.rows_of(connection, "SELECT @@max_allowed_packet")
        self._statement_bytes = min(int(packet) // 2, 1 << 23)

    def load(self, table: str, names: Sequence[str], columns: Sequence[Column], rows: pa.Table) -> None:
        """Append `rows` (one column for each of `columns`, in order) to the columns `names` of `table` (SQL text).

        Raises:
            ConstraintViolation: the server would not store a row as given; what was done so far must be rolled back.
            pymysql.MySQLError: the server refuses a row, and says why.
        """
        if rows.num_rows == 0:
            return
        frame = pl.DataFrame(
            {f"v{number}": _written(column, rows.column(number)) for number, column in enumerate(columns)}
        )
        if rows.num_rows > _FEW_ROWS and self._local_infile and self._load_at_once(table, names, columns, frame):
            return
        for statement, count in self._inserts(table, names, columns, frame):
            done = wire.run(self._connection, statement)
            if done.warnings or done.affected != count:
                raise ConstraintViolation(self._warnings(), kind="value", where=table)

    def _load_at_once(self, table: str, names: Sequence[str], columns: Sequence[Column], frame: pl.DataFrame) -> bool:
        """True when every row was stored without a warning; otherwise nothing was."""
        text = io.BytesIO()
        frame.write_csv(text, include_header=False, quote_style="non_numeric", null_value="NULL")
        wire.run(self._connection, f"SAVEPOINT {_SAVEPOINT}")
        try:
            done = wire.load_local(self._connection, _load_statement(table, names, columns), text.getbuffer())
        except pymysql.MySQLError as error:
            if not local_infile_refused(error):
                raise
            self._local_infile = False
            return False
        if done.affected == frame.height and done.warnings == 0:
            wire.run(self._connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
            return True
        wire.run(self._connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return False

    def _inserts(
        self, table: str, names: Sequence[str], columns: Sequence[Column], frame: pl.DataFrame
    ) -> Iterator[tuple[str, int]]:
        """Statements of bounded size and their numbers of rows."""
        head = f"INSERT INTO {table} ({', '.join(quoted(name) for name in names)}) VALUES "
        parts = [_literals(pl.col(name), column) for name, column in zip(frame.columns, columns, strict=True)]
        whole = pl.concat_str([pl.lit("("), pl.concat_str(parts, separator=","), pl.lit(")")])
        tuples = frame.select(whole.alias("row"))["row"]
        waiting: list[str] = []
        size = len(head)
        for text in tuples:
            if waiting and size + len(text) > self._statement_bytes:
                yield head + ",".join(waiting), len(waiting)
                waiting, size = [], len(head)
            waiting.append(text)
            size += len(text) + 1
        yield head + ",".join(waiting), len(waiting)

    def _warnings(self) -> str:
        shown = wire.rows_of(self._connection, f"SHOW WARNINGS LIMIT {_SHOWN_WARNINGS}")
        return "; ".join(str(message) for _, _, message in shown) or "not every row was stored"


def _written(column: Column, values: pa.ChunkedArray) -> pl.Series:
    """A column as numbers or text, as both ways of writing need it."""
    kind = column.type.kind
    series = pl.Series("v", values)
    if kind == "boolean":
        return series.cast(pl.Int8)
    if kind == "bytes":
        return series.bin.encode("hex")
    if kind in _FORMATS:
        return series.dt.to_string(_FORMATS[kind])
    return series


def _load_statement(table: str, names: Sequence[str], columns: Sequence[Column]) -> str:
    targets, settings = [], []
    for number, (name, column) in enumerate(zip(names, columns, strict=True)):
        conversion = _conversion(column)
        targets.append(quoted(name) if conversion is None else f"@v{number}")
        if conversion is not None:
            settings.append(f"{quoted(name)} = {conversion.format(f'@v{number}')}")
    # Without an escape character NULL is the bare word NULL, and a doubled quote stands for one.
    return (
        f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET utf8mb4 "
        "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' "
        f"({', '.join(targets)})" + (f" SET {', '.join(settings)}" if settings else "")
    )


def _conversion(column: Column) -> str | None:
    if column.type.kind == "bytes":
        return "unhex({})"
    if column.default_kind == "identity":
        # Beside a SET of another column, LOAD DATA takes a plain 0 for "the next number" despite NO_AUTO_VALUE_ON_ZERO.
        return "{}"
    # A text '1' would be the character's code in a BIT column.
    return "CAST({} AS UNSIGNED)" if column.declared.lower().startswith("bit") else None


def _literals(value: pl.Expr, column: Column) -> pl.Expr:
    """The column as SQL literals."""
    kind = column.type.kind
    if kind == "bytes":
        text = pl.concat_str([pl.lit("X'"), value, pl.lit("'")])
    elif kind in {"integer", "boolean"} or column.type.exact_decimal:
        text = value.cast(pl.String)
    elif kind == "float":
        text = pl.concat_str([value.cast(pl.String), pl.lit("e0")])
        text = pl.when(value.cast(pl.String).str.contains("e")).then(value.cast(pl.String)).otherwise(text)
    elif kind == "decimal":
        text = value
    else:
        text = pl.concat_str([pl.lit("_utf8mb4 X'"), value.cast(pl.Binary).bin.encode("hex"), pl.lit("'")])
    return text.fill_null("NULL")
