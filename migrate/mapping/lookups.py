"""Lookup tables: reading code lists from CSV files, and the proof that a lookup's keys are unique."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import InputError
from migrate.mapping.findings import Finding, MappingErrors, nearest
from migrate.mapping.model import Mapping


def lookup_path(mapping: Mapping, name: str) -> Path:
    """Where the file of a lookup is: relative to the mapping file."""
    return mapping.path.parent / (mapping.lookups[name].file or "")


def load_file_lookup(mapping: Mapping, name: str) -> pa.Table:
    """The rows of a CSV lookup, every column text; MappingErrors when it is not readable or a key occurs twice."""
    path = lookup_path(mapping, name)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        siblings = [each.name for each in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        raise _at_mapping(mapping, name, f"file {path} does not exist", nearest(path.name, siblings)) from None
    except OSError as error:
        raise _at_mapping(mapping, name, f"file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        message = f"file {path} is not UTF-8 (byte {error.start}); save it as UTF-8"
        raise _at_mapping(mapping, name, message) from error
    rows = _rows(path, text)
    if not rows:
        raise _at_file(path, 1, "is empty: a header is needed")
    header = [title.strip() for title in rows[0][1]]
    for column in mapping.lookups[name].key:
        if column not in header:
            raise _at_file(path, rows[0][0], f"has no column `{column}`", nearest(column, header))
    _unique_keys(path, header, rows[1:], mapping.lookups[name].key)
    return pa.table(
        {title: pa.array([row[place] for _, row in rows[1:]], pa.string()) for place, title in enumerate(header)}
    )


def _rows(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Line number and values of each row that is not empty; all have as many values as the first."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if row:
                rows.append((reader.line_num, row))
            if row and len(row) != len(rows[0][1]):
                raise _at_file(path, reader.line_num, f"has {len(row)} values for {len(rows[0][1])} columns")
    except csv.Error as error:
        raise _at_file(path, reader.line_num, f"is not CSV: {error}") from error
    return rows


def _unique_keys(path: Path, header: list[str], rows: list[tuple[int, list[str]]], columns: tuple[str, ...]) -> None:
    places = [header.index(column) for column in columns]
    seen: dict[tuple[str, ...], int] = {}
    for line, row in rows:
        key = tuple(row[place] for place in places)
        if key in seen:
            raise _at_file(path, line, f"key {', '.join(key)!r} occurs twice, first on line {seen[key]}")
        seen[key] = line


def _at_mapping(mapping: Mapping, name: str, message: str, suggestion: str | None = None) -> MappingErrors:
    at = f"lookups.{name}.file"
    return MappingErrors([Finding(str(mapping.path), mapping.line_of(at), at, message, suggestion)])


def _at_file(path: Path, line: int, message: str, suggestion: str | None = None) -> MappingErrors:
    return MappingErrors([Finding(str(path), line, "(file)", message, suggestion)])


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
