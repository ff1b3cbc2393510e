"""The manifest of a backup: one canonical JSON document that says what the files beside it hold, signed where the user gave a key.

Its digest stands in the target's ledger since the backup was made: whoever exchanges it is found out with and without a signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migrate.checksum.contract import Contract
from migrate.checksum.set_digest import SetDigest
from migrate.errors import InputError, MigrateError, NotProven
from migrate.ledger.backups import BackupRecord, scope_digest
from migrate.signing.canonical import canonical_digest, canonical_json, parse_strictly

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT: Final = "fapiao-migrate backup 1"
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One Parquet file: its name in the folder of the backup, its rows and row groups, and SHA-256 of its bytes."""

    name: str
    rows: int
    groups: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One target table. `digest`: of its rows with all columns under `contract`; `declared`: the database's own type of each column."""

    key: tuple[str, ...]
    scope: str | None
    digest: SetDigest
    contract: Contract
    declared: Mapping[str, str]
    files: tuple[FileEntry, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.digest.count


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup states. `position`: that of the mapping when it was made (`ledger.backups`); `made_at`: the target's clock, ISO 8601."""

    backup: str
    mapping: str
    target: str
    engine: Mapping[str, str]
    made_at: str
    run: str | None
    position: int
    tables: Mapping[str, TableEntry]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    @property
    def record(self) -> BackupRecord:
        """The backup as the log names it."""
        scopes = {name: table.scope for name, table in self.tables.items()}
        return BackupRecord(self.backup, canonical_digest(self.to_json()), scope_digest(scopes), self.position)

    def to_json(self) -> dict[str, Any]:
        """The statement, which is digested and signed."""
        return {
            "format": FORMAT,
            "backup": self.backup,
            "mapping": self.mapping,
            "target": self.target,
            "engine": dict(self.engine),
            "made_at": self.made_at,
            "run": self.run,
            "position": self.position,
            "tables": {name: _table_json(table) for name, table in self.tables.items()},
        }


def manifest_text(manifest: Manifest, key: Ed25519PrivateKey | None) -> str:
    """The whole file: the statement and, with a key, its signature."""
    statement = manifest.to_json()
    envelope: dict[str, Any] = {"backup": statement}
    if key is not None:
        # A run loads no cryptography, and neither does a backup without a key.
        from migrate.signing.keys import key_id

        signature = base64.b64encode(key.sign(_signed_bytes(statement))).decode()
        envelope["signature"] = {"key": key_id(key.public_key()), "ed25519": signature}
    return canonical_json(envelope) + "\n"


def read_manifest(folder: Path, trust: Path | None) -> Manifest:
    """The manifest of a backup, unchanged since it was signed where `trust` names a public key.

    Raises:
        InputError: it or the key cannot be read.
        NotProven: it is none (`form`), not signed with that key (`signer`), or altered (`signature`).
    """
    path = folder / MANIFEST
    # Before the manifest: a key that is mistyped says nothing about the backup.
    key = None if trust is None else _public_key(trust)
    try:
        envelope = parse_strictly(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", next_step="name the folder with --dir") from error
    except ValueError as error:
        raise _unusable("form", f"not a manifest: {error}", path) from error
    try:
        if key is not None:
            _check_signature(envelope, key, path)
        return _manifest(envelope["backup"])
    except ValueError as error:
        raise _unusable("form", f"not a manifest: {error}", path) from error
    except KeyError as error:
        raise _unusable("form", f"not a manifest: it does not say {error}", path) from error
    except (TypeError, AttributeError) as error:
        raise _unusable("form", "not a manifest: its parts are not of the kind that they should be", path) from error
    except InputError as error:
        raise _unusable("form", f"not a manifest: {error.message}", path) from error


def _public_key(trust: Path) -> Ed25519PublicKey:
    from migrate.signing.keys import read_public_key

    return read_public_key(trust)


def _check_signature(envelope: Any, key: Ed25519PublicKey, path: Path) -> None:
    from migrate.signing.keys import holds, key_id

    signature = envelope.get("signature")
    if signature is None:
        raise _unusable("signer", "the backup is not signed", path)
    if signature["key"] != key_id(key):
        raise _unusable("signer", "the backup is signed with another key than the one that you trust", path)
    try:
        signed = base64.b64decode(signature["ed25519"], validate=True)
    except binascii.Error as error:
        raise _unusable("signature", "the signature of the manifest cannot be read", path) from error
    if not holds(key, signed, _signed_bytes(envelope["backup"])):
        raise _unusable("signature", "the manifest was altered: its signature does not fit what it states", path)


def _unusable(reason: str, message: str, path: Path) -> MigrateError:
    return NotProven(reason, message, where=str(path), next_step="use another backup, or make one while you can")


def _signed_bytes(statement: Mapping[str, Any]) -> bytes:
    # The first line keeps a signature over a backup from ever being one over something else.
    return f"{FORMAT}\n{canonical_json(statement)}".encode()


def _manifest(statement: Any) -> Manifest:
    if statement["format"] != FORMAT:
        raise ValueError(f"a backup of a version that is not known here: {statement['format']}")
    tables = {name: _table(entry) for name, entry in statement["tables"].items()}
    facts = {name: statement[name] for name in ("backup", "mapping", "target", "engine", "made_at", "run", "position")}
    return Manifest(**facts, tables=tables)


def _table_json(table: TableEntry) -> dict[str, Any]:
    return {
        "key": list(table.key),
        "scope": table.scope,
        "rows": table.rows,
        "digest": str(table.digest),
        "contract": table.contract.json,
        "declared": dict(table.declared),
        "files": [
            {"name": each.name, "rows": each.rows, "groups": each.groups, "sha256": each.sha256} for each in table.files
        ],
    }


def _table(entry: Any) -> TableEntry:
    files = tuple(FileEntry(each["name"], each["rows"], each["groups"], each["sha256"]) for each in entry["files"])
    if any(Path(each.name).name != each.name for each in files):
        raise ValueError("a file outside of the folder of the backup")
    digest = SetDigest.parse(entry["digest"])
    if digest.count != entry["rows"] or digest.count != sum(each.rows for each in files):
        raise ValueError("numbers of rows that do not add up")
    contract = Contract.from_json(entry["contract"])
    return TableEntry(tuple(entry["key"]), entry["scope"], digest, contract, entry["declared"], files)
