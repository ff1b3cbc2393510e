"""Make a backup: the rows that the mapping answers for, of all its tables, with all columns, in one snapshot where the database has those.

look who holds the run, and how far the mapping's runs came
read each table, digest and write its rows
look again: nothing of this mapping may have been written meanwhile
manifest, log, and only then the name by which a backup is found
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from migrate.backup.folder import named, publish, refuse_file, written
from migrate.backup.manifest import MANIFEST, Manifest, TableEntry, manifest_text
from migrate.backup.parquet import TableWriter
from migrate.backup.tables import KeptRows, KeptTable, kept_rows
from migrate.engine.databases import target_url_of
from migrate.engine.options import RunOptions
from migrate.errors import DataError, StateError
from migrate.ledger.backups import CREATED, log_backup, position
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import held_by_another, read_lease
from migrate.ledger.runs import new_run_id, now_ms
from migrate.mapping.reader import read_mapping
from migrate.stores.opening import open_present_target, open_target
from migrate.stores.port import ANOMALY
from migrate.stores.typed_keys import key_text
from migrate.stores.urls import redacted
from migrate.units import rows_text
from migrate.verify.spread import spread
from migrate.verify.unread import readable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Watch = Callable[[int], None]
"""Hears of so many more rows; called by any thread, and may raise to stop."""

_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Made:
    """A backup, and the folder that it is in."""

    manifest: Manifest
    folder: Path


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far a mapping came: its newest run, how often it was taken up, and its position (`ledger.backups`)."""

    run: str | None
    epoch: int
    position: int


def create(path: Path, holder: Path, options: RunOptions, signing_key: Path | None, watch: Watch) -> Made:
    """Make a backup of the target within the mapping's scope, in a new folder under `holder`.

    Raises:
        InputError: the mapping, the URL, the key or the folder is wrong; nothing was read.
        StateError: a process holds the run, or wrote meanwhile; there is no backup then.
        DataError: rows cannot be read without loss; they are named, and there is no backup.
        EnvironmentFault: the database is out of reach, or the files cannot be written.
    """
    refuse_file(holder)
    key = _key(signing_key)
    mapping = read_mapping(path)
    url = target_url_of(mapping, options)
    # Looked at before the ledger is made: a database that is the wrong one gets nothing.
    open_present_target(url, options.ledger_schema).close()
    readers = kept_rows(mapping, url)
    with _ledger_at(url, options) as ledger:
        before = _standing(ledger, mapping.name)
        made_ms = now_ms(ledger)
        backup = new_run_id(made_ms)
        place = named(holder, mapping.name, backup)
        with written(place) as folder:
            tables = _write_all(readers, folder, watch)
            if _standing(ledger, mapping.name) != before:
                raise StateError(
                    f"{mapping.name} was run while its backup was made: rows of several moments are no backup",
                    next_step="make it again when nothing runs",
                )
            manifest = Manifest(
                backup=backup,
                mapping=mapping.name,
                target=redacted(url),
                engine=ledger.store.fingerprint(),
                made_at=datetime.fromtimestamp(made_ms / 1000, tz=UTC).isoformat(timespec="seconds"),
                run=before.run,
                position=before.position,
                tables=tables,
            )
            (folder / MANIFEST).write_text(manifest_text(manifest, key), encoding="utf-8")
            # First the log: a folder that has its name is known to it.
            log_backup(ledger, mapping.name, CREATED, manifest.record, {"rows": manifest.rows})
            publish(folder, place)
    return Made(manifest, place)


@contextmanager
def _ledger_at(url: str, options: RunOptions) -> Iterator[Ledger]:
    """The ledger of a target, made where there was none: a backup comes before the first run."""
    store = open_target(url, options.ledger_schema)
    try:
        ledger = Ledger(store, options.ledger_schema)
        ledger.create()
        yield ledger
    finally:
        store.close()


def _key(signing_key: Path | None) -> Ed25519PrivateKey | None:
    if signing_key is None:
        return None
    from migrate.signing.keys import read_private_key

    return read_private_key(signing_key)


def _standing(ledger: Ledger, mapping: str) -> _Standing:
    holding = read_lease(ledger, mapping)
    if holding is not None and holding.live:
        raise held_by_another(mapping, holding)
    newest = position(ledger, mapping)
    return _Standing(None, 0, newest) if holding is None else _Standing(holding.run, holding.wanted_epoch, newest)


def _write_all(readers: list[KeptRows], folder: Path, watch: Watch) -> dict[str, TableEntry]:
    snapshot = readers[0].store.snapshot()
    with closing(snapshot):
        tables: dict[str, TableEntry] = {}
        for number, reader in enumerate(readers):
            table = reader.table
            with closing(TableWriter(folder, table, number)) as writer:
                for _ in spread(reader.chunks(snapshot), partial(_write, reader, writer, watch)):
                    pass
                files = writer.finish()
            declared = {column.name: column.declared for column in table.shape.columns}
            tables[table.name] = TableEntry(table.key, table.scope, writer.digest, table.contract, declared, files)
        return tables


def _write(reader: KeptRows, writer: TableWriter, watch: Watch, chunk: pa.RecordBatch) -> None:
    rows, unread = reader.split(chunk)
    if unread.num_rows:
        raise _unreadable(reader.table, unread, [readable(reason) for reason in unread[ANOMALY].to_pylist()])
    if writer.add(rows).poison:
        raise _unreadable(reader.table, rows, ["some row of these has no encoding (docs/checksum.md)"])
    watch(rows.num_rows)


def _unreadable(table: KeptTable, rows: pa.Table, reasons: list[str]) -> DataError:
    keys = zip(*(rows[name].slice(0, _NAMED).to_pylist() for name in table.key), strict=True)
    shown = "".join(f"\n  {table.name} {key_text(key)}: {why}" for key, why in zip(keys, reasons, strict=False))
    return DataError(
        f"no backup was made: {rows_text(rows.num_rows)} of {table.name} cannot be kept without loss{shown}",
        where=table.name,
        next_step="mend these rows, then make it again",
    )
