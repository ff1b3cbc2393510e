"""Read the lookups of a mapping: files beside it, tables of the source under its snapshot, tables of the target."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping

import pyarrow as pa

from migrate.engine.fingerprint import table_digest
from migrate.errors import DataError, InputError
from migrate.mapping.lookups import check_lookup, load_file_lookup
from migrate.mapping.model import Mapping
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, TargetStore
from migrate.values import SourceSpec, TableShape


def file_lookups(mapping: Mapping) -> dict[str, pa.Table]:
    """The lookups that are files; InputError for one that is missing or whose key is not unique."""
    return {
        name: load_file_lookup(mapping, name) for name, lookup in mapping.lookups.items() if lookup.file is not None
    }


def table_lookups(mapping: Mapping, source_url: str | None, target_url: str) -> dict[str, pa.Table]:
    """The lookups that are tables, with all their columns as the database types them."""
    found: dict[str, pa.Table] = {}
    for name, lookup in mapping.lookups.items():
        table = lookup.source_table or lookup.target_table
        if table is not None:
            url = source_url if lookup.source_table is not None else target_url
            found[name] = _read(name, table, url, lookup.key)
    return found


def lookup_shapes(mapping: Mapping, source_url: str | None, target: TargetStore) -> dict[str, TableShape]:
    """The shapes of those lookups that are tables, by lookup name; one that is not there is missing."""
    found: dict[str, TableShape] = {}
    for name, lookup in mapping.lookups.items():
        if lookup.source_table is not None and source_url is not None:
            found[name] = open_source(SourceSpec(url=source_url, table=lookup.source_table)).shape
        elif lookup.target_table is not None and (shape := target.describe(lookup.target_table)) is not None:
            found[name] = shape
    return found


def lookup_digests(lookups: AbstractMapping[str, pa.Table]) -> dict[str, str]:
    """What each lookup holds, to see later whether it changed."""
    return {name: table_digest(table) for name, table in sorted(lookups.items())}


def _read(name: str, table: str, url: str | None, key: tuple[str, ...]) -> pa.Table:
    if url is None:
        raise InputError(f"lookup {name} reads table {table}, but the source is no database")
    store = open_source(SourceSpec(url=url, table=table))
    reader = store.reader()
    try:
        rows = reader.lookup(store.shape.names)
    finally:
        reader.close()
    broken = rows.filter(rows[ANOMALY].is_valid())
    if broken.num_rows:
        raise DataError(
            f"lookup {name}: {broken.num_rows} rows of {table} cannot be read without loss, the first: {broken[ANOMALY][0].as_py()}",
            next_step="mend those rows, or look up in a file instead",
        )
    rows = rows.drop_columns([ANOMALY])
    check_lookup(rows, key)
    return rows
