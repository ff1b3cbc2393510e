"""What of a mapping decides the rows, as JSON: the part of a run's fingerprint that comes from the mapping.

URLs, limits, totals, warnings and messages are not in it. Lookup files count with their content, which the engine adds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Map
from importlib.metadata import version

import duckdb

from migrate.mapping.model import Mapping
from migrate.values import Column, LogicalType, TableShape


def definition_json(
    mapping: Mapping,
    source_shape: TableShape,
    target_shapes: Map[str, TableShape],
    source_columns: tuple[str, ...],
    order: tuple[str, ...],
) -> str:
    """Canonical JSON: the same text for the same rows."""
    content = _definition(mapping, source_shape, target_shapes, source_columns, order)
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def _definition(
    mapping: Mapping,
    source_shape: TableShape,
    target_shapes: Map[str, TableShape],
    source_columns: tuple[str, ...],
    order: tuple[str, ...],
) -> dict[str, object]:
    source = mapping.source
    return {
        "engines": {"duckdb": duckdb.__version__, "sqlglot": version("sqlglot")},
        "source": {
            "table": source.table, "query": source.query, "files": source.files, "format": source.format, "options": source.options,
            "where": source.where, "timezone": source.timezone, "order": list(order),
            "columns": {name: _type_text(source_shape.column(name)) for name in source_columns},
        },
        "lookups": {name: lookup.model_dump(mode="json") for name, lookup in mapping.lookups.items()},
        "targets": [
            {
                "table": target.table, "key": list(target.key), "scope": target.scope,
                "on_conflict": target.model_dump(mode="json")["on_conflict"],
                "one_row_per": list(target.one_row_per or ()),
                "fields": {name: spec.model_dump(mode="json", exclude_none=True) for name, spec in target.fields.items()},
                "columns": {
                    column.name: _type_text(column) for column in target_shapes[target.table].columns if column.name in target.fields
                },
                "unique_keys": sorted(list(key.columns) for key in target_shapes[target.table].unique_keys),
            }
            for target in mapping.targets
        ],
        "checks": [check.model_dump(mode="json", exclude={"message"}) for check in mapping.checks if check.level == "reject"],
    }  # fmt: skip


def _type_text(column: Column) -> str:
    kind = column.type
    facts = {name: getattr(kind, name) for name in LogicalType.__slots__ if getattr(kind, name) is not None}
    return json.dumps({**facts, "nullable": column.nullable}, sort_keys=True)
