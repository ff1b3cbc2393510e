"""The scope of a target: comparisons of its columns with constants, joined by and / or / in.

So narrow a language that every database and DuckDB agree on what it selects; it bounds what verify, backup and rollback look at.
"""

from __future__ import annotations

from sqlglot import exp

from migrate.mapping.expressions import ExpressionError, Expressions, parse_expression

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


def parse_scope(text: str) -> exp.Expr:
    """The tree of a scope; ExpressionError when it says more than a scope may."""
    tree = parse_expression(text).tree
    problems: list[tuple[str, str | None]] = [
        (f"`{node.sql(dialect=Expressions)}` is not allowed in a scope", _HINT) for node in _foreign(tree)
    ]
    if problems:
        raise ExpressionError(problems)
    return tree


_HINT = "a scope compares columns with constants: column = 'x' and column in ('a', 'b')"


def _foreign(node: exp.Expr) -> list[exp.Expr]:
    """Parts that do not belong into a scope."""
    if isinstance(node, exp.Paren):
        return _foreign(node.this)
    if isinstance(node, (exp.And, exp.Or)):
        return [*_foreign(node.left), *_foreign(node.right)]
    if isinstance(node, _COMPARISONS):
        sides = {_side(node.left), _side(node.right)}
        return [] if sides == {"column", "constant"} else [node]
    if isinstance(node, exp.In):
        fine = _side(node.this) == "column" and all(_side(value) == "constant" for value in node.expressions)
        return [] if fine else [node]
    if isinstance(node, exp.Is):
        return [] if _side(node.this) == "column" and isinstance(node.expression, exp.Null) else [node]
    if isinstance(node, exp.Not) and isinstance(node.this, (exp.In, exp.Is)):
        return _foreign(node.this)
    return [node]


def _side(node: exp.Expr) -> str:
    if isinstance(node, exp.Column):
        return "column"
    if isinstance(node, exp.Cast):
        return "constant" if isinstance(node.this, exp.Literal) else "other"
    if isinstance(node, exp.Neg):
        return _side(node.this)
    return "constant" if isinstance(node, (exp.Literal, exp.Boolean)) else "other"


def scope_sql(text: str, names: dict[str, str]) -> str:
    """The scope as DuckDB's SQL, made from the checked tree; `names` maps each column in lower case to its exact name."""
    tree = parse_scope(text).copy()
    for column in tree.find_all(exp.Column):
        column.set("this", exp.to_identifier(names[column.name.lower()], quoted=True))
    return tree.sql(dialect=Expressions)


def scope_equality(text: str) -> tuple[str, str] | None:
    """Column and text, where the scope is no more than `column = 'text'`; of what `scope_sql` made, or of a mapping's own."""
    tree = parse_scope(text)
    if not isinstance(tree, exp.EQ):
        return None
    column, constant = (tree.left, tree.right) if isinstance(tree.left, exp.Column) else (tree.right, tree.left)
    if not isinstance(column, exp.Column) or not isinstance(constant, exp.Literal) or not constant.is_string:
        return None
    return column.name, str(constant.this)
