"""What a case must come to, told in plain Python: units applied one by one in their order, nothing shared with the toolkit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.rig.claims import Case, Row

Rows = dict[int, Row]


@dataclass
class Expected:
    """Rows at the end, by table and key; ids of rejected units; per table how many rows were written, updated, identical, kept."""

    head: Rows
    line: Rows
    rejected: set[int] = field(default_factory=set)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, table: str, what: str) -> None:
        """One more."""
        of_table = self.counts.setdefault(table, dict.fromkeys(("written", "updated", "identical", "kept"), 0))
        of_table[what] += 1


def expected(case: Case) -> Expected:
    """The end of a case that is fit for it: see `decidable`."""
    found = Expected({row["k"]: dict(row) for row in case.heads}, {row["l"]: dict(row) for row in case.lines})
    if case.mode == "newer":
        return _by_version(case, found)
    held: dict[tuple[str, int], bool] = {}
    possible = _with_parent(case)
    for unit in case.units:
        if unit["id"] not in possible or not _apply(case, found, held, unit):
            found.rejected.add(unit["id"])
    return found


def decidable(case: Case) -> bool:
    """True for a case whose end follows from applying units one by one, without looking ahead."""
    if case.mode == "newer":
        return not (case.unique or case.linked or case.child)
    if case.linked and (case.unique or case.child):
        return False
    # An update can free a unique value of an existing row; whether that comes before another unit wants it would need a look ahead.
    freed = {row["u"] for row in case.heads} & {unit["u"] for unit in case.units} - {None}
    return not (case.mode == "update" and case.unique and freed)


def head_of(unit: Row) -> Row:
    """The row that a unit maps to."""
    return {name: unit[name] for name in ("k", "u", "v", "c", "up")}


def _apply(case: Case, found: Expected, held: dict[tuple[str, int], bool], unit: Row) -> bool:
    """Write a unit whole, or leave everything."""
    outcomes = [("head", unit["k"], head_of(unit), _judge(case, found, held, unit, "head"))]
    if case.child:
        line = {"l": unit["l"], "k": unit["k"], "c": unit["c"]}
        outcomes.append(("line", unit["l"], line, _judge(case, found, held, unit, "line")))
    if any(what is None for *_, what in outcomes):
        return False
    for table, key, row, what in outcomes:
        rows: Rows = getattr(found, table)
        if what in {"written", "updated"}:
            outside = {"extra": 7, "free": None} if table == "head" else {}
            rows[key] = {**rows.get(key, outside), **row}
        if what != "kept":
            held[table, key] = held.get((table, key), False) or what in {"written", "updated"}
        found.count(table, str(what))
    return True


def _judge(case: Case, found: Expected, held: dict[tuple[str, int], bool], unit: Row, table: str) -> str | None:
    """What becomes of one row; None for a conflict. `held`: rows of units of this run, and whether one of them set the content."""
    own = head_of(unit) if table == "head" else {"l": unit["l"], "k": unit["k"], "c": unit["c"]}
    key = own["k" if table == "head" else "l"]
    rows: Rows = getattr(found, table)
    there = rows.get(key)
    if there is not None:
        if all(there[name] == value for name, value in own.items()):
            return "identical"
        if case.mode == "keep" and not held.get((table, key), False):
            return "kept"
        if case.mode != "update" or (table, key) in held:
            return None
    others = [row for other, row in rows.items() if other != key]
    if table == "head" and case.unique and own["u"] is not None and own["u"] in {row["u"] for row in others}:
        return None
    return "written" if there is None else "updated"


def _with_parent(case: Case) -> set[int]:
    """Units that need no parent, or whose parent is there at the end: a key is there as soon as one unit with a parent wants it."""
    existing = {row["k"]: row for row in case.heads}
    if not case.linked:
        return {unit["id"] for unit in case.units}
    present, before = set(existing), -1
    while len(present) != before:
        before = len(present)
        present |= {unit["k"] for unit in case.units if unit["up"] in {None, unit["k"], *present}}
    fine = {unit["id"] for unit in case.units if unit["up"] is None or unit["up"] in present}
    untouched = {"keep"} if case.mode == "keep" else set()
    kept = {unit["id"] for unit in case.units if untouched and unit["k"] in existing}
    return fine | kept


def _by_version(case: Case, found: Expected) -> Expected:
    """Of each key the greatest version, at equal versions the first; what is older is kept, what is equal and different is a conflict."""
    for key in sorted({unit["k"] for unit in case.units}):
        units = [unit for unit in case.units if unit["k"] == key]
        there = found.head.get(key)
        best = max(units, key=lambda unit: (_version(unit["v"]), -unit["id"]))
        if there is None or _version(best["v"]) > _version(there["v"]):
            found.count("head", "written" if there is None else "updated")
            found.head[key] = {**(there or {"extra": 7, "free": None}), **head_of(best)}
            units.remove(best)
        _count_others(found, found.head[key], units)
    return found


def _count_others(found: Expected, winner: Row, units: Iterable[Row]) -> None:
    for unit in units:
        if _version(unit["v"]) < _version(winner["v"]):
            found.count("head", "kept")
        elif all(winner[name] == value for name, value in head_of(unit).items()):
            found.count("head", "identical")
        else:
            found.rejected.add(unit["id"])


def _version(value: int | None) -> int:
    return -1 if value is None else value
