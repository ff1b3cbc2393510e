"""Fixtures of the stores' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.stores.postgres_database import Database


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """A fresh database."""
    made = Database(postgres_url)
    with made.stack:
        yield made
