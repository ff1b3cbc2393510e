"""CSV files as rows of text: UTF-8 with or without a byte order mark, GBK, GB18030; quotes may enclose newlines.

Every value is text, and an empty one is '' whether quoted or not: the file itself may mean either by it (`nulls:` in the mapping decides).
A row with another number of fields than the header, or with bytes that its encoding does not know, is an anomaly with its text.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from migrate.errors import EnvironmentFault, InputError
from migrate.stores.files_spool import reason, told
from migrate.stores.port import ANOMALY

_CHUNK: Final = 1 << 20
_BLOCK: Final = 1 << 22
"""Bytes that are taken apart at once; a row must fit in them, so they grow where one does not."""
_LARGEST_BLOCK: Final = 1 << 30
_MARK: Final = 0x10FF00
"""Bytes that cannot be decoded become characters from here on, which no standard will ever assign, and so make their row an anomaly."""
_MARKED: Final = r"[\x{10FF00}-\x{10FFFF}]"
_DELIMITERS: Final = (",", "\t", ";", "|")


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How a file is written. `sure`: its bytes are known to be valid in `encoding`."""

    encoding: str
    delimiter: str
    sure: bool


def csv_format(path: Path, encoding: str | None, delimiter: str | None) -> CsvFormat:
    """The format of a file, with what was not declared detected.

    Raises:
        InputError: it is neither UTF-8 nor GB18030, or the declared encoding is unknown.
    """
    if encoding is None:
        found = _detected_encoding(path)
    else:
        try:
            found = codecs.lookup(encoding).name
        except LookupError as error:
            raise InputError(
                f"unknown encoding {encoding}", where=str(path), next_step="utf-8, gbk or gb18030"
            ) from error
    # A byte order mark is not data, whether it was expected or not.
    name = "utf-8-sig" if found == "utf-8" else found
    return CsvFormat(name, delimiter or _detected_delimiter(path, name), encoding is None)


def csv_names(path: Path, form: CsvFormat) -> tuple[str, ...]:
    """The column names in the first row.

    Raises:
        InputError: there is none, or a name is missing or stands twice.
    """
    with path.open(encoding=form.encoding, errors="replace", newline="") as text:
        names = next(csv.reader(text, delimiter=form.delimiter), [])
    if not names:
        raise InputError("the file has no header row", where=str(path))
    for position, name in enumerate(names, 1):
        if not name.strip() or names.index(name) != position - 1:
            problem = "stands twice" if name.strip() else "has no name"
            raise InputError(f"column {position} {name!r} {problem}", where=f"{path}, first row")
    return tuple(names)


def csv_batches(path: Path, form: CsvFormat, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """All rows in order as text, with `ANOMALY`.

    Raises:
        InputError: the file cannot be taken apart at all.
        EnvironmentFault: it cannot be read.
    """
    block_bytes, done = _BLOCK, 0
    while True:
        skip, seen = done, 0
        try:
            for batch in _parsed(path, form, names, block_bytes):
                seen += batch.num_rows
                if seen > skip:
                    fresh = batch if seen - batch.num_rows >= skip else batch.slice(batch.num_rows - (seen - skip))
                    done += fresh.num_rows
                    yield fresh
            return
        except pa.ArrowInvalid as error:
            # A row longer than a block: begin again with larger ones, and leave out what was read already.
            if "straddl" not in str(error) or block_bytes >= _LARGEST_BLOCK:
                raise InputError(f"not a readable CSV file: {error}", where=f"{path}, after row {done}") from error
            block_bytes *= 8
        except OSError as error:
            raise EnvironmentFault(f"cannot read the file: {error}", where=str(path)) from error


def _parsed(path: Path, form: CsvFormat, names: tuple[str, ...], block_bytes: int) -> Iterator[pa.RecordBatch]:
    """All rows from the first one on, taken apart in blocks of so many bytes."""
    damaged: deque[tuple[int, str]] = deque()
    schema = pa.schema([*((name, pa.string()) for name in names), (ANOMALY, pa.string())])
    following = 0
    with _opened(path, form) as source:
        for batch in _reader(source, form, names, damaged, block_bytes):
            for part in _with_damaged(schema, _judged(schema, batch, sure=form.sure), damaged, following):
                following += part.num_rows
                yield part
    yield from (_damaged_row(schema, text) for _, text in damaged)


def _reader(
    source: Any, form: CsvFormat, names: tuple[str, ...], damaged: deque[tuple[int, str]], block_bytes: int
) -> Any:
    def note(row: Any) -> str:
        # The header is row 1.
        damaged.append(
            (
                row.number - 2,
                f"row has {row.actual_columns} fields instead of {row.expected_columns}: {_shown(row.text)}",
            )
        )
        return "skip"

    return pyarrow.csv.open_csv(
        source,
        # Row numbers are told by a single thread only.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=block_bytes),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=form.delimiter, newlines_in_values=True, invalid_row_handler=note, ignore_empty_lines=False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=True
        ),
    )


