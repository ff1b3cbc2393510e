"""Statements over a relation and its SQL form: sums by bucket, a few rows, and rows that are made of the extremes of every column.

Pure. Rows are grouped by integers only. Sums are exact: PostgreSQL adds bigint as numeric, MariaDB as decimal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from migrate.checksum.sql_column import StoredColumn
from migrate.checksum.sql_form import SqlForm, StoredRelation
from migrate.checksum.sql_postgres import sha256

_DIGITS: Final = 15
"""Hexadecimal digits of a slice: 60 bits."""
_NO_LENGTH: Final = frozenset({"enum"})


def bucket_sums(form: SqlForm, relation: StoredRelation, nonce: str, bits: int = 12) -> str:
    """Per bucket, which is the first 12 or 16 bits of K: bucket, rows with a digest, sums of the two slices of SHA-256(nonce ‖ row), rows without.

    All as text; the bucket is NULL for rows whose key has no encoding. The nonce is hexadecimal.
    """
    origin, digits = f"{relation.sql} AS {relation.alias}", bits // 4
    if relation.dialect == "postgresql":
        # OFFSET 0 keeps the planner from computing each digest once per use.
        keyed = f"'{nonce}'||{form.row}"
        digests = f"SELECT {sha256(form.key)} AS k, {sha256(keyed)} AS h FROM {origin} OFFSET 0"
        bucket, first, second = (
            f"('x'||substr(k,1,{digits}))::bit({bits})::int",
            _postgres_slice(1),
            _postgres_slice(1 + _DIGITS),
        )
        parts = f"SELECT {bucket} AS b, {first} AS s1, {second} AS s2 FROM ({digests}) AS d"
        return f"SELECT b::text, count(s1)::text, sum(s1)::text, sum(s2)::text, (count(*)-count(s1))::text FROM ({parts}) AS p GROUP BY b"
    # Merged by the server, so that nothing is written to a temporary table, at the price of a second digest.
    digest = f"sha2(concat('{nonce}',{form.row}),256)"
    first, second = _mariadb_slice(digest, 1), _mariadb_slice(digest, 1 + _DIGITS)
    bucket = f"cast(conv(left(sha2({form.key},256),{digits}),16,10) AS unsigned)"
    # By its place in the list: MariaDB takes a name behind GROUP BY for a column of the table before it looks at the list.
    return f"SELECT {bucket}, count({first}), sum({first}), sum({second}), count(*)-count({first}) FROM {origin} GROUP BY 1"


def _postgres_slice(start: int) -> str:
    return f"('x'||substr(h,{start},{_DIGITS}))::bit(60)::bigint"


def _mariadb_slice(digest: str, start: int) -> str:
    return f"cast(conv(substring({digest},{start},{_DIGITS}),16,10) AS unsigned)"


def first_rows(relation: StoredRelation, rows: int) -> StoredRelation:
    """A relation of at most so many rows: the first that the server finds."""
    limited = f"(SELECT * FROM {relation.sql} AS {relation.alias} LIMIT {rows})"
    return replace(relation, sql=limited, rows=rows)


def equal_rows(relation: StoredRelation, name: str, text: str) -> StoredRelation:
    """A relation of the rows in which a text column holds exactly this text, byte for byte: no collation is asked."""
    column, content = relation.column(name), text.encode().hex()
    if relation.dialect == "postgresql":
        condition = f"convert_to(({column.sql})::text,'UTF8')='\\x{content}'::bytea"
    else:
        # Of UTF-8 in a session of UTF-8; X'' is the empty text.
        condition = f"cast(convert({column.sql} USING utf8mb4) AS binary)=X'{content}'"
    chosen = f"(SELECT * FROM {relation.sql} AS {relation.alias} WHERE {condition})"
    return replace(relation, sql=chosen)


def spread(relation: StoredRelation, rows: int) -> str:
    """What stands behind FROM and alias to get about so many rows, at most, from everywhere in the relation."""
    if not relation.rows or relation.rows <= rows:
        return f"LIMIT {rows}"
    chance = "random()" if relation.dialect == "postgresql" else "rand()"
    # Half as many again, so that the last rows have a chance, and chance does not leave too few.
    return f"WHERE {chance}<{min(1.0, 1.5 * rows / relation.rows):.12f} LIMIT {rows}"


def extremes(relation: StoredRelation, names: tuple[str, ...]) -> list[str]:
    """Origins of one row each: the least value of every column, the greatest, and NULL in all; for a statement under the relation's alias."""
    columns = [relation.column(name) for name in names]
    found = []
    for function, condition in (("min", ""), ("max", ""), ("max", " WHERE 1=0")):
        values = ", ".join(
            f"{_extreme(relation, each, function, each.sql)} AS {_bare(relation, each)}" for each in columns
        )
        found.append(f"(SELECT {values} FROM {relation.sql} AS {relation.alias}{condition})")
    return found


def lengths(relation: StoredRelation, names: tuple[str, ...]) -> str:
    """The greatest length in bytes of each text column, in one row."""
    measured = ", ".join(f"max({_length(relation, relation.column(name))})" for name in names)
    return f"SELECT {measured} FROM {relation.sql} AS {relation.alias}"


def longest(relation: StoredRelation, names: tuple[str, ...], found: dict[str, int]) -> str:
    """An origin of one row, with a text of the greatest length (of `lengths`) in every column of `found`, and the greatest value in the others."""
    values = []
    for name in names:
        column = relation.column(name)
        source = column.sql
        if name in found:
            source = f"CASE WHEN {_length(relation, column)}={found[name]} THEN {source} END"
        values.append(f"{_extreme(relation, column, 'max', source)} AS {_bare(relation, column)}")
    return f"(SELECT {', '.join(values)} FROM {relation.sql} AS {relation.alias})"


def has_length(column: StoredColumn) -> bool:
    """True for a text of which one can be longer than another."""
    return column.type.kind == "text" and column.native not in _NO_LENGTH


def _length(relation: StoredRelation, column: StoredColumn) -> str:
    return f"octet_length(({column.sql})::text)" if relation.dialect == "postgresql" else f"length({column.sql})"


def _extreme(relation: StoredRelation, column: StoredColumn, function: str, source: str) -> str:
    """The aggregate; PostgreSQL has none for truth, UUIDs and bytes. The form of bytes is a digest, for which no value is extreme."""
    if relation.dialect != "postgresql":
        return f"{function}({source})"
    kind = column.type.kind
    if kind == "boolean":
        return f"{'bool_and' if function == 'min' else 'bool_or'}({source})"
    if kind == "uuid":
        return f"{function}(({source})::text)::uuid"
    return "NULL::bytea" if kind == "bytes" else f"{function}({source})"


def _bare(relation: StoredRelation, column: StoredColumn) -> str:
    return column.sql.removeprefix(f"{relation.alias}.")
