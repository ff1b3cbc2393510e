"""`verify` of two tables of one shape: no mapping, no ledger. Every row of both, by key where there is one, duplicates counted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.errors import InputError
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, ROW_NUMBER
from migrate.stores.urls import dialect_of, parse_url, redacted, sqlite_path
from migrate.values import Column, LogicalType, SourceSpec, TableShape
from migrate.verify.both import CHUNK_BYTES, Watch, unwatched, walk_both
from migrate.verify.buckets import BucketSums, SortedBy, Sorting, bits_for, digested
from migrate.verify.compare import Compared, Comparison, Listing, Subject
from migrate.verify.meeting import ByEncoding, Meeting
from migrate.verify.notes import Note, NotVerified
from migrate.verify.records import RECORD, ByRecord, Records, records_of
from migrate.verify.rows import Kept, Parts
from migrate.verify.shown import Shown
from migrate.verify.sql_scan import Place, Scan, Scanned, Trial, sql_trial, streamed
from migrate.verify.unread import UnreadTally, split_unreadable, unreadable
from migrate.verify.verdict import KINDS, Coverage, SideName, TargetResult, Verdict, Verification, unsteady, worst
from migrate.verify.widening import common_type, widened

_ONLY_SOURCE: Final = Note.of("only_source")
_ONLY_TARGET: Final = Note.of("only_target")


@dataclass(frozen=True, slots=True)
class TwoTables:
    """Which tables, and how many differences to list. `key`: columns that name a row; default: the target's primary key, else every row by itself.

    `scan`: who sums the rows up, this process or the databases.
    """

    source: str
    table: str
    target: str
    into: str
    key: tuple[str, ...] = ()
    most_differences: int = 100
    allow_empty: bool = False
    scan: Scan = "auto"


def verify_tables(asked: TwoTables, watch: Watch = unwatched) -> Verification:
    """Compare two tables column by column of the same name.

    Raises InputError for a table or key column that is not there, no column in common, or one table in the place of both; EnvironmentFault when a database is out of reach.
    """
    if _place(asked.source, asked.table) == _place(asked.target, asked.into):
        raise InputError(
            f"{asked.table} would be compared with itself, and is always equal to that",
            next_step="name the other table: --target URL --into U",
        )
    clock = time.monotonic()
    nonce = secrets.token_hex(16)
    with ExitStack() as open_now:
        specs: dict[SideName, SourceSpec] = {
            "source": SourceSpec(url=asked.source, table=asked.table, key=asked.key),
            "target": SourceSpec(url=asked.target, table=asked.into, key=asked.key),
        }
        shapes = {name: _shape(name, spec) for name, spec in specs.items()}
        subject, not_verified = _subject(asked, shapes["source"], shapes["target"])
        bits = bits_for(*(shape.rows for shape in shapes.values()))
        sides = {
            name: open_now.enter_context(closing(_Table(Place(name, spec.relation, bits=bits), spec, subject, nonce)))
            for name, spec in specs.items()
        }
        began = sides["source"].now()
        faults = _sum_up(asked.scan, sides, watch)
        targets: dict[str, TargetResult] = {}
        if not faults:
            compared, faults = _rows(asked, subject, sides, watch)
            unread = list(_unreadable(sides))
            not_verified += [*unread, *unsteady(compared.unsteady, Note.of("the_target"))]
            result = _result(subject, shapes["target"], compared, sides)
            # Sums that differ are a difference, also where the rows could not be read a second time; but not if what cannot be read made them differ.
            verdict: Verdict = "DIFFERENT" if faults and not unread else result.verdict
            if not asked.allow_empty and not any(each.count for each in sides.values()):
                not_verified.append(NotVerified(Note.of("both_tables"), Note.of("tables_empty")))
            targets[asked.into] = replace(result, verdict=worst((verdict, *_doubts(not_verified))))
        not_verified += faults
    return Verification(
        verdict=worst((*(each.verdict for each in targets.values()), *_doubts(not_verified))), rules=(),
        not_verified=tuple(not_verified), targets=targets, totals=(), groups=0,
        rejects=None, mapping=f"{asked.table} = {asked.into}", run=None, source=f"{redacted(parse_url(asked.source))} · {asked.table}",
        target=f"{redacted(parse_url(asked.target))} · {asked.into}", nonce=nonce, began=began, seconds=time.monotonic() - clock, of_tables=True,
        coverage=tuple(each.coverage for each in sides.values() if each.coverage is not None),
    )  # fmt: skip


def _place(url: str, table: str) -> tuple[object, str]:
    parsed = parse_url(url)
    path = sqlite_path(parsed) if dialect_of(parsed) == "sqlite" else None
    return parsed if path is None else path.resolve(), table


def _doubts(not_verified: list[NotVerified]) -> tuple[Verdict, ...]:
    return ("NOT_VERIFIED",) if not_verified else ()


class _Table:
    """One side: its rows in the contract's types, scanned as often as asked, in one snapshot."""

    def __init__(self, place: Place, spec: SourceSpec, subject: Subject, nonce: str) -> None:
        self._place = place
        self._name = place.side
        self.sums = BucketSums(Sorting("hash", place.bits))
        self.coverage: Coverage | None = None
        self._trial: Trial | Scanned | None = None
        self._records: Records | None = None
        self.contract = subject.contract
        self.nonce = nonce
        self.reader = open_source(spec).reader()
        self.unread = UnreadTally(Shown(subject.contract, subject.key), self.sums.sorting)

    def now(self) -> str:
        """The database's clock."""
        return self.reader.now()

    def choose(self, scan: Scan) -> None:
        """Find out whether the database may sum up the rows."""
        self._trial = sql_trial(self.reader, self.contract, self.nonce, scan, self._place)

    @property
    def sorted_by(self) -> SortedBy:
        """By what the rows have to be sorted."""
        return "digest" if isinstance(self._trial, Trial) else "hash"

    def sort_by(self, by: SortedBy) -> None:
        """How the rows are going to be sorted; both sides alike."""
        self.sums = BucketSums(Sorting(by, self._place.bits))
        self.unread.sort_by(self.sums.sorting)

    def sum_up(self, watch: Watch, meeting: Meeting | None) -> None:
        """Sum up all rows, by the database or as they are read, in the meeting if there is one."""
        found = self._trial.scan() if isinstance(self._trial, Trial) else self._trial
        self.coverage = None if found is None else found.coverage
        if found is not None and found.sums is not None:
            self.sums = found.sums
            watch(self._name, self.sums.count)
            return
        for rows, unread in self._chunks(watch):
            if meeting is None:
                self.sums.add_sorted(digested(rows, self.contract, self.nonce, self.sums.sorting))
            else:
                meeting.add(self._name, rows)
            self.unread.add(unread)

    def sum_up_records(self, records: Records, watch: Watch, meeting: Meeting) -> None:
        """Sum up the records of all rows, until one has none: it is in `sums.poison` then, and the sums are of no use."""
        self._records = records
        self.coverage = streamed(self._place, "records").coverage
        with closing(records.read(self.contract.key)) as tables:
            for rows in tables:
                watch(self._name, rows.num_rows)
                meeting.add(self._name, rows.drop_columns([ANOMALY]))
                if self.sums.poison:
                    return

    def begin_again(self) -> None:
        """Forget the sums, and how they came about."""
        self.sums, self.coverage, self._records = BucketSums(self.sums.sorting), None, None

    def keep(self, parts: Parts, watch: Watch) -> None:
        """Keep the rows of differing buckets."""
        unread: Kept = "unread" if self._name == "target" else "unread_source"
        for whole, odd in self._chunks(watch):
            for kept, rows in ((self._name, whole), (unread, odd)):
                if self._records is None:
                    parts.encode(kept, rows, self.contract, self.nonce)
                else:
                    parts.encode(kept, self._summed(rows), self.contract, self.nonce, RECORD)

    def close(self) -> None:
        """Free the connection."""
        self.reader.close()

    @property
    def count(self) -> int:
        """All rows, with those that could not be read."""
        return self.sums.count + self.unread.count

    def _summed(self, rows: pa.Table) -> pa.Table:
        """The rows with what the sums are over in the place of their records."""
        digests = ByRecord(self.contract, self.nonce).digests(rows)
        return rows.set_column(rows.schema.get_field_index(RECORD), RECORD, digests)

    def _chunks(self, watch: Watch) -> Iterator[tuple[pa.Table, pa.Table]]:
        for rows in self._tables(tuple(name for name, _ in self.contract.columns)):
            watch(self._name, rows.num_rows)
            whole, odd = split_unreadable(rows)
            yield self._typed(whole.drop_columns([ANOMALY])), self._typed(odd)

    def _tables(self, names: tuple[str, ...]) -> Iterator[pa.Table]:
        if self._records is not None:
            yield from self._records.read(names)
        else:
            yield from (pa.Table.from_batches([batch]) for batch in self.reader.scan(names, CHUNK_BYTES))

    def _typed(self, rows: pa.Table) -> pa.Table:
        """The contract's columns in its types, and what else stands beside them."""
        typed = widened(rows, self.contract)
        for name in (ANOMALY, RECORD):
            typed = typed.append_column(name, rows[name]) if name in rows.column_names else typed
        return typed


