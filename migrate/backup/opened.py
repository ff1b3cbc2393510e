"""A backup taken up again: found, known to the target's log, unaltered, and still of the tables that are there."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from migrate.backup.folder import DEFAULT, backup_in, found
from migrate.backup.manifest import FileEntry, Manifest, read_manifest
from migrate.backup.parquet import file_digest
from migrate.backup.tables import KeptRows, kept_rows
from migrate.engine.databases import as_typed
from migrate.engine.options import RunOptions
from migrate.errors import InputError, NotProven, StateError, UnknownTable
from migrate.ledger.backups import created_backup
from migrate.ledger.connection import Ledger
from migrate.mapping.model import Mapping
from migrate.verify.spread import spread

Watch = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which backup: the folder that holds backups, its name (default: the newest of the mapping), and whose signature it must have, if any."""

    holder: Path
    backup: str | None = None
    trust: Path | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup that can be used: its folder, its manifest, and readers of the tables that it is of, in the manifest's order."""

    folder: Path
    manifest: Manifest
    rows: tuple[KeptRows, ...]


def folder_of(wanted: Wanted, mapping: Mapping, options: RunOptions) -> Path:
    """The folder of a backup. Raises StateError where there is none, with the command that makes one."""
    make = f"migrate backup create {as_typed(mapping.path, options)}{in_holder(wanted.holder)}"
    return found(wanted.holder, mapping.name, wanted.backup, make)


def in_holder(holder: Path) -> str:
    """The option that names this folder, as it is added to a command; nothing for the usual one."""
    return "" if holder == DEFAULT else f" --dir {shlex.quote(str(holder))}"


def look_up(wanted: Wanted, mapping: Mapping, options: RunOptions) -> tuple[Path, Manifest]:
    """The folder and manifest of a backup. Raises StateError where there is none, NotProven for a manifest that cannot be trusted."""
    folder = folder_of(wanted, mapping, options)
    return folder, manifest_in(folder, mapping.name, wanted.trust)


def manifest_in(folder: Path, mapping: str, trust: Path | None) -> Manifest:
    """The manifest in the folder of a backup. Raises NotProven for one that is not that of the folder's backup, or cannot be trusted."""
    manifest = read_manifest(folder, trust)
    if (manifest.mapping, manifest.backup) != (mapping, backup_in(folder)):
        raise NotProven(
            "form",
            f"the manifest is that of another backup: {manifest.backup} of {manifest.mapping}",
            where=str(folder),
            next_step="put the right one back, or use another backup",
        )
    return manifest


def require_known(ledger: Ledger, folder: Path, manifest: Manifest) -> None:
    """Raise NotProven (`log`) unless the log of the target has exactly this manifest since the backup was made."""
    known = created_backup(ledger, manifest.mapping, manifest.backup)
    if known is None:
        raise NotProven(
            "log",
            f"backup {manifest.backup} was not made of this target: its log does not know it",
            where=str(folder),
            next_step="check the target URL (--target) and the folder (--dir)",
        )
    if known != manifest.record:
        raise NotProven(
            "log",
            f"the manifest of backup {manifest.backup} was exchanged: the log of the target has another one",
            where=str(folder),
            next_step="use another backup, or make one while you can",
        )


def require_same_tables(mapping: Mapping, url: str, manifest: Manifest) -> tuple[KeptRows, ...]:
    """Readers of the backed-up tables. Raises StateError where the mapping means other rows by now, or a table has other columns."""
    try:
        readers = {each.table.name: each for each in kept_rows(mapping, url)}
    except UnknownTable as error:
        if error.table in manifest.tables:
            error.next_step = "create it again with the columns that it had (the manifest lists them as `declared`), then give the same command again"
        raise
    for name, entry in manifest.tables.items():
        table = readers[name].table if name in readers else None
        if table is None or (table.key, table.scope) != (entry.key, entry.scope):
            raise _other_now(f"{mapping.name} answers for other rows of {name} than when the backup was made")
        if table.contract.hash != entry.contract.hash:
            raise _other_now(f"{name} has not the columns that it had when the backup was made")
    if set(readers) != set(manifest.tables):
        raise _other_now(f"{mapping.name} has other tables than when the backup was made")
    return tuple(readers[name] for name in manifest.tables)


def _other_now(what: str) -> StateError:
    return StateError(what, next_step="put mapping and tables back as they were, or make a backup of what is there now")


def check_files(folder: Path, manifest: Manifest, watch: Watch) -> None:
    """Raise NotProven (`file`) for the first file that is missing or not, byte for byte, what the manifest says."""
    files = [each for table in manifest.tables.values() for each in table.files]
    for _ in spread(files, partial(_check_file, folder, watch)):
        pass


def _check_file(folder: Path, watch: Watch, entry: FileEntry) -> None:
    path = folder / entry.name
    try:
        digest = file_digest(path, lambda: watch(0))
    except FileNotFoundError as error:
        raise NotProven(
            "file", f"{entry.name} is missing from the backup", where=str(folder), next_step="use another backup"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", next_step="see that you may read it") from error
    if digest != entry.sha256:
        raise NotProven(
            "file",
            f"{entry.name} was changed since the backup was made: it does not have the SHA-256 of the manifest",
            where=str(folder),
            next_step="use another backup, or make one while you can",
        )
