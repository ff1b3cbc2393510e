"""The golden vectors as SQL: PostgreSQL and MariaDB make of a stored value the very bytes and SHA-256 that the file fixes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from migrate.checksum.contract import Contract
from migrate.checksum.sql_column import StoredColumn
from migrate.checksum.sql_form import SqlForm, StoredRelation, sql_form
from migrate.checksum.sql_scan import bucket_sums
from migrate.checksum.vectorised import row_digests
from migrate.stores.opening import open_source
from migrate.stores.port import SqlReader
from migrate.values import LogicalType, SourceSpec
from migrate.verify.buckets import BucketSums
from tests.rig.database import Database
from tests.unit.checksum import golden

SIMPLE = {
    "postgresql": {
        "float": "double precision", "boolean": "boolean", "date": "date", "time": "time", "timestamp": "timestamp", "instant": "timestamptz",
        "bytes": "bytea", "uuid": "uuid",
    },
    "mariadb": {
        "boolean": "tinyint(1)", "date": "date", "time": "time(6)", "timestamp": "datetime(6)", "instant": "datetime(6)", "bytes": "longblob",
        "uuid": "uuid",
    },
}  # fmt: skip
LEFT_OUT = {
    "postgresql": {"json", "unsupported"},
    "mariadb": {"json", "unsupported", "float"},
}
"""Kinds that the database does not encode by itself; `sql_form` refuses them."""


def declared(kind: str, logical: LogicalType, content: Any) -> str | None:
    """The column type that holds a value of this type exactly; None where the database has none."""
    if logical.kind == "text":
        padded = not logical.keeps_spaces
        return {"postgresql": "char(12)" if padded else "text", "mariadb": "char(12)" if padded else "longtext"}[kind]
    if logical.kind == "integer":
        return "bigint" if content is None or abs(int(content)) < 2**63 or int(content) == -(2**63) else None
    if logical.kind == "decimal":
        if logical.scale is None:
            return "numeric" if kind == "postgresql" else None
        room = (60, 38) if kind == "mariadb" else (1000, 1000)
        fits = (logical.precision or 0) <= room[0] and logical.scale <= room[1]
        return f"decimal({logical.precision},{logical.scale})" if fits else None
    return SIMPLE[kind].get(logical.kind)


def as_parameter(kind: str, logical: LogicalType, content: Any) -> Any:
    """The value as the plain driver takes it."""
    if kind == "mariadb" and logical.kind == "instant" and content is not None:
        offset = content.utcoffset()
        return str(content.replace(tzinfo=None) - offset)
    return content if isinstance(content, bytes | bool) or content is None else str(content)


def storable(kind: str, logical: LogicalType, vector: dict[str, Any], content: Any) -> bool:
    """True for a vector whose value a column of the type can hold as it is: the others cannot get into a database."""
    if logical.kind in LEFT_OUT[kind] or declared(kind, logical, content) is None:
        return False
    if vector["encoding"] is None:
        return kind == "postgresql" and logical.kind == "decimal" and content == "NaN" and logical.scale is None
    nul = logical.kind == "text" and "\x00" in str(content)
    return not (nul and kind == "postgresql")


def form_of(kind: str, relation: StoredRelation, logical: LogicalType) -> tuple[Contract, SqlForm]:
    """Contract and form over the one column `v`."""
    contract = Contract((("v", logical),), ())
    form = sql_form(contract, relation)
    assert isinstance(form, SqlForm), (kind, form)
    return contract, form


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_golden_values(kind: str, new_database: Callable[[str], str]) -> None:
    """Every vector that the database can hold has its encoding, and one bucket with the sums of its SHA-256."""
    database = Database(new_database(kind))
    proven = 0
    for number, vector in enumerate(golden.GOLDEN["values"]):
        logical = golden.logical_type(vector)
        content = golden.value(logical, vector["value"])
        if not storable(kind, logical, vector, content):
            continue
        database.run(f"CREATE TABLE g{number} (v {declared(kind, logical, content)})")
        database.insert(f"g{number}", [{"v": as_parameter(kind, logical, content)}])
        with closing(open_source(SourceSpec(database.url, table=f"g{number}")).reader()) as reader:
            assert isinstance(reader, SqlReader)
            relation = as_instant(reader.stored(), logical)
            contract, form = form_of(kind, relation, logical)
            [(encoded,)] = reader.ask(f"SELECT {form.row} FROM {relation.sql} AS {relation.alias}")
            expected = golden.encoding(vector, content)
            assert encoded == (None if expected is None else expected.decode()), vector
            found = BucketSums()
            found.add_sums(reader.ask(bucket_sums(form, relation, "")))
        rows = pa.table({"v": pa.array([as_arrow(logical, content)], logical.arrow)})
        digests = row_digests(rows, contract)
        wanted = BucketSums()
        wanted.add(digests, digests)
        assert (found.count, found.poison) == (wanted.count, wanted.poison)
        assert list(found.differing(wanted)) == []
        proven += 1
    assert proven > 50


def as_instant(relation: StoredRelation, logical: LogicalType) -> StoredRelation:
    """MariaDB's TIMESTAMP ends in 2038: a DATETIME under the session's UTC stands for it here."""
    (column,) = (each for each in relation.columns if each.name == "v")
    stored = StoredColumn(column.name, column.sql, logical, column.native, column.charset)
    return StoredRelation(relation.dialect, relation.sql, relation.alias, (stored,), relation.rows, relation.obstacle)


def as_arrow(logical: LogicalType, content: Any) -> Any:
    """The value as Arrow takes it."""
    return str(content) if logical.arrow == pa.string() and content is not None else content
