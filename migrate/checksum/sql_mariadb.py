"""The fields of a CRE/1 row as expressions of MariaDB and MySQL, under a session of UTF-8, UTC and without strictness.

Pure. NULL is decided on the raw column. A value without a canonical text makes its field NULL, and with it the row, since `concat` is NULL
if a part of it is; so it is also where a row is longer than `max_allowed_packet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from migrate.checksum.encoding import LONGEST_TEXT
from migrate.checksum.sql_column import TAGS, StoredColumn, fixed_head
from migrate.values import LogicalType

_CHARSETS: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1"})
"""What is stored in these arrives as itself, also in the reader, which does not look at their bytes either."""


def refusal(column: StoredColumn, logical: LogicalType) -> str | None:
    """Why the database cannot encode this column by itself, or None."""
    if logical.kind == "float":
        return f"{column.native} does not show its bits in MariaDB"
    if logical.kind == "text" and column.charset not in _CHARSETS:
        return f"characters stored in {column.charset} may have no Unicode"
    if logical.kind == "decimal" and "zerofill" in column.native:
        return "zeros are filled in"
    if logical.kind == "decimal" and logical.scale is None:
        return "MariaDB has no numbers without a declared scale, as the other side has"
    if logical.kind == "text" or logical.kind in TAGS:
        return None
    return f"{column.native} has no canonical form in MariaDB"


def field(column: StoredColumn, logical: LogicalType) -> str:
    """The field of a column that is not refused."""
    if logical.kind == "text":
        value = _text(column, logical)
    else:
        canonical = _canonical(column, logical)
        fixed = fixed_head(logical.kind)
        head = f"'{TAGS[logical.kind]}',length({canonical}),':'" if fixed is None else f"'{fixed}'"
        value = f"concat({head},{canonical},';')"
    return f"if({column.sql} IS NULL,'N;',{value})"


def joined(fields: Sequence[str]) -> str:
    """All fields of a row; NULL if one is."""
    return f"concat({','.join(fields)})"


def utf8(text: str) -> str:
    """A text as the server sends it in a session of UTF-8: that is its bytes."""
    return text


def _text(column: StoredColumn, logical: LogicalType) -> str:
    plain = f"convert({column.sql} USING utf8mb4)"
    text = plain if logical.keeps_spaces else f"rtrim({plain})"
    long = f"concat('H',length(length({text}))+65,':',length({text}),'#',sha2({text},256),';')"
    return f"if(length({text})>{LONGEST_TEXT},{long},concat('S',length({text}),':',{text},';'))"


def _canonical(column: StoredColumn, logical: LogicalType) -> str:
    source = column.sql
    if logical.kind == "decimal":
        # Only ever to more digits behind the point than are stored: a cast to fewer would round.
        same = column.type.scale == logical.scale
        return f"cast({source if same else f'cast({source} AS decimal({logical.precision},{logical.scale}))'} AS char)"
    if logical.kind in ("date", "timestamp", "instant"):
        form = "%Y-%m-%d" if logical.kind == "date" else "%Y-%m-%dT%H:%i:%s.%f"
        # Zero dates, 2024-00-10 and 2024-02-31 are no days: they do not come back from their number.
        day = f"CASE WHEN {source}>='0001-01-01' AND from_days(to_days({source}))=date({source}) THEN"
        return f"({day} date_format({source},'{form}') END)"
    simple = {
        # A number, so that no zeros are filled in, and bits and years are numbers too.
        "integer": f"cast({source}+0 AS char)",
        "boolean": f"(CASE {source}+0 WHEN 0 THEN '0' WHEN 1 THEN '1' END)",
        "time": f"(CASE WHEN {source}>='00:00:00' AND {source}<'24:00:00' THEN time_format({source},'%H:%i:%s.%f') END)",
        "bytes": f"sha2({source},256)",
        "uuid": f"lower(cast({source} AS char))",
    }
    return simple[logical.kind]
