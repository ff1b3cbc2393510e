"""Lookup tables: reading code lists from CSV files, and the proof that a lookup's keys are unique."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import InputError
from migrate.mapping.findings import Finding, MappingErrors, nearest
from migrate.mapping.model import Lookup, Mapping

NEEDED = ("source_table", "target_table")


def lookup_tables_needed(mapping: Mapping) -> dict[str, Lookup]:
    """The lookups that live in a database, by name: the engine reads them through the stores."""
    return {name: lookup for name, lookup in mapping.lookups.items() if lookup.file is None}


def lookup_path(mapping: Mapping, name: str) -> Path:
    """Where the file of a lookup is: relative to the mapping file."""
    return mapping.path.parent / (mapping.lookups[name].file or "")


def load_file_lookup(mapping: Mapping, name: str) -> pa.Table:
    """The rows of a CSV lookup, every column text; MappingErrors when it is not readable or a key occurs twice."""
    lookup = mapping.lookups[name]
    path = lookup_path(mapping, name)
    at = f"lookups.{name}.file"

    def wrong(message: str, suggestion: str | None = None, line: int | None = None) -> MappingErrors:
        if line is not None:
            return MappingErrors([Finding(str(path), line, "(file)", message, suggestion)])
        return MappingErrors([Finding(str(mapping.path), mapping.line_of(at), at, message, suggestion)])

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        siblings = [each.name for each in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        raise wrong(f"file {path} does not exist", nearest(path.name, siblings)) from None
    except OSError as error:
        raise wrong(f"file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise wrong(f"file {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    seen: dict[tuple[str, ...], int] = {}
    try:
        for row in reader:
            if not row:
                continue
            if not header:
                header = [title.strip() for title in row]
                for column in lookup.key:
                    if column not in header:
                        raise wrong(f"has no column `{column}`", nearest(column, header), reader.line_num)
                positions = [header.index(column) for column in lookup.key]
                continue
            if len(row) != len(header):
                raise wrong(f"has {len(row)} values for {len(header)} columns", None, reader.line_num)
            key = tuple(row[position] for position in positions)
            if key in seen:
                raise wrong(f"key {', '.join(key)!r} occurs twice, first on line {seen[key]}", None, reader.line_num)
            seen[key] = reader.line_num
            rows.append(row)
    except csv.Error as error:
        raise wrong(f"is not CSV: {error}", None, reader.line_num) from error
    if not header:
        raise wrong("is empty: a header is needed", None, 1)
    return pa.table({title: pa.array([row[index] for row in rows], pa.string()) for index, title in enumerate(header)})


def check_lookup(table: pa.Table, keys: tuple[str, ...]) -> None:
    """InputError when two rows have the same key; a row whose key has a NULL finds nothing and is no duplicate."""
    found = table.select(list(keys))
    for name in keys:
        found = found.filter(pc.is_valid(found[name]))
    counts = found.group_by(list(keys)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        shown = ", ".join(str(value) for value in twice.slice(0, 1).to_pylist()[0].values() if value is not None)
        raise InputError(
            f"The lookup's key ({', '.join(keys)}) is not unique: {twice.num_rows} keys occur twice, e.g. {shown}.",
            next_step="Choose key columns that are unique.",
        )
