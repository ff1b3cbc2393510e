"""Column names as expressions write them, and the nearest right one for those that are none."""

from __future__ import annotations

from migrate.mapping.expressions import ExpressionError
from migrate.mapping.findings import nearest
from migrate.mapping.refusals import REFUSED


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
