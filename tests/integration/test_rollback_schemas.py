"""Rows hold a run's rows fast from whatever schema they point, and are told with it before anything goes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from migrate.engine.options import RunOptions
from migrate.engine.plan import plan_run
from migrate.errors import RowsChanged, StateError
from migrate.rollback.request import Request
from migrate.rollback.rollback import survey
from migrate.stores.opening import open_target
from tests.databases import MariaDbServer
from tests.integration.test_rollback import SKIPPING, prepared, state
from tests.integration.test_undo import MAPPING
from tests.rig.back import rolled_back
from tests.rig.database import Database
from tests.rig.schedule import run_scheduled
from tests.rig.undo import Content


@dataclass(frozen=True, slots=True)
class Place:
    """A target, and a schema beside its own: on MariaDB another database of the server."""

    target: Database
    other: str

    def child(self, name: str, rule: str = "") -> None:
        """A table in the other schema whose rows point at documents of the target."""
        own = "public" if self.target.kind == "postgresql" else str(make_url(self.target.url).database)
        self.target.run(
            f"CREATE TABLE {self.other}.{name} (id integer PRIMARY KEY, k varchar(20),"
            f" FOREIGN KEY (k) REFERENCES {own}.doc (k) {rule})"
        )

    def count(self, name: str) -> int:
        """How many rows of the other schema's table point at something."""
        return len(self.target.rows(f"SELECT * FROM {self.other}.{name} WHERE k IS NOT NULL"))


