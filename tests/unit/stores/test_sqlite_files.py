"""The position of a SQLite database: another one after any change, and none while changes could not be told apart."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.stores.sqlite_files import file_position

LONG_AGO = 1_700_000_000


@pytest.fixture(params=["delete", "wal"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A table, in each way of keeping a journal, and a connection that stays open."""
    path = tmp_path / "a.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
        connection.execute("CREATE TABLE t (v integer)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        yield path, connection


def aged(path: Path) -> None:
    """All of its files were left alone for long."""
    for each in (path, path.with_name(f"{path.name}-wal")):
        if each.exists():
            os.utime(each, (LONG_AGO, LONG_AGO))


def test_any_change_moves_it(database: tuple[Path, sqlite3.Connection]) -> None:
    """The same while nobody writes; another one after a commit, though times are put back and no file has grown."""
    path, connection = database
    aged(path)
    before = file_position(path)
    assert before is not None
    assert file_position(path) == before
    connection.execute("UPDATE t SET v = 2")
    connection.commit()
    aged(path)
    assert file_position(path) not in (None, before)


def test_a_young_file_has_none(database: tuple[Path, sqlite3.Connection]) -> None:
    """What was written just now may be written again within one tick of the clock."""
    path, _ = database
    assert file_position(path) is None


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    """No position, and no error."""
    assert file_position(tmp_path / "none.db") is None
