"""A verification that is killed goes on from its state file: the verdict of an undisturbed one, without reading finished tables again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from migrate.verify.state import StateAt
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify
from tests.conftest import Servers
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: killed
source: {table: src, key: [id], where: "id <> 5"}
targets:
  - {table: a, key: [id], fields: {id: id, v: v}}
  - {table: b, key: [id], fields: {id: id, w: {sql: "v * 2"}}}
checks: [{id: ODD, target: a, assert: "v <> 7", level: reject}]
totals: [{target: a, by: {odd: "id % 2"}, sum: [v]}]
"""
DEADLINE_SECONDS = 120
LONG_AGO = 1_700_000_000
"""SQLite's files tell their position only once they were left alone for a while."""


@dataclass(frozen=True)
class Case:
    """A migrated pair, and where the state file of its verification is."""

    folder: Path
    source: Database
    target: Database

    @property
    def state(self) -> Path:
        """The state file."""
        return self.folder / "verify.state"

    @property
    def kept(self) -> set[str]:
        """The pieces in the state file."""
        return set(json.loads(self.state.read_bytes())["body"]["pieces"]) if self.state.exists() else set()

    def settle(self) -> None:
        """Let the files of SQLite be old."""
        for each in (self.source, self.target):
            age(each, LONG_AGO)

    def verified(self, told: list[tuple[str, str]] | None = None) -> Verification:
        """The verdict, going on from the state file where there is one."""
        said: list[tuple[str, str]] = [] if told is None else told
        return _verified(self.folder, self.source.url, self.target.url, lambda _side, _rows: None, said)

    def killed(self, side: str, chunk: int, after: str | None) -> None:
        """Verify in a process that is killed with this chunk of this side in hand, once the piece `after` is in the file."""
        context = multiprocessing.get_context("forkserver")
        process = context.Process(
            target=_die, args=(self.folder, self.source.url, self.target.url, (side, chunk, after))
        )
        process.start()
        process.join(DEADLINE_SECONDS)
        assert process.exitcode == -signal.SIGKILL


def age(database: Database, written: int) -> None:
    """Let the file of a SQLite database be written last at this time."""
    if database.kind == "sqlite":
        os.utime(str(make_url(database.url).database), (written, written))


def _verified(
    folder: Path, source: str, target: str, watch: Callable[[str, int], None], told: list[tuple[str, str]]
) -> Verification:
    state = StateAt(folder / "verify.state", lambda what, piece: told.append((what, piece)))
    return verify(folder / "mapping.yaml", VerifyOptions(source, target, state=state), watch)


def _die(folder: Path, source: str, target: str, at: tuple[str, int, str | None]) -> None:
    side, chunk, after = at
    seen = {"source": 0, "target": 0}
    state = folder / "verify.state"

    def watch(which: str, _rows: int) -> None:
        seen[which] += 1
        if (which, seen[which]) == (side, chunk):
            # Another thread writes the file, and tells nobody.
            while after is not None and not (
                state.exists() and after in json.loads(state.read_bytes())["body"]["pieces"]
            ):
                threading.Event().wait(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    _verified(folder, source, target, watch, [])


@pytest.fixture(params=["postgresql", "sqlite"])
def case(request: pytest.FixtureRequest, new_database: Callable[[str], str], servers: Servers, tmp_path: Path) -> Case:
    """Two targets of one source, migrated, on one kind of database."""
    if request.param == "postgresql":
        # What it writes moves the server on as any other transaction does.
        for statement in ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"):
            servers.get("postgresql").execute(statement)
    source, target = Database(new_database(request.param)), Database(new_database(request.param))
    source.run("CREATE TABLE src (id integer PRIMARY KEY, v integer)")
    source.insert("src", [{"id": number, "v": number} for number in range(50)])
    target.run("CREATE TABLE a (id integer NOT NULL PRIMARY KEY, v integer)")
    target.run("CREATE TABLE b (id integer NOT NULL PRIMARY KEY, w integer)")
    run_scheduled(plan_of(tmp_path, MAPPING, source.url, target.url))
    made = Case(tmp_path, source, target)
    made.settle()
    return made


def seen(found: Verification) -> dict[str, Any]:
    """What the verdict is made of."""
    document = found.to_json()
    return {name: document[name] for name in ("verdict", "not_verified", "targets", "totals", "rules")}


def read_again(found: Verification) -> set[str]:
    """The pieces that were read, and not taken from the state file."""
    return {
        "source" if each.side == "source" else f"target {each.table}"
        for each in found.coverage
        if "state file" not in " ".join(each.sentences())
    }


@pytest.mark.parametrize(
    ("side", "chunk", "after"),
    [
        ("source", 1, None),
        ("target", 1, None),
        ("target", 1, "source"),
        ("target", 2, None),
        ("target", 2, "source"),
        ("source", 1, "target b"),
    ],
)
def test_a_killed_verification_goes_on(case: Case, side: str, chunk: int, after: str | None) -> None:
    """Killed anywhere, it ends as if nothing had been, reads exactly what is not in the file, and leaves no file."""
    undisturbed = case.verified()
    assert not case.state.exists()
    case.killed(side, chunk, after)
    kept = case.kept
    assert after is None or after in kept
    assert chunk == 1 or "target a" in kept
    assert case.state.stat().st_mode & 0o777 == 0o600 if kept else not case.state.exists()
    told: list[tuple[str, str]] = []
    found = case.verified(told)
    assert seen(found) == seen(undisturbed)
    assert (found.verdict, found.groups) == ("EQUAL", 2), found.to_json()
    assert read_again(found) == {"source", "target a", "target b"} - kept
    assert set(told) == {("kept", piece) for piece in kept}
    assert not case.state.exists()


@pytest.mark.parametrize("moved", ["source", "target"])
def test_a_row_that_changed_meanwhile_is_found(case: Case, moved: str) -> None:
    """A side that somebody wrote to after the kill is read again, and the change is a difference."""
    case.killed("source", 1, "target b") if moved == "target" else case.killed("target", 1, "source")
    kept = case.kept
    changed, statement = {
        "source": (case.source, "UPDATE src SET v = 100 WHERE id = 9"),
        "target": (case.target, "UPDATE b SET w = 100 WHERE id = 9"),
    }[moved]
    changed.run(statement)
    age(changed, LONG_AGO + 60)
    told: list[tuple[str, str]] = []
    found = case.verified(told)
    assert found.verdict == "DIFFERENT"
    (difference,) = found.targets["b"].differences
    assert (difference.kind, difference.key) == ("changed", {"id": "9"})
    assert {piece for what, piece in told if what == "moved"} >= {each for each in kept if each.startswith(moved)}
    assert not case.state.exists()


def test_what_cannot_be_told_is_read_again(case: Case, mariadb_url: str) -> None:
    """A target whose position no database tells is never kept, and that is said; the source is."""
    target = Database(mariadb_url)
    target.run("CREATE TABLE a (id integer NOT NULL PRIMARY KEY, v integer)")
    target.run("CREATE TABLE b (id integer NOT NULL PRIMARY KEY, w integer)")
    run_scheduled(plan_of(case.folder, MAPPING, case.source.url, target.url))
    other = Case(case.folder, case.source, target)
    other.settle()
    other.killed("target", 2, "source")
    assert other.kept == {"source"}
    told: list[tuple[str, str]] = []
    found = other.verified(told)
    assert (found.verdict, read_again(found)) == ("EQUAL", {"target a", "target b"})
    assert set(told) == {("kept", "source"), ("untold", "target a"), ("untold", "target b")}
