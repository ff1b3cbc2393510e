"""The source side: every source row read anew, in one snapshot, and the mapping replayed on it.

It reads by statements of its own: one scan of the whole source where rows are units by themselves, else ranges that it cuts itself. It
never asks the ledger which rows there are, were rejected, or where a batch began.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from typing import Final, TypeAlias, TypeVar

import pyarrow as pa

from migrate.engine.lookups import file_lookups, table_lookups
from migrate.engine.plan import Plan
from migrate.errors import DataError, Interrupted, MigrateError
from migrate.mapping.mapped import Mapped
from migrate.mapping.transformer import Transformer
from migrate.stores.opening import open_source
from migrate.stores.port import PositionedReader, SharingReader, SumsReader
from migrate.values import Key, KeyRange
from migrate.verify.both import CHUNK_BYTES
from migrate.verify.spread import at_once_here, spread_over

R = TypeVar("R")

Look: TypeAlias = Callable[[pa.Table], None]
"""Gets source rows as they were read, with `ANOMALY`."""

_RANGE_ROWS: Final = 8_192
_MOST_PICKED: Final = 1_000


def unlooked(_rows: pa.Table) -> None:
    """Nobody looks."""


class Replay:
    """One reader, and a transformer for each thread that maps; every walk sees the same snapshot. For one thread at a time.

    What is mapped has no findings: they are no rows, and a tenth of the mapping's work with a single warning (measured).
    """

    def __init__(self, plan: Plan) -> None:
        self._lookups = {**file_lookups(plan.mapping), **table_lookups(plan.mapping, plan.source.url, plan.target_url)}
        self._plan = plan
        self._idle = [self._transformer()]
        self._reader = open_source(plan.source).reader()

    def chunks(self, look: Look = unlooked) -> Iterator[Mapped]:
        """All of the source, mapped, in chunks that never cut through a unit; `look` sees the rows of each before."""
        for chunk in self._looked_at(look):
            yield self._mapped(chunk)

    def worked(self, pool: Executor, work: Callable[[Mapped], R], look: Look = unlooked) -> Generator[R]:
        """What `work` makes of each of `chunks`, in their order; mapped and worked on by the threads of the pool, read and looked at by who asks."""
        return spread_over(pool, self._looked_at(look), lambda chunk: work(self._mapped(chunk)), at_once_here())

    def sums_reader(self) -> SumsReader | None:
        """The reader, where its database can be asked for sums of its own in the same snapshot."""
        return self._reader if isinstance(self._reader, SumsReader) else None

    def sums_reader_beside(self) -> SumsReader | None:
        """Another one in the same snapshot, for a thread beside a walk that has not begun; None where there is none to be had. Who asks closes it."""
        if not isinstance(self._reader, SharingReader):
            return None
        try:
            return self._reader.another()
        except Interrupted:
            raise
        except MigrateError:
            # A server without a place for one more, a pooler that gives another server: nothing that would matter to the reader that is there.
            return None

    def now(self) -> str:
        """The source's clock."""
        return self._reader.now()

    def position(self) -> str | None:
        """Where the source stands; None where that cannot be told."""
        return self._reader.position() if isinstance(self._reader, PositionedReader) else None

    def in_source_order(self, keys: list[Key]) -> list[Key]:
        """Those of these unit keys that are in the source, in its own order."""
        columns = self._plan.program.unit_columns
        if len(keys) <= _MOST_PICKED:
            found = self._reader.pick(columns, keys, self._plan.order, columns)
            return list(dict.fromkeys(zip(*(found[name].to_pylist() for name in columns), strict=True)))
        # More than a statement may name: all are read in order, of one range that is open at both ends.
        wanted, whole = set(keys), KeyRange(0, self._plan.range_columns, None, None)
        batches = self._reader.read(whole, self._plan.order, CHUNK_BYTES, columns)
        every = (
            key for each in batches for key in zip(*(each.column(name).to_pylist() for name in columns), strict=True)
        )
        return list(dict.fromkeys(key for key in every if key in wanted))

    def require_whole(self, rows: int) -> None:
        """Raise DataError unless a walk that read so many rows read all that one statement without ranges finds.

        Ranges are cut by the code that cuts those of a run: what they miss would be missed by both.
        """
        if self._is_one_scan:
            return
        some = self._plan.range_columns[:1]
        there = sum(batch.num_rows for batch in self._reader.scan(some, CHUNK_BYTES))
        if rows != there:
            raise DataError(
                f"its ranges in the order of ({', '.join(self._plan.range_columns)}) have {rows} rows, and there are {there}",
                where=self._plan.source.relation,
                next_step="declare another key in the mapping, of a type that the database compares as it sorts",
            )

    def close(self) -> None:
        """Free the connection and the transformer."""
        self._reader.close()
        for each in self._idle:
            each.close()

    def _looked_at(self, look: Look) -> Iterator[pa.Table]:
        for chunk in self._whole_units():
            look(chunk)
            yield chunk
            del chunk

    def _mapped(self, chunk: pa.Table) -> Mapped:
        """By a transformer that no other thread uses meanwhile."""
        try:
            transformer = self._idle.pop()
        except IndexError:
            transformer = self._transformer()
        try:
            return transformer.apply(chunk)
        finally:
            self._idle.append(transformer)

    def _transformer(self) -> Transformer:
        return Transformer(self._plan.program, self._lookups, findings=False)

    @property
    def _is_one_scan(self) -> bool:
        """Rows are units by themselves, in any order."""
        return self._plan.program.unit_is_unique and not self._plan.program.grouped

    def _whole_units(self) -> Iterator[pa.Table]:
        program = self._plan.program
        if self._is_one_scan:
            for batch in self._reader.scan(program.source_columns, CHUNK_BYTES):
                yield pa.Table.from_batches([batch])
            return
        after = None
        for number in itertools.count():
            upto = self._reader.border(self._plan.range_columns, after, _RANGE_ROWS)
            key_range = KeyRange(number, self._plan.range_columns, after, upto)
            held = list(self._reader.read(key_range, self._plan.order, CHUNK_BYTES, program.source_columns))
            if held:
                yield pa.Table.from_batches(held)
            if upto is None:
                return
            after = upto
