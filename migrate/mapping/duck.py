"""DuckDB as the mapping uses it: closed connections, quoting, kinds of types, and the type of an expression.

A connection has no access to files, extensions or settings, one thread, UTC as its time zone, and a fixed bound of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

import duckdb

TypeKind = Literal[
    "text",
    "integer",
    "decimal",
    "float",
    "boolean",
    "date",
    "time",
    "timestamp",
    "instant",
    "bytes",
    "interval",
    "null",
    "other",
]

_DISABLED = "build_side_probe_side, join_order, common_subexpressions"
"""A LEFT JOIN keeps the order of its left side only while the optimizer may not swap the sides. Common subexpressions are computed
outside of the TRY around them, so that one row that fails fails the whole chunk (seen with DuckDB 2.0.0: `TRY(x::int + x::int)`)."""

MEMORY_LIMIT = "512MB"
"""Bound of one connection; DuckDB's own default is 80 % of the machine for each."""

_KINDS: dict[str, TypeKind] = {
    "VARCHAR": "text",
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "HUGEINT": "integer",
    "UTINYINT": "integer",
    "USMALLINT": "integer",
    "UINTEGER": "integer",
    "UBIGINT": "integer",
    "UHUGEINT": "integer",
    "DOUBLE": "float",
    "FLOAT": "float",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "instant",
    "TIMESTAMPTZ": "instant",
    "BLOB": "bytes",
    "INTERVAL": "interval",
    '"NULL"': "null",
    "NULL": "null",
}


def connect(macros: Iterable[str] = ()) -> duckdb.DuckDBPyConnection:
    """A closed in-memory connection with these macros; the caller closes it."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": MEMORY_LIMIT,
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": True,
        },
    )
    # For every connection of the instance, not for this one alone.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(f"SET disabled_optimizers = '{_DISABLED}'")
    for macro in macros:
        connection.execute(macro)
    connection.execute("SET lock_configuration = true")
    return connection


def connect_briefly(macros: Iterable[str] = ()) -> duckdb.DuckDBPyConnection:
    """The same for statements over a chunk of rows at most; what is registered with it, nobody else sees. The caller closes it.

    An instance of DuckDB takes 20 ms to make, so these share one, and its bound of memory. Any number of threads may have one each.
    """
    return _shared(tuple(macros)).cursor()


@cache
def _shared(macros: tuple[str, ...]) -> duckdb.DuckDBPyConnection:
    return connect(macros)


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def unquoted(sql: str) -> str:
    """The name of a quoted identifier."""
    return sql[1:-1].replace('""', '"')


def literal(text: str) -> str:
    """A text constant."""
    return "'" + text.replace("'", "''") + "'"


def kind_of(duckdb_type: str) -> TypeKind:
    """What family a DuckDB type belongs to."""
    if duckdb_type.startswith("DECIMAL"):
        return "decimal"
    return _KINDS.get(duckdb_type, "other")


class TypeOracle:
    """Asks DuckDB for the type of an expression over columns of known types, without rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> None:
        self._connection = connection
        self._columns = dict(columns)
        self._relation = ""
        self._rebuild()

    def _rebuild(self) -> None:
        declared = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in self._columns.items())
        self._relation = f"(SELECT {declared or 'NULL AS _none'})"

    @property
    def columns(self) -> dict[str, str]:
        """Column: DuckDB type."""
        return self._columns

    def type_of(self, sql: str) -> str:
        """DuckDB's type of `sql`; raises duckdb.Error when it does not bind."""
        relation = self._connection.sql(f"SELECT {sql} AS v FROM (SELECT * FROM {self._relation} WHERE false)")
        return str(relation.types[0])

    def constant(self, sql: str) -> None:
        """Compute a constant expression; raises duckdb.Error when it fails."""
        self._connection.sql(f"SELECT {sql}").fetchall()

    def holds(self, condition: str) -> bool:
        """Is a constant condition true? Raises duckdb.Error when it cannot be computed."""
        return self._connection.sql(f"SELECT {condition}").fetchall() == [(True,)]
