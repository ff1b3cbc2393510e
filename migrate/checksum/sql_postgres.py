"""The fields of a CRE/1 row as expressions of PostgreSQL (11 and later; numerics without a declared scale need 13).

Pure. NULL is decided on the raw column. A value without a canonical text makes its field NULL, and with it the row, since `||` is NULL
if a part of it is; `concat` would hide that. No expression compares texts of the table, so that no collation is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from migrate.checksum.encoding import LONGEST_TEXT
from migrate.checksum.sql_column import TAGS, StoredColumn, fixed_head
from migrate.values import LogicalType

_FIRST_DATE: Final = "0001-01-01"
_LAST_DATE: Final = "9999-12-31"
_FIRST_MOMENT: Final = "0001-01-01 00:00:00"
_LAST_MOMENT: Final = "9999-12-31 23:59:59.999999"
_MOMENT: Final = """'YYYY-MM-DD"T"HH24:MI:SS.US'"""


def refusal(column: StoredColumn, logical: LogicalType) -> str | None:
    """Why the database cannot encode this column by itself, or None."""
    if logical.kind == "text" or logical.kind in TAGS:
        return None
    return f"{column.native} has no canonical form in PostgreSQL"


def field(column: StoredColumn, logical: LogicalType) -> str:
    """The field of a column that is not refused."""
    if logical.kind == "text":
        value = _text(column, logical)
    else:
        canonical = _canonical(column, logical)
        fixed = fixed_head(logical.kind)
        head = f"'{TAGS[logical.kind]}'||octet_length({canonical})||':'" if fixed is None else f"'{fixed}'"
        value = f"{head}||{canonical}||';'"
    return f"CASE WHEN {column.sql} IS NULL THEN 'N;' ELSE {value} END"


def joined(fields: Sequence[str]) -> str:
    """All fields of a row; NULL if one is."""
    return "||".join(f"({each})" for each in fields)


def _text(column: StoredColumn, logical: LogicalType) -> str:
    plain = f"({column.sql})::text"
    text = plain if logical.keeps_spaces else f"rtrim({plain},' ')"
    long = f"'H'||octet_length(octet_length({text})::text)+65||':'||octet_length({text})||'#'||{sha256(text)}||';'"
    return f"CASE WHEN octet_length({text})>{LONGEST_TEXT} THEN {long} ELSE 'S'||octet_length({text})||':'||{text}||';' END"


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8, hex."""
    return f"encode(sha256({utf8(text)}),'hex')"


def utf8(text: str) -> str:
    """A text's UTF-8 as bytea."""
    return f"convert_to({text},'UTF8')"


def _canonical(column: StoredColumn, logical: LogicalType) -> str:
    source = column.sql
    if logical.kind == "decimal":
        return _decimal(column, logical)
    if logical.kind in ("date", "time", "timestamp", "instant"):
        return _moment(source, logical)
    simple = {
        "integer": f"({source})::text",
        # Adding +0 turns −0 into +0; there is one NaN.
        "float": f"CASE WHEN {source}='NaN' THEN '7ff8000000000000' ELSE encode(float8send(({source})::float8+0::float8),'hex') END",
        "boolean": f"CASE WHEN {source} THEN '1' ELSE '0' END",
        "bytes": f"encode(sha256({source}),'hex')",
        "uuid": f"({source})::text",
    }
    return f"({simple[logical.kind]})"


def _decimal(column: StoredColumn, logical: LogicalType) -> str:
    if logical.scale is None:
        text = f"trim_scale({column.sql})::text"
        return f"nullif(nullif(nullif({text},'NaN'),'Infinity'),'-Infinity')"
    # Only ever to more digits behind the point than are stored: a cast to fewer would round.
    same = column.type.scale == logical.scale
    text = f"({column.sql})::text" if same else f"({column.sql})::numeric({logical.precision},{logical.scale})::text"
    return f"nullif({text},'NaN')"


def _moment(source: str, logical: LogicalType) -> str:
    """NULL for infinity, years before Christ and beyond 9999, and 24:00:00."""
    if logical.kind == "date":
        return (
            f"(CASE WHEN {source} BETWEEN '{_FIRST_DATE}' AND '{_LAST_DATE}' THEN to_char({source},'YYYY-MM-DD') END)"
        )
    if logical.kind == "time":
        return f"(CASE WHEN {source}<'24:00:00' THEN to_char(({source})::interval,'HH24:MI:SS.US') END)"
    zone = "+00" if logical.kind == "instant" else ""
    plain = f"({source}) AT TIME ZONE 'UTC'" if zone else source
    bounds = f"{source} BETWEEN '{_FIRST_MOMENT}{zone}' AND '{_LAST_MOMENT}{zone}'"
    return f"(CASE WHEN {bounds} THEN to_char({plain},{_MOMENT}) END)"
