"""Compiles a checked expression into DuckDB SQL whose types are known: casts exact, no silent conversion between types.

DuckDB compares '10.00' with 2.5 as floating values, reads `' 0x1F'` as 31 and gives 3.5 for 7/2. Here the kinds of both sides of
a comparison, of the branches of a choice and of the arguments of a function have to agree, or it is a mistake of the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import duckdb
from sqlglot import exp

from migrate.mapping.agreement import DECIMAL, MAX_DIGITS, NUMBERS, TIMES, agree, same_kind, too_wide
from migrate.mapping.casts import NoConversion, convert, text_form
from migrate.mapping.cleaners import in_place
from migrate.mapping.compiled import Aggregation, Compiled
from migrate.mapping.constraints import within
from migrate.mapping.duck import TypeKind, TypeOracle, literal, quoted, unquoted
from migrate.mapping.expressions import Expression, ExpressionError, Expressions
from migrate.mapping.formats import FormatError
from migrate.mapping.functions import FUNCTIONS, Function
from migrate.mapping.names import Names
from migrate.mapping.rewrites import raising
from migrate.mapping.stages import Stages
from migrate.mapping.types import TypeTextError, parse_type
from migrate.values import LogicalType

_SIMPLE = re.compile(r'"[^"]*"')
_BILLION_DIGITS = 9
_ARGUMENT_KINDS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "integer": ("integer",),
    "number": NUMBERS,
    "time": TIMES,
    "boolean": ("boolean",),
}


class Compiler:
    """Compiles expressions over one set of columns: `columns` maps a name to its SQL and its DuckDB type.

    With `aggregation` it compiles for a grouped target: aggregates and bare columns become aliases that it records there.
    With `stages`, parts that are needed several times and cannot fail are computed there once.
    """

    def __init__(
        self,
        oracle: Oracle,
        columns: Mapping[str, tuple[str, str]],
        *,
        what: str = "column",
        timezone: str | None = None,
        aggregation: Aggregation | None = None,
        stages: Stages | None = None,
    ) -> None:
        self._oracle = oracle
        self._columns = dict(columns)
        self._names = Names(tuple(self._columns), what)
        self._timezone = timezone
        self._aggregation = aggregation
        self._stages = stages if aggregation is None else None
        self._used: list[str] = []
        self.seen: set[str] = set()
        self._row: Compiler | None = None
        if aggregation is not None:
            self._row = Compiler(oracle, columns, what=what, timezone=timezone)
        self._special: dict[type[exp.Expr], Callable[[exp.Expr], Compiled]] = {
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Cast: self._cast,
            exp.Anonymous: self._call,
            exp.Filter: self._filter,
        }

    @property
    def grouped(self) -> bool:
        """True for a target with one row per group."""
        return self._aggregation is not None

    def compile(self, expression: Expression) -> Compiled:
        """The SQL; ExpressionError with every unknown column, or the first disagreement of types."""
        unknown: list[tuple[str, str | None]] = []
        for name in expression.columns:
            try:
                self._names.find(name)
            except ExpressionError as error:
                unknown.extend(error.problems)
        if unknown:
            raise ExpressionError(unknown)
        self._used = []
        result = self._render(expression.tree)
        return Compiled(result.sql, result.type, result.may_fail, tuple(dict.fromkeys(self._used)), result.literal)

    def column(self, name: str) -> Compiled:
        """A bare column."""
        found = self._names.find(name)
        self._used.append(found)
        self.seen.add(found)
        sql, kind = self._columns[found]
        if self._aggregation is None:
            return Compiled(sql, kind, columns=(found,))
        alias = f"_:c {found}"
        self._aggregation.constants[alias] = sql
        self._oracle.declare(alias, kind)
        return Compiled(quoted(alias), kind, columns=(found,))

    # ------------------------------------------------------------ nodes

    def _render(self, node: exp.Expr) -> Compiled:
        special = self._special.get(type(node))
        if special is not None:
            return special(node)
        clone = node.copy()
        operands: list[Compiled] = []
        self._descend(clone, operands)
        agree(node, operands, self._constant)
        sql = clone.sql(dialect=Expressions)
        calculates = isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Mod, exp.Neg))
        may_fail = calculates or any(operand.may_fail for operand in operands) or too_wide(operands)
        constant = isinstance(node, exp.Neg) and operands[0].literal
        return Compiled(sql, self._type(sql, node), may_fail and not constant, literal=constant)

    def _once(self, part: Compiled) -> Compiled:
        """The part under a name, so that naming it several times does not compute it several times."""
        if self._stages is None or part.literal or part.may_fail or _SIMPLE.fullmatch(part.sql):
            return part
        shared = self._stages.share(part.sql, part.type)
        self._oracle.declare(unquoted(shared.sql), part.type)
        return Compiled(shared.sql, part.type)

    def _keep(self, sql: str, duckdb_type: str) -> str:
        return self._once(Compiled(f"({sql})", duckdb_type)).sql

    def _descend(self, node: exp.Expr, operands: list[Compiled]) -> None:
        """Replace the operands below a node of syntax by their compiled SQL."""
        for child in list(node.iter_expressions()):
            if isinstance(node, exp.Case) and isinstance(child, exp.If):
                self._descend(child, operands)
            elif isinstance(node, exp.Is) and isinstance(child, (exp.Null, exp.Boolean)):
                continue
            elif not isinstance(node, exp.Interval):
                compiled = self._render(child)
                operands.append(compiled)
                child.replace(exp.Var(this=f"({compiled.sql})"))

    def _column(self, node: exp.Expr) -> Compiled:
        return self.column(node.name)

    def _literal(self, node: exp.Expr) -> Compiled:
        if node.is_string:
            return Compiled(literal(node.name), "VARCHAR", literal=True)
        return Compiled(node.name, self._type(node.name, node), literal=True)

    def _cast(self, node: exp.Expr) -> Compiled:
        inner = self._once(self._render(node.this))
        target = cast_type(node)
        try:
            conversion = convert(inner.sql, inner.type, target, timezone=self._timezone)
        except (NoConversion, FormatError) as error:
            raise ExpressionError([(f"`{node.sql(dialect=Expressions)}`: {error}", None)]) from error
        exact = within(conversion.sql, target)
        if conversion.total and exact == conversion.sql:
            return Compiled(f"({exact})", target.duckdb, inner.may_fail)
        text = text_form(inner.sql, inner.type)
        value = f"(CASE WHEN {inner.sql} IS NULL THEN NULL ELSE coalesce({exact}, {_raise(text, target.duckdb, str(target))}) END)"
        if inner.literal and not self._oracle.holds(f"({exact}) IS NOT NULL OR ({inner.sql}) IS NULL"):
            raise ExpressionError([(f"`{node.sql(dialect=Expressions)}`: {node.this.sql()} is not {target}", None)])
        return Compiled(value, target.duckdb, may_fail=not inner.literal)

    def _call(self, node: exp.Expr) -> Compiled:
        function = FUNCTIONS[node.name.lower()]
        if function.aggregate:
            return self._aggregate(node, function, None)
        arguments = [self._render(argument) for argument in node.expressions]
        self._check_arguments(function, node, arguments)
        if function.rewrite is not None or function.name == "strptime":
            arguments = [self._once(argument) for argument in arguments]
        sql = self._call_sql(function, node, arguments)
        may_fail = function.may_fail or any(argument.may_fail for argument in arguments) or too_wide(arguments)
        if may_fail and all(argument.literal for argument in arguments):
            self._constant(sql, node)
            may_fail = False
        compiled = Compiled(sql, self._type(sql, node), may_fail)
        if function.rewrite is not None:
            compiled = self._once(compiled)
        if compiled.kind == "float" and not any(argument.kind == "float" for argument in arguments):
            raise ExpressionError([(f"`{node.sql(dialect=Expressions)}` is a floating value", None)])
        return compiled

    def _call_sql(self, function: Function, node: exp.Expr, arguments: list[Compiled]) -> str:
        if function.name == "strptime":
            return self._strptime(node, arguments)
        texts = tuple(argument.sql for argument in arguments)
        if function.rewrite is not None:
            ahead = not any(argument.may_fail for argument in arguments)
            return f"({function.rewrite(texts, self._keep if ahead else in_place)})"
        return f"{function.name}({', '.join(texts)})"

    def _strptime(self, node: exp.Expr, arguments: list[Compiled]) -> str:
        text, fmt = arguments[0].sql, node.expressions[1].name
        try:
            conversion = convert(text, "VARCHAR", parse_type("timestamp"), formats=(fmt,))
        except FormatError as error:
            raise ExpressionError([(f"`{node.sql(dialect=Expressions)}`: {error}", None)]) from error
        failure = _raise(text, "TIMESTAMP", f"timestamp in the format {fmt}")
        return f"(CASE WHEN {text} IS NULL THEN NULL ELSE coalesce({conversion.sql}, {failure}) END)"

    def _check_arguments(self, function: Function, node: exp.Expr, arguments: list[Compiled]) -> None:
        shown = node.sql(dialect=Expressions)
        for index, argument in enumerate(arguments):
            wanted = function.arguments[min(index, len(function.arguments) - 1)]
            if wanted == "constant":
                if not argument.literal:
                    raise ExpressionError(
                        [(f"`{shown}`: argument {index + 1} has to be a constant", function.signature)]
                    )
            elif wanted != "any" and argument.kind not in (*_ARGUMENT_KINDS[wanted], "null"):
                hint = _text_hint(function, argument)
                raise ExpressionError(
                    [(f"`{shown}`: argument {index + 1} is {argument.kind}, expected {wanted}", hint)]
                )
        if function.arguments[-1] == "any" and function.name not in ("concat", "concat_ws"):
            same_kind(node, arguments, self._constant)

    # ------------------------------------------------------------ groups

    def _filter(self, node: exp.Expr) -> Compiled:
        call, condition = node.this, node.expression.this
        return self._aggregate(call, FUNCTIONS[call.name.lower()], condition)

    def _aggregate(self, node: exp.Expr, function: Function, condition: exp.Expr | None) -> Compiled:
        if self._aggregation is None or self._row is None:
            raise ExpressionError(
                [(f"{function.name}() is an aggregate, which only a target with `one_row_per` may use", None)]
            )
        clone = node.copy()
        kinds = [self._row_part(child, sums=function.name == "sum") for child in _aggregate_operands(clone)]
        if function.name == "sum" and "float" in kinds:
            raise ExpressionError(
                [(f"`{node.sql(dialect=Expressions)}`: a sum of floating values depends on their order", None)]
            )
        if function.ordered:
            _break_ties(clone)
        sql = clone.sql(dialect=Expressions)
        if condition is not None:
            where = exp.Tuple(expressions=[condition.copy()])
            self._row_part(where.expressions[0])
            sql += f" FILTER (WHERE {where.expressions[0].sql(dialect=Expressions)})"
        alias = next((name for name, have in self._aggregation.aggregates.items() if have == sql), None)
        if alias is None:
            alias = f"_:a{len(self._aggregation.aggregates)}"
            self._aggregation.aggregates[alias] = sql
            self._oracle.declare(alias, self._type(sql, node))
        return Compiled(quoted(alias), self._oracle.declared(alias))

    def _row_part(self, node: exp.Expr, *, sums: bool = False) -> TypeKind:
        """Compile an operand of an aggregate for the single row, and replace it by its alias."""
        if isinstance(node, exp.Star) or self._row is None or self._aggregation is None:
            return "other"
        self._row._used = []  # noqa: SLF001 - the same class
        compiled = self._row._render(node)  # noqa: SLF001
        columns = tuple(dict.fromkeys(self._row._used))  # noqa: SLF001
        if sums:
            compiled = summable(compiled)
        self._used.extend(columns)
        self.seen.update(columns)
        parts = self._aggregation.row_parts
        alias = next((name for name, have in parts.items() if have.sql == compiled.sql), f"_:r{len(parts)}")
        parts[alias] = Compiled(compiled.sql, compiled.type, compiled.may_fail, columns)
        self._oracle.declare(alias, compiled.type)
        node.replace(exp.Var(this=quoted(alias)))
        return compiled.kind

    # ------------------------------------------------------------ types

    def _type(self, sql: str, node: exp.Expr) -> str:
        try:
            return self._oracle.type_of(sql)
        except duckdb.Error as error:
            shown = node.sql(dialect=Expressions)
            raise ExpressionError([(f"`{shown}`: {_first_line(error)}", None)]) from error

    def _constant(self, sql: str, node: exp.Expr) -> None:
        try:
            self._oracle.constant(sql)
        except duckdb.Error as error:
            raise ExpressionError([(f"`{node.sql(dialect=Expressions)}`: {_first_line(error)}", None)]) from error


def cast_type(node: exp.Expr) -> LogicalType:
    """The type that a cast asks for; ExpressionError when it is none of ours."""
    try:
        return parse_type(node.args["to"].sql(dialect=Expressions))
    except TypeTextError as error:
        raise ExpressionError([(f"`{node.sql(dialect=Expressions)}`: {error}", None)]) from error


class Oracle(TypeOracle):
    """A type oracle that learns aliases while expressions are compiled."""

    def declare(self, alias: str, duckdb_type: str) -> None:
        """Make an alias known with its type."""
        self._columns[alias] = duckdb_type
        self._rebuild()

    def declared(self, alias: str) -> str:
        """The type of an alias."""
        return self._columns[alias]


def _aggregate_operands(node: exp.Expr) -> list[exp.Expr]:
    """What has to be computed per row inside an aggregate: its arguments and what it is ordered by, without constants."""
    found: list[exp.Expr] = []
    for argument in node.expressions:
        inner = argument
        if isinstance(inner, exp.Order):
            found.extend(ordered.this for ordered in inner.expressions if not isinstance(ordered.this, exp.Literal))
            inner = inner.this
        if isinstance(inner, exp.Distinct):
            found.extend(inner.expressions)
        elif not isinstance(inner, (exp.Literal, exp.Star)):
            found.append(inner)
    return found


def _break_ties(node: exp.Expr) -> None:
    """Order rows that are equal in ORDER BY by the value itself, so that the result does not depend on how they were read."""
    order = node.find(exp.Order)
    if order is None:
        return
    first = node.expressions[0]
    value = first.this if isinstance(first, exp.Order) else first
    order.append("expressions", exp.Ordered(this=value.copy(), nulls_first=False))


def summable(part: Compiled) -> Compiled:
    """A part of a sum that leaves room for a billion rows: a sum that overflows would fail for all rows of a chunk."""
    found = DECIMAL.fullmatch(part.type)
    digits = int(found[1]) - int(found[2]) if found else MAX_DIGITS if part.type == "HUGEINT" else 0
    scale = int(found[2]) if found else 0
    room = MAX_DIGITS - scale - _BILLION_DIGITS
    if digits <= room:
        return part
    failure = _raise(f"CAST({part.sql} AS VARCHAR)", part.type, "summable")
    sql = (
        f"CASE WHEN abs({part.sql}) < {'1' + '0' * room} THEN {part.sql} WHEN {part.sql} IS NOT NULL THEN {failure} END"
    )
    return Compiled(sql, part.type, may_fail=True)


def _raise(text: str, duckdb_type: str, what: str) -> str:
    if duckdb_type in ("VARCHAR", "BLOB"):
        return f"CAST({raising(text, what, 'BIGINT')} AS {duckdb_type})"
    return raising(text, what, duckdb_type)


def _text_hint(function: Function, argument: Compiled) -> str | None:
    if function.name in ("money", "digits", "trim", "halfwidth") and argument.kind in ("integer", "decimal"):
        return f"{function.name}() cleans texts; this is a number already"
    return "cast it: a cast is exact or rejects the row"


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0].removeprefix("Binder Error: ").removeprefix("Conversion Error: ")
