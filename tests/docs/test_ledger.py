"""docs/ledger.md describes the ledger's tables as they are, and its queries run on every database."""

import re

import pytest
import sqlalchemy as sa

from migrate.ledger.tables import ledger_tables
from migrate.stores.opening import open_target
from tests.docs.documents import ROOT

TEXT = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?);\n```$", TEXT, re.MULTILINE | re.DOTALL)


def described() -> dict[str, list[str]]:
    """Each table that has a heading, with the columns that its list names, in order."""
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    tables = {match[1]: section for section in sections if (match := re.match(r"`(\w+)`\n", section))}
    return {name: re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE) for name, section in tables.items()}


def test_every_table_and_column_is_described() -> None:
    """The page names each ledger table and each of its columns, in their order, and nothing that is not there."""
    tables = ledger_tables().metadata.tables
    assert described() == {name: [column.name for column in table.columns] for name, table in tables.items()}


def test_the_number_of_tables_is_told() -> None:
    """The sentence at the top counts the tables right."""
    words = {13: "thirteen", 14: "fourteen", 15: "fifteen"}
    assert f"{words[len(ledger_tables().metadata.tables)]} tables" in TEXT


def test_the_queries_run_on_every_database(database_url: str) -> None:
    """Each query of the page is understood by PostgreSQL, MariaDB and SQLite."""
    assert len(QUERIES) >= 5
    store = open_target(database_url, None)
    try:
        engine = store.engine()
        ledger_tables().metadata.create_all(engine)
        for query in QUERIES:
            with engine.connect() as connection:
                try:
                    connection.execute(sa.text(query)).all()
                except sa.exc.DBAPIError as error:
                    pytest.fail(f"{query}\n{error}", pytrace=False)
    finally:
        store.close()
