"""A rehearsal runs, verifies and takes back on a copy: the target keeps every row, and its log gets the evidence."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate.engine.events import Notice
from migrate.engine.options import RunOptions
from migrate.engine.run import run
from migrate.engine.stop import StopToken
from migrate.errors import InputError, Interrupted, Paused, StateError
from migrate.rehearsal.rehearse import Rehearsed, rehearse
from migrate.rollback.request import Request
from migrate.rollback.rollback import rollback
from tests.rig.back import log_verdict, table_digests
from tests.rig.database import Database

HEADS = """
mapping: heads
source: {table: src, key: [id], where: "id < 50"}
targets:
  - {table: head, key: [id], scope: "id < 1000", on_conflict: update, fields: {id: id, name: {from: name, lookup: codes, take: meaning, default: other}}}
lookups: {codes: {target_table: code, key: code}}
"""
LINES = """
mapping: lines
source: {table: src, key: [id]}
targets:
  - {table: line, key: [id], scope: "id < 100", fields: {id: id, head: {sql: "case when id % 10 = 9 then 77 else id end"}}}
"""


class Site:
    """A source of sixty rows, a target with rows of its own, and two mappings of which the second needs the first."""

    def __init__(self, place: Path, url: str) -> None:
        self.place, self.url = place, url
        source, self.target = Database(f"sqlite:///{place / 'source.db'}"), Database(url)
        self.source = source.url
        source.run("CREATE TABLE src (id integer PRIMARY KEY, name text)")
        source.insert("src", [{"id": n, "name": "ab"[n % 2]} for n in range(60)])
        make_tables(self.target)
        self.paths = [place / "heads.yaml", place / "lines.yaml"]
        for path, text in zip(self.paths, (HEADS, LINES), strict=True):
            path.write_text(text, encoding="utf-8")

    def rehearse(self, *paths: Path, on: str | None = None, stop: StopToken | None = None) -> list[Rehearsed]:
        """The rehearsal of these mappings (default: all)."""
        options = RunOptions(source=self.source, target=self.url, batch_rows=7)
        return rehearse(paths or self.paths, options, on, stop=stop or StopToken(), listen=lambda _: None)

    def rows(self) -> dict[str, str]:
        """Digests of all tables that are not the ledger's."""
        return table_digests(self.target, "code", "head", "line")

    def events(self) -> list[dict[str, Any]]:
        """The evidence in the target's log."""
        return self.target.rows("SELECT * FROM migrate_event WHERE kind = 'rehearsed' ORDER BY event_no")

    def left_over(self) -> list[Any]:
        """Copies that are still there."""
        if self.target.kind == "sqlite":
            return [path.name for path in self.place.iterdir() if "rehearsal" in path.name]
        return self.target.rows(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '%rehearsal%'"
        )


def make_tables(target: Database) -> None:
    """Codes that are looked up, heads with a number that the database gives, and lines that point at them."""
    numbered = {
        "postgresql": "serial NOT NULL",
        "mariadb": "bigint NOT NULL AUTO_INCREMENT UNIQUE",
        "sqlite": "integer NOT NULL DEFAULT 5",
    }[target.kind]
    target.run(
        "CREATE TABLE code (code varchar(5) NOT NULL PRIMARY KEY, meaning varchar(20))",
        "INSERT INTO code VALUES ('a', 'alpha'), ('b', '贝塔 100%')",
        f"CREATE TABLE head (id bigint NOT NULL PRIMARY KEY, name varchar(20), no {numbered}, spare varchar(9) DEFAULT 'x', CHECK (id > -5))",
        "CREATE TABLE line (id bigint NOT NULL PRIMARY KEY, head bigint NOT NULL, FOREIGN KEY (head) REFERENCES head (id))",
        "INSERT INTO head (id, name, spare) VALUES (3, 'mine', 'kept'), (4, 'alpha', 'x'), (2000, 'outside', 'x')",
        "INSERT INTO line (id, head) VALUES (500, 2000)",
    )


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Site:
    """Fresh."""
    return Site(tmp_path, database_url)


def test_the_target_keeps_its_rows_and_gets_the_evidence(site: Site) -> None:
    """Inserts, updates, a lookup and rejects for want of a parent: run, EQUAL, taken back; nothing of the target changes but its log."""
    before = site.rows()
    heads, lines = site.rehearse()
    assert site.rows() == before
    assert [(each.verdict, each.restored, each.exit_code) for each in (heads, lines)] == [("EQUAL", True, 0)] * 2
    assert heads.summary.counts.targets["head"].updated == 1
    # Every tenth line points at a head that is nowhere, and so do those of heads that are filtered.
    assert lines.summary.counts.rejected == 6 + 9
    assert site.left_over() == []
    evidence = site.events()
    assert [each["mapping"] for each in evidence] == ["heads", "lines"]
    assert [heads.plan.fingerprint in evidence[0]["detail"], '"verdict":"EQUAL"' in evidence[0]["detail"]] == [
        True,
        True,
    ]
    verdict = log_verdict(site.url)
    assert (verdict.findings, verdict.unsealed) == ((), 0)
    assert site.target.rows("SELECT count(*) AS n FROM migrate_run")[0]["n"] == 0


def test_numbers_are_not_drawn_from_the_target(site: Site) -> None:
    """A column that the database numbers goes on in the copy where the target stands, and the target's next number is still its next."""
    site.rehearse(site.paths[0])
    site.target.run("INSERT INTO head (id, name) VALUES (3000, 'next')")
    expected = 5 if site.target.kind == "sqlite" else 4
    assert site.target.rows("SELECT no FROM head WHERE id = 3000")[0]["no"] == expected


