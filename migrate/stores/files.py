"""Files as a source: CSV, Parquet, Arrow; one file, a folder or a glob, read as one relation in the order of the files' names.

Rows have numbers, from 1 on through all files, unless the mapping declares a key; then they are read in the order of that key. They
are converted once, when the first reader opens, into a temporary file (see `files_spool`), in which any range is found at once.
"""

from __future__ import annotations

import glob
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from migrate.errors import EnvironmentFault, InputError
from migrate.stores.files_arrow import arrow_batches, arrow_schema, logical_of
from migrate.stores.files_csv import CsvFormat, csv_batches, csv_format, csv_names
from migrate.stores.files_spool import Spool, sorted_batches, with_anomaly
from migrate.stores.port import ANOMALY, ROW_NUMBER, AbstractSnapshot
from migrate.values import Column, Key, KeyRange, LogicalType, SourceSpec, TableShape, UniqueKey

_FORMATS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
}  # fmt: skip
_NAMES: Final = {"csv": "csv", "parquet": "parquet", "arrow": "arrow", "feather": "arrow", "ipc": "arrow"}
_OPTIONS: Final = {"csv": {"encoding", "delimiter"}, "parquet": set[str](), "arrow": set[str]()}
_BY_NUMBER: Final = (ROW_NUMBER,)
_NUMBER: Final = Column(
    ROW_NUMBER, LogicalType("integer", low=1, high=2**63 - 1), nullable=False, default_kind="generated", declared="row"
)


def open_source(spec: SourceSpec) -> FilesSource:
    """The files that `spec` names.

    Raises:
        InputError: there are none, their columns differ, or a format or option is unknown.
    """
    return FilesSource(spec)


class PrivateSnapshot:
    """Files have none; their fingerprint tells whether they changed."""

    shared = True

    def close(self) -> None:
        """Nothing to end."""


class FilesSource:
    """See `migrate.stores.port.SourceStore`."""

    def __init__(self, spec: SourceSpec) -> None:
        self.paths = _found(spec)
        self._form = _form(spec, self.paths)
        self._options = dict(spec.options)
        _check_options(self._form, self._options)
        self._formats: dict[Path, CsvFormat] = {}
        self.shape = self._described(spec)
        self._spools: dict[tuple[str, ...], Spool] = {}
        self._lock = threading.Lock()

    def snapshot(self) -> AbstractSnapshot:
        """All readers share the rows that were converted once."""
        return PrivateSnapshot()

    def reader(self, snapshot: AbstractSnapshot | None = None) -> FilesReader:
        """A reader; the first one waits until the rows are converted."""
        del snapshot
        self.spool(_BY_NUMBER)
        return FilesReader(self)

    def fingerprint(self) -> dict[str, str]:
        """Names, sizes and SHA-256 of the files, in their order."""
        found = {"engine": "files", "format": self._form}
        found |= {f"option {name}": text for name, text in sorted(self._options.items())}
        for number, path in enumerate(self.paths, 1):
            found[f"file {number:06d}"] = f"{path.name} {path.stat().st_size} {_sha256(path)}"
        return found

    def spool(self, order: tuple[str, ...]) -> Spool:
        """The rows in `order`; each order is made once."""
        with self._lock:
            base = self._spools.get(_BY_NUMBER)
            if base is None:
                base = self._spools[_BY_NUMBER] = Spool(self.spool_schema, self._numbered(), _BY_NUMBER)
            if order not in self._spools:
                rows = sorted_batches(self.spool_schema, base.read(0, base.rows), order)
                self._spools[order] = Spool(self.spool_schema, rows, order)
            return self._spools[order]

    @property
    def spool_schema(self) -> pa.Schema:
        """The file's columns, the row number and the anomaly."""
        columns = [column for column in self.shape.columns if column.name != ROW_NUMBER]
        return pa.schema(
            [
                *((column.name, column.type.arrow) for column in columns),
                (ROW_NUMBER, pa.int64()),
                (ANOMALY, pa.string()),
            ]
        )

    def close(self) -> None:
        """Give the temporary files' room back."""
        for spool in self._spools.values():
            spool.close()
        self._spools.clear()

    def _described(self, spec: SourceSpec) -> TableShape:
        columns, rows = self._columns_of(self.paths[0])
        total = rows
        for path in self.paths[1:]:
            others, rows = self._columns_of(path)
            _check_same(self.paths[0], columns, path, others)
            total = None if total is None or rows is None else total + rows
        for reserved in {ROW_NUMBER, ANOMALY} & {column.name for column in columns}:
            raise InputError(f"a column may not be called {reserved}", where=str(self.paths[0]))
        missing = [name for name in spec.key if name not in {column.name for column in columns}]
        if missing:
            raise InputError(f"the files have no column {', '.join(missing)}", where="source → key")
        if spec.key:
            return TableShape(spec.relation, columns, unique_keys=(UniqueKey("key", spec.key),), rows=total)
        keys = (UniqueKey(ROW_NUMBER, (ROW_NUMBER,)),)
        return TableShape(spec.relation, (*columns, _NUMBER), unique_keys=keys, rows=total, positional=True)

    def _columns_of(self, path: Path) -> tuple[tuple[Column, ...], int | None]:
        if self._form == "csv":
            self._formats[path] = csv_format(path, self._options.get("encoding"), self._options.get("delimiter"))
            names = csv_names(path, self._formats[path])
            return tuple(Column(name, LogicalType("text"), declared="csv") for name in names), None
        schema, rows = arrow_schema(path, self._form)
        if len(set(schema.names)) != len(schema.names):
            raise InputError("a column name stands twice", where=str(path))
        return tuple(
            Column(item.name, logical_of(item.type), item.nullable, declared=str(item.type)) for item in schema
        ), rows

    def _numbered(self) -> Iterator[pa.RecordBatch]:
        following = 1
        types = {column.name: column.type for column in self.shape.columns if column.name != ROW_NUMBER}
        for path in self.paths:
            if self._form == "csv":
                batches = csv_batches(path, self._formats[path], tuple(types))
            else:
                batches = arrow_batches(path, self._form, types)
            for batch in batches:
                numbers = pa.array(range(following, following + batch.num_rows), pa.int64())
                following += batch.num_rows
                at = batch.num_columns - 1
                yield batch.add_column(at, pa.field(ROW_NUMBER, pa.int64()), numbers)