def _judged(schema: pa.Schema, batch: pa.RecordBatch, *, sure: bool) -> pa.RecordBatch:
    """The batch with its anomalies: values with bytes that could not be decoded."""
    reasons: list[Any] = []
    columns = list(batch.columns)
    for number, name in enumerate(() if sure else schema.names[:-1]):
        bad = pc.match_substring_regex(columns[number], _MARKED)
        if pc.any(bad).as_py():
            reasons.append(_damage_told(name, columns[number], bad))
            columns[number] = pc.if_else(bad, None, columns[number])
    return pa.RecordBatch.from_arrays([*columns, told(reasons, batch.num_rows)], schema=schema)


def _damage_told(name: str, values: pa.Array, bad: pa.Array) -> pa.Array:
    pairs = zip(values.to_pylist(), bad.to_pylist(), strict=True)
    return pa.array(
        [reason(name, f"bytes that are no text in {_shown(text)}") if odd else None for text, odd in pairs], pa.string()
    )


def _shown(text: str) -> str:
    """A text in which undecodable bytes are shown in hexadecimal."""
    return "".join(f"\\x{ord(char) - _MARK:02X}" if ord(char) >= _MARK else char for char in text)


def _with_damaged(
    schema: pa.Schema, batch: pa.RecordBatch, damaged: deque[tuple[int, str]], following: int
) -> Iterator[pa.RecordBatch]:
    """The batch, with the rows that could not be taken apart in their places; the first row has the number `following`."""
    start = 0
    while damaged and damaged[0][0] < following + (batch.num_rows - start):
        number, text = damaged.popleft()
        whole = number - following
        if whole:
            yield batch.slice(start, whole)
        yield _damaged_row(schema, text)
        start += whole
        following += whole + 1
    if start < batch.num_rows:
        yield batch.slice(start)


def _damaged_row(schema: pa.Schema, text: str) -> pa.RecordBatch:
    empty = [pa.nulls(1, pa.string()) for _ in range(len(schema) - 1)]
    return pa.RecordBatch.from_arrays([*empty, pa.array([reason("", text)])], schema=schema)


def _opened(path: Path, form: CsvFormat) -> Any:
    if form.encoding == "utf-8-sig" and form.sure:
        return pa.OSFile(str(path))
    return _Transcoded(path, form.encoding)


class _Transcoded(io.RawIOBase):
    """A file as UTF-8, whatever it is written in, without a byte order mark."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._file: IO[bytes] = path.open("rb")
        self._decoder = codecs.getincrementaldecoder(encoding)("migrate-mark")
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = size if size >= 0 else _BLOCK
        while len(self._waiting) < wanted:
            raw = self._file.read(_CHUNK)
            self._waiting += self._decoder.decode(raw, final=not raw).encode()
            if not raw:
                break
        data, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    # One byte at a time, so that what follows it is decoded as soon as it can be.
    return chr(_MARK + error.object[error.start]), error.start + 1


codecs.register_error("migrate-mark", _marked)


def _detected_encoding(path: Path) -> str:
    for name in ("utf-8", "gb18030"):
        if _decodes(path, codecs.getincrementaldecoder(name)):
            return name
    raise InputError(
        "the file is neither UTF-8 nor GB18030",
        where=str(path),
        next_step="declare `encoding:`; then rows with damaged characters are reported one by one",
    )


def _decodes(path: Path, decoder: Callable[[], Any]) -> bool:
    decode = decoder()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decode.decode(chunk)
        decode.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    except OSError as error:
        raise EnvironmentFault(f"cannot read the file: {error}", where=str(path)) from error
    return True


def _detected_delimiter(path: Path, encoding: str) -> str:
    """The candidate that stands most often in the first line."""
    with path.open(encoding=encoding, errors="replace", newline="") as text:
        first = text.readline(_CHUNK)
    return max(_DELIMITERS, key=first.count)
