"""Files of a backup that were damaged or forged."""

import json
from pathlib import Path

from migrate.backup.manifest import read_manifest
from tests.rig.database import Database


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Cut off the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def altered(path: Path) -> None:
    """State another number of rows of nothing in particular."""
    path.write_text(path.read_text(encoding="utf-8").replace('"position":0', '"position":9'), encoding="utf-8")


def forge(path: Path, target: Database) -> None:
    """Let the manifest state the digest of other rows, and the log know that manifest."""
    digest = json.loads(path.read_text(encoding="utf-8"))["backup"]["tables"]["doc"]["digest"]
    before = read_manifest(path.parent, None).record.manifest
    first, second, *rest = digest.split(":")[1:]
    other = ":".join(("CRE/1", first, str(int(second) + 1), *rest))
    path.write_text(path.read_text(encoding="utf-8").replace(digest, other), encoding="utf-8")
    after = read_manifest(path.parent, None).record.manifest
    target.run(f"UPDATE migrate_event SET detail = replace(detail, '{before}', '{after}')")