class FilesReader:
    """See `migrate.stores.port.SourceReader`. Text is ordered by code point, NULL comes first."""

    def __init__(self, source: FilesSource) -> None:
        self._source = source

    def border(self, columns: tuple[str, ...], after: Key | None, rows: int) -> Key | None:
        """The key `rows` rows behind `after`, or None."""
        spool = self._source.spool(self._order_for(columns))
        position = spool.position(after) + rows
        return None if position > spool.rows else spool.key_at(position - 1, len(columns))

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows of the range, sorted by `order`, which must begin with the range's columns."""
        if order[: len(key_range.columns)] != key_range.columns:
            raise InputError(f"rows of ranges of {key_range.columns} cannot be read in the order of {order}")
        spool = self._source.spool(order)
        start = spool.position(key_range.after)
        stop = spool.rows if key_range.upto is None else spool.position(key_range.upto)
        for batch in _gathered(spool.read(start, stop), chunk_bytes):
            yield with_anomaly(batch, columns or self._source.shape.names)

    def pick(
        self, by: tuple[str, ...], keys: Sequence[Key], order: tuple[str, ...], columns: tuple[str, ...] | None = None
    ) -> pa.Table:
        """All rows whose `by` equals one of `keys`, sorted by `order`."""
        spool = self._source.spool(by)
        spans = sorted({_span(spool, key) for key in keys})
        found = pa.Table.from_batches(
            [batch for start, stop in spans for batch in spool.read(start, stop)], self._source.spool_schema
        )
        ordered = found.sort_by([(name, "ascending", "at_start") for name in (*order, ROW_NUMBER)])
        names = columns or self._source.shape.names
        return pa.Table.from_batches(
            [with_anomaly(batch, names) for batch in ordered.to_batches()], self._schema(names)
        )

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """All rows in the order of the files."""
        spool = self._source.spool(_BY_NUMBER)
        for batch in _gathered(spool.read(0, spool.rows), chunk_bytes):
            yield with_anomaly(batch, columns)

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """All rows, only `columns` and the anomaly."""
        spool = self._source.spool(_BY_NUMBER)
        batches = (with_anomaly(batch, columns) for batch in spool.read(0, spool.rows))
        return pa.Table.from_batches(batches, self._schema(columns))

    def now(self) -> str:
        """The clock of this machine, in UTC."""
        return datetime.now(UTC).isoformat(timespec="microseconds")

    def close(self) -> None:
        """Nothing of its own to free."""

    def _schema(self, columns: Sequence[str]) -> pa.Schema:
        return pa.schema([self._source.spool_schema.field(name) for name in (*columns, ANOMALY)])

    def _order_for(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """The declared key when `columns` are its beginning, so that borders and reading go by one order."""
        key = self._source.shape.unique_keys[0].columns
        return key if key[: len(columns)] == columns else columns


def _span(spool: Spool, key: Key) -> tuple[int, int]:
    """The positions of the rows with exactly this key: [start, stop)."""
    return spool.position(key, with_equal=False), spool.position(key)


def _gathered(batches: Iterator[pa.RecordBatch], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
    """Batches joined, or cut, to about `chunk_bytes`."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        rows = max(1, batch.num_rows * chunk_bytes // max(batch.nbytes, 1))
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            waiting.append(part)
            size += part.nbytes
            if size >= chunk_bytes:
                yield _joined(waiting)
                waiting, size = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _found(spec: SourceSpec) -> tuple[Path, ...]:
    """The files, by name; of a folder those with a known ending."""
    text = spec.files or ""
    path = Path(text)
    if path.is_file():
        return (path,)
    if path.is_dir():
        wanted = _NAMES.get(spec.format or "", None)
        paths = [
            entry for entry in path.iterdir()
            if entry.is_file() and not entry.name.startswith(".") and entry.suffix.lower() in _FORMATS
            and wanted in (None, _FORMATS[entry.suffix.lower()])
        ]  # fmt: skip
    else:
        paths = [Path(name) for name in glob.glob(text, recursive=True) if Path(name).is_file()]  # noqa: PTH207 - absolute patterns
    if not paths:
        raise InputError(
            f"no files: {text}",
            where="source → files",
            next_step="name a file, a folder or a glob such as exports/*.csv",
        )
    return tuple(sorted(paths, key=lambda entry: (entry.name, str(entry))))


def _form(spec: SourceSpec, paths: Sequence[Path]) -> str:
    if spec.format is not None:
        if spec.format not in _NAMES:
            raise InputError(
                f"unknown format {spec.format}", where="source → format", next_step=f"one of {', '.join(_NAMES)}"
            )
        return _NAMES[spec.format]
    forms = {_FORMATS.get(path.suffix.lower()) for path in paths}
    if len(forms) != 1 or None in forms:
        raise InputError(
            "the files' names do not tell one format",
            where=f"{paths[0].parent}{os.sep}",
            next_step="declare `format: csv`, parquet or arrow",
        )
    return str(forms.pop())


def _check_options(form: str, options: dict[str, str]) -> None:
    for name, text in options.items():
        if name not in _OPTIONS[form]:
            raise InputError(
                f"{form} has no option {name}",
                where="source → options",
                next_step=f"known: {', '.join(sorted(_OPTIONS[form])) or 'none'}",
            )
        if name == "delimiter" and (len(text) != 1 or not text.isascii()):
            raise InputError(f"a delimiter is one ASCII character, not {text!r}", where="source → options → delimiter")


def _check_same(first: Path, columns: Sequence[Column], other: Path, others: Sequence[Column]) -> None:
    ours = {column.name: column for column in columns}
    theirs = {column.name: column for column in others}
    for name in [*ours, *theirs]:
        if name not in theirs:
            raise InputError(f"column {name} of {first.name} is missing", where=str(other))
        if name not in ours:
            raise InputError(f"column {name} is not in {first.name}", where=str(other))
        if ours[name].type != theirs[name].type:
            raise InputError(
                f"column {name} is {theirs[name].declared}, but {ours[name].declared} in {first.name}", where=str(other)
            )
    if list(ours) != list(theirs):
        name = next(
            theirs_name for ours_name, theirs_name in zip(ours, theirs, strict=True) if ours_name != theirs_name
        )
        raise InputError(f"column {name} stands in another place than in {first.name}", where=str(other))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EnvironmentFault(f"cannot read the file: {error}", where=str(path)) from error
