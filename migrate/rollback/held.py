"""Which rows of a run other tables' rows point at: the database would not delete them. Told before anything goes back; writes nothing.

Only tables that the run did not write itself are asked, whatever their schema, if this user may read them: of its own, rows that go back with it
hold nothing. What others hold, the database says when it is to delete the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from migrate.errors import EnvironmentFault, TransientFault
from migrate.ledger.connection import Ledger
from migrate.rollback.batch import Rows
from migrate.rollback.dependants import Dependant
from migrate.rollback.staying import HELD, Standing
from migrate.stores.port import ORDINAL, TargetSession
from migrate.values import ForeignKey, TableShape


@dataclass(frozen=True, slots=True)
class Holder:
    """A table whose rows point at rows of another one, and the mappings that wrote into it."""

    shape: TableShape
    key: ForeignKey
    mappings: tuple[str, ...]

    @property
    def why(self) -> str:
        """Why a row stays that its rows point at."""
        wrote = f", which {' and '.join(self.mappings)} wrote" if self.mappings else ""
        return f"{HELD}: rows of {self.shape.name}{wrote} point at it"


def holders(ledger: Ledger, shapes: Mapping[str, TableShape], pointing: Sequence[Dependant]) -> list[Holder]:
    """The other tables that have rows which point at these, whatever their schema. `pointing`: the mappings known to have written such rows."""
    found = []
    for each in ledger.store.pointing_at(shapes):
        shape = ledger.store.describe(each.name)
        if shape is not None and _has_rows(ledger, shape, each.key):
            wrote = tuple(other.mapping for other in pointing if shape.name in other.tables)
            found.append(Holder(shape, each.key, wrote))
    return found


def held_rows(session: TargetSession, rows: Rows, holders: Sequence[Holder]) -> Iterator[Standing]:
    """Those of a batch's rows that it inserted, that are there, and at which rows of others point; each once."""
    inserted = rows.net.is_left & ~rows.net.was_there
    stored = rows.stored.filter(pa.array(inserted[np.asarray(rows.stored[ORDINAL])]))
    told: set[int] = set()
    for holder in holders:
        if holder.key.parent != rows.shape.name or stored.num_rows == 0:
            continue
        pairs = zip(holder.key.columns, holder.key.parent_columns, strict=True)
        try:
            wanted = pa.table(
                {child: stored[parent].cast(holder.shape.column(child).type.arrow) for child, parent in pairs}
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            # Some values do not fit the type of what points at them, so they are not looked up; the database knows.
            continue
        found = session.fetch(holder.shape, holder.key.columns, wanted, lock=False, columns=holder.key.columns)
        for place in np.unique(np.asarray(found[ORDINAL])):
            at = int(stored[ORDINAL][int(place)].as_py())
            if at not in told:
                told.add(at)
                yield rows.standing(at, holder.why)


def _has_rows(ledger: Ledger, shape: TableShape, key: ForeignKey) -> bool:
    """Whether any row points at another; also where it cannot be asked by this name, since each batch asks again, by the store."""
    schema, _, name = shape.name.rpartition(".")
    columns: list[sa.ColumnClause[object]] = [sa.column(each) for each in key.columns]
    table = sa.table(name, *columns, schema=schema or None)
    query = sa.select(*columns).select_from(table).where(*(each.is_not(None) for each in columns)).limit(1)
    try:
        with ledger.reading() as connection:
            return connection.execute(query).first() is not None
    except TransientFault:
        raise
    except EnvironmentFault:
        return True
