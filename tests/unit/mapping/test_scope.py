"""What a scope is made of, where somebody else has to select by it."""

from __future__ import annotations

import pytest

from migrate.mapping.scope import scope_equality, scope_sql


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("source_system = 'legacy_vat'", ("source_system", "legacy_vat")),
        ("'it''s' = source_system", ("source_system", "it's")),
        ("source_system = '发票'", ("source_system", "发票")),
        ("source_system <> 'a'", None),
        ("source_system = 5", None),
        ("source_system in ('a')", None),
        ("source_system = 'a' and source_system = 'b'", None),
        ("source_system is null", None),
    ],
)
def test_a_scope_that_is_one_text_is_told_from_the_others(scope: str, expected: tuple[str, str] | None) -> None:
    """Column and exact text, also of the SQL that the scope was compiled to."""
    assert scope_equality(scope) == expected
    assert scope_equality(scope_sql(scope, {"source_system": "source_system"})) == expected
