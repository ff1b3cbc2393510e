"""From a checked mapping and the schemas to a Program; everything that is wrong on the way is collected, nothing is raised early."""

from __future__ import annotations

import shlex
from collections.abc import Mapping as Map
from typing import Self

import pyarrow as pa

from migrate.errors import InputError
from migrate.mapping import cleaners
from migrate.mapping.casts import text_form
from migrate.mapping.columns import find_column, is_unique, natural_key
from migrate.mapping.compiled import Aggregation, Compiled
from migrate.mapping.definition import definition_json
from migrate.mapping.duck import connect_briefly, quoted, unquoted
from migrate.mapping.expressions import ExpressionError, parse_expression
from migrate.mapping.fields import FieldCompiler, FieldError, LookupType
from migrate.mapping.findings import Finding, MappingErrors, nearest
from migrate.mapping.groups import constant_troubles, group_sql, row_part_troubles, units_sql
from migrate.mapping.levels import CheckPlan, TargetPlan, build_level, check_plan, not_true
from migrate.mapping.model import FieldSpec, Lookup, Mapping, Newer, TargetTable
from migrate.mapping.names import SOURCE_RESERVED, TARGET_RESERVED, Names, unusable
from migrate.mapping.program import Conflict, Level, LookupKind, Program, ProgramLookup, ProgramTarget
from migrate.mapping.scope import parse_scope, scope_sql
from migrate.mapping.stages import CHUNK, Stages
from migrate.mapping.typed import Compiler, Oracle
from migrate.values import TableShape

Shapes = Map[str, TableShape]

_NOTHING = FieldSpec.model_validate({"sql": "null"})


def compile_mapping(
    mapping: Mapping, source_shape: TableShape, target_shapes: Shapes, lookup_shapes: Shapes | None = None
) -> Program:
    """Compile `mapping` for these schemas; MappingErrors with every mistake that the schemas show.

    `target_shapes` by table name; `lookup_shapes` by lookup name, for those that are tables.
    """
    with Compilation(mapping, source_shape, target_shapes, lookup_shapes or {}) as compilation:
        program = compilation.program()
        if compilation.findings or program is None:
            raise MappingErrors(sorted(compilation.findings))
        return program


