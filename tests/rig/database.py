"""A database as a test sees it: through its plain driver, beside everything that the toolkit does."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pymysql
from sqlalchemy.engine import make_url


class Database:
    """Runs statements through the plain driver, one connection per call, committed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._parts = make_url(url)

    @property
    def kind(self) -> str:
        """`sqlite`, `postgresql` or `mariadb`."""
        return {"mysql": "mariadb"}.get(self._parts.get_backend_name(), self._parts.get_backend_name())

    def run(self, *statements: str) -> None:
        """Run statements, all or none where the database can."""
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def insert(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows that all have the same columns."""
        if not rows:
            return
        mark = "?" if self.kind == "sqlite" else "%s"
        names = ", ".join(self.quoted(name) for name in rows[0])
        statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join([mark] * len(rows[0]))})"
        with self._cursor() as cursor:
            cursor.executemany(statement, [tuple(row.values()) for row in rows])

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of a query, by column."""
        with self._cursor() as cursor:
            cursor.execute(query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def quoted(self, name: str) -> str:
        """An identifier."""
        return f"`{name}`" if self.kind == "mariadb" else f'"{name}"'

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        connection = self._connect()
        try:
            cursor = connection.cursor()
            yield cursor
            connection.commit()
        finally:
            connection.close()

    def _connect(self) -> Any:
        parts = self._parts
        if self.kind == "sqlite":
            connection = sqlite3.connect(parts.database or "")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = OFF")
            return connection
        if self.kind == "postgresql":
            return psycopg.connect(host=str(parts.query["host"]), user=parts.username, dbname=parts.database)
        return pymysql.connect(
            host=parts.host, port=parts.port or 3306, user=parts.username, database=parts.database, charset="utf8mb4"
        )
