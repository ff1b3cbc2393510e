"""Commands that a message names are completed by what was typed, and by nothing that they do not take."""

from __future__ import annotations

import pytest

from migrate.cli import cli
from migrate.cli.pasting import Typed

ALL = {"source": "sqlite:///old.db", "target": "sqlite:///new.db", "ledger_schema": "led ger"}


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("migrate run m.yaml", "migrate run m.yaml --source sqlite:///old.db --target sqlite:///new.db --ledger-schema 'led ger'"),
        ("`migrate status` shows it", "`migrate status m.yaml --target sqlite:///new.db --ledger-schema 'led ger'` shows it"),
        ("look (migrate rejects list m.yaml), then wait", "look (migrate rejects list m.yaml --target sqlite:///new.db --ledger-schema 'led ger'), then wait"),
        ("migrate rejects list MAPPING", "migrate rejects list m.yaml --target sqlite:///new.db --ledger-schema 'led ger'"),
        ("first: migrate rollback --pass 3; or", "first: migrate rollback m.yaml --target sqlite:///new.db --ledger-schema 'led ger' --pass 3; or"),
        ("migrate rollback other.yaml --target sqlite:///x.db --ledger-schema l", "migrate rollback other.yaml --target sqlite:///x.db --ledger-schema l"),
        ("migrate schema apply, migrate certificate keygen -o KEY, to migrate is human", "migrate schema apply, migrate certificate keygen -o KEY, to migrate is human"),
        ("migrate unknown m.yaml", "migrate unknown m.yaml"),
    ],
)  # fmt: skip
def test_what_was_typed_is_added(text: str, completed: str) -> None:
    """The mapping where none is named, each option that the command takes and that is not there yet; prose stays."""
    assert Typed(cli, ("m.yaml",), ALL).complete(text) == completed


def test_completing_twice_changes_nothing() -> None:
    """A message that was completed already is complete."""
    typed = Typed(cli, ("m y.yaml",), ALL)
    once = typed.complete("migrate resume m y.yaml, then migrate run m y.yaml")
    assert once.startswith("migrate resume 'm y.yaml' --target")
    assert typed.complete(once) == once


def test_passwords_stay_hidden() -> None:
    """What can be pasted has no password in it."""
    typed = Typed(cli, ("m.yaml",), {"target": "postgresql://me:geheim@host/db"})
    assert "geheim" not in typed.complete("migrate status")


def test_of_several_mappings_none_is_guessed() -> None:
    """Where several were typed, a message that names none of them is left alone."""
    typed = Typed(cli, ("a.yaml", "b.yaml"), {"target": "sqlite:///new.db"})
    assert (
        typed.complete("migrate status; migrate run b.yaml")
        == "migrate status; migrate run b.yaml --target sqlite:///new.db"
    )
