"""Parses the expressions of a mapping and refuses what is not a single, deterministic, scalar expression.

What DuckDB later executes is generated from the tree that was checked here, never the text of the file, so that nothing can
mean one thing to the checker and another to the executor. Calls keep their names: sqlglot's own translation of functions is off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.parsers.duckdb import DuckDBParser

from migrate.mapping.findings import nearest
from migrate.mapping.functions import FUNCTIONS, Function
from migrate.mapping.refusals import ALIASES, REFUSED


class Expressions(DuckDB):
    """DuckDB's grammar in which every call is just a name with arguments."""

    class Parser(DuckDBParser):
        """Only CAST has a syntax of its own."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parser for name, parser in DuckDBParser.FUNCTION_PARSERS.items() if name in ("CAST", "TRY_CAST")
        }
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}


class ExpressionError(Exception):
    """What is wrong with an expression: messages, each with a suggestion or None."""

    def __init__(self, problems: list[tuple[str, str | None]]) -> None:
        super().__init__("; ".join(message for message, _ in problems))
        self.problems = problems


@dataclass(frozen=True)
class Expression:
    """A checked expression: its text, its tree, the columns it names (as written), and whether it aggregates."""

    text: str
    tree: exp.Expr
    columns: tuple[str, ...]
    aggregates: bool


_ALLOWED: tuple[type[exp.Expr], ...] = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Case, exp.If, exp.Cast, exp.DataType,
    exp.DataTypeParam, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between,
    exp.Like, exp.ILike, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe,
    exp.Anonymous, exp.Order, exp.Ordered, exp.Filter, exp.Where, exp.Distinct, exp.Star, exp.Interval, exp.Var,
)  # fmt: skip

_WHY: dict[type[exp.Expr], str] = {
    exp.Query: "subqueries are not allowed: join in `query:`, or use a lookup",
    exp.Subquery: "subqueries are not allowed: join in `query:`, or use a lookup",
    exp.Exists: "subqueries are not allowed: join in `query:`, or use a lookup",
    exp.Window: "windows are not allowed: an expression sees one row",
    exp.Lambda: "lambdas are not allowed",
    exp.Div: "`/` gives a floating value: multiply by a decimal, or use `//` for whole numbers",
    exp.Pow: "powers are floating values",
    exp.TryCast: "try_cast hides what does not fit: use cast, which rejects the row, or a case for what may be NULL",
    exp.RegexpLike: "use regexp_matches(text, 'pattern')",
    exp.SimilarTo: "use regexp_full_match(text, 'pattern')",
    exp.Bracket: "use substr(text, from, length)",
    exp.Collate: "collations are not allowed: compare lower(a) with lower(b)",
    exp.AtTimeZone: "zones come from `source.timezone` and `type: instant`",
    exp.Placeholder: "parameters are not allowed",
    exp.Parameter: "parameters are not allowed",
    exp.Alias: "a single expression has no alias",
    exp.Any: "use IN (…)",
    exp.Escape: "ESCAPE is not allowed: use contains, starts_with or regexp_matches",
    exp.Star: "`*` is only allowed in count(*)",
}


def parse_expression(text: str, *, aggregates: bool = False) -> Expression:
    """Parse and check one expression; ExpressionError with everything that is wrong with it.

    `aggregates` tells whether aggregate functions are allowed (fields of a target with `one_row_per`).
    """
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=Expressions) if tree is not None]
    except SqlglotError as error:
        raise ExpressionError([(f"is not a valid expression: {_first_line(error)}", None)]) from error
    if len(trees) != 1:
        raise ExpressionError([(f"expected one expression, found {len(trees)}", None)])
    tree = trees[0]
    walker = _Walker(aggregates=aggregates)
    walker.visit(tree, inside=None)
    if walker.problems:
        raise ExpressionError(walker.problems)
    _require_then(text, tree)
    for node in tree.walk():
        node.comments = None
    columns = tuple(dict.fromkeys(node.name for node in tree.find_all(exp.Column)))
    return Expression(text, tree, columns, walker.found_aggregate)


def _require_then(text: str, tree: exp.Expr) -> None:
    """sqlglot takes `case when a b end` for `case when a then b end`; DuckDB does not, and who wrote it may have meant something else."""
    written = sum(token.token_type == TokenType.THEN for token in Expressions().tokenize(text))
    if written != sum(isinstance(branch.parent, exp.Case) for branch in tree.find_all(exp.If)):
        raise ExpressionError([("is not a valid expression: a WHEN has no THEN", None)])


def _first_line(error: Exception) -> str:
    """sqlglot's message without its excerpt, which carries terminal colours, and without names of its classes."""
    line = str(error).splitlines()[0].rstrip(".")
    missing = re.fullmatch(r"Required keyword: .* missing for <class '[^']*\.(\w+)'>(.*)", line)
    return f"something is missing in {missing[1].upper()}{missing[2]}" if missing else line


