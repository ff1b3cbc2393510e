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
from migrate.stores.port import TargetSession
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
    """Steps of one row each that the database refuses whatever the order, each with its last refusal; all others were done."""

    steps: tuple[tuple[Step, ConstraintViolation], ...]

    @property
    def why(self) -> ConstraintViolation:
        """The first refusal."""
        return self.steps[0][1]


def put_back(session: TargetSession, steps: Sequence[Step]) -> Stuck | None:
    """Do all steps at once, in the order given; where the database refuses that, row by row until none moves any more."""
    if attempt(session, steps) is None:
        return None
    left = [each for step in steps for each in single_rows(step)]
    while left:
        outcomes = [(step, _alone(session, step)) for step in left]
        refused = [(step, why) for step, why in outcomes if why is not None]
        if len(refused) == len(left):
            return Stuck(tuple(refused))
        left = [step for step, _ in refused]
    return None


def replaced(session: TargetSession, stuck: Stuck) -> bool:
    """Take rows that could not go one by one all away and bring them back as they were: rows that exchanged unique values need it.

    False, with nothing changed, where the database refuses that too.
    """
    steps = [step for step, _ in stuck.steps]
    away = [Step("delete", each.shape, each.key, each.rows.select(each.key)) for each in steps if each.how != "insert"]
    back = [Step("insert", each.shape, each.key, each.rows) for each in reversed(steps) if each.how != "delete"]
    return attempt(session, [*away, *back]) is None


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
