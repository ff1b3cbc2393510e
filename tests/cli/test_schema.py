"""`migrate schema` creates the invoice tables once, and refuses to touch other tables."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from migrate.invoice import METADATA, ddl
from tests.cli.conftest import Migrate

CREATED = """\
table invoice created
index ix_invoice_buyer created
index ix_invoice_issue_date created
index ix_invoice_seller created
index ix_invoice_status created
table invoice_conflict created
table invoice_event created
index ix_invoice_event_key created
table invoice_alias created
index ix_invoice_alias_key created
table invoice_line created
table red_link created
index ix_red_link_blue_key created
"""


def test_apply_creates_and_then_has_nothing_to_do(migrate: Migrate, database_url: str) -> None:
    """The first call names what it made, on each database; the second changes nothing and says so."""
    first = migrate("schema", "apply", "--target", database_url)
    assert (first.code, first.out, first.err) == (0, CREATED, "")
    second = migrate("schema", "apply", "--target", database_url)
    assert (second.code, second.err) == (0, "")
    assert second.out == "every invoice table is there already; nothing was changed\n"


def test_apply_speaks_json(migrate: Migrate) -> None:
    """The same as one document."""
    assert json.loads(migrate("schema", "apply", "--json", "--target", "sqlite:///new.db").out) == {
        "created": CREATED.splitlines()
    }


def test_apply_refuses_another_table(migrate: Migrate, tmp_path: Path) -> None:
    """An existing table with other columns is named, exit 4, and nothing is created."""
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("CREATE TABLE red_link (key text)")
    done = migrate("schema", "apply", "--target", "sqlite:///new.db")
    assert (done.code, done.out) == (4, "")
    assert "red_link.blue_key: missing" in done.err
    assert "  where: sqlite:///new.db\n" in done.err
    with sqlite3.connect(tmp_path / "new.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("red_link",)]


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("postgresql://h/d", "postgresql"),
        ("mysql://h/d", "mysql"),
        ("mariadb://h/d", "mysql"),
        ("sqlite:///f", "sqlite"),
    ],
)
def test_show_prints_the_ddl_without_connecting(migrate: Migrate, url: str, dialect: str) -> None:
    """The statements for a kind of database are shown, whether or not one is there."""
    done = migrate("schema", "show", "--target", url)
    assert (done.code, done.out, done.err) == (0, ddl(dialect), "")


def test_shown_ddl_makes_what_apply_makes(migrate: Migrate, tmp_path: Path) -> None:
    """Whoever pastes the DDL gets the same tables."""
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.executescript(migrate("schema", "show", "--target", "sqlite:///new.db").out)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == set(METADATA.tables)
    assert "nothing was changed" in migrate("schema", "apply", "--target", "sqlite:///new.db").out


def test_other_databases_are_refused(migrate: Migrate) -> None:
    """The tables are not made for every database: exit 2 and the choice."""
    done = migrate("schema", "show", "--target", "oracle://h/d")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "error: the invoice tables are made for PostgreSQL, MariaDB, MySQL and SQLite, not for 'oracle'\n"
    )
