"""A new run into a scope that holds rows needs a checked backup of them as they are, or the word that none is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.engine.options import RunOptions
from migrate.engine.run import run
from migrate.engine.stop import StopToken
from migrate.errors import NotProven, StateError
from tests.integration.test_backup import SCOPED
from tests.integration.test_rollback import prepared
from tests.integration.test_undo import MAPPING
from tests.rig.back import rolled_back, table_digests
from tests.rig.database import Database
from tests.rig.kept import checked, created, ran, restored
from tests.rig.schedule import plan_of

TABLES = ("doc", "part")


def test_a_scope_that_holds_rows_needs_a_checked_backup(tmp_path: Path, database_url: str) -> None:
    """Refused with both ways on and nothing written, also with a backup that nobody checked; a checked one lets it begin, and is on record."""
    target = Database(database_url)
    source = prepared(tmp_path, target, MAPPING.format(mode="update")).source.url or ""
    before = table_digests(target, *TABLES)
    with pytest.raises(StateError, match="there is no checked backup") as refused:
        ran(tmp_path, source, database_url)
    assert all(way in str(refused.value) for way in ("migrate backup create", "migrate backup check", "--no-backup"))
    made = created(tmp_path, database_url)
    with pytest.raises(StateError, match="there is no checked backup"):
        ran(tmp_path, source, database_url)
    assert table_digests(target, *TABLES) == before
    checked(tmp_path, database_url)
    ran(tmp_path, source, database_url)
    assert begun(target) == {"backup": made.manifest.backup, "manifest": made.manifest.record.manifest}


def test_no_backup_is_on_record(tmp_path: Path, database_url: str) -> None:
    """Who wants none may begin without, and the log says so."""
    target = Database(database_url)
    source = prepared(tmp_path, target, MAPPING.format(mode="update")).source.url or ""
    ran(tmp_path, source, database_url, no_backup=True)
    assert begun(target) == {"no_backup": True}


def test_a_backup_is_of_the_rows_as_they_are(tmp_path: Path, database_url: str) -> None:
    """What the mapping changed since, also by a rollback, makes the backup an old one; one that is made now will do."""
    target = Database(database_url)
    source = prepared(tmp_path, target, MAPPING.format(mode="update")).source.url or ""
    created(tmp_path, database_url)
    checked(tmp_path, database_url)
    ran(tmp_path, source, database_url)
    rolled_back(tmp_path, database_url)
    with pytest.raises(StateError, match="there is no checked backup"):
        ran(tmp_path, source, database_url)
    assert not checked(tmp_path, database_url).current
    with pytest.raises(StateError, match="there is no checked backup"):
        ran(tmp_path, source, database_url)
    created(tmp_path, database_url)
    assert checked(tmp_path, database_url).current
    ran(tmp_path, source, database_url)


def test_a_backup_that_was_put_back_is_current_also_after_a_check(tmp_path: Path, database_url: str) -> None:
    """The rows are those of the backup again; a check that finds it good does not make it old, and one that finds it spoilt does."""
    target = Database(database_url)
    source = prepared(tmp_path, target, MAPPING.format(mode="update")).source.url or ""
    made = created(tmp_path, database_url)
    checked(tmp_path, database_url)
    ran(tmp_path, source, database_url)
    assert not checked(tmp_path, database_url).current
    restored(tmp_path, database_url)
    assert checked(tmp_path, database_url).current
    (first, *_) = sorted(made.folder.glob("*.parquet"))
    content = first.read_bytes()
    first.write_bytes(content[:-9])
    with pytest.raises(NotProven):
        checked(tmp_path, database_url)
    with pytest.raises(StateError, match="there is no checked backup"):
        ran(tmp_path, source, database_url)
    first.write_bytes(content)
    checked(tmp_path, database_url)
    ran(tmp_path, source, database_url)
    assert begun(target)["backup"] == made.manifest.backup
    assert not checked(tmp_path, database_url).current


def test_a_backup_of_other_rows_does_not_count(tmp_path: Path, sqlite_url: str) -> None:
    """A wider scope than the one that was backed up is another one."""
    source = prepared(tmp_path, Database(sqlite_url), SCOPED).source.url or ""
    created(tmp_path, sqlite_url)
    checked(tmp_path, sqlite_url)
    plan_of(tmp_path, MAPPING.format(mode="update"), source, sqlite_url)
    with pytest.raises(StateError, match="there is no checked backup"):
        ran(tmp_path, source, sqlite_url)


def test_an_empty_scope_needs_nothing(tmp_path: Path, database_url: str) -> None:
    """Neither an empty table, nor rows that are all outside of the scope; a run that goes on or is complete is not asked again."""
    target = Database(database_url)
    source = prepared(tmp_path, target, SCOPED).source.url or ""
    target.run("DELETE FROM part", "DELETE FROM doc WHERE c = 'old'")
    first = ran(tmp_path, source, database_url)
    assert begun(target) == {}
    assert ran(tmp_path, source, database_url).run == first.run


def test_a_row_of_which_the_scope_cannot_be_read_may_be_inside(tmp_path: Path, sqlite_url: str) -> None:
    """Nobody can tell whose it is, so it is asked about; one that is only outside is not."""
    target = Database(sqlite_url)
    source = prepared(tmp_path, target, SCOPED).source.url or ""
    target.run("DELETE FROM part", "UPDATE doc SET c = CAST('?' AS blob) WHERE c = 'old'")
    with pytest.raises(StateError, match="doc has rows within its scope already"):
        ran(tmp_path, source, sqlite_url)
    target.run("UPDATE doc SET c = 'theirs', day = 'soon' WHERE k = 'b'")
    assert ran(tmp_path, source, sqlite_url).state == "complete"


def test_several_mappings_are_asked_before_any_writes(
    tmp_path: Path, new_database: Callable[[str], str], sqlite_url: str
) -> None:
    """The first of two has an empty scope, the second does not: nothing is written by either."""
    source, target = Database(sqlite_url), Database(new_database("sqlite"))
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text)")
    source.insert("src", [{"id": 1, "k": "a"}])
    target.run(
        "CREATE TABLE one (id integer NOT NULL PRIMARY KEY)",
        "CREATE TABLE two (id integer NOT NULL PRIMARY KEY REFERENCES one (id))",
    )
    target.run("INSERT INTO one VALUES (9)", "INSERT INTO two VALUES (9)")
    paths = []
    for name, scope in (("one", "id < 9"), ("two", "id <= 9")):
        text = f"mapping: {name}\nsource: {{table: src, key: [id]}}\ntargets:\n"
        text += f'  - {{table: {name}, key: [id], scope: "{scope}", fields: {{id: id}}}}\n'
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    options = RunOptions(source=source.url, target=target.url)
    with pytest.raises(StateError, match="two would begin a new run"):
        run(paths, options, stop=StopToken(), listen=lambda _: None)
    assert target.rows("SELECT id FROM one") == [{"id": 9}]


def begun(target: Database) -> dict[str, object]:
    """What the newest `begin` says about a backup."""
    (row,) = target.rows("SELECT detail FROM migrate_event WHERE kind = 'begin' ORDER BY event_no DESC LIMIT 1")
    detail: dict[str, object] = json.loads(row["detail"])
    del detail["fingerprint"]
    return detail
