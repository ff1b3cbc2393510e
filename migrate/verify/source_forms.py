"""What of a mapping the source database can compute by itself, exactly: texts to group by, numbers to add up, and the condition `where`.

Pure. Whatever is not known to give the same value in every dialect has no form: then the source is not asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sqlglot import exp

from migrate.mapping.columns import find_column
from migrate.mapping.expressions import ExpressionError, parse_expression
from migrate.mapping.model import FieldSpec
from migrate.mapping.types import TypeTextError, parse_type
from migrate.values import Column, TableShape
from migrate.verify.notes import Note

DatePart = Literal["%Y-%m-%d", "%Y-%m", "%Y"]
_DATE_PARTS: Final[dict[str, DatePart]] = {"%Y-%m-%d": "%Y-%m-%d", "%Y-%m": "%Y-%m", "%Y": "%Y"}
Operator = Literal["=", "<>", "<", "<=", ">", ">=", "in"]
_NUMBERS: Final = ("integer", "decimal")
_PLAIN_STAYS: Final = frozenset({"money", "trim", "halfwidth"})
"""Cleaners that leave a plain number as it is."""
_COMPARISONS: Final[dict[type[exp.Expr], Operator]] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip


class NoForm(Exception):
    """The source cannot be asked for this: it is more than a copy or a comparison of columns."""


class UnsureColumn(NoForm):
    """The source cannot be asked about a column, since its SQL is not known to say the same of the values as this toolkit; `why` says so."""

    def __init__(self, column: str, declared: str | None) -> None:
        """`declared`: the type, empty where none is declared; None where the database says nothing about the column."""
        super().__init__(column)
        self.why = (
            Note.of("column_type", column=column, type=declared)
            if declared
            else Note.of("column_unknown" if declared is None else "column_untyped", column=column)
        )


@dataclass(frozen=True, slots=True)
class TextForm:
    """A text of each row: of a column (None: `default` itself), NULL where it is one of `nulls`, exchanged by `values`, `default` where NULL."""

    column: Column | None
    nulls: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True)
class DateForm:
    """A date of each row, or the part of it that groups are made by."""

    column: Column
    part: DatePart = "%Y-%m-%d"


@dataclass(frozen=True, slots=True)
class NumberForm:
    """A number of each row: of a column of numbers, or of one of texts as far as these are plain numbers; NULL where its text is one of `nulls`."""

    column: Column
    nulls: tuple[str, ...] = ()

    @property
    def of_text(self) -> bool:
        """Whether the column holds texts."""
        return self.column.type.kind == "text"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of a column with constants: texts by their bytes, numbers by value. `in` is an equality with one of several."""

    column: Column
    operator: Operator
    constants: tuple[str, ...]
    default: str | None = None


@dataclass(frozen=True, slots=True)
class IsNull:
    """The column is NULL."""

    column: Column


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by `AND` or `OR`; `NOT` has one."""

    word: Literal["AND", "OR", "NOT"]
    parts: tuple[Condition, ...]


Condition = Comparison | IsNull | Junction


def group_form(text: str, fields: dict[str, FieldSpec], target: TableShape, source: TableShape) -> TextForm | DateForm:
    """What an expression of `by` over the target's fields is in the source; NoForm unless it is a field, or a part of a date."""
    tree = _parsed(text)
    if isinstance(tree, exp.Anonymous) and tree.name.lower() == "strftime" and len(tree.expressions) == 2:  # noqa: PLR2004 - (date, format)
        field, part = tree.expressions[0].unnest(), _DATE_PARTS.get(tree.expressions[1].name)
        form = _field_form(field, fields, target, source)
        if isinstance(form, DateForm) and part is not None:
            return DateForm(form.column, part)
        raise NoForm(text)
    return _field_form(tree, fields, target, source)


def number_form(name: str, fields: dict[str, FieldSpec], source: TableShape) -> NumberForm:
    """What a field that is added up is in the source; NoForm unless it is a number as it stands there, or a text that says one."""
    spec = _spec(name, fields)
    if spec.default is not None or spec.values or spec.lookup or spec.formats or not _is_number_type(spec.type):
        raise NoForm(name)
    column = _column(_copied(spec, numbers=True), source)
    if not set(spec.clean or ()) <= _PLAIN_STAYS:
        raise NoForm(name)
    if column.type.kind not in (*_NUMBERS, "text") or not column.type.keeps_spaces:
        raise UnsureColumn(column.name, column.declared)
    if spec.nulls and column.type.kind == "decimal":
        raise NoForm(name)
    return NumberForm(column, spec.nulls or ())


def condition_form(text: str, source: TableShape) -> Condition:
    """The condition `where` in forms that mean the same everywhere; NoForm otherwise."""
    return _condition(_parsed(text), source)


def columns_of(form: TextForm | DateForm | NumberForm | Condition | None) -> Iterator[str]:
    """The names of the source columns that a form reads."""
    if isinstance(form, Junction):
        for part in form.parts:
            yield from columns_of(part)
    elif form is not None and form.column is not None:
        yield form.column.name


