"""Which kinds of values may be compared, chosen between and calculated with; nothing is converted in silence.

DuckDB compares '10.00' with 2.5 as floating values and a text with a number by casting the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from migrate.mapping.compiled import Compiled
from migrate.mapping.expressions import ExpressionError, Expressions

Constant = Callable[[str, exp.Expr], None]
"""Computes constant SQL of a node; raises ExpressionError when that fails."""

NUMBERS = ("integer", "decimal", "float")
TIMES = ("date", "time", "timestamp", "instant")
_TIME_TYPES = {"date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "instant": "TIMESTAMPTZ"}


DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
MAX_DIGITS = 38
"""Decimal digits of DuckDB's widest numbers."""

_INTEGER_DIGITS = {"HUGEINT": 39, "UHUGEINT": 39, "BIGINT": 19, "UBIGINT": 20}


def too_wide(operands: list[Compiled]) -> bool:
    """Can bringing these numbers to one type overflow? Then comparing them or choosing between them may raise."""
    types = {operand.type for operand in operands if operand.kind in ("integer", "decimal")}
    if len(types) < 2 or not any(DECIMAL.fullmatch(each) for each in types):  # noqa: PLR2004
        return False
    whole, scale = 0, 0
    for each in types:
        found = DECIMAL.fullmatch(each)
        whole = max(whole, int(found[1]) - int(found[2]) if found else _INTEGER_DIGITS.get(each, 10))
        scale = max(scale, int(found[2]) if found else 0)
    return whole + scale > MAX_DIGITS


def agree(node: exp.Expr, operands: list[Compiled], constant: Constant) -> None:
    """ExpressionError when the operands of a node do not go together."""
    if isinstance(
        node,
        (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Between),
    ):
        same_kind(node, operands, constant)
    elif isinstance(node, exp.Case):
        _case(node, operands, constant)
    elif isinstance(node, exp.If):
        same_kind(node, operands[1:], constant)
    elif isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Mod, exp.Neg)):
        _arithmetic(node, operands)
    elif isinstance(node, (exp.And, exp.Or, exp.Not)):
        wrong = next((each for each in operands if each.kind not in ("boolean", "null")), None)
        if wrong is not None:
            raise ExpressionError(
                [(f"`{node.sql(dialect=Expressions)}`: expected conditions, found {wrong.kind}", None)]
            )
    elif isinstance(node, (exp.Like, exp.ILike)) and any(each.kind not in ("text", "null") for each in operands):
        raise ExpressionError([(f"`{node.sql(dialect=Expressions)}`: like compares texts", None)])


def _case(node: exp.Expr, operands: list[Compiled], constant: Constant) -> None:
    """Operands come as: the compared value if any, then condition and result of each branch, then the default."""
    start = 1 if node.this is not None else 0
    count = len(node.args["ifs"])
    results = [operands[start + 2 * index + 1] for index in range(count)] + operands[start + 2 * count :]
    if start:
        same_kind(node, [operands[0], *(operands[1 + 2 * index] for index in range(count))], constant)
    same_kind(node, results, constant)


def same_kind(node: exp.Expr, operands: list[Compiled], constant: Constant) -> None:
    """ExpressionError unless all operands are of one kind; a text constant may stand for a date or time."""
    kinds = {operand.kind for operand in operands} - {"null"}
    times = kinds & set(TIMES)
    if times and kinds - times == {"text"}:
        texts = [operand for operand in operands if operand.kind == "text"]
        if all(operand.literal for operand in texts) and len(times) == 1:
            for operand in texts:
                constant(f"CAST({operand.sql} AS {_TIME_TYPES[min(times)]})", node)
            return
    families = {
        "number" if kind in ("integer", "decimal") else "day" if kind in ("date", "timestamp") else kind
        for kind in kinds
    }
    if len(families) > 1:
        shown = node.sql(dialect=Expressions)
        raise ExpressionError(
            [
                (
                    f"`{shown}` mixes {' and '.join(sorted(kinds))}",
                    "cast one of them: a cast is exact or rejects the row",
                )
            ]
        )


def _arithmetic(node: exp.Expr, operands: list[Compiled]) -> None:
    kinds = [operand.kind for operand in operands]
    shown = node.sql(dialect=Expressions)
    if "interval" in kinds or (isinstance(node, (exp.Add, exp.Sub)) and set(kinds) & set(TIMES)):
        return
    if any(kind not in (*NUMBERS, "null") for kind in kinds):
        raise ExpressionError(
            [(f"`{shown}` calculates with {' and '.join(sorted(set(kinds)))}", "cast to a number first")]
        )
    if "float" in kinds and set(kinds) - {"float", "null"}:
        raise ExpressionError([(f"`{shown}` mixes floating and exact numbers", None)])
    if isinstance(node, exp.IntDiv) and set(kinds) - {"integer", "null"}:
        raise ExpressionError([(f"`{shown}`: `//` divides whole numbers only", None)])
