"""One scan of a table by its database: sums by bucket in SQL, where that is asked for or faster, and only after its form was proven on the table.

Whatever speaks against it (no form, a byte of difference, a statement that fails, a row without an encoding) makes the caller
read the rows themselves, and is told in the report. It decides no verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.sql_form import NoSqlForm, SqlForm, StoredRelation, sql_form
from migrate.checksum.sql_scan import bucket_sums, equal_rows, first_rows
from migrate.checksum.vectorised import key_digests, row_digests
from migrate.errors import ConnectionLost, Interrupted, MigrateError
from migrate.stores.port import SourceReader, SqlReader
from migrate.units import count_text, rows_text
from migrate.verify.buckets import BucketSums
from migrate.verify.notes import Note
from migrate.verify.sql_proof import SAMPLE_ROWS, proven_on_extremes, proven_on_sample
from migrate.verify.verdict import Coverage, Reason, SideName
from migrate.verify.widening import widened

Scan: TypeAlias = Literal["auto", "stream", "sql"]
"""What the user asks for: whichever is faster, always the rows, or SQL wherever it is proven."""

TIMED_ROWS: Final = 4 * SAMPLE_ROWS
TIMES_FASTER: Final = 2
"""How much faster SQL has to be on the sample: it is proven on the extremes by further scans of the table, and rows that are read are hashed
while the server sends the next ones. (2 M invoices on one machine, equal on the sample: 11 s streamed, 20 s by SQL.)"""


@dataclass(frozen=True, slots=True)
class Place:
    """Which table of which side is scanned. `equal`: only the rows whose text column of this name holds this text."""

    side: SideName
    table: str
    equal: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Scanned:
    """`sums` by SQL, or None where the rows have to be read; and why so."""

    sums: BucketSums | None
    coverage: Coverage


def scan_by_sql(reader: SourceReader, contract: Contract, nonce: str, scan: Scan, place: Place) -> Scanned:
    """The sums of all rows of the reader's relation, if SQL is wanted, proven and, with `auto`, faster. Raises ConnectionLost."""
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
    try:
        return _Trial(reader, relation, _Wanted(contract, form, nonce), place).scan(scan)
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


class _Trial:
    """Proves the form, times both ways, and scans."""

    def __init__(self, reader: SqlReader, relation: StoredRelation, wanted: _Wanted, place: Place) -> None:
        self._reader = reader
        self._relation = relation
        self._contract = wanted.contract
        self._form = wanted.form
        self._nonce = wanted.nonce
        self._place = place

    def scan(self, scan: Scan) -> Scanned:
        """As `scan_by_sql`, raising what a statement raises."""
        sample = proven_on_sample(self._reader, self._relation, self._contract, self._form)
        if sample.differs is not None:
            return streamed(self._place, "differs", sample.differs, sample.rows)
        reason: Reason = "asked"
        timing: Note | None = None
        if scan == "auto":
            if sample.rows < SAMPLE_ROWS:
                return streamed(self._place, "small", None, sample.rows)
            reading, summing = _seconds(self._stream_some), _seconds(self._sum_some)
            by_sql, by_reading = (f"{seconds * 1000:.1f}" for seconds in (summing, reading))
            timing = Note.of("timed", rows=TIMED_ROWS, by_sql=by_sql, streamed=by_reading)
            if TIMES_FASTER * summing >= reading:
                return streamed(self._place, "slower", timing, sample.rows)
            reason = "faster"
        extreme = proven_on_extremes(self._reader, self._relation, self._contract, self._form)
        tested = sample.rows + extreme.rows
        if extreme.differs is not None:
            return streamed(self._place, "differs", extreme.differs, tested)
        sums = BucketSums()
        sums.add_sums(self._reader.ask(bucket_sums(self._form, self._relation, self._nonce)))
        if sums.poison:
            # Which rows these are, and why, is known only when they are read.
            return streamed(
                self._place,
                "poison",
                Note.of("rows_counted", rows=rows_text(sums.poison), count=count_text(sums.poison)),
                tested,
            )
        return Scanned(sums, Coverage(self._place.side, self._place.table, "sql", reason, timing, tested))

    def _stream_some(self) -> None:
        names = tuple(name for name, _ in self._contract.columns)
        sums = BucketSums()
        for _, batch in self._reader.beside("NULL", names, self._relation.sql, f"LIMIT {TIMED_ROWS}"):
            rows = widened(pa.Table.from_batches([batch]), self._contract)
            sums.add(key_digests(rows, self._contract), row_digests(rows, self._contract, self._nonce))

    def _sum_some(self) -> None:
        self._reader.ask(bucket_sums(self._form, first_rows(self._relation, TIMED_ROWS), self._nonce))


def streamed(place: Place, reason: Reason, detail: str | Note | None = None, tested: int = 0) -> Scanned:
    """No sums: the rows have to be read, for this reason."""
    return Scanned(None, Coverage(place.side, place.table, "stream", reason, detail, tested))


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
