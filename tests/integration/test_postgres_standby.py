"""A hot standby as the source: a migration need not burden the server that people work on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrate.stores.opening import open_source
from migrate.stores.port import PositionedReader
from migrate.values import SourceSpec
from migrate.verify.state import StateAt
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.databases import PostgresServer
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: bills
source: {table: src, key: [no], where: "state <> 'gone'"}
targets:
  - {table: dst, key: [no], fields: {no: no, net: net, state: state}}
totals:
  - {target: dst, by: {state: state}, sum: [net]}
"""
ROWS = 500


class Standby(PostgresServer):
    """A server that replays what another one writes."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        shutil.rmtree(self.data)
        copy = [str(self.programs / "pg_basebackup"), "-D", str(self.data), "-h", str(primary.folder), "-U", "postgres"]
        subprocess.run([*copy, "-R", "-X", "stream", "-c", "fast"], check=True, user=self._system_user, cwd=self.folder)

    def caught_up(self, primary: PostgresServer) -> None:
        """Return when it has all that the primary has written."""
        [(end,)] = primary.execute("SELECT pg_current_wal_lsn()::text")
        self.execute(
            f"DO $$ BEGIN WHILE pg_last_wal_replay_lsn() < '{end}' LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
        )


@pytest.fixture
def pair() -> Iterator[tuple[PostgresServer, Standby]]:
    """A server and its standby, with one table."""
    primary = PostgresServer()
    primary.start()
    database = Database(primary.url("postgres"))
    database.run("CREATE TABLE src (no bigint PRIMARY KEY, net numeric(18,2) NOT NULL, state text NOT NULL)")
    database.insert("src", [{"no": n, "net": f"{n}.{n % 100:02}", "state": "gone" if n % 9 == 4 else "01"} for n in range(ROWS)])  # fmt: skip
    standby = Standby(primary)
    standby.start()
    yield primary, standby
    standby.close()
    primary.close()


def test_a_standby_is_migrated_and_verified(
    pair: tuple[PostgresServer, Standby], postgres_url: str, tmp_path: Path
) -> None:
    """Run, verification and the source's own totals read a standby in one snapshot each, and see what the primary wrote."""
    primary, standby = pair
    target = Database(postgres_url)
    target.run("CREATE TABLE dst (no bigint PRIMARY KEY, net numeric(18,2) NOT NULL, state text NOT NULL)")
    plan = plan_of(tmp_path, MAPPING, standby.url("postgres"), postgres_url)
    run_scheduled(plan)
    found = verify_plan(plan, VerifyOptions())
    assert found.verdict == "EQUAL", found.to_json()
    said = [note.text() for note in found.coverage[0].notes]
    assert "totals asked of the source in its own SQL, all equal: dst (net) / state" in said
    primary.execute("UPDATE src SET net = net + 1 WHERE no = 1")
    standby.caught_up(primary)
    found = verify_plan(plan, VerifyOptions())
    assert [each.key["no"] for each in found.targets["dst"].differences] == ["1"]


def test_a_standby_says_nothing_of_its_position(
    pair: tuple[PostgresServer, Standby], postgres_url: str, tmp_path: Path
) -> None:
    """Its snapshots do not tell two states apart for certain, so a verification that goes on reads it again: a row that changed in between is found."""
    primary, standby = pair
    for server, known in ((primary, True), (standby, False)):
        with closing(open_source(SourceSpec(server.url("postgres"), table="src")).reader()) as reader:
            assert isinstance(reader, PositionedReader)
            assert (reader.position() is not None) is known
    target = Database(postgres_url)
    target.run("CREATE TABLE dst (no bigint PRIMARY KEY, net numeric(18,2) NOT NULL, state text NOT NULL)")
    plan = plan_of(tmp_path, MAPPING, standby.url("postgres"), postgres_url)
    run_scheduled(plan)
    state = VerifyOptions(state=StateAt(tmp_path / "state"))

    class Killed(Exception):
        """The process is gone."""

    def kill(side: str, rows: int) -> None:
        if side == "target" and rows:
            raise Killed

    with pytest.raises(Killed):
        verify_plan(plan, state, kill)
    primary.execute("UPDATE src SET net = net + 1 WHERE no = 1")
    standby.caught_up(primary)
    assert verify_plan(plan, state).verdict == "DIFFERENT"
