"""The wrong database, key, name or folder given to a backup command: refused, nothing made or touched, and no backup is called spoilt for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.errors import InputError, NotProven, StateError
from migrate.signing.keys import generate_key
from tests.integration.test_rollback import prepared
from tests.integration.test_undo import MAPPING
from tests.rig.database import Database
from tests.rig.kept import checked, created, restored


def test_a_database_that_is_the_wrong_one_gets_nothing(tmp_path: Path, sqlite_url: str) -> None:
    """A target without the tables: refused, and neither file, ledger nor folder is made; `check` makes no ledger either."""
    prepared(tmp_path, Database(sqlite_url), MAPPING.format(mode="update"))
    missing, empty = tmp_path / "missing.db", Database(f"sqlite:///{tmp_path / 'empty.db'}")
    empty.run("CREATE TABLE other (a)")
    for url in (f"sqlite:///{missing}", empty.url):
        with pytest.raises(InputError, match=r"there is no table|no file"):
            created(tmp_path, url)
    assert not missing.exists()
    assert not (tmp_path / "backups").exists()
    created(tmp_path, sqlite_url)
    with pytest.raises(StateError, match="there is no ledger in this database"):
        checked(tmp_path, empty.url)
    assert empty.rows("SELECT name FROM sqlite_master") == [{"name": "other"}]


def test_a_mistake_in_the_command_says_nothing_about_the_backup(tmp_path: Path, sqlite_url: str) -> None:
    """A key that is not there, a private key, and a pattern in the place of a name are wrong input; the log does not know the backup as spoilt."""
    target = Database(sqlite_url)
    prepared(tmp_path, target, MAPPING.format(mode="update"))
    key = tmp_path / "our.key"
    generate_key(key)
    created(tmp_path, sqlite_url, key)
    for trust in (tmp_path / "no.key.pub", key):
        with pytest.raises(InputError):
            checked(tmp_path, sqlite_url, trust=trust)
    for name in ("*", "../*", "[0-9]*"):
        with pytest.raises(StateError, match="there is no backup"):
            checked(tmp_path, sqlite_url, name)
    assert target.rows("SELECT * FROM migrate_event WHERE kind LIKE '%failed'") == []


def test_a_backup_of_another_target_is_not_restored(
    tmp_path: Path, new_database: Callable[[str], str], database_kind: str
) -> None:
    """A target whose log does not know the backup refuses it, though it has the same tables."""
    one, other = (new_database(database_kind) for _ in range(2))
    prepared(tmp_path, Database(one), MAPPING.format(mode="update"))
    created(tmp_path, one)
    (tmp_path / "units.db").unlink()
    prepared(tmp_path, Database(other), MAPPING.format(mode="update"))
    with pytest.raises(StateError, match="no ledger"):
        restored(tmp_path, other)
    with pytest.raises(StateError, match="no ledger"):
        checked(tmp_path, other)
    # A backup of its own makes a ledger.
    shutil.rmtree(created(tmp_path, other).folder)
    with pytest.raises(NotProven, match="does not know it"):
        restored(tmp_path, other)
    with pytest.raises(NotProven, match="does not know it"):
        checked(tmp_path, other)
