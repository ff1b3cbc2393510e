"""The fingerprint of a plan: SHA-256 over what decides the rows. A run resumes only under its own.

Counts: the compiled definition (source, keys, where, fields, lookups, reject checks, names, types and keys of the columns used), the content of
lookup files, the engines' versions. Does not count: URLs, limits, totals, secondary indexes, the content of table lookups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

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


def table_digest(table: pa.Table) -> str:
    """SHA-256 of a table's content as text, row order not counting."""
    rows = sorted(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) for row in table.to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """One text for one value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str)
