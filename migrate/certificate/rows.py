"""Rows as certificates carry them: CRE/1 encodings taken apart again, and keys that people type. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Final

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import encode_row
from migrate.errors import InputError
from migrate.values import Kind

_FIELD = re.compile(rb"N;|[A-Z](0|[1-9][0-9]{0,9}):")


def fields_of(contract: Contract, encoding: bytes) -> dict[str, str | None]:
    """The canonical text of each column of an encoded row (docs/checksum.md); ValueError for bytes that are no row of the contract."""
    fields: dict[str, str | None] = {}
    at = 0
    for name, _ in contract.columns:
        matched = _FIELD.match(encoding, at)
        if matched is None:
            raise ValueError(f"column {name} is not encoded")
        if matched[1] is None:
            fields[name], at = None, matched.end()
            continue
        end = matched.end() + int(matched[1])
        if encoding[end : end + 1] != b";":
            raise ValueError(f"column {name} does not end where it says")
        fields[name], at = encoding[matched.end() : end].decode(), end + 1
    if at != len(encoding):
        raise ValueError("there is more than the columns of the contract")
    return fields


def key_encoding(contract: Contract, key: Mapping[str, str]) -> bytes:
    """The encoding of a key that somebody typed; InputError for a value that cannot be one of its column."""
    types = dict(contract.key_columns)
    values: dict[str, object] = {}
    for name, text in key.items():
        read = _READERS.get(types[name].kind, str)
        try:
            values[name] = read(text)
        except ValueError as error:
            raise InputError(
                f"{text!r} is no {types[name].kind}",
                where=f"--key {name}=",
                next_step="write it as `check-proof` shows it",
            ) from error
    return encode_row(Contract(contract.key_columns, contract.key), values)


def parse_key(given: tuple[str, ...]) -> dict[str, str]:
    """The columns and values of `COLUMN=VALUE` words; InputError for other words, and for a column that is given twice."""
    parts = [word.partition("=") for word in given]
    key = {name.strip(): value for name, _, value in parts}
    if len(key) != len(parts) or not all(name and sign for name, sign, _ in parts):
        raise InputError("a key is COLUMN=VALUE, once for each of its columns", next_step="--key number=011001900111")
    return key


def _boolean(text: str) -> bool:
    if text not in {"true", "false", "1", "0"}:
        raise ValueError(text)
    return text in {"true", "1"}


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    # As encodings show it: without a zone it is UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_READERS: Final[dict[Kind, Callable[[str], object]]] = {
    "integer": int,
    "float": float,
    "boolean": _boolean,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "instant": _instant,
    "bytes": bytes.fromhex,
}