@pytest.fixture(params=["postgresql", "mariadb"])
def place(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Place:
    """Fresh."""
    url = new_database(request.param)
    target = Database(url)
    if target.kind == "mariadb":
        return Place(target, str(make_url(new_database("mariadb")).database))
    target.run("CREATE SCHEMA elsewhere")
    return Place(target, "elsewhere")


@pytest.mark.parametrize("name", ["remark", "part"])
def test_rows_of_another_schema_are_told_before_anything_goes_back(tmp_path: Path, place: Place, name: str) -> None:
    """Refused, with schema and table, also where a table of the run has that name; every row and the run as they were; without it all goes back."""
    plan = prepared(tmp_path, place.target, MAPPING.format(mode="update"), 1)
    before = Content.read(plan)
    run_scheduled(plan)
    after = Content.read(plan)
    place.child(name)
    place.target.run(f"INSERT INTO {place.other}.{name} VALUES (1, NULL), (2, 'z'), (3, 'c'), (4, 'c')")
    options = RunOptions(target=place.target.url)
    (seen,) = survey(tmp_path / "mapping.yaml", options, Request(), rows=True).in_the_way
    assert (seen.key, seen.kind) == ('[["s","c"]]', "held")
    assert seen.why == f"held fast: rows of {place.other}.{name} point at it"
    with pytest.raises(RowsChanged, match=f"doc c: held fast: rows of {place.other}.{name} point at it") as refused:
        rolled_back(tmp_path, place.target.url)
    assert (refused.value.next_step or "").startswith("nothing was touched")
    assert (Content.read(plan), state(plan)) == (after, "complete")
    place.target.run(f"DELETE FROM {place.other}.{name} WHERE id > 2")
    assert rolled_back(tmp_path, place.target.url).staying == ()
    assert Content.read(plan) == before


@pytest.mark.parametrize("rule", ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE"])
def test_rows_of_another_schema_that_would_follow_are_refused(tmp_path: Path, place: Place, rule: str) -> None:
    """A rollback would take them along, or a run change them: neither begins, with `skip` or without, and both name schema and table."""
    plan = prepared(tmp_path, place.target, MAPPING.format(mode="update"), 1)
    run_scheduled(plan)
    after = Content.read(plan)
    place.child("remark", rule)
    place.target.run(f"INSERT INTO {place.other}.remark VALUES (3, 'c')")
    for request in (Request(), SKIPPING):
        with pytest.raises(StateError, match=f"doc cannot be rolled back as it is now.*{place.other}.remark"):
            rolled_back(tmp_path, place.target.url, request)
    (planned,) = plan_run([tmp_path / "mapping.yaml"], RunOptions(source=plan.source.url, target=place.target.url))
    assert any(f"{place.other}.remark" in each.message for each in planned.refused)
    assert (Content.read(plan), state(plan), place.count("remark")) == (after, "complete", 1)


def test_a_table_of_the_same_name_elsewhere_is_another_table(tmp_path: Path, place: Place) -> None:
    """What points at a `doc` of the other schema holds nothing of this one."""
    plan = prepared(tmp_path, place.target, MAPPING.format(mode="update"), 1)
    before = Content.read(plan)
    run_scheduled(plan)
    place.target.run(
        f"CREATE TABLE {place.other}.doc (k varchar(20) PRIMARY KEY)",
        f"CREATE TABLE {place.other}.remark (id integer PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES {place.other}.doc (k))",
        f"INSERT INTO {place.other}.doc VALUES ('c')",
        f"INSERT INTO {place.other}.remark VALUES (1, 'c')",
    )
    assert rolled_back(tmp_path, place.target.url).staying == ()
    assert Content.read(plan) == before


def test_a_table_whose_name_has_a_dot_is_looked_into(tmp_path: Path, new_database: Callable[[str], str]) -> None:
    """No name that somebody gave a table elsewhere ends a rollback in anything but a refusal."""
    target = Database(new_database("postgresql"))
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"), 1)
    before = Content.read(plan)
    run_scheduled(plan)
    Place(target, "public").child('"do.t"')
    target.run("INSERT INTO \"do.t\" VALUES (1, 'z')")
    assert rolled_back(tmp_path, target.url).staying == ()
    assert Content.read(plan) == before
    run_scheduled(plan)
    target.run("INSERT INTO \"do.t\" VALUES (2, 'c')")
    with pytest.raises(RowsChanged, match="doc c: held fast"):
        rolled_back(tmp_path, target.url)


def test_names_that_differ_in_case_only_are_two_tables(tmp_path: Path, new_database: Callable[[str], str]) -> None:
    """As on a server of Linux: what points at `DOC` holds nothing of `doc`, though the server's own tables compare both as one."""
    target = Database(new_database("mariadb"))
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"), 1)
    run_scheduled(plan)
    target.run(
        "CREATE TABLE DOC (k varchar(20) PRIMARY KEY)",
        "CREATE TABLE remark (id integer PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES DOC (k))",
        "INSERT INTO DOC VALUES ('c')",
        "INSERT INTO remark VALUES (1, 'c')",
    )
    assert rolled_back(tmp_path, target.url).staying == ()


class _Folding(MariaDbServer):
    """A server as on Windows: names of tables are kept in small letters."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--lower-case-table-names=1"]


def test_a_server_that_folds_names_knows_a_runs_own_tables() -> None:
    """Written in whatever case, tables that a run writes are no others."""
    server = _Folding()
    server.start()
    try:
        url = server.url(server.create_database())
        database = Database(url)
        database.run(
            "CREATE TABLE Head (k bigint PRIMARY KEY)",
            "CREATE TABLE Line (n bigint PRIMARY KEY, k bigint, FOREIGN KEY (k) REFERENCES Head (k))",
        )
        store = open_target(url)
        assert [each.name for each in store.pointing_at(["Head"])] == ["line"]
        assert store.pointing_at(["Head", "Line"]) == []
        store.close()
    finally:
        server.close()


def test_a_table_that_cannot_be_read_is_left_to_the_database(tmp_path: Path, place: Place) -> None:
    """A user without the right to read the other table sees no row of it; the database knows, and refuses to delete what they point at."""
    plan = prepared(tmp_path, place.target, MAPPING.format(mode="update"), 1)
    place.child("remark")
    run_scheduled(plan)
    place.target.run(f"INSERT INTO {place.other}.remark VALUES (3, 'c')")
    url, database = make_url(place.target.url), make_url(place.target.url).database
    if place.target.kind == "postgresql":
        place.target.run(
            "DROP ROLE IF EXISTS blinkered",
            "CREATE ROLE blinkered LOGIN",
            "GRANT ALL ON SCHEMA public TO blinkered",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO blinkered",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO blinkered",
        )
    else:
        place.target.run(
            "CREATE OR REPLACE USER blinkered",
            f"GRANT ALL ON {database}.* TO blinkered",
            f"GRANT INSERT ON {place.other}.* TO blinkered",
        )
    limited = url.set(username="blinkered").render_as_string(hide_password=False)
    store = open_target(limited)
    try:
        assert store.pointing_at(["doc", "part"]) == []
    finally:
        store.close()
    options = RunOptions(target=limited)
    assert survey(tmp_path / "mapping.yaml", options, Request(), rows=True).in_the_way == ()
    with pytest.raises(RowsChanged, match="doc c: held fast"):
        rolled_back(tmp_path, limited)
    place.target.run(f"DELETE FROM {place.other}.remark")
    assert rolled_back(tmp_path, limited).staying == ()