def _parsed(text: str) -> exp.Expr:
    try:
        return parse_expression(text).tree.unnest()
    except ExpressionError as error:
        raise NoForm(text) from error


def _spec(name: str, fields: dict[str, FieldSpec]) -> FieldSpec:
    found = [spec for field, spec in fields.items() if field.lower() == name.lower()]
    if len(found) != 1:
        raise NoForm(name)
    return found[0]


def _column(name: str, source: TableShape) -> Column:
    found = find_column(source, name)
    if found is None:
        raise NoForm(name)
    return found


def _field_form(
    tree: exp.Expr, fields: dict[str, FieldSpec], target: TableShape, source: TableShape
) -> TextForm | DateForm:
    """A target's field as text, or as a date, where it is hardly more than a copy."""
    if not isinstance(tree, exp.Column):
        raise NoForm(tree.sql())
    spec, written = _spec(tree.name, fields), find_column(target, tree.name)
    if written is None or spec.lookup or spec.formats or spec.clean or spec.type:
        raise NoForm(tree.name)
    kind = written.type.kind
    if kind == "text" and not written.type.keeps_spaces:
        raise NoForm(tree.name)
    if spec.value is not None and kind == "text":
        return TextForm(None, default=spec.value)
    column = _column(_copied(spec), source)
    listed = None if spec.values is None else tuple(spec.values.items())
    if kind == column.type.kind == "date" and not spec.nulls and listed is None and spec.default is None:
        return DateForm(column)
    if column.type.kind == "text" and not column.type.keeps_spaces:
        raise NoForm(tree.name)
    copied = kind == column.type.kind in ("text", "integer")
    if not copied and not (kind == "text" and column.type.kind in ("text", "integer")):
        raise NoForm(tree.name)
    if kind == "integer" and (listed is not None or spec.default is not None):
        raise NoForm(tree.name)
    return TextForm(column, spec.nulls or (), listed, spec.default)


def _copied(spec: FieldSpec, *, numbers: bool = False) -> str:
    """The column that a field copies; with `numbers` also through a cast to a number, or as money, which is exact or a reject."""
    if spec.from_ is not None and len(spec.from_) == 1:
        return spec.from_[0]
    tree = None if spec.sql is None else _parsed(spec.sql)
    if numbers and isinstance(tree, exp.Cast) and _is_number_type(tree.args["to"].sql()):
        tree = tree.this.unnest()
    elif numbers and isinstance(tree, exp.Anonymous) and tree.name.lower() == "money" and len(tree.expressions) == 1:
        tree = tree.expressions[0].unnest()
    if isinstance(tree, exp.Column):
        return tree.name
    raise NoForm(spec.sql or "")


def _is_number_type(text: str | None) -> bool:
    try:
        return text is None or parse_type(text).kind in _NUMBERS
    except TypeTextError:
        return False


def _condition(node: exp.Expr, source: TableShape) -> Condition:
    node = node.unnest()
    if isinstance(node, (exp.And, exp.Or)):
        parts = (_condition(node.this, source), _condition(node.expression, source))
        return Junction("AND" if isinstance(node, exp.And) else "OR", parts)
    if isinstance(node, exp.Not):
        return Junction("NOT", (_condition(node.this, source),))
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        column, _ = _operand(node.this, source)
        return IsNull(column)
    if isinstance(node, exp.In):
        column, default = _operand(node.this, source)
        return Comparison(column, "in", tuple(_constant(each, column) for each in node.expressions), default)
    operator = _COMPARISONS.get(type(node))
    if operator is None:
        raise NoForm(node.sql())
    column, default = _operand(node.this, source)
    if column.type.kind == "text" and operator not in ("=", "<>"):
        raise NoForm(node.sql())
    return Comparison(column, operator, (_constant(node.expression, column),), default)


def _operand(node: exp.Expr, source: TableShape) -> tuple[Column, str | None]:
    """A column, and the text in place of its NULL."""
    node, default = node.unnest(), None
    if isinstance(node, exp.Anonymous) and node.name.lower() == "coalesce" and len(node.expressions) == 2:  # noqa: PLR2004 - (column, text)
        given = node.expressions[1].unnest()
        if not (isinstance(given, exp.Literal) and given.is_string):
            raise NoForm(node.sql())
        node, default = node.expressions[0].unnest(), given.name
    if not isinstance(node, exp.Column):
        raise NoForm(node.sql())
    column = _column(node.name, source)
    if column.type.kind not in ("text", "integer") or not column.type.keeps_spaces:
        raise UnsureColumn(column.name, column.declared)
    if default is not None and column.type.kind != "text":
        raise NoForm(node.sql())
    return column, default


def _constant(node: exp.Expr, column: Column) -> str:
    """A constant of the column's kind, as text."""
    node = node.unnest()
    negative = isinstance(node, exp.Neg)
    value = node.this.unnest() if negative else node
    if not isinstance(value, exp.Literal) or value.is_string != (column.type.kind == "text"):
        raise NoForm(node.sql())
    if value.is_string and not negative:
        return value.name
    if value.is_string or not (value.name.isascii() and value.name.isdigit()):
        raise NoForm(node.sql())
    return f"-{value.name}" if negative else value.name
