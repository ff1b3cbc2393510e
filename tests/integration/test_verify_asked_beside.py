"""The source's own totals are asked beside the walk where a second connection sees the same snapshot; without it all is as before, only later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from migrate.stores.opening import open_source
from migrate.stores.port import SharingReader, SqlReader
from migrate.stores.postgres_source import PostgresReader
from migrate.values import SourceSpec
from migrate.verify import replay
from migrate.verify.state import StateAt
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: bills
source: {table: src, key: [no]}
targets:
  - {table: dst, key: [no], fields: {no: no, net: net, state: state}}
"""
TOTALS = """
totals:
  - {target: dst, by: {state: state}, sum: [net]}
"""
ROWS = 2000
ADDED = "totals asked of the source in its own SQL, all equal: dst (net) / state"


class Site:
    """A source that a user with few rights reads, migrated into SQLite; who asked it for what."""

    def __init__(self, url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.owner = Database(url)
        self.database = make_url(url).database
        self.user = f"reader_{self.database}"
        self.owner.run(
            "CREATE TABLE src (no bigint PRIMARY KEY, net numeric(18,2) NOT NULL, state text NOT NULL)",
            f"INSERT INTO src SELECT n, n / 100.0, n % 3 FROM generate_series(1, {ROWS}) AS n",
            f"CREATE ROLE {self.user} LOGIN",
            f"GRANT SELECT ON src TO {self.user}",
        )
        target = Database(f"sqlite:///{place / 'target.db'}")
        target.run("CREATE TABLE dst (no bigint PRIMARY KEY, net DECIMAL_TEXT(18,2) NOT NULL, state text NOT NULL)")
        self.source = make_url(url).set(username=self.user).render_as_string(hide_password=False)
        self._place, self._target = place, target.url
        self.readers: list[PostgresReader] = []
        self.asked: list[PostgresReader] = []
        self.before_asking: Callable[[PostgresReader], None] = lambda _reader: None
        opened, ask = PostgresReader.__init__, PostgresReader.ask

        def noted(reader: PostgresReader, *given: Any) -> None:
            opened(reader, *given)
            self.readers.append(reader)

        def noted_asking(reader: PostgresReader, statement: str) -> list[tuple[Any, ...]]:
            if "sum(" in statement:
                self.asked.append(reader)
                self.before_asking(reader)
            return ask(reader, statement)

        monkeypatch.setattr(PostgresReader, "__init__", noted)
        monkeypatch.setattr(PostgresReader, "ask", noted_asking)
        monkeypatch.setattr(replay, "CHUNK_BYTES", 4096)

    def migrate(self, totals: str = TOTALS) -> None:
        """Run."""
        self.plan = plan_of(self._place, MAPPING + totals, self.source, self._target)
        run_scheduled(self.plan)
        self.readers.clear()

    def verified(self, watch: Callable[[str, int], None] = lambda _side, _rows: None) -> Verification:
        """Verify; nothing of it runs on afterwards."""
        try:
            return verify_plan(self.plan, VerifyOptions(), watch)
        finally:
            assert not [each.name for each in threading.enumerate() if each.name.startswith("verify")]

    def close(self) -> None:
        """Drop the user."""
        self.owner.run(f"DROP OWNED BY {self.user}", f"DROP ROLE {self.user}")


@pytest.fixture
def site(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Two thousand bills, read in many chunks."""
    made = Site(postgres_url, tmp_path, monkeypatch)
    yield made
    made.close()


def said(found: Verification) -> list[str]:
    """What is said about the source's own totals."""
    return [note.text() for note in found.coverage[0].notes]


def test_the_source_is_asked_while_it_is_read(site: Site) -> None:
    """The question waits for rows of the walk here, which it could not before it; both see one moment, though rows change meanwhile."""
    site.migrate()
    reading = threading.Event()

    def change(reader: PostgresReader) -> None:
        assert reader is site.readers[1]
        assert reading.wait(60)
        site.owner.run("UPDATE src SET net = net + 1", "DELETE FROM src WHERE no > 1900")

    def watch(side: str, rows: int) -> None:
        if (side, rows > 0) == ("source", True):
            reading.set()

    site.before_asking = change
    found = site.verified(watch)
    assert (found.verdict, [*map(str, found.not_verified)], ADDED in said(found)) == ("EQUAL", [], True), said(found)
    assert site.asked == site.readers[1:2]


def no_place(site: Site) -> None:
    """The user may have no connection more than are there."""
    site.owner.run(f"ALTER ROLE {site.user} CONNECTION LIMIT 1")


def no_right(site: Site) -> None:
    """Nobody may export a snapshot."""
    site.owner.run("REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC")


def another_server(site: Site) -> None:
    """What one connection exports no other one knows, as behind a pooler of several servers."""
    site.owner.run(
        "CREATE FUNCTION public.pg_export_snapshot() RETURNS text LANGUAGE sql AS $$ SELECT '0000AAAA-0000BBBB-1' $$",
        f"ALTER DATABASE {site.database} SET search_path = public, pg_catalog",
    )


@pytest.mark.parametrize("refusal", [no_place, no_right, another_server])
def test_a_server_that_gives_no_second_one_is_asked_before(
    site: Site, refusal: Callable[[Site], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No place for a connection more, no right to export, a pooler: the one reader asks first, and the result is the same."""
    site.migrate()
    now = PostgresReader.now

    def refused(reader: PostgresReader) -> str:
        # Between the reader of the walk and the one beside it.
        if refusal is no_place:
            refusal(site)
        return now(reader)

    monkeypatch.setattr(PostgresReader, "now", refused)
    if refusal is not no_place:
        refusal(site)
    walked: list[int] = []
    site.before_asking = lambda _reader: walked.append(-1)
    found = site.verified(lambda side, rows: walked.append(rows) if side == "source" and rows else None)
    assert (found.verdict, ADDED in said(found)) == ("EQUAL", True), found.to_json()
    assert (site.asked, walked[0], walked.count(-1)) == (site.readers[:1], -1, 1)


def test_a_snapshot_is_shared_after_a_statement_that_failed(site: Site) -> None:
    """What a reader could not answer before stands in the way of nothing."""
    site.migrate()
    with closing(open_source(SourceSpec(site.source, table="src")).reader()) as reader:
        assert isinstance(reader, SqlReader)
        with pytest.raises(Exception, match="no_such"):
            reader.ask("SELECT no_such FROM src")
        assert isinstance(reader, SharingReader)
        with closing(reader.another()) as another:
            site.owner.run("DELETE FROM src")
            assert another.ask("SELECT count(*) FROM src") == [(ROWS,)]


def test_who_has_nothing_to_ask_opens_nothing(site: Site) -> None:
    """A mapping without totals is verified on one connection to the source."""
    site.migrate(totals="")
    assert (site.verified().verdict, len(site.readers), site.asked) == ("EQUAL", 1, [])


def test_a_connection_that_is_lost_beside_the_walk_ends_it(site: Site) -> None:
    """As when it asked before: what could not be walked to its end is not verified, and the walk does not go on for nothing."""
    site.migrate()

    def end(reader: PostgresReader) -> None:
        [(process,)] = reader._connection.rows("SELECT pg_backend_pid()")
        site.owner.run(f"SELECT pg_terminate_backend({process}, 60000)")

    site.before_asking = end
    found = site.verified()
    assert (found.verdict, found.exit_code) == ("NOT_VERIFIED", 6), found.to_json()
    (told,) = found.not_verified
    assert told.sentences()[0] == "the source"
    assert "the connection to the database is gone" in told.sentences()[1]


def test_what_the_watcher_raises_beside_the_walk_ends_it(site: Site) -> None:
    """An interruption that reaches the asking thread is raised as it is, whoever of both hears it."""
    site.migrate()

    class Enough(Exception):
        """No more."""

    def watch(side: str, rows: int) -> None:
        if (side, rows) == ("source", 0):
            raise Enough

    with pytest.raises(Enough):
        site.verified(watch)
    assert site.asked == []


def test_a_source_that_is_kept_is_not_asked_ahead(site: Site, tmp_path: Path) -> None:
    """A verification that goes on behind the walk of the source opens no second connection for it."""
    site.migrate()
    state = VerifyOptions(state=StateAt(tmp_path / "state"))
    site.owner.run(f"GRANT pg_monitor TO {site.user}")

    class Killed(Exception):
        """The process is gone."""

    done = threading.Event()

    def kill(side: str, rows: int) -> None:
        if side == "source" and rows and sum_of(rows) == ROWS:
            done.set()
        if side == "target" and rows:
            assert done.wait(60)
            raise Killed

    counted: list[int] = []

    def sum_of(rows: int) -> int:
        counted.append(rows)
        return sum(counted)

    with pytest.raises(Killed):
        verify_plan(site.plan, state, kill)
    site.readers.clear()
    found = verify_plan(site.plan, state)
    assert (found.verdict, len(site.readers)) == ("EQUAL", 1)
