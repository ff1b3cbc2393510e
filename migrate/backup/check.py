"""Check a backup by restoring it into scratch tables of the target, and reading these as the target itself is read.

Its files are held against the manifest, the manifest against the target's log. What was found goes into the log, good or bad: a new run
into a scope that holds rows asks there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

import pyarrow as pa

from migrate.backup.folder import backup_in
from migrate.backup.manifest import Manifest, TableEntry
from migrate.backup.opened import Wanted, Watch, check_files, folder_of, manifest_in, require_known, require_same_tables
from migrate.backup.parquet import row_groups
from migrate.backup.tables import CHUNK_BYTES, KeptTable, fitted
from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import row_digests
from migrate.engine.access import ledger_of
from migrate.engine.databases import target_url_of
from migrate.engine.options import RunOptions
from migrate.errors import DataError, NotProven
from migrate.ledger.backups import CHECKED, FAILED, created_backup, is_current, log_backup
from migrate.ledger.connection import Ledger
from migrate.ledger.scratch_tables import announce, tidy_scratch_tables
from migrate.mapping.reader import read_mapping
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, TargetSession, TargetStore
from migrate.stores.scratch import scratch_name, scratch_table
from migrate.values import SourceSpec, TableShape
from migrate.verify.spread import WORKERS, spread


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that was found good. `current`: the mapping has changed nothing in the target since it was made, or last put back.

    `tidied`: scratch tables that an earlier check had left since it was killed, which are dropped now.
    """

    manifest: Manifest
    folder: Path
    current: bool
    tidied: tuple[str, ...] = ()


def check(path: Path, wanted: Wanted, options: RunOptions, watch: Watch) -> Checked:
    """Restore-test a backup; the target's own rows are not touched.

    Raises:
        NotProven: manifest, files or restored rows are not what was backed up; the log says so from now on.
        StateError: there is no whole backup, or mapping and tables are not those that it was made of.
        EnvironmentFault: the database is out of reach, or scratch tables may not be made.
    """
    mapping = read_mapping(path)
    url = target_url_of(mapping, options)
    folder = folder_of(wanted, mapping, options)
    with ledger_of(path, options) as (ledger, _):
        with _failure_logged(ledger, mapping.name, backup_in(folder)):
            manifest = manifest_in(folder, mapping.name, wanted.trust)
            require_known(ledger, folder, manifest)
            rows = require_same_tables(mapping, url, manifest)
            check_files(folder, manifest, watch)
            # Two checks of one backup at the same time have tables of their own.
            name = f"{manifest.backup.replace('-', '_').lower()}_{secrets.token_hex(4)}"
            tidied = tuple(each.name for each in tidy_scratch_tables(ledger) if each.state == "dropped")
            tables = [scratch_name(each.table.shape, f"{name}_{number}") for number, each in enumerate(rows)]
            announce(ledger, mapping.name, manifest.backup, tables)
            for number, each in enumerate(rows):
                trial = _Trial(ledger.store, url, folder, f"{name}_{number}")
                trial.restore(each.table, manifest.tables[each.table.name], watch)
        log_backup(ledger, mapping.name, CHECKED, manifest.record)
        return Checked(manifest, folder, is_current(ledger, mapping.name, manifest.backup), tidied)


@contextmanager
def _failure_logged(ledger: Ledger, mapping: str, backup: str) -> Iterator[None]:
    """Let the log know of a backup that does not hold. One that another key signed than the one that is trusted is not damaged by that."""
    try:
        yield
    except NotProven as failure:
        known = created_backup(ledger, mapping, backup)
        if known is not None and failure.reason != "signer":
            log_backup(ledger, mapping, FAILED, known, {"reason": failure.reason})
        raise


@dataclass(frozen=True, slots=True)
class _Trial:
    """A restore of one table into a scratch table, whose name ends with `name`."""

    store: TargetStore
    url: str
    folder: Path
    name: str

    def restore(self, table: KeptTable, entry: TableEntry, watch: Watch) -> None:
        """Fill the scratch table, read it, and raise NotProven (`restore`) unless it holds exactly the rows of the manifest."""
        shape = TableShape(table.name, table.shape.columns)
        with scratch_table(self.store, shape, self.name) as scratch:
            self._fill(scratch, table, entry, watch)
            digest = self._digest(scratch, table, watch)
        if digest != entry.digest:
            raise NotProven(
                "restore",
                f"restored into a scratch table, {table.name} has not the rows that were backed up: {digest}, not {entry.digest}",
                where=str(self.folder),
                next_step="use another backup, or make one while you can",
            )

    def _fill(self, scratch: TableShape, table: KeptTable, entry: TableEntry, watch: Watch) -> None:
        workers = self.store.writers or WORKERS
        with _Sessions(self.store) as sessions:
            insert = partial(_insert, sessions, scratch, table)
            for count in spread(row_groups(self.folder, entry), insert, workers):
                watch(count)

    def _digest(self, scratch: TableShape, table: KeptTable, watch: Watch) -> SetDigest:
        reader = open_source(SourceSpec(url=self.url, table=scratch.name, key=table.key)).reader()
        try:
            chunks = reader.scan(table.shape.names, CHUNK_BYTES)
            total = SetDigest()
            for digest in spread(chunks, partial(_digest_of, table)):
                total = total + digest
                watch(digest.count)
            return total
        finally:
            reader.close()


def _insert(sessions: _Sessions, scratch: TableShape, table: KeptTable, read: Callable[[], pa.Table]) -> int:
    rows = read()
    try:
        fitting = fitted(rows, scratch.columns)
        with sessions.transaction() as session:
            session.insert(scratch, fitting)
    except DataError as error:
        raise NotProven(
            "restore", f"{table.name} does not take its own rows back: {error.message}", next_step="use another backup"
        ) from error
    return int(rows.num_rows)


def _digest_of(table: KeptTable, chunk: pa.RecordBatch) -> SetDigest:
    rows = pa.Table.from_batches([chunk])
    if rows[ANOMALY].null_count < rows.num_rows:
        raise NotProven(
            "restore",
            f"restored into a scratch table, rows of {table.name} cannot be read",
            next_step="use another backup",
        )
    return SetDigest.from_row_digests(row_digests(fitted(rows, table.shape.columns), table.contract))


class _Sessions:
    """Connections to the target that threads take in turn, each opened when none is free."""

    def __init__(self, store: TargetStore) -> None:
        self._store = store
        self._free: SimpleQueue[TargetSession] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._free.empty():
            self._free.get().close()

    @contextmanager
    def transaction(self) -> Iterator[TargetSession]:
        """A transaction, committed behind the block."""
        try:
            session = self._free.get_nowait()
        except Empty:
            session = self._store.session()
        try:
            session.begin()
            yield session
            session.commit()
        except BaseException:
            session.close()
            raise
        self._free.put(session)