def _sum_up(scan: Scan, sides: dict[SideName, _Table], watch: Watch) -> list[NotVerified]:
    """Sum up both sides in forms that can be compared; what could not be summed up."""
    source, target = sides["source"], sides["target"]
    contract, nonce = source.contract, source.nonce
    pair = records_of(contract, source.reader, target.reader) if scan == "auto" else None
    if pair is not None:
        by_record = Meeting(ByRecord(contract, nonce), _sums(sides))
        faults = _walk(
            by_record,
            lambda: source.sum_up_records(pair[0], watch, by_record),
            lambda: target.sum_up_records(pair[1], watch, by_record),
        )
        if not faults and not any(each.sums.poison for each in sides.values()):
            return []
        for each in sides.values():
            each.begin_again()
    faults = walk_both(lambda: source.choose(scan), lambda: target.choose(scan))
    if faults:
        return faults
    by: SortedBy = "digest" if "digest" in {each.sorted_by for each in sides.values()} else "hash"
    for each in sides.values():
        each.sort_by(by)
    meeting = Meeting(ByEncoding(contract, nonce), _sums(sides)) if by == "hash" else None
    return _walk(meeting, lambda: source.sum_up(watch, meeting), lambda: target.sum_up(watch, meeting))


def _walk(meeting: Meeting | None, source: Callable[[], None], target: Callable[[], None]) -> list[NotVerified]:
    """Walk both sides; in a meeting each is told when the other has no more."""
    if meeting is None:
        return walk_both(source, target)

    def attended(side: SideName, walk: Callable[[], None]) -> None:
        with meeting.attended(side):
            walk()

    return walk_both(lambda: attended("source", source), lambda: attended("target", target))


