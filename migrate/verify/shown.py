"""Rows as people read them: the key that names a row, and what differs between two rows, as canonical texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import NotEncodable, encode_value
from migrate.checksum.vectorised import key_digests
from migrate.values import LogicalType
from migrate.verify.buckets import Buckets, Sorting, sorted_rows
from migrate.verify.causes import cause_of_row
from migrate.verify.notes import Note
from migrate.verify.verdict import Cell, Difference


class Shown:
    """The rows of one contract; without a key, all columns name a row."""

    def __init__(self, contract: Contract, key: tuple[str, ...]) -> None:
        self._contract = contract
        self._types = dict(contract.columns)
        self.names = key or tuple(self._types)
        self.has_key = bool(key)

    def keys_of(self, rows: pa.Table) -> pa.Array:
        """The digest of each row's key."""
        return key_digests(rows, self._contract).cast(pa.binary())

    def buckets(self, rows: pa.Table, sorting: Sorting) -> Buckets:
        """The bucket of each row."""
        return sorted_rows(rows, self._contract, sorting)

    def key(self, rows: pa.Table, at: int) -> dict[str, str | None]:
        """What names a row."""
        return {name: canonical(self._types[name], rows[name][at].as_py()) for name in self.names}

    def row(self, rows: pa.Table, at: int) -> dict[str, str | None]:
        """All columns of a row."""
        return {name: canonical(logical, rows[name][at].as_py()) for name, logical in self._types.items()}

    def changed(
        self, source: pa.Table, source_at: int, target: pa.Table, target_at: int, note: Note | None = None
    ) -> Difference:
        """What differs between two rows of one key."""
        cells = self.cells(source, source_at, target, target_at)
        key = self.key(source, source_at) if self.has_key else {}
        return Difference("changed", key, cells, cause_of_row(self._types, cells), note)

    def cells(self, source: pa.Table, source_at: int, target: pa.Table, target_at: int) -> dict[str, Cell]:
        """The columns in which two rows differ."""
        found = {}
        for name, logical in self._types.items():
            values = source[name][source_at].as_py(), target[name][target_at].as_py()
            expected, actual = (canonical(logical, value) for value in values)
            if expected != actual:
                found[name] = Cell(expected, actual, readable(logical, *values))
        return found

    def told(self, cells: dict[str, Cell]) -> Difference:
        """A changed row of which only these columns are known to differ; without its key."""
        return Difference("changed", {}, cells, cause_of_row(self._types, cells))


def readable(logical: LogicalType, expected: object, actual: object) -> tuple[str | None, str | None] | None:
    """Two values for people where their canonical texts are not: floats, booleans and bytes."""
    write = _READABLE.get(logical.kind)
    if write is None:
        return None
    texts = [None if value is None else write(value) for value in (expected, actual)]
    if logical.kind == "float" and texts[0] == texts[1]:
        # Only the bits tell them apart.
        texts = [f"{text} ({canonical(logical, value)})" for text, value in zip(texts, (expected, actual), strict=True)]
    return texts[0], texts[1]


def _bytes_text(value: Any) -> str:
    first = value[:_FIRST_BYTES].hex(" ").upper()
    more = " …" if len(value) > _FIRST_BYTES else ""
    size = "1 byte" if len(value) == 1 else f"{len(value)} bytes"
    return f"{size}: {first}{more} (SHA-256 {hashlib.sha256(value).hexdigest()})"


_FIRST_BYTES: Final = 16
_READABLE: Final[dict[str, Callable[[Any], str]]] = {
    "float": repr,
    "boolean": lambda value: "true" if value else "false",
    "bytes": _bytes_text,
}


def canonical(logical: LogicalType, value: object) -> str | None:
    """The text of a value in its row encoding; None of NULL."""
    try:
        encoded = encode_value(logical, value)
    except NotEncodable:
        return repr(value)
    return None if value is None else encoded[encoded.index(b":") + 1 : -1].decode()
