"""One scan of a table by its database: sums by bucket in SQL, where that is asked for or faster, and only after its form was proven on the table.

Whatever speaks against it (no form, a byte of difference, a statement that fails, a row without an encoding) makes the caller
read the rows themselves, and is told in the report. It decides no verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.sql_form import NoSqlForm, SqlForm, StoredRelation, sql_form
from migrate.checksum.sql_scan import bucket_sums, equal_rows, first_rows
from migrate.errors import ConnectionLost, Interrupted, MigrateError
from migrate.stores.port import SourceReader, SqlReader
from migrate.units import count_text, rows_text
from migrate.verify.buckets import BY_HASH, BucketSums, Sorting, digested
from migrate.verify.notes import Note
from migrate.verify.sql_proof import SAMPLE_ROWS, proven_on_extremes, proven_on_sample
from migrate.verify.timing import least_seconds
from migrate.verify.verdict import Coverage, Reason, SideName
from migrate.verify.widening import widened

S = TypeVar("S")

Scan: TypeAlias = Literal["auto", "stream", "sql"]
"""What the user asks for: whichever is faster, always the rows, or SQL wherever it is proven."""

TIMED_ROWS: Final = 4 * SAMPLE_ROWS
TIMES_FASTER: Final = 2
"""How much faster SQL has to be on the sample: it is proven on the extremes by further scans of the table, and rows that are read are hashed
while the server sends the next ones. (2 M invoices on one machine, equal on the sample: 11 s streamed, 20 s by SQL.)"""


@dataclass(frozen=True, slots=True)
class Place:
    """Which table of which side is scanned. `equal`: only the rows whose text column of this name holds this text. `bits`: of K, to sort by."""

    side: SideName
    table: str
    equal: tuple[str, str] | None = None
    bits: int = BY_HASH.bits


@dataclass(frozen=True, slots=True)
class Scanned:
    """`sums` by SQL, or None where the rows have to be read; and why so."""

    sums: BucketSums | None
    coverage: Coverage


def sql_trial(reader: SourceReader, contract: Contract, nonce: str, scan: Scan, place: Place) -> Trial | Scanned:
    """Whether to sum up all rows of the reader's relation by SQL: it is wanted, equal on a sample and, with `auto`, faster. Raises ConnectionLost."""
    if scan == "stream":
        return streamed(place, "asked")
    if not isinstance(reader, SqlReader):
        return streamed(place, "no_sql")
    relation = reader.stored()
    form = sql_form(contract, relation)
    if isinstance(form, NoSqlForm):
        return streamed(place, "no_form", form.why)
    if place.equal is not None:
        relation = equal_rows(relation, *place.equal)
    trial = Trial(reader, relation, _Wanted(contract, form, nonce), place)
    return _told(place, lambda: trial.refused(scan)) or trial


def _told(place: Place, work: Callable[[], S]) -> S | Scanned:
    """What `work` gives; rows that have to be read where the database refuses a statement."""
    try:
        return work()
    except (ConnectionLost, Interrupted):
        raise
    except MigrateError as error:
        return streamed(place, "failed", error.message)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is summed up: rows under this contract, by this form, with this nonce."""

    contract: Contract
    form: SqlForm
    nonce: str


class Trial:
    """Proves the form, times both ways, and scans. Its sums are sorted by digest."""

    def __init__(self, reader: SqlReader, relation: StoredRelation, wanted: _Wanted, place: Place) -> None:
        self._reader = reader
        self._relation = relation
        self._contract = wanted.contract
        self._form = wanted.form
        self._nonce = wanted.nonce
        self._place = place
        self._tested = 0
        self._reason: Reason = "asked"
        self._timing: Note | None = None

    def refused(self, scan: Scan) -> Scanned | None:
        """Why the rows have to be read after all, or None. Raises what a statement raises."""
        sample = proven_on_sample(self._reader, self._relation, self._contract, self._form)
        self._tested = sample.rows
        if sample.differs is not None:
            return streamed(self._place, "differs", sample.differs, self._tested)
        if scan == "sql":
            return None
        if sample.rows < SAMPLE_ROWS:
            return streamed(self._place, "small", None, self._tested)
        reading, summing = least_seconds(self._stream_some, self._sum_some)
        self._reason = "faster"
        by_sql, by_reading = (f"{seconds * 1000:.1f}" for seconds in (summing, reading))
        self._timing = Note.of("timed", rows=TIMED_ROWS, by_sql=by_sql, streamed=by_reading)
        if TIMES_FASTER * summing >= reading:
            return streamed(self._place, "slower", self._timing, self._tested)
        return None

    def scan(self) -> Scanned:
        """The sums of all rows, once the form is proven on the extremes; or that the rows have to be read all the same. Raises ConnectionLost."""
        return _told(self._place, self._scan)

    def _scan(self) -> Scanned:
        extreme = proven_on_extremes(self._reader, self._relation, self._contract, self._form)
        tested = self._tested + extreme.rows
        if extreme.differs is not None:
            return streamed(self._place, "differs", extreme.differs, tested)
        sums = BucketSums(Sorting("digest", self._place.bits))
        sums.add_sums(self._reader.ask(self._statement(self._relation)))
        if sums.poison:
            # Which rows these are, and why, is known only when they are read.
            counted = Note.of("rows_counted", rows=rows_text(sums.poison), count=count_text(sums.poison))
            return streamed(self._place, "poison", counted, tested)
        return Scanned(sums, Coverage(self._place.side, self._place.table, "sql", self._reason, self._timing, tested))

    def _stream_some(self) -> None:
        names = tuple(name for name, _ in self._contract.columns)
        sums = BucketSums(BY_HASH)
        for _, batch in self._reader.beside("NULL", names, self._relation.sql, f"LIMIT {TIMED_ROWS}"):
            rows = widened(pa.Table.from_batches([batch]), self._contract)
            sums.add_sorted(digested(rows, self._contract, self._nonce, sums.sorting))

    def _sum_some(self) -> None:
        self._reader.ask(self._statement(first_rows(self._relation, TIMED_ROWS)))

    def _statement(self, relation: StoredRelation) -> str:
        return bucket_sums(self._form, relation, self._nonce, self._place.bits)


def streamed(place: Place, reason: Reason, detail: str | Note | None = None, tested: int = 0) -> Scanned:
    """No sums: the rows have to be read, for this reason."""
    return Scanned(None, Coverage(place.side, place.table, "stream", reason, detail, tested))
