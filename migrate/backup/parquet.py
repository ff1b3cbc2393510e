"""Rows of one table as Parquet files: written by several threads, each into a file of its own, and read a row group at a time."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from migrate.backup.manifest import FileEntry, TableEntry
from migrate.backup.tables import KeptTable
from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import row_digests
from migrate.errors import NotProven

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class TableWriter:
    """Writes the rows of one table in any order. `number` tells the files of tables apart whose names differ in odd characters only."""

    def __init__(self, folder: Path, table: KeptTable, number: int) -> None:
        self._prefix = folder / f"{number}-{_UNSAFE.sub('_', table.name)}"
        self._table = table
        self._lock = threading.Lock()
        self._idle: list[_Part] = []
        self._parts: list[_Part] = []
        self.digest = SetDigest()

    def add(self, rows: pa.Table) -> SetDigest:
        """Write rows, as a row group; their digest. Any thread may call it."""
        digest = SetDigest.from_row_digests(row_digests(rows, self._table.contract))
        if rows.num_rows:
            part = self._take()
            part.write(rows)
            with self._lock:
                self._idle.append(part)
        with self._lock:
            self.digest = self.digest + digest
        return digest

    def finish(self) -> tuple[FileEntry, ...]:
        """End the files."""
        self.close()
        return tuple(
            FileEntry(part.path.name, part.rows, part.groups, file_digest(part.path, lambda: None))
            for part in self._parts
        )

    def close(self) -> None:
        """Free the files; safe to call twice."""
        for part in self._parts:
            part.writer.close()

    def _take(self) -> _Part:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            part = _Part(Path(f"{self._prefix}-{len(self._parts)}.parquet"), self._table.schema)
            self._parts.append(part)
            return part


class _Part:
    """One file, for one thread at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.writer = pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False)
        self.rows = 0
        self.groups = 0

    def write(self, rows: pa.Table) -> None:
        self.writer.write_table(rows.cast(self.schema), row_group_size=max(rows.num_rows, 1))
        self.rows += rows.num_rows
        self.groups += 1


def file_digest(path: Path, watch: Callable[[], None]) -> str:
    """SHA-256 of a file, hex; `watch` is called between its pieces, and may raise to stop."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(4 * 2**20):
            digest.update(piece)
            watch()
    return digest.hexdigest()


def row_groups(folder: Path, entry: TableEntry) -> Iterator[Callable[[], pa.Table]]:
    """For each row group of a table a function that reads it, which any thread may call. Raises NotProven for what is no Parquet any more."""
    for file in entry.files:
        for group in range(file.groups):
            yield _reading(folder / file.name, group)


def _reading(path: Path, group: int) -> Callable[[], pa.Table]:
    def read() -> pa.Table:
        try:
            # Memory-mapped files would count as memory of the process.
            with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
                return file.read_row_group(group, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise NotProven(
                "file", f"{path.name} cannot be read: {error}", where=str(path), next_step="use another backup"
            ) from error

    return read