class Compilation:
    """One attempt to compile a mapping; `findings` has every mistake found, `program()` the result if there is none."""

    def __init__(self, mapping: Mapping, source: TableShape, targets: Shapes, lookups: Shapes) -> None:
        self.mapping = mapping
        self.source = source
        self.targets = targets
        self.findings: list[Finding] = []
        self._connection = connect_briefly(cleaners.MACROS)
        self._columns = {column.name: (quoted(column.name), column.type.duckdb) for column in source.columns}
        self._names = Names(source.names, "source column")
        self._lookups = {
            name: LookupType(spec, _lookup_columns(mapping, name, spec, lookups))
            for name, spec in mapping.lookups.items()
        } | {name: LookupType(None, None) for name in _lookups_left_out(mapping)}
        self._used: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, path: str, message: str, suggestion: str | None = None) -> None:
        """Record a mistake."""
        self.findings.append(Finding(str(self.mapping.path), self.mapping.line_of(path), path, message, suggestion))

    # ------------------------------------------------------------ the program

    def program(self) -> Program | None:
        """The compiled program, or None when there are findings or a part of the file is left out."""
        mapping = self.mapping
        where_sql = self._where()
        key = self._source_columns("source.key", mapping.source.key or natural_key(self.source))
        unit_columns, group_sets = self._units(key)
        levels = [self._level(columns) for columns in self._level_columns()]
        self._targets()
        if self.findings:
            return None
        order = tuple(dict.fromkeys((*(unit_columns if mapping.grouped else ()), *key)))
        used = self._used | set(order) | set(unit_columns) | {name for group in group_sets for name in group}
        source_columns = tuple(name for name in self.source.names if name in used)
        self._tell_apart(source_columns)
        if self.findings or mapping.left_out:
            return None
        program_targets = tuple(self._program_target(target) for target in mapping.targets)
        schema = pa.schema([pa.field(name, self.source.column(name).type.arrow) for name in source_columns])
        return Program(
            mapping=mapping.name,
            version=mapping.version,
            source_columns=source_columns,
            source_schema=schema,
            unit_columns=unit_columns,
            unit_is_unique=is_unique(self.source, unit_columns),
            order=order,
            grouped=mapping.grouped,
            targets=program_targets,
            lookups=self._program_lookups(),
            where_sql=where_sql,
            units_sql=units_sql(unit_columns) if mapping.grouped else None,
            levels=tuple(level for level in levels if level is not None),
            definition_json=definition_json(mapping, self.source, self.targets, source_columns, order),
        )

    def _targets(self) -> None:
        """Every target is there, and its key and version are fields of it."""
        for index, target in enumerate(self.mapping.targets):
            shape = self.targets.get(target.table)
            if shape is None:
                proposal = f"`migrate plan {shlex.quote(str(self.mapping.path))} --ddl` proposes it"
                hint = nearest(target.table, self.targets) or proposal
                self.add(f"targets[{index}].table", f"table `{target.table}` does not exist in the target", hint)
                continue
            written = {found.name for name in target.fields if (found := find_column(shape, name)) is not None}
            folded = {name.lower() for name in (*written, *target.fields)}
            for name in target.key:
                if name.lower() not in folded:
                    self.add(f"targets[{index}].key", f"key column `{name}` is no field", nearest(name, target.fields))
            newer = target.on_conflict.newer if isinstance(target.on_conflict, Newer) else None
            if newer is not None and newer not in target.fields:
                message = f"`{newer}` is no field of this target"
                self.add(f"targets[{index}].on_conflict.newer", message, nearest(newer, target.fields))

    def _tell_apart(self, source_columns: tuple[str, ...]) -> None:
        """Every column that is read or written has a name of its own, in the whole of its table."""
        read = {name.lower() for name in source_columns}
        names = [name for name in self.source.names if name.lower() in read]
        numbers = natural_key(self.source) if self.source.positional else ()
        for message in unusable(names, SOURCE_RESERVED - set(numbers)):
            self.add("source", message, "give it another name in `query:`")
        for index, target in enumerate(self.mapping.targets):
            for message in unusable(self.targets[target.table].names, TARGET_RESERVED):
                self.add(f"targets[{index}].table", message, "rename the column")

    def _where(self) -> str | None:
        """SQL of two booleans per row: keep it, and could `where` not be computed."""
        text = self.mapping.source.where
        if text is None:
            return None
        stages = Stages(f"SELECT * FROM {quoted(CHUNK)}")
        compiled = self._expression("source.where", text, self._compiler(self._oracle(), stages, None))
        if compiled is None:
            return None
        self._used.update(compiled.columns)
        if not compiled.may_fail:
            return f"SELECT coalesce({compiled.sql}, false) AS keep, false AS failed FROM ({stages.relation()})"
        tried = f"SELECT TRY({{'v': {compiled.sql}}}) AS t FROM ({stages.relation()})"
        return (
            f"SELECT t IS NULL OR coalesce(struct_extract(t, 'v'), false) AS keep, t IS NULL AS failed FROM ({tried})"
        )

    def _expression(self, path: str, text: str, compiler: Compiler) -> Compiled | None:
        """A condition; None when it is wrong."""
        compiled = self._compiled(path, text, compiler)
        if compiled is not None and compiled.kind not in ("boolean", "null"):
            self.add(path, f"expected a condition, found {compiled.kind}")
            return None
        return compiled

    def _compiled(self, path: str, text: str, compiler: Compiler) -> Compiled | None:
        try:
            return compiler.compile(parse_expression(text))
        except ExpressionError as error:
            for message, suggestion in error.problems:
                self.add(path, message, suggestion)
            return None

    def _compiler(self, oracle: Oracle, stages: Stages, aggregation: Aggregation | None) -> Compiler:
        """A compiler over the source's columns."""
        zone = self.mapping.source.timezone
        return Compiler(
            oracle, self._columns, what="source column", timezone=zone, aggregation=aggregation, stages=stages
        )

    def _oracle(self) -> Oracle:
        return Oracle(self._connection, {name: kind for name, (_, kind) in self._columns.items()})

    def _source_columns(self, path: str, names: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for name in names:
            try:
                found.append(self._names.find(name))
            except ExpressionError as error:
                self.add(path, *error.problems[0])
        return tuple(found)

    def _units(self, key: tuple[str, ...]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Columns that identify a unit: the source key, or the smallest `one_row_per`, which all others must contain."""
        groups: list[tuple[str, ...]] = []
        for index, target in enumerate(self.mapping.targets):
            if target.one_row_per:
                groups.append(self._source_columns(f"targets[{index}].one_row_per", target.one_row_per))
        if not groups:
            return key, []
        smallest = min(groups, key=len)
        for index, target in enumerate(self.mapping.targets):
            if target.one_row_per and not set(smallest) <= {self._soft(name) for name in target.one_row_per}:
                self.add(
                    f"targets[{index}].one_row_per", f"has to contain {', '.join(smallest)}, the unit of this mapping"
                )
        return smallest, groups

    def _soft(self, name: str) -> str:
        try:
            return self._names.find(name)
        except ExpressionError:
            return name

    # ------------------------------------------------------------ levels

    def _level_columns(self) -> list[tuple[str, ...] | None]:
        found: list[tuple[str, ...] | None] = []
        for target in self.mapping.targets:
            if target.one_row_per not in found:
                found.append(target.one_row_per)
        return found

    def _level(self, group: tuple[str, ...] | None) -> Level | None:
        """All targets with this grouping."""
        oracle = self._oracle()
        aggregation = Aggregation() if group else None
        stages = Stages(f"SELECT * FROM {quoted(CHUNK)}")
        compiler = self._compiler(oracle, stages, aggregation)
        types = {column.name: column.type for column in self.source.columns}
        fields = FieldCompiler(stages, compiler, oracle, self._lookups, types, timezone=self.mapping.source.timezone)
        plans = []
        for index, target in enumerate(self.mapping.targets):
            if target.one_row_per == group and target.table in self.targets:
                plans.append(self._target(index, target, fields, aggregation))
        self._used.update(compiler.seen)
        if self.findings or not plans:
            return None
        if group and aggregation is not None:
            columns = self._source_columns("targets", group)
            stages.base = group_sql(columns, aggregation)
        return build_level(stages, plans)

    def _target(
        self, index: int, target: TargetTable, fields: FieldCompiler, aggregation: Aggregation | None
    ) -> TargetPlan:
        shape = self.targets[target.table]
        plan = TargetPlan(index, target.table)
        compiled = {}
        for name, spec in target.fields.items():
            path = f"targets[{index}].fields.{name}"
            column = find_column(shape, name)
            if column is None:
                self.add(path, f"table {target.table} has no column `{name}`", nearest(name, shape.names))
                continue
            before = set(aggregation.row_parts) if aggregation else set()
            try:
                compiled[column.name] = fields.compile(column.name, spec, column, aggregates=aggregation is not None)
            except FieldError as error:
                for message, suggestion in error.problems:
                    self.add(f"{path}.{error.part}" if error.part else path, message, suggestion)
                compiled[column.name] = fields.compile(column.name, _NOTHING, column, aggregates=False)
            if aggregation is not None:
                plan.troubles += row_part_troubles(column.name, aggregation, before)
        plan.fields = [compiled[name] for name in shape.names if name in compiled]
        # An expression over a column that is not there would be one more mistake; a field that is wrong is NULL to them.
        lost = frozenset(name.lower() for name in target.fields if find_column(shape, name) is None)
        self._over_fields(index, target, plan, lost)
        if aggregation is not None:
            plan.troubles += constant_troubles(aggregation)
        return plan

    def _over_fields(self, index: int, target: TargetTable, plan: TargetPlan, lost: frozenset[str]) -> None:
        """Scope, totals and checks: expressions over the target's fields, but not over those that are `lost`."""
        fields = {each.name: (each.value.sql, each.value.type) for each in plan.fields}
        oracle = Oracle(self._connection, {unquoted(sql): kind for sql, kind in fields.values()})
        compiler = Compiler(oracle, fields, what="field")
        path = f"targets[{index}].scope"
        if target.scope is not None and not _mentions(target.scope, lost) and self._is_scope(path, target.scope):
            scope = self._expression(path, target.scope, compiler)
            if scope is not None:
                shown = [f"'{name} = ' || coalesce({text_form(*fields[name])}, 'NULL')" for name in scope.columns]
                plan.checks.append(
                    CheckPlan(
                        "SCOPE",
                        "reject",
                        not_true(scope),
                        f" lies outside of the scope {target.scope}",
                        " || ', ' || ".join(shown) or None,
                    )
                )
        for number, total in enumerate(self.mapping.totals):
            if total.target == target.table:
                for name, text in total.by.items():
                    if not _mentions(text, lost):
                        self._compiled(f"totals[{number}].by.{name}", text, compiler)
        for number, check in enumerate(self.mapping.checks):
            if check.target == target.table and not _mentions(check.assert_, lost):
                path = f"checks[{number}].assert"
                compiled = self._expression(path, check.assert_, compiler)
                if compiled is not None:
                    plan.checks.append(check_plan(check, parse_expression(check.assert_), compiled, fields))

    def _is_scope(self, path: str, text: str) -> bool:
        try:
            parse_scope(text)
        except ExpressionError as error:
            for message, suggestion in error.problems:
                self.add(path, message, suggestion)
            return False
        return True

    # ------------------------------------------------------------ parts of the program

    def _program_target(self, target: TargetTable) -> ProgramTarget:
        shape = self.targets[target.table]
        names = {found.name for name in target.fields if (found := find_column(shape, name)) is not None}
        columns = tuple(column for column in shape.columns if column.name in names)
        conflict = (
            Conflict("newer", _exact(shape, target.on_conflict.newer))
            if isinstance(target.on_conflict, Newer)
            else Conflict(target.on_conflict)
        )
        group = self._source_columns("targets", target.one_row_per) if target.one_row_per else None
        return ProgramTarget(
            table=target.table,
            fields=tuple(column.name for column in columns),
            columns=columns,
            key=tuple(_exact(shape, name) for name in target.key),
            on_conflict=conflict,
            scope_sql=scope_sql(target.scope, {name.lower(): name for name in names}) if target.scope else None,
            one_row_per=group,
        )

    def _program_lookups(self) -> tuple[ProgramLookup, ...]:
        takes: dict[str, list[str]] = {}
        for target in self.mapping.targets:
            for spec in target.fields.values():
                if spec.lookup is not None and spec.take is not None:
                    takes.setdefault(spec.lookup, []).append(spec.take)
        return tuple(
            ProgramLookup(
                name,
                *_where_is(self.mapping.lookups[name]),
                self.mapping.lookups[name].key,
                tuple(dict.fromkeys(columns)),
            )
            for name, columns in sorted(takes.items())
        )


def _exact(shape: TableShape, name: str) -> str:
    found = find_column(shape, name)
    if found is None:
        raise InputError(f"Table {shape.name} has no column {name}.")
    return found.name


def _where_is(lookup: Lookup) -> tuple[LookupKind, str]:
    if lookup.file is not None:
        return "file", lookup.file
    if lookup.source_table is not None:
        return "source_table", lookup.source_table
    return "target_table", lookup.target_table or ""


def _mentions(text: str, names: frozenset[str]) -> bool:
    """Does an expression use one of these columns, given in small letters? False for one that cannot be read, which others report."""
    try:
        return any(column.lower() in names for column in parse_expression(text).columns)
    except ExpressionError:
        return False


def _lookups_left_out(mapping: Mapping) -> set[str]:
    """Lookups that fields use and that cannot be meant: nothing is known of them."""
    used = {spec.lookup for target in mapping.targets for spec in target.fields.values() if spec.lookup is not None}
    return {name for name in used if mapping.lookup_left_out(name)}


def _lookup_columns(mapping: Mapping, name: str, spec: Lookup, shapes: Shapes) -> dict[str, str] | None:
    """DuckDB type of each column of a lookup, or None while it is not known."""
    if spec.file is not None:
        takes = [
            each.take
            for target in mapping.targets
            for each in target.fields.values()
            if each.lookup == name and each.take
        ]
        return dict.fromkeys((*spec.key, *takes), "VARCHAR")
    shape = shapes.get(name)
    return None if shape is None else {column.name: column.type.duckdb for column in shape.columns}
