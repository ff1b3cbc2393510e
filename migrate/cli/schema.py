"""`migrate schema`: the canonical invoice tables."""

from __future__ import annotations

import click
from rich.text import Text

from migrate.cli.options import Group, with_screen
from migrate.cli.screen import Screen


@click.group(cls=Group)
def schema() -> None:
    """Show or create the canonical invoice tables."""


@schema.command(example="migrate schema show --target sqlite:///new.db")
@click.option("--target", required=True, metavar="URL", help="Target database; only its kind is looked at.")
@with_screen
def show(screen: Screen, target: str) -> int:
    """Print the DDL of the invoice tables for a database, without connecting to it."""
    from migrate.invoice import ddl
    from migrate.stores.urls import parse_url

    dialect = parse_url(target).get_backend_name()
    statements = ddl(dialect)
    if screen.settings.as_json:
        screen.lines({"dialect": dialect, "ddl": statements})
    else:
        screen.text(statements.rstrip("\n"))
    return 0


@schema.command(example="migrate schema apply --target sqlite:///new.db")
@click.option("--target", required=True, metavar="URL", help="Target database.")
@with_screen
def apply(screen: Screen, target: str) -> int:
    """Create the invoice tables that are missing; refuse (exit 4) where another table stands in their place."""
    from migrate.invoice import apply_schema
    from migrate.stores.opening import open_target
    from migrate.stores.urls import redacted

    store = open_target(target)
    try:
        created = apply_schema(store.engine(), redacted(target))
    finally:
        store.close()
    lines = [Text(line) for line in created] or [Text(screen.say("schema_nothing"))]
    screen.lines({"created": created}, *lines)
    return 0
