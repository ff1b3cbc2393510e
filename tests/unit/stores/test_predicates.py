"""Predicates for key ranges, checked against a model of the order."""

import sqlite3
from itertools import product

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from migrate.stores.predicates import (
    EXPANDED_NULLS_FIRST,
    EXPANDED_NULLS_LAST,
    ROW_VALUES_NULLS_FIRST,
    ROW_VALUES_NULLS_LAST,
    KeyColumn,
    Ordering,
)
from migrate.values import Key

ORDERINGS = [EXPANDED_NULLS_FIRST, EXPANDED_NULLS_LAST, ROW_VALUES_NULLS_FIRST, ROW_VALUES_NULLS_LAST]
VALUES = (None, -1, 0, 2)
EVERY_ROW = list(product(VALUES, repeat=3))
COLUMNS = [KeyColumn(sa.column(name), nullable=True) for name in "abc"]
KEYS = st.one_of(st.none(), st.sampled_from(EVERY_ROW))


def rank(ordering: Ordering, row: Key) -> list[tuple[int, int]]:
    """A value that sorts rows as the database would."""
    null = -1 if ordering.nulls_first else 1
    return [(null, 0) if value is None else (0, int(str(value))) for value in row]


def selected(ordering: Ordering, after: Key | None, upto: Key | None, columns: list[KeyColumn]) -> list[Key]:
    """The rows that SQLite finds, each as often as it finds it."""
    predicate = ordering.between(columns, after, upto)
    sql = predicate.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE t (a, b, c)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", EVERY_ROW)
        return connection.execute(f"SELECT a, b, c FROM t WHERE {sql}").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("ordering", ORDERINGS, ids=["expanded-first", "expanded-last", "row-first", "row-last"])
@given(after=KEYS, upto=KEYS)
def test_a_range_holds_exactly_the_rows_between_its_ends(
    ordering: Ordering, after: Key | None, upto: Key | None
) -> None:
    """(after, upto] in both forms, with NULLs first and last, open ends included."""
    expected = [
        row
        for row in EVERY_ROW
        if (after is None or rank(ordering, row) > rank(ordering, after))
        and (upto is None or rank(ordering, row) <= rank(ordering, upto))
    ]
    assert sorted(selected(ordering, after, upto, COLUMNS), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("ordering", ORDERINGS, ids=["expanded-first", "expanded-last", "row-first", "row-last"])
@given(after=st.tuples(*[st.integers(-1, 2)] * 3), upto=st.tuples(*[st.integers(-1, 2)] * 3))
def test_columns_without_null_need_no_arms_for_it(ordering: Ordering, after: Key, upto: Key) -> None:
    """Declared NOT NULL, the predicate is shorter and selects the same rows of those without NULL."""
    strict = [KeyColumn(column.expression, nullable=False) for column in COLUMNS]
    loose = [row for row in selected(ordering, after, upto, COLUMNS) if None not in row]
    assert sorted(row for row in selected(ordering, after, upto, strict) if None not in row) == sorted(loose)
    assert "NULL" not in str(ordering.between(strict, after, upto))


def test_nothing_is_cast_and_no_collation_is_named() -> None:
    """The column stands bare in the comparison, so that its own collation and its index decide."""
    strict = [KeyColumn(sa.column("a"), nullable=False), KeyColumn(sa.column("b"), nullable=False)]
    row_form = ROW_VALUES_NULLS_LAST.between(strict, (1, "x"), (2, "y"))
    literal = {"literal_binds": True}
    text = str(row_form.compile(dialect=postgresql.dialect(), compile_kwargs=literal))  # type: ignore[no-untyped-call]
    assert text == "(a, b) > (1, 'x') AND (a, b) <= (2, 'y')"
    expanded = EXPANDED_NULLS_FIRST.between(strict, (1, "x"), (2, "y"))
    assert str(expanded.compile(compile_kwargs=literal)) == (
        "(a > 1 OR a = 1 AND b > 'x') AND (a < 2 OR a = 2 AND b <= 'y')"
    )


def test_an_open_range_is_everything() -> None:
    """Without ends there is no condition."""
    assert str(ROW_VALUES_NULLS_LAST.between(COLUMNS, None, None)) == "true"
