"""A rehearsal runs, verifies and takes back on a copy: the target keeps every row, and its log gets the evidence."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from migrate.engine.events import Notice
from migrate.engine.options import RunOptions
from migrate.engine.run import run
from migrate.engine.stop import StopToken
from migrate.errors import InputError, Interrupted, Paused, StateError
from migrate.rehearsal.rehearse import Asked, Rehearsed, rehearse
from migrate.rehearsal.sample import Wanted
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

    def rehearse(
        self, *paths: Path, on: str | None = None, sample: Wanted | None = None, stop: StopToken | None = None
    ) -> list[Rehearsed]:
        """The rehearsal of these mappings (default: all)."""
        options = RunOptions(source=self.source, target=self.url, batch_rows=7)
        asked = Asked(on, sample)
        return rehearse(paths or self.paths, options, asked, stop=stop or StopToken(), listen=lambda _: None)

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
    with pytest.raises(Paused) as paused:
        site.rehearse()
    # A run of the target itself is no next step: nothing was rehearsed.
    assert "migrate run" not in (paused.value.next_step or "migrate run")
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
    rehearse(site.paths[:1], options, Asked(), stop=StopToken(), listen=listen)
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
    (heads,) = rehearse(site.paths[:1], options, Asked(copy.url), stop=StopToken(), listen=leave_a_row)
    assert (heads.verdict, heads.restored, heads.exit_code) == ("EQUAL", False, 1)
    assert '"restored":false' in site.events()[0]["detail"]


def test_a_sample_is_verified_as_a_sample(site: Site) -> None:
    """A third of the rows, from eight places: verified and taken back as all would be, whatever else is within the scope; the evidence says that it was a sample."""
    site.target.run("INSERT INTO head (id, name) VALUES (997, 'of nobody')")
    before = site.rows()
    (heads,) = site.rehearse(site.paths[0], sample=16)
    assert (heads.verdict, heads.restored, heads.rest_untouched, heads.exit_code) == ("EQUAL", True, True, 0)
    assert heads.sample is not None
    assert (heads.summary.counts.read, heads.full_rows, len(heads.sample.ranges)) == (16, 60, 8)
    # Two of each seven or eight, from the first row on.
    assert [each.upto for each in heads.sample.ranges] == [(1,), (8,), (16,), (23,), (31,), (38,), (46,), (53,)]
    assert heads.full_seconds is None
    evidence = json.loads(site.events()[0]["detail"])
    assert (evidence["whole"], evidence["fingerprint"]) == (False, heads.plan.fingerprint)
    assert evidence["sample"] == {"rows": 16, "of": 60, "ranges": 8, "rest_untouched": True}
    assert evidence["at_full_size"] == {"rows": 60, "seconds": None, "from_rows": 0}
    assert site.rows() == before


def test_a_sample_is_not_lenient(site: Site, new_database: Callable[[str], str], database_kind: str) -> None:
    """A row of the sample that is altered between run and verification is DIFFERENT; one that is none of it and is altered is told as well."""
    copy = Database(new_database(database_kind))
    make_tables(copy)
    copy.run("INSERT INTO head (id, name) VALUES (997, 'of nobody')")
    spoiling = ["UPDATE head SET name = 'spoilt' WHERE id = 23", "UPDATE head SET name = 'spoilt' WHERE id = 997"]

    def spoil(event: object) -> None:
        if isinstance(event, Notice) and event.message == "rehearsal: verify":
            copy.run(spoiling.pop())
        elif isinstance(event, Notice) and event.message == "rehearsal: rollback":
            copy.run("UPDATE head SET name = 'beta' WHERE name = 'spoilt' AND id < 900")
            copy.run("UPDATE head SET name = '贝塔 100%' WHERE name = 'beta'")

    options, asked = RunOptions(source=site.source, target=site.url), Asked(copy.url, 16)
    (beside,) = rehearse(site.paths[:1], options, asked, stop=StopToken(), listen=spoil)
    assert (beside.verdict, beside.rest_untouched, beside.exit_code) == ("EQUAL", False, 1)
    (within,) = rehearse(site.paths[:1], options, asked, stop=StopToken(), listen=spoil)
    assert (within.verdict, within.rest_untouched, within.exit_code) == ("DIFFERENT", True, 1)


def test_a_sample_tells_what_all_would_take(site: Site) -> None:
    """By the pace of its rows in each step, but for the first two of eight ranges; the evidence says from how many rows that is."""
    Database(site.source).insert("src", [{"id": n, "name": "a"} for n in range(60, 40_000)])
    options = RunOptions(source=site.source, target=site.url)
    (heads,) = rehearse(site.paths[:1], options, Asked(sample=20_000), stop=StopToken(), listen=lambda _: None)
    assert (heads.exit_code, heads.summary.counts.read, heads.full_rows) == (0, 20_000, 40_000)
    assert heads.full_seconds is not None
    assert set(heads.full_seconds) == {"run", "verify", "rollback", "verify_again"}
    steps = ("run", "verify", "rollback")
    assert all(heads.full_seconds[step] > heads.seconds[step] for step in steps)
    assert heads.full_seconds["verify_again"] == heads.seconds["verify_again"]
    assert json.loads(site.events()[0]["detail"])["at_full_size"]["from_rows"] == 15_000


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_is_judged_on_the_sample_as_a_whole(site: Site, workers: int) -> None:
    """Rejects that lie close together in a few small ranges stop no sample that has few of them in all; one that has too many in all is stopped as a run would be."""
    checks = 'checks: [{id: early, target: head, assert: "id not in (0, 1, 7)", level: reject}]\n'
    options, asked = RunOptions(source=site.source, target=site.url, batch_rows=7, workers=workers), Asked(sample=16)

    def rehearsed(limits: str) -> list[Rehearsed]:
        site.paths[0].write_text(f"{HEADS}{checks}limits: {limits}\n", encoding="utf-8")
        return rehearse(site.paths[:1], options, asked, stop=StopToken(), listen=lambda _: None)

    (heads,) = rehearsed('{rejects: "20%", first_batches: 3}')
    assert (heads.verdict, heads.restored, heads.summary.counts.rejected) == ("EQUAL", True, 3)
    with pytest.raises(Paused) as paused:
        rehearsed('{rejects: "18%", first_batches: 3}')
    assert "3 rejects in 16 rows read of the sample are 18.75%" in paused.value.message
    assert "a run of all 60 rows would be paused if the other rows are like these" in paused.value.message
    with pytest.raises(Paused, match="3 rejects of the sample are over the limit of 2: a run of all 60 rows"):
        rehearsed("{rejects: 2, first_batches: 3}")


def test_parents_are_rehearsed_whole(site: Site) -> None:
    """Lines of a sample find their heads: what others of the rehearsal point at is run whole, and the evidence says which is which."""
    heads, lines = site.rehearse(sample=Decimal("0.25"))
    assert (heads.sample, heads.summary.counts.read, heads.full_rows) == (None, 60, 60)
    assert lines.sample is not None
    assert (lines.summary.counts.read, lines.full_rows) == (16, 60)
    assert [(each.verdict, each.restored) for each in (heads, lines)] == [("EQUAL", True)] * 2
    assert [json.loads(each["detail"])["whole"] for each in site.events()] == [True, False]


def test_a_sample_that_is_all_is_the_whole(site: Site) -> None:
    """As many rows as there are, or more, is no sample."""
    for wanted in (60, 61, Decimal(1), 57):
        (heads,) = site.rehearse(site.paths[0], sample=wanted)
        assert (heads.sample, heads.summary.counts.read, heads.verdict) == (None, 60, "EQUAL")


def test_groups_are_sampled_whole(site: Site) -> None:
    """A sample never cuts a group, so a grouped target is verified as in the whole."""
    source = Database(site.source)
    source.run("CREATE TABLE grouped (g integer, id integer, PRIMARY KEY (g, id))")
    source.insert("grouped", [{"g": n // 5, "id": n} for n in range(60)])
    site.paths[0].write_text(
        """
mapping: heads
source: {table: grouped, key: [g, id]}
targets:
  - {table: head, key: [id], one_row_per: [g], scope: "id < 4000", fields: {id: {sql: "3000 + g"}, name: {sql: "cast(count(*) as varchar)"}}}
""",
        encoding="utf-8",
    )
    (heads,) = site.rehearse(site.paths[0], sample=10)
    assert (heads.verdict, heads.restored) == ("EQUAL", True)
    assert heads.summary.counts.read == 20


def test_rows_that_cannot_be_found_again_are_no_sample(site: Site) -> None:
    """A source without a key is refused before anything is copied."""
    source = Database(site.source)
    source.run("CREATE TABLE heap (id integer, name text)")
    site.paths[0].write_text(HEADS.replace("table: src, key: [id]", "table: heap"), encoding="utf-8")
    with pytest.raises(InputError, match="there is no sample of it"):
        site.rehearse(site.paths[0], sample=6)
    assert site.left_over() == []
