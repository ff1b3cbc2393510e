"""What MariaDB's and MySQL's types can hold, as logical types.

Pure. Names and lengths are those of information_schema.COLUMNS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from migrate.values import LogicalType

_INTEGER_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_TEXT_BYTES: Final = {"tinytext": 2**8 - 1, "text": 2**16 - 1, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}
_BLOB_BYTES: Final = {"tinyblob": 2**8 - 1, "blob": 2**16 - 1, "mediumblob": 2**24 - 1, "longblob": 2**32 - 1}
_CODECS: Final = {
    "utf8mb4": None, "utf16": None, "utf16le": None, "utf32": None,
    "utf8mb3": "utf8mb3", "utf8": "utf8mb3", "ucs2": "utf8mb3",
    "gbk": "gbk", "gb2312": "gb2312", "gb18030": "gb18030", "big5": "big5", "latin1": "cp1252", "ascii": "ascii",
    "latin2": "iso8859_2", "latin5": "iso8859_9", "latin7": "iso8859_13", "greek": "iso8859_7", "hebrew": "iso8859_8",
    "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256", "cp1257": "cp1257", "cp850": "cp850", "cp852": "cp852",
    "cp866": "cp866", "koi8r": "koi8_r", "koi8u": "koi8_u", "sjis": "shift_jis", "cp932": "cp932", "ujis": "euc_jp",
    "eucjpms": "euc_jp", "euckr": "euc_kr", "tis620": "tis_620",
}  # fmt: skip
UNICODE_CHARSETS: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "utf16", "utf16le", "utf32", "ucs2"})
"""Character sets whose every stored character arrives as itself."""

_FIRST_DATE: Final = "0001-01-01"
_LAST_DATE: Final = "9999-12-31"
_EPOCH_START: Final = "1970-01-01T00:00:01"
_EPOCH_END: Final = "2038-01-19T03:14:07.999999"
_EPOCH_END_LONG: Final = "2106-02-07T06:28:15.999999"
"""MariaDB 11.5 and later on 64 bits."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A column's type as information_schema tells it. `characters`: of a text, or bytes; `seconds`: digits of a second."""

    data_type: str
    column_type: str
    characters: int | None = None
    precision: int | None = None
    scale: int | None = None
    seconds: int | None = None
    charset: str | None = None
    json: bool = False
    long_timestamps: bool = False


def logical_type(declared: Declared) -> LogicalType:
    """The logical type of a column; `unsupported` for sets, geometry and whatever else has no exact form."""
    name = declared.data_type.lower()
    if declared.json or name == "json":
        return LogicalType("json", max_bytes=_TEXT_BYTES["longtext"])
    if declared.column_type.lower() in {"tinyint(1)", "bit(1)"}:
        return LogicalType("boolean")
    if name in _INTEGER_BITS:
        return _integer(_INTEGER_BITS[name], unsigned="unsigned" in declared.column_type.lower())
    if name == "bit":
        return LogicalType("integer", low=0, high=2 ** (declared.precision or 1) - 1)
    if name in {"decimal", "numeric"}:
        return LogicalType("decimal", precision=declared.precision, scale=declared.scale or 0)
    if name in {"float", "double", "real"}:
        return LogicalType("float", bits=32 if name == "float" else 64)
    if name in {"date", "datetime", "timestamp", "time", "year"}:
        return _moment(name, declared)
    return _characters(name, declared)


def float_digits(column_type: str) -> int | None:
    """Digits behind the point that FLOAT(M,D) and DOUBLE(M,D) round to, or None."""
    match = re.match(r"(?:float|double|real)\(\d+,(\d+)\)", column_type.lower())
    return int(match[1]) if match else None


def fixed_bytes(column_type: str) -> int | None:
    """The length to which BINARY(n) pads what is shorter, or None."""
    match = re.match(r"binary\((\d+)\)", column_type.lower())
    return int(match[1]) if match else None


def _integer(bits: int, *, unsigned: bool) -> LogicalType:
    if unsigned:
        return LogicalType("integer", low=0, high=2**bits - 1)
    return LogicalType("integer", low=-(2 ** (bits - 1)), high=2 ** (bits - 1) - 1)


def _moment(name: str, declared: Declared) -> LogicalType:
    if name == "year":
        return LogicalType("integer", low=1901, high=2155)
    if name == "date":
        return LogicalType("date", earliest=_FIRST_DATE, latest=_LAST_DATE)
    fraction = declared.seconds or 0
    if name == "time":
        return LogicalType("time", fraction=fraction)
    if name == "datetime":
        return LogicalType(
            "timestamp", fraction=fraction, earliest=f"{_FIRST_DATE}T00:00:00", latest=f"{_LAST_DATE}T23:59:59.999999"
        )
    latest = _EPOCH_END_LONG if declared.long_timestamps else _EPOCH_END
    return LogicalType("instant", fraction=fraction, earliest=_EPOCH_START, latest=latest)


def _characters(name: str, declared: Declared) -> LogicalType:
    charset = _CODECS.get(declared.charset or "utf8mb4", "ascii")
    if name in {"char", "varchar"}:
        return LogicalType("text", length=declared.characters, charset=charset, keeps_spaces=name == "varchar")
    if name in _TEXT_BYTES:
        return LogicalType("text", max_bytes=_TEXT_BYTES[name], charset=charset)
    if name == "enum":
        return LogicalType("text", length=declared.characters, charset=charset)
    if name in {"binary", "varbinary"}:
        return LogicalType("bytes", length=declared.characters)
    if name in _BLOB_BYTES:
        return LogicalType("bytes", length=_BLOB_BYTES[name])
    if name == "uuid":
        return LogicalType("uuid")
    return LogicalType("unsupported")