def _sums(sides: dict[SideName, _Table]) -> dict[SideName, BucketSums]:
    return {side: each.sums for side, each in sides.items()}


def _as_declared(shape: TableShape) -> TableShape:
    """The shape without the number of a row in its file: two tables may hold the same rows in another order."""
    if not shape.positional:
        return shape
    keys = tuple(key for key in shape.unique_keys if ROW_NUMBER not in key.columns)
    columns = tuple(column for column in shape.columns if column.name != ROW_NUMBER)
    return replace(shape, columns=columns, unique_keys=keys, positional=False)


def _shape(name: SideName, spec: SourceSpec) -> TableShape:
    try:
        return _as_declared(open_source(spec).shape)
    except InputError as error:
        if error.where == "source → url":
            # Both sides are opened as sources; people gave them by two options.
            error.where = f"--{name}"
        raise


def _subject(asked: TwoTables, source: TableShape, target: TableShape) -> tuple[Subject, list[NotVerified]]:
    """The columns of both and their common types; what cannot be compared, and why."""
    left_out: list[NotVerified] = []
    columns: list[tuple[str, LogicalType]] = []
    for name in dict.fromkeys((*source.names, *target.names)):
        if name not in source.names or name not in target.names:
            left_out.append(NotVerified(name, _ONLY_SOURCE if name in source.names else _ONLY_TARGET))
            continue
        common = common_type(source.column(name).type, target.column(name).type)
        if common is None:
            types = {"source": _type_name(source.column(name)), "target": _type_name(target.column(name))}
            left_out.append(NotVerified(name, Note.of("types_differ", **types)))
        else:
            columns.append((name, common))
    key = asked.key or target.primary_key
    known = [name for name, _ in columns]
    if not columns or not set(key) <= set(known):
        raise _incomparable(asked, key, known, left_out)
    return Subject(Contract(tuple(columns), key), key), left_out


def _type_name(column: Column) -> str:
    """The logical type; of one that has none, the database's own word for it."""
    return column.declared if column.type.kind == "unsupported" and column.declared else str(column.type)


def _incomparable(asked: TwoTables, key: tuple[str, ...], known: list[str], left_out: list[NotVerified]) -> InputError:
    """Why there is nothing to compare the rows by; columns of both whose types do not meet are named with them."""
    names = f"columns of both: {', '.join(known) or 'none'}"
    apart = [": ".join(each.sentences()) for each in left_out if each.why not in (_ONLY_SOURCE, _ONLY_TARGET)]
    return InputError(
        f"{asked.table} and {asked.into} cannot be compared by ({', '.join(key)})"
        if known
        else f"the tables have no column in common{' that can be compared' if apart else ''}",
        where="; ".join([names, *apart]),
        next_step="name the columns that identify a row: --key A,B"
        if known
        else "compare tables whose columns have the same names and kinds, or write a mapping: migrate init",
    )


def _rows(
    asked: TwoTables, subject: Subject, sides: dict[SideName, _Table], watch: Watch
) -> tuple[Compared, list[NotVerified]]:
    source, target = sides["source"], sides["target"]
    with Parts(source.sums, target.sums, source.unread.buckets + target.unread.buckets) as parts:
        if not parts.count:
            return Compared(), []
        faults = walk_both(lambda: source.keep(parts, watch), lambda: target.keep(parts, watch))
        if faults:
            return Compared(), faults
        return Comparison(subject, None, Listing(asked.most_differences)).compare(parts), []


def _unreadable(sides: dict[SideName, _Table]) -> Iterator[NotVerified]:
    for name, side in sides.items():
        yield from unreadable(Note.of(f"the_{name}"), side.unread, side.sums.poison)


def _result(subject: Subject, shape: TableShape, compared: Compared, sides: dict[SideName, _Table]) -> TargetResult:
    columns = tuple(name for name, _ in subject.contract.columns)
    return TargetResult(
        verdict="DIFFERENT" if any(compared.counts[kind] for kind in KINDS) else "EQUAL",
        source_rows=sides["source"].count,
        target_rows=sides["target"].count,
        counts=compared.counts,
        explained={},
        differences=tuple(compared.differences),
        columns=columns,
        left_out=tuple(name for name in shape.names if name not in columns),
        contract=subject.contract.hash,
    )
