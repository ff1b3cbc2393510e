"""Predicates for key ranges, as SQLAlchemy expressions that each database answers from its index.

Pure. Nothing is cast and no collation is named, so that comparison and ORDER BY both go by the columns' own collations
and the index on them is used. The form matters: PostgreSQL and SQLite scan the table for the expanded form, MariaDB for
the row comparison (measured: 0.7 ms against 1.9 s).

NULLs are values of the order: before all others (`nulls_first`) or after them, per column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from migrate.values import Key, KeyRange, KeyValue

Literal = Callable[[ColumnElement[object], KeyValue], ColumnElement[object]]
"""Turns a key value into the expression that is compared with the column."""

# Arms of both bounds are multiplied out up to this number, so that each is one range of the index.
_MAX_ARMS: Final = 16


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A key column as it stands in a statement, and whether it can be NULL."""

    expression: ColumnElement[object]
    nullable: bool


def bound_literal(_column: ColumnElement[object], value: KeyValue) -> ColumnElement[object]:
    """The value as a bound parameter of its own Python type."""
    return sa.literal(value)


@dataclass(frozen=True, slots=True)
class Ordering:
    """How one database orders and compares keys."""

    row_values: bool
    nulls_first: bool
    literal: Literal = bound_literal

    def in_range(self, columns: Sequence[KeyColumn], key_range: KeyRange) -> ColumnElement[bool]:
        """True exactly for the rows in (after, upto]; `columns` correspond to `key_range.columns`."""
        return self.between(columns, key_range.after, key_range.upto)

    def between(self, columns: Sequence[KeyColumn], after: Key | None, upto: Key | None) -> ColumnElement[bool]:
        """True exactly for the rows in (after, upto]; None is open."""
        lower = None if after is None else self._arms(columns, after, after=True)
        upper = None if upto is None else self._arms(columns, upto, after=False)
        if lower is None and upper is None:
            return sa.true()
        if lower is None or upper is None:
            return _any([*(lower or []), *(upper or [])])
        if self.row_values and len(lower) * len(upper) <= _MAX_ARMS:
            return _any([sa.and_(low, high) for low in lower for high in upper])
        return sa.and_(_any(lower), _any(upper))

    def order_by(self, columns: Sequence[KeyColumn]) -> list[ColumnElement[object]]:
        """The terms of ORDER BY in the source's own order."""
        return [column.expression for column in columns]

    def equal(self, column: KeyColumn, value: KeyValue) -> ColumnElement[bool]:
        """True for the rows that the database holds equal to `value`, NULL being equal to NULL."""
        if value is None:
            return column.expression.is_(None)
        return column.expression == self.literal(column.expression, value)

    def _arms(self, columns: Sequence[KeyColumn], key: Key, *, after: bool) -> list[ColumnElement[bool]]:
        """Disjoint conditions, of which each row on the wanted side of `key` meets exactly one.

        After: strictly after the key. Otherwise: before it or equal.
        """
        if not columns:
            return [] if after else [sa.true()]
        width = _leading_values(key) if self.row_values else min(_leading_values(key), 1)
        if width == 0:
            return self._arms_at_null(columns, key, after=after)
        head, rest = columns[:width], columns[width:]
        inclusive = not rest and not after
        arms = [self._compare_rows(head, key[:width], after=after, inclusive=inclusive)]
        if self.nulls_first is not after:
            arms += self._null_arms(head, key)
        if rest:
            prefix = [self.equal(column, value) for column, value in zip(head, key, strict=False)]
            arms += [sa.and_(*prefix, arm) for arm in self._arms(rest, key[width:], after=after)]
        return arms

    def _arms_at_null(self, columns: Sequence[KeyColumn], key: Key, *, after: bool) -> list[ColumnElement[bool]]:
        first, rest = columns[0], columns[1:]
        arms: list[ColumnElement[bool]] = []
        if self.nulls_first is after:  # everything that is not NULL lies on the wanted side of NULL
            arms.append(first.expression.is_not(None))
        arms += [sa.and_(first.expression.is_(None), arm) for arm in self._arms(rest, key[1:], after=after)]
        return arms

    def _null_arms(self, columns: Sequence[KeyColumn], key: Key) -> list[ColumnElement[bool]]:
        """NULLs on the wanted side that the comparison of values cannot see: an equal beginning, then NULL."""
        arms: list[ColumnElement[bool]] = []
        for position, column in enumerate(columns):
            if column.nullable:
                prefix = [self.equal(earlier, value) for earlier, value in zip(columns[:position], key, strict=False)]
                arms.append(sa.and_(*prefix, column.expression.is_(None)))
        return arms

    def _compare_rows(
        self, columns: Sequence[KeyColumn], values: Key, *, after: bool, inclusive: bool
    ) -> ColumnElement[bool]:
        literals = [self.literal(column.expression, value) for column, value in zip(columns, values, strict=True)]
        left: ColumnElement[Any] = columns[0].expression
        right: ColumnElement[Any] = literals[0]
        if len(columns) > 1:
            left = sa.tuple_(*(column.expression for column in columns))
            right = sa.tuple_(*literals)
        if after:
            return left > right
        return left <= right if inclusive else left < right


def _leading_values(key: Key) -> int:
    """How many values of the key precede its first NULL."""
    return next((position for position, value in enumerate(key) if value is None), len(key))


def _any(arms: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    return sa.or_(*arms) if arms else sa.false()


ROW_VALUES_NULLS_LAST: Final = Ordering(row_values=True, nulls_first=False)
"""PostgreSQL (its store binds literals in a way of its own)."""

ROW_VALUES_NULLS_FIRST: Final = Ordering(row_values=True, nulls_first=True)
"""SQLite."""

EXPANDED_NULLS_FIRST: Final = Ordering(row_values=False, nulls_first=True)
"""MariaDB, MySQL, and other dialects whose NULLs come first."""

EXPANDED_NULLS_LAST: Final = Ordering(row_values=False, nulls_first=False)
"""Other dialects whose NULLs come last, such as Oracle."""
