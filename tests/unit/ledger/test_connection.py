"""What the ledger says when its database cannot be had."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from migrate.errors import StateError, TransientFault
from migrate.ledger.connection import Ledger
from migrate.stores.opening import open_target


def test_a_driver_is_quoted_in_words() -> None:
    """pymysql's errors are a number and a text: the text is told, not the pair."""
    with socket.socket() as deaf:  # bound, so that nobody else answers there, and never listening
        deaf.bind(("127.0.0.1", 0))
        store = open_target(f"mysql://nobody@127.0.0.1:{deaf.getsockname()[1]}/gone")
        with pytest.raises(TransientFault) as caught:
            Ledger(store).exists()
        store.close()
    assert caught.value.message.startswith("could not look for the ledger tables: Can't connect to MySQL server")


def test_the_schema_that_was_looked_into_is_named(new_database: Callable[[str], str]) -> None:
    """A ledger that stands in a schema of its own is not found without its name, nor under another: the way to give it is told."""
    store = open_target(new_database("postgresql"))
    for schema, place in ((None, "in this database"), ("elsewhere", "in schema elsewhere of this database")):
        with pytest.raises(StateError, match=f"there is no ledger {place}: ") as refused:
            Ledger(store, schema).require()
        assert "--ledger-schema" in (refused.value.next_step or "")
    store.close()