class _Walker:
    def __init__(self, *, aggregates: bool) -> None:
        self.aggregates = aggregates
        self.problems: list[tuple[str, str | None]] = []
        self.found_aggregate = False

    def visit(self, node: exp.Expr, inside: Function | None) -> None:
        """Check a node and what is below it; `inside` is the aggregate around it."""
        why = next((text for kind, text in _WHY.items() if isinstance(node, kind)), None)
        if isinstance(node, exp.Star) and inside is not None and inside.name == "count":
            why = None
        if why is not None or not isinstance(node, _ALLOWED):
            shown = node.sql(dialect=Expressions)
            self.problems.append((f"`{shown}` is not allowed" + (f": {why}" if why else ""), None))
            return
        if isinstance(node, exp.In) and not node.expressions:
            self.problems.append(
                (f"`{node.sql(dialect=Expressions)}` is not allowed", "write IN (…) with a list of values")
            )
            return
        if isinstance(node, exp.Anonymous):
            inside = self._call(node, inside)
        elif isinstance(node, exp.Column):
            if node.args.get("table"):
                self.problems.append(
                    (f"`{node.sql(dialect=Expressions)}`: columns stand without a table", f"write `{node.name}`")
                )
                return
        elif (
            isinstance(node, (exp.Order, exp.Filter, exp.Where, exp.Distinct)) and inside is None and not _filters(node)
        ):
            self.problems.append((f"`{node.sql(dialect=Expressions)}` is only allowed in an aggregate", None))
            return
        for child in node.iter_expressions():
            self.visit(child, inside)

    def _call(self, node: exp.Anonymous, inside: Function | None) -> Function | None:
        name = node.name.lower()
        function = FUNCTIONS.get(name)
        if function is None:
            self.problems.append(_unknown(name))
            return inside
        if not function.aggregate:
            self._arity(node, function)
            return inside
        self.found_aggregate = True
        if not self.aggregates:
            self.problems.append(
                (f"{name}() is an aggregate, which only fields of a target with `one_row_per` may use", None)
            )
        elif inside is not None:
            self.problems.append((f"{name}() may not stand inside of {inside.name}()", None))
        elif function.ordered and node.find(exp.Order) is None:
            self.problems.append((f"{name}() depends on the order of rows", f"write {name}(… order by …)"))
        if name != "count" and node.find(exp.Distinct) is not None:
            self.problems.append((f"distinct is only allowed in count(), not in {name}()", None))
        return function

    def _arity(self, node: exp.Anonymous, function: Function) -> None:
        count = len(node.expressions)
        most = None if function.repeats else len(function.arguments)
        if count < len(function.arguments) - function.optional or (most is not None and count > most):
            self.problems.append((f"{function.name}() has {count} arguments", f"{function.signature}"))


def _filters(node: exp.Expr) -> bool:
    """Is this the FILTER (WHERE …) of an aggregate?"""
    parent = node.parent if isinstance(node, exp.Where) else node
    return isinstance(parent, exp.Filter) and isinstance(parent.this, exp.Anonymous) and _aggregate(parent.this)


def _aggregate(node: exp.Anonymous) -> bool:
    function = FUNCTIONS.get(node.name.lower())
    return function is not None and function.aggregate


def _unknown(name: str) -> tuple[str, str | None]:
    if name in REFUSED:
        return f"function {name}() is not allowed: {REFUSED[name]}", None
    meant = ALIASES.get(name)
    return f"unknown function {name}()", f"did you mean `{meant}`?" if meant else nearest(name, FUNCTIONS)
