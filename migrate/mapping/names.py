"""Column names as expressions write them, and the nearest right one for those that are none; names that no column may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migrate.mapping.expressions import ExpressionError
from migrate.mapping.findings import nearest
from migrate.mapping.refusals import REFUSED

SOURCE_RESERVED = frozenset({"_anomaly", "_unit", "_rows", "_ordinal", "_range", "_position", "_row"})
"""What the toolkit itself calls columns of the rows that it reads and of their units."""

TARGET_RESERVED = frozenset({"_anomaly", "_unit", "_n"})
"""What it calls columns of mapped rows and of rows that it fetches."""


def unusable(names: Sequence[str], reserved: frozenset[str]) -> Iterator[str]:
    """Why a table with these columns cannot be mapped, if it cannot.

    DuckDB compares names without regard to case, even between quotes: of `a` and `A` it would silently take whichever comes first.
    """
    first: dict[str, str] = {}
    for name in names:
        folded = name.lower()
        if folded in first:
            yield f"the columns `{first[folded]}` and `{name}` differ in nothing but case, and cannot be told apart"
        elif folded in reserved or folded.startswith("_:"):
            yield f"the toolkit itself uses the name of the column `{name}`"
        first.setdefault(folded, name)


class Names:
    """Column names as expressions write them: exact, or without regard to case where that is unambiguous."""

    def __init__(self, names: tuple[str, ...], what: str) -> None:
        self._names = names
        self._what = what

    def find(self, name: str) -> str:
        """The exact name; ExpressionError with the nearest one when there is none."""
        if name in self._names:
            return name
        folded = [each for each in self._names if each.lower() == name.lower()]
        if len(folded) == 1:
            return folded[0]
        if folded:
            raise ExpressionError([(f"`{name}` may mean {' or '.join(folded)}", "write it exactly")])
        if name.lower() in REFUSED:
            raise ExpressionError([(f"`{name}` is not allowed: {REFUSED[name.lower()]}", None)])
        raise ExpressionError([(f"unknown {self._what} `{name}`", nearest(name, self._names))])
