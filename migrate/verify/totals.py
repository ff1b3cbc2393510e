"""Control totals of one side, added up exactly chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from migrate.mapping import cleaners
from migrate.mapping.duck import connect_briefly, quoted
from migrate.mapping.totals import ProgramTotal
from migrate.verify.verdict import Cell, TotalDifference

Group: TypeAlias = tuple[str | None, ...]
Sums: TypeAlias = dict[Group, tuple[int, tuple[Decimal, ...]]]
"""Per group the number of its rows, and its sums."""

_ROWS = "rows"
_WIDE = Context(prec=100)


class Totals:
    """The sums of each total so far. For one thread at a time; `close` frees the connection.

    `failed`: by its number a total that could not be computed on a value that is there, and why.
    """

    def __init__(self, totals: Sequence[ProgramTotal]) -> None:
        self._totals = tuple(totals)
        self._connection = connect_briefly(cleaners.MACROS)
        self._sums: list[Sums] = [{} for _ in totals]
        self.failed: dict[int, str] = {}

    def add(self, target: str, rows: pa.Table, sign: int = 1) -> None:
        """Add rows of a target (its fields at least), or take them away with `sign` −1."""
        wanted = [number for number, total in enumerate(self._totals) if total.target == target]
        if not wanted or rows.num_rows == 0:
            return
        for number in wanted:
            try:
                self._add(self._totals[number], rows, self._sums[number], sign)
            except duckdb.Error as error:
                self.failed.setdefault(number, str(error).partition("\n")[0])

    def _add(self, total: ProgramTotal, rows: pa.Table, sums: Sums, sign: int) -> None:
        nothing = (0, (Decimal(0),) * len(total.sums))
        for *group, count, added in self._summed(total, rows):
            before, old = sums.get(tuple(group), nothing)
            new = tuple(exact_sum(one, Decimal(other), sign) for one, other in zip(old, added, strict=True))
            sums[tuple(group)] = (before + sign * count, new)
            if before + sign * count == 0:
                # Nobody expects a group whose rows were all taken away; sums of zero would be another thing.
                del sums[tuple(group)]

    def _summed(self, total: ProgramTotal, rows: pa.Table) -> list[tuple[Any, ...]]:
        """Per group its texts, the number of its rows, and its sums."""
        by = [f"CAST({sql} AS VARCHAR)" for _, sql in total.by]
        added = [f"coalesce(sum({quoted(name)}), 0)" for name in total.sums]
        grouping = f" GROUP BY {', '.join(by)}" if by else ""
        self._connection.register(_ROWS, rows)
        try:
            query = f"SELECT {', '.join([*by, 'count(*)', *added])} FROM {_ROWS}{grouping}"
            found = self._connection.execute(query).fetchall()
        except duckdb.OutOfRangeException:
            # A sum of more than 38 digits: that of fewer rows has fewer, and one row always fits.
            if rows.num_rows == 1:
                raise
            half = rows.num_rows // 2
            return [*self._summed(total, rows.slice(0, half)), *self._summed(total, rows.slice(half))]
        finally:
            self._connection.unregister(_ROWS)
        return [(*row[: len(by) + 1], row[len(by) + 1 :]) for row in found]

    def differences(self, other: Totals) -> Iterator[TotalDifference]:
        """The groups in which `other` has other sums; this side is what is expected."""
        for number, (total, mine, its) in enumerate(zip(self._totals, self._sums, other._sums, strict=True)):
            if number in self.failed or number in other.failed:
                continue
            for group in sorted({*mine, *its}, key=_in_order):
                cells = _cells(total, mine.get(group), its.get(group))
                if cells:
                    names = [name for name, _ in total.by]
                    yield TotalDifference(total.target, dict(zip(names, group, strict=True)), cells)

    def uncompared(self, other: Totals) -> Iterator[tuple[str, str]]:
        """The target of each total that failed on one of the sides, and why."""
        for number, why in sorted({**other.failed, **self.failed}.items()):
            yield self._totals[number].target, why

    def grouped(self, number: int, kept: Sequence[int], chosen: Sequence[int]) -> Sums:
        """The sums of one total, of those of its fields that are `chosen`, in the coarser groups that the `kept` of its groups make."""
        found: Sums = {}
        for group, (rows, values) in self._sums[number].items():
            coarse = tuple(group[at] for at in kept)
            before, old = found.get(coarse, (0, (Decimal(0),) * len(chosen)))
            new = tuple(exact_sum(one, values[at]) for one, at in zip(old, chosen, strict=True))
            found[coarse] = (before + rows, new)
        return found

    def stated(self) -> Iterator[dict[str, Any]]:
        """Every group of every total with its number of rows and its sums, as texts; in the order of the mapping and of the groups."""
        for total, sums in zip(self._totals, self._sums, strict=True):
            for group in sorted(sums, key=_in_order):
                count, added = sums[group]
                yield {
                    "table": total.target,
                    "by": dict(zip((name for name, _ in total.by), group, strict=True)),
                    "rows": count,
                    "sum": {name: f"{value:f}" for name, value in zip(total.sums, added, strict=True)},
                }

    def expressions(self, target: str) -> list[str]:
        """SQL over the target's columns, quoted, of all that its totals are made of."""
        chosen = [total for total in self._totals if total.target == target]
        return [sql for total in chosen for sql in (*(by for _, by in total.by), *map(quoted, total.sums))]

    def written(self, target: str) -> list[dict[str, Any]]:
        """The totals of a target as JSON has them."""
        return [
            {
                "groups": [[list(group), count, list(map(str, added))] for group, (count, added) in sums.items()],
                "failed": self.failed.get(number),
            }
            for number, (total, sums) in enumerate(zip(self._totals, self._sums, strict=True))
            if total.target == target
        ]

    def restore(self, target: str, written: list[dict[str, Any]]) -> None:
        """Put what was written so in the place of the totals of a target."""
        numbers = [number for number, total in enumerate(self._totals) if total.target == target]
        for number, found in zip(numbers, written, strict=True):
            self._sums[number] = {
                tuple(group): (count, tuple(map(Decimal, added))) for group, count, added in found["groups"]
            }
            if found["failed"] is not None:
                self.failed[number] = found["failed"]

    @property
    def groups(self) -> int:
        """How many sums there are, over all totals."""
        return sum(len(each) for each in self._sums)

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()


def _in_order(group: Group) -> list[tuple[bool, str]]:
    """NULL comes first."""
    return [(part is not None, part or "") for part in group]


def exact_sum(old: Decimal, value: Decimal, sign: int = 1) -> Decimal:
    """Both added, or `value` taken away with `sign` −1: Python's own context would round sums of more than 28 digits."""
    scale = max(0, -int(old.as_tuple().exponent), -int(value.as_tuple().exponent))
    whole = int(old.scaleb(scale, _WIDE)) + sign * int(value.scaleb(scale, _WIDE))
    return Decimal(whole).scaleb(-scale, _WIDE)


def _cells(
    total: ProgramTotal,
    expected: tuple[int, tuple[Decimal, ...]] | None,
    actual: tuple[int, tuple[Decimal, ...]] | None,
) -> Mapping[str, Cell]:
    return {
        name: Cell(_text(expected, number), _text(actual, number))
        for number, name in enumerate(total.sums)
        if _text(expected, number) != _text(actual, number)
    }


def _text(sums: tuple[int, tuple[Decimal, ...]] | None, number: int) -> str | None:
    return None if sums is None else f"{sums[1][number]:f}"
