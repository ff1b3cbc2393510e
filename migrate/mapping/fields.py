"""Compiles one field of a mapping: `from` with its steps, `sql` or `value`, up to a value that fits the target column.

Order of the steps: nulls, clean, values or lookup, type with formats; then the target column's own type, `default`, and
what the column can hold. Everything that can go wrong for a row becomes a Trouble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
from sqlglot import exp

from migrate.mapping import cleaners
from migrate.mapping.casts import Conversion, Fault, NoConversion, convert, text_form
from migrate.mapping.charsets import UnknownCharset
from migrate.mapping.compiled import Compiled
from migrate.mapping.constraints import constraints
from migrate.mapping.duck import literal
from migrate.mapping.expressions import Expression, ExpressionError, parse_expression
from migrate.mapping.findings import nearest
from migrate.mapping.formats import FormatError
from migrate.mapping.model import FieldSpec
from migrate.mapping.model import Lookup as LookupSpec
from migrate.mapping.stages import Stages, Trouble, Value
from migrate.mapping.typed import Compiler, Oracle, cast_type
from migrate.mapping.types import TypeTextError, parse_type
from migrate.values import Column, LogicalType


class FieldError(Exception):
    """A field that cannot be compiled: the key of the field that is wrong, and messages with their suggestions."""

    def __init__(
        self, part: str, message: str, suggestion: str | None = None, more: Sequence[tuple[str, str | None]] = ()
    ) -> None:
        super().__init__(message)
        self.part = part
        self.problems: list[tuple[str, str | None]] = [(message, suggestion), *more]


@dataclass(frozen=True)
class LookupType:
    """A lookup as far as compiling needs it: its key columns, and the DuckDB type of each column; None where not known."""

    spec: LookupSpec | None
    columns: Mapping[str, str] | None


@dataclass(frozen=True)
class FieldPlan:
    """A compiled field: its final value, and its troubles in the order to report."""

    name: str
    value: Value
    troubles: tuple[Trouble, ...]


class FieldCompiler:
    """Compiles the fields of one level into its stages."""

    def __init__(
        self,
        stages: Stages,
        compiler: Compiler,
        oracle: Oracle,
        lookups: Mapping[str, LookupType],
        source_types: Mapping[str, LogicalType],
        *,
        timezone: str | None,
    ) -> None:
        self._stages = stages
        self._compiler = compiler
        self._oracle = oracle
        self._lookups = lookups
        self._source_types = source_types
        self._timezone = timezone
        self._troubles: list[Trouble] = []
        self._clean_of_nul = False

    def compile(self, name: str, spec: FieldSpec, column: Column, *, aggregates: bool) -> FieldPlan:
        """Compile one field for its column; FieldError says which part is wrong."""
        self._troubles = []
        self._clean_of_nul = self._without_nul(spec)
        if spec.value is not None:
            value = self._constant("value", spec.value, column.type)
            value = self._stages.stage(value)
            return FieldPlan(name, value, self._limits(value, column))
        if spec.sql is not None:
            value = self._sql(spec.sql, aggregates=aggregates)
            value = self._typed(value, spec, column)
        else:
            value = self._from(spec, column)
        if spec.default is not None:
            default = self._constant("default", spec.default, column.type)
            value = self._stages.stage(value, f"coalesce({value.sql}, {default.sql})")
        if not value.sql.startswith('"'):
            value = self._stages.stage(value)
        self._troubles.extend(self._limits(value, column))
        return FieldPlan(name, value, tuple(_as_declared(each, column) for each in self._troubles))

    def _without_nul(self, spec: FieldSpec) -> bool:
        """Can this field never contain U+0000: nothing that it is made of does?"""
        if (
            spec.lookup is not None
            or "\0" in spec.model_dump_json()
            or (spec.sql is not None and "chr" in spec.sql.lower())
        ):
            return False
        if spec.from_ is not None:
            names: tuple[str, ...] = spec.from_
        elif spec.sql is not None:
            try:
                names = parse_expression(spec.sql, aggregates=True).columns
            except ExpressionError:
                return False
        else:
            return True
        folded = {name.lower(): kind for name, kind in self._source_types.items()}
        return all(
            name.lower() in folded and not (folded[name.lower()].nul and _texts(folded[name.lower()])) for name in names
        )

    # ------------------------------------------------------------ forms

    def _sql(self, text: str, *, aggregates: bool) -> Value:
        try:
            expression = parse_expression(text, aggregates=aggregates)
            cast = expression.tree.unnest()
            if isinstance(cast, exp.Cast):
                return self._outer_cast(expression, cast)
            return self._expression(self._compiler.compile(expression), expression)
        except ExpressionError as error:
            raise FieldError("sql", *error.problems[0], error.problems[1:]) from error

    def _outer_cast(self, expression: Expression, cast: exp.Cast) -> Value:
        """A cast around the whole: what it casts is computed once, and a failure names the text that does not fit."""
        self._compiler.compile(expression)
        target = cast_type(cast)
        inner = self._expression(self._compiler.compile(replace(expression, tree=cast.this)), expression)
        value = self._converted("sql", inner, target, ())
        self._fits(value, target)
        return value

    def _expression(self, compiled: Compiled, expression: Expression) -> Value:
        """Stage an expression; one that can fail becomes a trouble of its row."""
        value = Value(compiled.sql, compiled.type, self._stages.depth_of(compiled.sql))
        if not compiled.may_fail:
            return self._stages.stage(value)
        tried = self._stages.stage(value, f"TRY({{'v': {compiled.sql}}})", "STRUCT")
        shown = self._inputs(compiled)
        reason = f"cannot be computed by {expression.text}"
        self._troubles.append(Trouble(f"{tried.sql} IS NULL", (Fault("true", "CAST", reason),), shown))
        return Value(f"struct_extract({tried.sql}, 'v')", compiled.type, tried.depth)

    def _inputs(self, compiled: Compiled) -> str | None:
        """Text of the columns that an expression uses, for its reason."""
        if self._compiler.grouped:
            return None
        parts = []
        for name in compiled.columns:
            column = self._compiler.column(name)
            parts.append(f"{literal(name + ' = ')} || coalesce({text_form(column.sql, column.type)}, 'NULL')")
        if len(parts) == 1:
            column = self._compiler.column(compiled.columns[0])
            return text_form(column.sql, column.type)
        return " || ', ' || ".join(parts) if parts else "NULL"

    def _constant(self, part: str, text: str, target: LogicalType) -> Value:
        """A text of the mapping file as a constant of the column's type."""
        conversion = self._convert(part, Value(literal(text), "VARCHAR"), target)
        found = [fault for fault in _constraints(f"({conversion.sql})", target) if self._holds(fault.condition)]
        if not self._holds(f"({conversion.sql}) IS NOT NULL"):
            failing = next((fault for fault in conversion.faults if self._holds(fault.condition)), None)
            raise FieldError(part, f"'{text}' {failing.reason if failing else 'does not fit'}")
        if found:
            raise FieldError(part, f"'{text}' {found[0].reason}")
        return Value(f"({conversion.sql})", target.duckdb)

    def _holds(self, condition: str) -> bool:
        try:
            return self._oracle.holds(condition)
        except duckdb.Error:
            return False

    # ------------------------------------------------------------ from and its steps

    def _from(self, spec: FieldSpec, column: Column) -> Value:
        values = []
        for name in spec.from_ or ():
            try:
                compiled = self._compiler.column(name)
            except ExpressionError as error:
                raise FieldError("from", *error.problems[0]) from error
            values.append(self._nulls(Value(compiled.sql, compiled.type), spec))
        if spec.lookup is not None:
            return self._typed(self._lookup([self._clean(value, spec) for value in values], spec), spec, column)
        if spec.values is not None:
            return self._typed(self._values(self._clean(values[0], spec), spec), spec, column)
        target = self._wanted(spec, column)
        if spec.clean == ("money",) and target.exact_decimal and values[0].kind == "text":
            return self._column_type(self._money(values[0], target), target, column)
        return self._typed(self._clean(values[0], spec), spec, column)

    def _nulls(self, value: Value, spec: FieldSpec) -> Value:
        if not spec.nulls:
            return value
        listed = ", ".join(literal(text) for text in spec.nulls)
        return self._stages.stage(
            value, f"CASE WHEN {text_form(value.sql, value.type)} IN ({listed}) THEN NULL ELSE {value.sql} END"
        )

    def _clean(self, value: Value, spec: FieldSpec) -> Value:
        for name in spec.clean or ():
            if value.kind not in ("text", "null"):
                raise FieldError("clean", f"`{name}` cleans texts, and this is {value.kind}", "drop `clean`")
            after = self._stages.share(cleaners.clean(name, value.sql, self._keep), "VARCHAR")
            failed = cleaners.failed(name, value.sql, after.sql)
            if failed is not None:
                self._troubles.append(Trouble(failed, (Fault("true", "CAST", cleaners.REASONS[name]),), value.sql))
            value = after
        return value

    def _money(self, value: Value, target: LogicalType) -> Value:
        """Clean and convert in one: amounts that are clean already, nearly all, cost one cast and one comparison."""
        quick, same = self._quick(value, target)
        slow = cleaners.slow_money(value.sql, same.sql, self._keep)
        conversion = convert(slow, "VARCHAR", target)
        exact = self._stages.share(f"CASE WHEN {same.sql} THEN {quick.sql} ELSE {conversion.sql} END", target.duckdb)
        when = f"CASE WHEN {exact.sql} IS NULL AND {value.sql} IS NOT NULL THEN NOT _blank({value.sql}) ELSE false END"
        unclean = Fault(f"{slow} IS NULL", "CAST", cleaners.REASONS["money"])
        self._troubles.append(Trouble(when, (unclean, *conversion.faults), value.sql))
        return exact

    def _keep(self, sql: str, duckdb_type: str) -> str:
        return self._stages.share(sql, duckdb_type).sql

    def _quick(self, value: Value, target: LogicalType) -> tuple[Value, Value]:
        """A text cast to a number in DuckDB's way, and whether that number's own text is the same: then the cast was exact."""
        quick = self._stages.stage(value, f"TRY_CAST({value.sql} AS {target.duckdb})", target.duckdb)
        same = f"coalesce(CAST({quick.sql} AS VARCHAR) = {value.sql}, false)"
        return quick, self._stages.stage(quick, same, "BOOLEAN")

    def _values(self, value: Value, spec: FieldSpec) -> Value:
        listed = dict(spec.values or {})
        branches = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in listed.items())
        text = text_form(value.sql, value.type)
        after = self._stages.stage(value, f"CASE {text} {branches} END", "VARCHAR")
        if spec.default is None:
            reason = f"is not listed in `values` ({', '.join(list(listed)[:10])}{', …' if len(listed) > 10 else ''})"  # noqa: PLR2004
            self._troubles.append(
                Trouble(f"{value.sql} IS NOT NULL AND {after.sql} IS NULL", (Fault("true", "VALUE", reason),), text)
            )
        return after

    def _lookup(self, values: list[Value], spec: FieldSpec) -> Value:
        name, take = spec.lookup or "", spec.take or ""
        found = self._lookups.get(name)
        if found is None:
            raise FieldError(
                "lookup", f"unknown lookup `{name}`", nearest(name, self._lookups) or "define it under `lookups`"
            )
        if found.spec is None:
            return self._stages.stage(values[0], "CAST(NULL AS VARCHAR)", "VARCHAR")
        if len(values) != len(found.spec.key):
            raise FieldError(
                "from",
                f"lookup `{name}` has the key ({', '.join(found.spec.key)}), and {len(values)} columns are given",
            )
        types = found.columns
        if types is None:
            return self._stages.stage(values[0], "CAST(NULL AS VARCHAR)", "VARCHAR")
        if take not in types:
            raise FieldError("take", f"lookup `{name}` has no column `{take}`", nearest(take, types))
        keys = tuple(self._lookup_key(value, types.get(key)) for value, key in zip(values, found.spec.key, strict=True))
        after, hit = self._stages.join(name, found.spec.key, keys, take, types[take])
        if spec.default is None:
            given = " AND ".join(f"{value.sql} IS NOT NULL" for value in values)
            shown = " || ', ' || ".join(text_form(value.sql, value.type) for value in values)
            fault = Fault("true", "LOOKUP", f"is not in lookup `{name}`")
            self._troubles.append(Trouble(f"{given} AND {hit} IS NULL", (fault,), shown))
        return after

    def _lookup_key(self, value: Value, wanted: str | None) -> Value:
        """The value as the lookup's key has it: as it is, or as text for a key of texts."""
        if wanted is None or value.type == wanted or value.kind == "null":
            return value
        if wanted == "VARCHAR" and value.kind in ("integer", "decimal", "date", "boolean"):
            return self._stages.stage(value, text_form(value.sql, value.type), "VARCHAR")
        if {value.kind, _kind(wanted)} <= {"integer", "decimal"}:
            key = f"TRY_CAST({value.sql} AS {wanted})"
            exact = f"CASE WHEN TRY_CAST({key} AS {value.type}) = {value.sql} THEN {key} END"
            return self._stages.stage(value, exact, wanted)
        raise FieldError("lookup", f"the value is {value.kind}, and the lookup's key is {_kind(wanted)}")

    # ------------------------------------------------------------ types

    def _wanted(self, spec: FieldSpec, column: Column) -> LogicalType:
        if spec.type is None:
            return column.type
        try:
            return parse_type(spec.type)
        except TypeTextError as error:
            raise FieldError("type", str(error)) from error

    def _typed(self, value: Value, spec: FieldSpec, column: Column) -> Value:
        target = self._wanted(spec, column)
        converted = self._converted("formats" if spec.formats else "type", value, target, spec.formats or ())
        return self._column_type(converted, target, column)

    def _column_type(self, value: Value, have: LogicalType, column: Column) -> Value:
        """From the type that the field asks for to the column's, which may be narrower or of another kind."""
        if have == column.type:
            return value
        self._fits(value, have)
        return self._converted("type", value, column.type, ())

    def _converted(self, part: str, value: Value, target: LogicalType, formats: tuple[str, ...]) -> Value:
        conversion = self._convert(part, value, target, formats)
        if conversion.total and conversion.sql == value.sql:
            return Value(value.sql, target.duckdb, value.depth)
        if value.kind == "text" and (target.kind == "integer" or target.exact_decimal):
            quick, same = self._quick(value, target)
            after = self._stages.stage(
                same, f"CASE WHEN {same.sql} THEN {quick.sql} ELSE {conversion.sql} END", target.duckdb
            )
        else:
            after = self._stages.stage(value, conversion.sql, target.duckdb)
        if not conversion.total:
            when = f"{value.sql} IS NOT NULL AND {after.sql} IS NULL"
            self._troubles.append(Trouble(when, conversion.faults, text_form(value.sql, value.type)))
        return after

    def _convert(self, part: str, value: Value, target: LogicalType, formats: tuple[str, ...] = ()) -> Conversion:
        try:
            return convert(value.sql, value.type, target, formats=formats, timezone=self._timezone)
        except (NoConversion, FormatError) as error:
            raise FieldError(part, str(error)) from error

    def _fits(self, value: Value, target: LogicalType) -> None:
        shown = text_form(value.sql, value.type)
        self._troubles.extend(Trouble(fault.condition, (fault,), shown) for fault in _constraints(value.sql, target))

    def _limits(self, value: Value, column: Column) -> tuple[Trouble, ...]:
        shown = text_form(value.sql, value.type)
        # Looking for U+0000 in every text costs a tenth of the whole mapping, so not where the source cannot hold it.
        kind = replace(column.type, nul=True) if self._clean_of_nul else column.type
        found = [Trouble(fault.condition, (fault,), shown) for fault in _constraints(value.sql, kind)]
        if not column.nullable:
            fault = Fault("true", "NULL", "is NULL, which the column does not allow")
            found.append(Trouble(f"{value.sql} IS NULL", (fault,), None))
        return tuple(found)


def _constraints(sql: str, target: LogicalType) -> tuple[Fault, ...]:
    try:
        return constraints(sql, target)
    except UnknownCharset as error:
        raise FieldError("", f"{error}: what fits into the column cannot be told") from error


def _as_declared(trouble: Trouble, column: Column) -> Trouble:
    """The trouble in terms of the type that the column declares, where that promises more digits than the column keeps."""
    if column.digits_kept is None:
        return trouble
    why = f", of which the column keeps {column.digits_kept} digits exactly"
    faults = (
        replace(
            each,
            reason=each.reason.replace(str(column.type), column.declared) + (why if each.rule == "RANGE" else ""),
        )
        for each in trouble.faults
    )
    return replace(trouble, faults=tuple(faults))


def _texts(kind: LogicalType) -> bool:
    return kind.duckdb == "VARCHAR"


def _kind(duckdb_type: str) -> str:
    return Value("", duckdb_type).kind
