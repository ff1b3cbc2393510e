"""One connection to PostgreSQL through ADBC, on which transactions are driven by SQL.

ADBC is left in its autocommit mode, so that it never begins or ends a transaction by itself: BEGIN, SAVEPOINT and COMMIT are
statements like others, and a bulk COPY joins the transaction that is open (measured and tested).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import sqlalchemy as sa

from migrate.stores.postgres_errors import connect_faults, postgres_faults
from migrate.stores.urls import libpq_uri, redacted

# Half-open connections are noticed within about a minute instead of hours.
LIBPQ_OPTIONS: Final = {
    "application_name": "migrate",
    "connect_timeout": "10",
    "client_encoding": "UTF8",
    "keepalives": "1",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "4",
    "tcp_user_timeout": "60000",
}

SETTINGS: Final = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # Text forms that are exact and read back alike whatever the server's or the user's defaults are.
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # Compiling a statement takes longer than a batch; parallel scans would fight the workers for the same cores.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}

_COPY_ROWS: Final = 4_096
"""Rows that are encoded and sent at a time: driver and libpq hold a copy each, and libpq never gives its own back."""
_BATCH_HINT: Final = "adbc.postgresql.batch_size_hint_bytes"


class PostgresConnection:
    """A connection with `settings` in force. Not safe for two threads at a time; `close` is safe to call twice.

    Raises on construction:
        ConnectionLost: the server is not there (now).
        EnvironmentFault: it refuses user, password or database.
    """

    def __init__(self, url: sa.URL, settings: Mapping[str, str] | None = None) -> None:
        self.where = redacted(url)
        with connect_faults(self.where):
            self._adbc = adbc_driver_postgresql.dbapi.connect(libpq_uri(url, LIBPQ_OPTIONS), autocommit=True)
        self._open = True
        wanted = {**SETTINGS, **(settings or {})}
        calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in wanted.items())
        try:
            self.rows(f"SELECT {calls}")
        except BaseException:
            self.close()
            raise

    def run(self, statement: str) -> None:
        """Run a statement without result."""
        with postgres_faults(self.where), self._adbc.cursor() as cursor:
            cursor.execute(statement)

    def table(self, statement: str, parameters: pa.RecordBatch | None = None) -> pa.Table | None:
        """Run a statement and return its rows, or None when it returns none."""
        with postgres_faults(self.where), self._adbc.cursor() as cursor:
            if parameters is None:
                cursor.execute(statement)
            else:
                cursor.execute(statement, parameters)
            return cursor.fetch_arrow_table() if cursor.description else None

    def rows(self, statement: str, parameters: pa.RecordBatch | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows as tuples of Python values; for small results."""
        found = self.table(statement, parameters)
        if found is None:
            return []
        columns = [column.to_pylist() for column in found.columns]
        return list(zip(*columns, strict=True)) if columns else []

    def stream(self, statement: str, chunk_bytes: int) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a query in batches of about `chunk_bytes`, as the server sends them.

        The connection is busy until the iterator is exhausted or closed.
        """
        with postgres_faults(self.where), self._adbc.cursor() as cursor:
            cursor.adbc_statement.set_options(**{_BATCH_HINT: str(chunk_bytes)})
            cursor.execute(statement)
            with cursor.fetch_record_batch() as reader:
                yield from reader

    def copy(self, schema: str, table: str, rows: pa.Table) -> None:
        """Append rows by binary COPY, in the transaction that is open; names of `rows` are the columns."""
        with postgres_faults(f"{self.where}, table {schema}.{table}"), self._adbc.cursor() as cursor:
            pieces = rows.to_reader(max_chunksize=_COPY_ROWS)
            cursor.adbc_ingest(table, pieces, mode="append", db_schema_name=schema)

    def close(self) -> None:
        """Free the connection; what is open in it is rolled back by the server."""
        if self._open:
            self._open = False
            self._adbc.close()
