"""Checks a mapping, against the schemas where they are given, and reports every mistake at once."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Map

from migrate.mapping.columns import find_column
from migrate.mapping.compile import Compilation
from migrate.mapping.findings import Finding, nearest
from migrate.mapping.model import Mapping, Newer, TargetTable
from migrate.mapping.offline import check_offline, finding
from migrate.mapping.program import Program
from migrate.values import TableShape


def check_mapping(
    mapping: Mapping,
    source_shape: TableShape | None,
    target_shapes: Map[str, TableShape] | None,
    lookup_shapes: Map[str, TableShape] | None = None,
) -> list[Finding]:
    """All findings of level error and warning, sorted by place; without schemas those that need none.

    `target_shapes` has the tables that exist, by name; `lookup_shapes` the lookups that are tables and exist, by lookup name.
    """
    if source_shape is None or target_shapes is None:
        return _of_the_file(mapping, check_offline(mapping))
    return checked_program(mapping, source_shape, target_shapes, lookup_shapes or {})[1]


def checked_program(
    mapping: Mapping, source_shape: TableShape, target_shapes: Map[str, TableShape], lookup_shapes: Map[str, TableShape]
) -> tuple[Program | None, list[Finding]]:
    """The compiled program, None with an error among the findings or a part left out; and all findings, as of `check_mapping`."""
    with Compilation(mapping, source_shape, target_shapes, lookup_shapes) as compilation:
        program = compilation.program()
        found = check_offline(mapping) + compilation.findings
    found += _source(mapping, source_shape)
    found += _order(mapping, source_shape)
    found += _lookups(mapping, lookup_shapes)
    for index, target in enumerate(mapping.targets):
        shape = target_shapes.get(target.table)
        if shape is not None:
            found += _target(mapping, f"targets[{index}]", target, shape)
    found += _totals(mapping, target_shapes)
    found = _of_the_file(mapping, found)
    sound = not mapping.left_out and not any(each.level == "error" for each in found)
    return program if sound else None, found


def _of_the_file(mapping: Mapping, found: list[Finding]) -> list[Finding]:
    """Sorted, each mistake once, and none about what only takes the place of something that is wrong itself."""
    return sorted(each for each in _distinct(found) if mapping.says(each.path))


def _distinct(found: list[Finding]) -> list[Finding]:
    """Each mistake once, although both passes may see it; the part of a path that is more exact wins."""
    unique: dict[tuple[str, str], Finding] = {}
    for each in found:
        for length in range(len(each.path), 0, -1):
            if (each.path[:length], each.message) in unique:
                break
        else:
            unique[each.path, each.message] = each
    return list(unique.values())


def _source(mapping: Mapping, shape: TableShape) -> Iterator[Finding]:
    source = mapping.source
    key = tuple(found.name for name in source.key or shape.primary_key if (found := find_column(shape, name)))
    if not key and not source.key and not shape.positional and mapping.says("source.key"):
        yield finding(mapping, "source", "the source has no primary key", "name the columns that order it in `key`")
    complete = len(key) == len(source.key or key)
    if (
        key
        and complete
        and not any(set(each.columns) <= set(key) for each in shape.unique_keys)
        and source.files is None
    ):
        message = f"({', '.join(key)}) is not known to be unique: rows that share it are told apart by their content"
        yield finding(mapping, "source.key", message, None, "warning")
    changes = source.changes
    if changes is not None:
        column = find_column(shape, changes.column)
        if column is None:
            hint = nearest(changes.column, shape.names)
            yield finding(mapping, "source.changes.column", f"unknown source column `{changes.column}`", hint)
        elif column.type.kind == "text" and changes.format is None:
            yield finding(mapping, "source.changes", f"`{column.name}` is text: its `format` is needed")
        elif column.type.kind != "text" and changes.format is not None:
            yield finding(mapping, "source.changes.format", f"`{column.name}` is {column.type}, which needs no format")


def _lookups(mapping: Mapping, shapes: Map[str, TableShape]) -> Iterator[Finding]:
    for name, lookup in mapping.lookups.items():
        if lookup.file is not None:
            continue
        kind, table = (
            ("source_table", lookup.source_table) if lookup.source_table else ("target_table", lookup.target_table)
        )
        shape = shapes.get(name)
        if shape is None:
            yield finding(mapping, f"lookups.{name}.{kind}", f"table `{table}` does not exist")
            continue
        for column in lookup.key:
            if column not in shape.names:
                hint = nearest(column, shape.names)
                yield finding(mapping, f"lookups.{name}.key", f"table `{table}` has no column `{column}`", hint)


def _target(mapping: Mapping, path: str, target: TargetTable, shape: TableShape) -> Iterator[Finding]:
    written = {found.name for name in target.fields if (found := find_column(shape, name))}
    for column in shape.columns:
        if column.name in written and column.default_kind == "generated":
            field = next(name for name in target.fields if name.lower() == column.name.lower())
            yield finding(
                mapping, f"{path}.fields.{field}", f"`{column.name}` is a generated column, which cannot be written"
            )
        if column.name not in written and not column.nullable and column.default_kind == "null":
            yield finding(
                mapping,
                f"{path}.fields",
                f"column `{column.name}` ({column.type}) is NOT NULL without a default, and no field writes it",
            )
    key = [found.name for name in target.key if (found := find_column(shape, name))]
    if len(key) == len(target.key) and not any(set(each.columns) == set(key) for each in shape.unique_keys):
        keys = "; ".join(f"({', '.join(each.columns)})" for each in shape.unique_keys)
        message = f"({', '.join(key)}) is no unique key of `{target.table}`"
        yield finding(mapping, f"{path}.key", message, f"unique keys: {keys}" if keys else "the table has none")
    for foreign in shape.foreign_keys:
        missing = [name for name in foreign.columns if name not in written]
        if missing and len(missing) < len(foreign.columns):
            message = f"foreign key ({', '.join(foreign.columns)}) to `{foreign.parent}` is written in part: {', '.join(missing)} is no field"
            yield finding(mapping, f"{path}.fields", message, None, "warning")
    yield from _newer(mapping, path, target, shape)


def _newer(mapping: Mapping, path: str, target: TargetTable, shape: TableShape) -> Iterator[Finding]:
    if not isinstance(target.on_conflict, Newer):
        return
    column = find_column(shape, target.on_conflict.newer)
    if column is not None and column.type.kind not in ("integer", "decimal", "date", "timestamp", "instant"):
        message = f"`{column.name}` is {column.type}: versions are compared as numbers or times"
        yield finding(mapping, f"{path}.on_conflict.newer", message)
    elif column is not None and column.nullable:
        yield finding(
            mapping, f"{path}.on_conflict.newer", f"`{column.name}` may be NULL: then no row is newer", None, "warning"
        )


def _order(mapping: Mapping, shape: TableShape) -> Iterator[Finding]:
    for index, target in enumerate(mapping.targets):
        group, key = target.one_row_per or (), mapping.source.key or ()
        known = all(find_column(shape, name) for name in group)
        if group and key and known and {name.lower() for name in key[: len(group)]} != {name.lower() for name in group}:
            message = f"the source is read in the order of ({', '.join(group)}), and its key does not begin with them"
            path = f"targets[{index}].one_row_per"
            yield finding(mapping, path, message, "an index on them makes the reading fast", "warning")


def _totals(mapping: Mapping, shapes: Map[str, TableShape]) -> Iterator[Finding]:
    for index, total in enumerate(mapping.totals):
        shape = shapes.get(total.target)
        for name in total.sum if shape is not None else ():
            column = find_column(shape, name) if shape is not None else None
            if column is not None and column.type.kind not in ("integer", "decimal"):
                message = f"`{name}` is {column.type}: only exact numbers are added up"
                yield finding(mapping, f"totals[{index}].sum", message)