def test_what_goes_wrong_is_found_and_entered(site: Site) -> None:
    """A row that only the database refuses: the rehearsal says DIFFERENT, exit 1, and so does the log."""
    site.paths[0].write_text(HEADS.replace("id: id,", 'id: {sql: "id - 6"},'), encoding="utf-8")
    (heads,) = site.rehearse(site.paths[0])
    assert (heads.verdict, heads.restored, heads.exit_code) == ("DIFFERENT", True, 1)
    assert '"verdict":"DIFFERENT"' in site.events()[0]["detail"]


def test_a_run_that_stops_leaves_no_copy_and_no_evidence(site: Site) -> None:
    """A limit pauses the run of the rehearsal, or somebody stops it: no evidence, nothing left, and the rows as they were."""
    before = site.rows()
    site.paths[1].write_text(LINES + 'limits: {rejects: "0", first_batches: 1}\n', encoding="utf-8")
    with pytest.raises(Paused):
        site.rehearse()
    stop = StopToken()
    stop.set("enough")
    with pytest.raises(Interrupted):
        site.rehearse(stop=stop)
    assert (site.rows(), site.events(), site.left_over()) == (before, [], [])


def test_a_run_that_the_copy_brought_along_is_not_taken_back(
    site: Site, new_database: Callable[[str], str], database_kind: str
) -> None:
    """A copy with a ledger and a run in it is refused, and nothing of it is touched; taken back there as the message says, it is rehearsed on."""
    url = new_database(database_kind)
    copy = Database(url)
    make_tables(copy)
    options = RunOptions(source=site.source, target=url, batch_rows=7, no_backup=True)
    run(site.paths, options, stop=StopToken(), listen=lambda _: None)
    before = table_digests(copy, "code", "head", "line")
    with pytest.raises(StateError, match="the rehearsal would take that one back") as refused:
        site.rehearse(on=url)
    assert f"migrate rollback {site.paths[0]} --target " in (refused.value.next_step or "")
    assert table_digests(copy, "code", "head", "line") == before
    for path in reversed(site.paths):
        rollback(path, options, Request(), stop=StopToken(), listen=lambda _: None)
    assert [each.exit_code for each in site.rehearse(on=url)] == [0, 0]


def test_a_copy_of_the_users_own(site: Site, new_database: Callable[[str], str], database_kind: str) -> None:
    """`--on` names a copy: it is used as it is and left as it was; the target itself, and one that is not alike, are refused."""
    url = new_database(database_kind)
    copy = Database(url)
    make_tables(copy)
    before, its_rows = site.rows(), table_digests(copy, "code", "head", "line")
    assert [each.exit_code for each in site.rehearse(on=url)] == [0, 0]
    assert (site.rows(), table_digests(copy, "code", "head", "line")) == (before, its_rows)
    with pytest.raises(InputError, match="names the target itself"):
        site.rehearse(on=site.url)
    copy.run(
        "ALTER TABLE line RENAME TO line_old",
        "CREATE TABLE line (id bigint NOT NULL PRIMARY KEY, head varchar(40) NOT NULL)",
    )
    with pytest.raises(StateError, match="the copy is not like the target of lines"):
        site.rehearse(on=url)


def test_the_target_under_another_url_is_no_copy(site: Site) -> None:
    """A path through another folder, an option more: nothing is run, and nothing but the attempt is logged."""
    before, address = site.rows(), site.url
    if site.target.kind == "sqlite":
        folder, slash, name = address.rpartition("/")
        (site.place / "beside").mkdir()
        address = f"{folder}{slash}beside/../{name}"
    else:
        option = {"postgresql": "application_name=copy", "mariadb": "charset=utf8mb4"}[site.target.kind]
        address += f"{'&' if '?' in address else '?'}{option}"
    with pytest.raises(InputError, match="names the target itself"):
        site.rehearse(on=address)
    assert (site.rows(), site.events()) == (before, [])
    assert site.target.rows("SELECT count(*) AS n FROM migrate_run")[0]["n"] == 0
    verdict = log_verdict(site.url)
    assert (verdict.findings, verdict.unsealed) == ((), 0)


def test_a_copy_is_read_by_whoever_reads_the_original(tmp_path: Path, sqlite_url: str) -> None:
    """SQLite: the file with all the rows has the permissions of the target's, from its first byte on."""
    site = Site(tmp_path, sqlite_url)
    Path(sqlite_url.removeprefix("sqlite:///")).chmod(0o600)
    modes: set[int] = set()

    def listen(_event: object) -> None:
        modes.update(stat.S_IMODE((site.place / name).stat().st_mode) for name in site.left_over())

    options = RunOptions(source=site.source, target=site.url)
    rehearse(site.paths[:1], options, None, stop=StopToken(), listen=listen)
    assert modes == {0o600}


def test_a_copy_that_is_not_as_it_was_is_told(
    site: Site, new_database: Callable[[str], str], database_kind: str
) -> None:
    """Whatever is left within the scope after the rollback: not as before, exit 1, and the log says so."""
    copy = Database(new_database(database_kind))
    make_tables(copy)

    def leave_a_row(event: object) -> None:
        if isinstance(event, Notice) and event.message == "rehearsal: verify again":
            copy.run("INSERT INTO head (id, name) VALUES (999, 'left')")

    options = RunOptions(source=site.source, target=site.url)
    (heads,) = rehearse(site.paths[:1], options, copy.url, stop=StopToken(), listen=leave_a_row)
    assert (heads.verdict, heads.restored, heads.exit_code) == ("EQUAL", False, 1)
    assert '"restored":false' in site.events()[0]["detail"]
