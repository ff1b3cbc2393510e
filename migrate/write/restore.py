"""Put rows back as they were: delete what was inserted, write back what was updated or deleted, in whatever order the database takes.

Which row has to go first, because it points at another or has its unique value, the database knows best: what it refuses is tried again
after the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from migrate.errors import ConstraintViolation
from migrate.stores.port import ORDINAL, TargetSession
from migrate.values import TableShape

How = Literal["delete", "update", "insert"]


@dataclass(frozen=True, slots=True)
class Step:
    """Rows of one table to be put back. `rows`: the key columns of a delete, else whole rows as far as they can be written."""

    how: How
    shape: TableShape
    key: tuple[str, ...]
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Stuck:
    """Steps of one row each that the database refuses whatever the order, in that of the caller, each with its last refusal; all others were done."""

    steps: tuple[tuple[Step, ConstraintViolation], ...]

    @property
    def why(self) -> ConstraintViolation:
        """The first refusal."""
        return self.steps[0][1]


def put_back(session: TargetSession, steps: Sequence[Step]) -> Stuck | None:
    """Do all steps at once, in the order given; where the database refuses that, row by row until none moves any more.

    A row that frees a unique value goes before the one that takes it, and each round goes the other way than the one before: so a chain of
    rows, each of which waits for the next, is done in two rounds and not in as many as it has rows.
    """
    if attempt(session, steps) is None:
        return None
    single = [each for step in steps for each in single_rows(step)]
    place = {id(step): at for at, step in enumerate(single)}
    left = _freeing_first(session, single)
    while left:
        outcomes = [(step, _alone(session, step)) for step in left]
        refused = [(step, why) for step, why in outcomes if why is not None]
        if len(refused) == len(left):
            return Stuck(tuple(sorted(refused, key=lambda each: place[id(each[0])])))
        left = [step for step, _ in reversed(refused)]
    return None


def replaced(session: TargetSession, stuck: Stuck) -> bool:
    """Take rows that could not go one by one all away and bring them back as they were: rows that exchanged unique values need it.

    Rows at which others point cannot go away; of those, unique values that may be NULL are let go first. False, with nothing changed, where
    the database refuses that too.
    """
    steps = [step for step, _ in stuck.steps]
    away = [Step("delete", each.shape, each.key, each.rows.select(each.key)) for each in steps if each.how != "insert"]
    back = [Step("insert", each.shape, each.key, each.rows) for each in reversed(steps) if each.how != "delete"]
    if attempt(session, [*away, *back]) is None:
        return True
    loose = [_without_uniques(each) for each in steps if each.how == "update"]
    return bool(loose) and attempt(session, [*loose, *steps]) is None


def _without_uniques(step: Step) -> Step:
    """The step, with NULL in the unique columns that may be NULL."""
    rows = step.rows
    for name in {name for unique in _uniques(step) for name in unique if name not in step.key}:
        column = step.shape.column(name)
        if column.nullable and name in rows.column_names:
            at = rows.column_names.index(name)
            rows = rows.set_column(at, name, pa.nulls(rows.num_rows, rows[name].type))
    return replace(step, rows=rows)


def attempt(session: TargetSession, steps: Sequence[Step]) -> ConstraintViolation | None:
    """Do these steps or nothing; the violation if the database refused one."""
    session.savepoint("restore")
    try:
        for step in steps:
            _do(session, step)
    except ConstraintViolation as violation:
        session.rollback_to("restore")
        return violation
    return None


def _alone(session: TargetSession, step: Step) -> ConstraintViolation | None:
    """Do a step of one row; the violation if the database refused it.

    MariaDB does not delete a row that points at itself, so what it points at in its own table is taken from it first.
    """
    why = attempt(session, [step])
    if why is None or why.kind != "foreign_key" or step.how != "delete":
        return why
    own = {name for each in step.shape.foreign_keys if each.parent == step.shape.name for name in each.columns}
    loose = [step.shape.column(name) for name in sorted(own) if name not in step.key]
    if not loose or not all(column.nullable for column in loose):
        return why
    rows = step.rows
    for column in loose:
        rows = rows.append_column(column.name, pa.nulls(rows.num_rows, column.type.arrow))
    return why if attempt(session, [replace(step, how="update", rows=rows), step]) is not None else None


def single_rows(step: Step) -> Iterator[Step]:
    """The step, a row at a time."""
    return (replace(step, rows=step.rows.slice(at, 1)) for at in range(step.rows.num_rows))


def _freeing_first(session: TargetSession, steps: Sequence[Step]) -> list[Step]:
    """The same steps of one row each, in an order in which unique values are free when they are taken, as far as there is one.

    It only saves attempts: whether two values are one, the database decides by its own collation.
    """
    holders = _holders(session, steps)
    waits = [
        [holder for value in _taken(step) if (holder := holders.get(value, at)) != at] for at, step in enumerate(steps)
    ]
    order: dict[int, None] = {}
    begun: set[int] = set()
    for first in range(len(steps)):
        path = [first]
        while path:
            at = path[-1]
            begun.add(at)
            following = next((each for each in waits[at] if each not in begun), None)
            if following is None:
                order[path.pop()] = None
            else:
                path.append(following)
    return [steps[at] for at in order]


_Value = tuple[str, tuple[str, ...], tuple[object, ...]]
"""A table, columns that are unique together, and what they hold."""


def _holders(session: TargetSession, steps: Sequence[Step]) -> dict[_Value, int]:
    """Which of the steps changes the row that holds a unique value now, by its place among them."""
    found: dict[_Value, int] = {}
    by_table: dict[tuple[str, How], list[int]] = {}
    for at, step in enumerate(steps):
        if step.how != "insert" and _uniques(step):
            by_table.setdefault((step.shape.name, step.how), []).append(at)
    for places in by_table.values():
        step = steps[places[0]]
        keys = pa.concat_tables([steps[at].rows.select(step.key) for at in places])
        columns = tuple(dict.fromkeys(name for unique in _uniques(step) for name in unique))
        stored = session.fetch(step.shape, step.key, keys, lock=False, columns=columns)
        for unique in _uniques(step):
            values = zip(*(stored[name].to_pylist() for name in unique), strict=True)
            for ordinal, value in zip(stored[ORDINAL].to_pylist(), values, strict=True):
                found[step.shape.name, unique, value] = places[ordinal]
    return found


def _taken(step: Step) -> list[_Value]:
    """The unique values that a row of one step takes."""
    if step.how == "delete":
        return []
    known = set(step.rows.column_names)
    return [
        (step.shape.name, unique, tuple(step.rows[name][0].as_py() for name in unique))
        for unique in _uniques(step)
        if known.issuperset(unique)
    ]


def _uniques(step: Step) -> list[tuple[str, ...]]:
    """Columns that are unique together, other than those by which the step finds its rows."""
    return [key.columns for key in step.shape.unique_keys if set(key.columns) != set(step.key)]


def writable(shape: TableShape) -> tuple[str, ...]:
    """Columns that a row can be given: all but generated ones."""
    return tuple(column.name for column in shape.columns if column.default_kind != "generated")


def _do(session: TargetSession, step: Step) -> None:
    if step.rows.num_rows == 0:
        return
    if step.how == "delete":
        session.delete(step.shape, step.key, step.rows)
    elif step.how == "update":
        session.update(step.shape, step.key, step.rows)
    else:
        session.insert(step.shape, step.rows)
