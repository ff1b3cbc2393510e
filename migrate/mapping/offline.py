"""What can be said about a mapping without any schema: expressions, types, formats, names inside of the file, lookup files."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator

import pyarrow as pa

from migrate.mapping.expressions import ExpressionError, parse_expression
from migrate.mapping.findings import Finding, Level, MappingErrors, nearest
from migrate.mapping.formats import FormatError, pattern_of
from migrate.mapping.lookups import load_file_lookup
from migrate.mapping.model import FieldSpec, Mapping, Newer, TargetTable
from migrate.mapping.scope import parse_scope
from migrate.mapping.types import TypeTextError, parse_type

Problem = tuple[str, str, str | None]
"""Path, message, suggestion."""


def finding(
    mapping: Mapping, path: str, message: str, suggestion: str | None = None, level: Level = "error"
) -> Finding:
    """A finding at a path of the mapping's file."""
    return Finding(str(mapping.path), mapping.line_of(path), path, message, suggestion, level)


def check_offline(mapping: Mapping) -> list[Finding]:
    """All mistakes that show without a schema."""
    found = [finding(mapping, *problem) for problem in _problems(mapping)]
    lookups, broken = _lookup_files(mapping)
    found += broken
    for index, target in enumerate(mapping.targets):
        for name, spec in target.fields.items():
            path = f"targets[{index}].fields.{name}"
            found += [finding(mapping, *problem) for problem in _lookup_use(mapping, path, spec, lookups)]
    used = {spec.lookup for target in mapping.targets for spec in target.fields.values()}
    found += [
        finding(mapping, f"lookups.{name}", "is not used by any field", None, "warning")
        for name in mapping.lookups
        if name not in used and not any(each.startswith("targets") for each in mapping.left_out)
    ]
    return found


def _problems(mapping: Mapping) -> Iterator[Problem]:
    yield from _source(mapping)
    for index, target in enumerate(mapping.targets):
        yield from _target(f"targets[{index}]", target)
    yield from _checks(mapping)
    yield from _totals(mapping)
    for name, lookup in mapping.lookups.items():
        if lookup.target_table is not None and mapping.target_table(lookup.target_table) is not None:
            path = f"lookups.{name}.target_table"
            yield path, f"`{lookup.target_table}` is written by this mapping", "join a large parent in `query:`"


def _source(mapping: Mapping) -> Iterator[Problem]:
    source = mapping.source
    if source.where is not None:
        yield from _expression("source.where", source.where)
    if source.timezone is not None and source.timezone not in zoneinfo.available_timezones():
        hint = nearest(source.timezone, zoneinfo.available_timezones())
        yield "source.timezone", f"`{source.timezone}` is not a time zone", hint
    if source.changes is not None and source.changes.format is not None:
        yield from _formats("source.changes.format", (source.changes.format,))


def _target(path: str, target: TargetTable) -> Iterator[Problem]:
    fields = tuple(target.fields)
    for name in target.key:
        if name.lower() not in {each.lower() for each in fields}:
            yield f"{path}.key", f"key column `{name}` is no field", nearest(name, fields)
    if isinstance(target.on_conflict, Newer) and target.on_conflict.newer not in fields:
        newer = target.on_conflict.newer
        yield f"{path}.on_conflict.newer", f"`{newer}` is no field of this target", nearest(newer, fields)
    if target.scope is not None:
        yield from _scope(f"{path}.scope", target)
    for name, spec in target.fields.items():
        yield from _field(f"{path}.fields.{name}", spec, grouped=target.one_row_per is not None)


def _scope(path: str, target: TargetTable) -> Iterator[Problem]:
    try:
        parse_scope(target.scope or "")
    except ExpressionError as error:
        yield from ((path, message, suggestion) for message, suggestion in error.problems)
        return
    yield from _over_fields(path, target.scope or "", target)


def _field(path: str, spec: FieldSpec, *, grouped: bool) -> Iterator[Problem]:
    if spec.sql is not None:
        yield from _expression(f"{path}.sql", spec.sql, aggregates=grouped)
    if spec.type is not None:
        try:
            parse_type(spec.type)
        except TypeTextError as error:
            yield f"{path}.type", str(error), None
    yield from _formats(f"{path}.formats", spec.formats or ())


def _formats(path: str, formats: tuple[str, ...]) -> Iterator[Problem]:
    for each in formats:
        try:
            pattern_of(each)
        except FormatError as error:
            yield path, str(error), None


def _expression(path: str, text: str, *, aggregates: bool = False) -> Iterator[Problem]:
    try:
        parse_expression(text, aggregates=aggregates)
    except ExpressionError as error:
        yield from ((path, message, suggestion) for message, suggestion in error.problems)


def _over_fields(path: str, text: str, target: TargetTable) -> Iterator[Problem]:
    """An expression whose columns are fields of the target."""
    try:
        columns = parse_expression(text).columns
    except ExpressionError as error:
        yield from ((path, message, suggestion) for message, suggestion in error.problems)
        return
    folded = {name.lower() for name in target.fields}
    for column in columns:
        if column.lower() not in folded:
            yield path, f"unknown field `{column}`", nearest(column, target.fields)


def _checks(mapping: Mapping) -> Iterator[Problem]:
    for index, check in enumerate(mapping.checks):
        target = mapping.target_table(check.target)
        if target is None:
            yield f"checks[{index}].target", f"`{check.target}` is no target", _target_hint(mapping, check.target)
            continue
        yield from _over_fields(f"checks[{index}].assert", check.assert_, target)


def _totals(mapping: Mapping) -> Iterator[Problem]:
    for index, total in enumerate(mapping.totals):
        path = f"totals[{index}]"
        target = mapping.target_table(total.target)
        if target is None:
            yield f"{path}.target", f"`{total.target}` is no target", _target_hint(mapping, total.target)
            continue
        for name, text in total.by.items():
            yield from _over_fields(f"{path}.by.{name}", text, target)
        for name in total.sum:
            if name not in target.fields:
                yield f"{path}.sum", f"unknown field `{name}`", nearest(name, target.fields)


def _target_hint(mapping: Mapping, name: str) -> str | None:
    return nearest(name, [target.table for target in mapping.targets])


def _lookup_files(mapping: Mapping) -> tuple[dict[str, pa.Table], list[Finding]]:
    """The lookup files that can be read, and what is wrong with the others."""
    tables: dict[str, pa.Table] = {}
    broken: list[Finding] = []
    for name, lookup in mapping.lookups.items():
        if lookup.file is not None:
            try:
                tables[name] = load_file_lookup(mapping, name)
            except MappingErrors as error:
                broken += error.findings
    return tables, broken


def _lookup_use(mapping: Mapping, path: str, spec: FieldSpec, files: dict[str, pa.Table]) -> Iterator[Problem]:
    if spec.lookup is None:
        return
    lookup = mapping.lookups.get(spec.lookup)
    if lookup is None and mapping.lookup_left_out(spec.lookup):
        return
    if lookup is None:
        known = nearest(spec.lookup, mapping.lookups) or "define it under `lookups`"
        yield f"{path}.lookup", f"unknown lookup `{spec.lookup}`", known
        return
    if len(spec.from_ or ()) != len(lookup.key):
        yield (
            f"{path}.from",
            f"lookup `{spec.lookup}` has the key ({', '.join(lookup.key)}), and {len(spec.from_ or ())} columns are given",
            None,
        )
    if spec.lookup in files and spec.take not in files[spec.lookup].column_names:
        hint = nearest(spec.take or "", files[spec.lookup].column_names)
        yield f"{path}.take", f"lookup `{spec.lookup}` has no column `{spec.take}`", hint
