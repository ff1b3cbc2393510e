"""The fingerprint of a plan: SHA-256 over what decides the rows. A run resumes only under its own.

Counts: the compiled definition (source, keys, where, fields, lookups, reject checks, names, types and keys of the columns used), the content of
lookup files, the engines' versions. Does not count: URLs, limits, totals, secondary indexes, the content of table lookups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa


def fingerprint(
    definition: Mapping[str, object],
    source: Mapping[str, str],
    target: Mapping[str, str],
    lookup_files: Mapping[str, pa.Table],
) -> str:
    """64 hex digits. `source` and `target` are what the stores say of their engines; `lookup_files` the lookups read from files."""
    content = {
        "definition": definition,
        "source": dict(source),
        "target": dict(target),
        "lookups": {name: table_digest(table) for name, table in lookup_files.items()},
        "transform": f"duckdb {duckdb.__version__}",
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def changed_parts(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Paths of what differs between two definitions, such as `targets.invoice.fields.net`, in order of names; empty when they are equal."""
    before, after = _by_path(then), _by_path(now)
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _by_path(definition: Mapping[str, Any]) -> dict[str, object]:
    """Each part of a definition that a person would name: one entry of a mapping's section, one field, one check."""
    parts: dict[str, object] = {}
    for section, content in definition.items():
        if section == "targets":
            for target in content:
                for name, value in target.items():
                    parts |= _entries(f"targets.{target['table']}.{name}", value)
        elif section == "checks":
            parts |= {f"checks.{check['id']}": check for check in content}
        else:
            parts |= _entries(section, content)
    return parts


def _entries(path: str, content: object) -> dict[str, object]:
    if isinstance(content, dict):
        return {f"{path}.{name}": value for name, value in content.items()}
    return {path: content}


def table_digest(table: pa.Table) -> str:
    """SHA-256 of a table's content as text, row order not counting."""
    rows = sorted(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) for row in table.to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """One text for one value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str)
