"""Which control totals the source database is asked for, by what statement, and which not and why.

Pure. A total whose groups are made of more than copied columns is asked without these groups: its sums are checked all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrate.checksum.sql_column import StoredColumn
from migrate.engine.plan import Plan
from migrate.mapping.columns import find_column
from migrate.mapping.duck import quoted
from migrate.mapping.expressions import parse_expression
from migrate.mapping.totals import ProgramTotal
from migrate.stores.port import Origin
from migrate.values import TableShape
from migrate.verify.notes import Note
from migrate.verify.source_forms import (
    Condition,
    DateForm,
    NoForm,
    NumberForm,
    TextForm,
    UnsureColumn,
    columns_of,
    condition_form,
    group_form,
    number_form,
)
from migrate.verify.source_sql import DIALECTS, Dialect, DuckDb


@dataclass(frozen=True, slots=True)
class Question:
    """One control total as the source can compute it.

    `number`: which of the totals. `kept`: which of its groups the source can make. `groups`: their forms, with the target's field that is
    grouped by; `sums`: the forms of the fields that are added up.
    """

    number: int
    total: ProgramTotal
    kept: tuple[int, ...]
    groups: tuple[tuple[str, TextForm | DateForm], ...]
    sums: tuple[tuple[str, NumberForm], ...]

    @property
    def reduced(self) -> ProgramTotal:
        """The total with the groups that the source can make, and the sums that it can add up."""
        by = tuple(self.total.by[at] for at in self.kept)
        return ProgramTotal(self.total.target, by, tuple(name for name, _ in self.sums))

    @property
    def of_texts(self) -> bool:
        """Whether texts are added up."""
        return any(form.of_text for _, form in self.sums)

    @property
    def name(self) -> str:
        """For people: the target, what is added up, and by what."""
        by = ", ".join(self.total.by[at][0] for at in self.kept)
        return f"{self.total.target} ({', '.join(name for name, _ in self.sums)}){f' / {by}' if by else ''}"

    def covers(self, other: Question) -> bool:
        """Whether sums that agree here also agree there: of the same target, in finer groups, of all its fields."""
        return (
            self.total.target == other.total.target
            and set(self.groups) >= set(other.groups)
            and set(self.sums) >= set(other.sums)
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask: the condition of all (None: every row), questions, and notes of what is not asked. `counted`: whether rows can be counted."""

    where: Condition | None
    counted: bool
    questions: tuple[Question, ...]
    notes: tuple[Note, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that these forms read."""
        forms: list[TextForm | DateForm | NumberForm | Condition | None] = [self.where]
        for question in self.questions:
            forms += [form for _, form in question.groups]
            forms += [form for _, form in question.sums]
        return tuple(dict.fromkeys(name for form in forms for name in columns_of(form)))


def questions_of(plan: Plan, totals: Sequence[ProgramTotal], origin: Origin) -> Asked:
    """What this source can be asked about these totals of the plan's mapping."""
    mapping = plan.mapping
    dialect = dialect_of_source(origin)
    try:
        where = None if mapping.source.where is None else condition_form(mapping.source.where, plan.source_shape)
        if where is not None:
            dialect.condition(where)
    except UnsureColumn as unsure:
        return Asked(None, False, (), (Note.of("not_asked_where_column", why=unsure.why),))
    except NoForm:
        return Asked(None, False, (), (Note.of("not_asked_where"),))
    if mapping.grouped:
        return Asked(where, True, (), (Note.of("not_asked_groups"),) if totals else ())
    found: list[Question] = []
    notes: list[Note] = []
    for number, total in enumerate(totals):
        question, unknown = _question(plan, number, total, dialect)
        notes += _not_asked(total.target, unknown)
        if question.sums:
            found.append(question)
    return Asked(where, True, tuple(_without_covered(found)), tuple(notes))


def _not_asked(target: str, unknown: Mapping[str, NoForm]) -> Iterator[Note]:
    """Which sums are not asked, by what is in the way."""
    reasons = {name: each.why if isinstance(each, UnsureColumn) else None for name, each in unknown.items()}
    for why in dict.fromkeys(reasons.values()):
        fields = ", ".join(name for name, each in reasons.items() if each == why)
        if why is None:
            yield Note.of("not_asked_fields", target=target, fields=fields)
        else:
            yield Note.of("not_asked_column", target=target, fields=fields, why=why)


def dialect_of_source(origin: Origin) -> Dialect:
    """The source's own SQL."""
    return DIALECTS[origin.dialect]({column.name: column for column in origin.columns})


def dialect_of_rows(shape: TableShape) -> Dialect:
    """The same for rows of the source that were read."""
    columns = (StoredColumn(each.name, quoted(each.name), each.type, "") for each in shape.columns)
    return DuckDb({column.name: column for column in columns})


def count_statement(asked: Asked, origin: Origin) -> str:
    """How many rows `where` keeps."""
    return f"SELECT count(*) FROM {origin.sql} AS {origin.alias}{_where(asked, origin)}"


def sums_statement(asked: Asked, question: Question, origin: Origin, *, strict: bool = False) -> str:
    """Per group its texts, the number of its rows, then for each sum three numbers: it, its millionths, and how many values are in neither.

    `strict`, where the dialect `is_strict`: every text is taken for a number, or the statement fails.
    """
    dialect = dialect_of_source(origin)
    by = [dialect.group(form) for _, form in question.groups]
    added = []
    for _, form in question.sums:
        number = dialect.number(form, strict=strict)
        odd = None if number.odd is None else f"CASE WHEN {number.odd} THEN 1 ELSE 0 END"
        added += ["0" if each is None else dialect.total(each) for each in (number.whole, number.millionths, odd)]
    grouping = f" GROUP BY {', '.join(by)}" if by else " HAVING count(*) > 0"
    names = ", ".join([*by, "count(*)", *added])
    return f"SELECT {names} FROM {origin.sql} AS {origin.alias}{_where(asked, origin)}{grouping}"


def _where(asked: Asked, origin: Origin) -> str:
    return "" if asked.where is None else f" WHERE {dialect_of_source(origin).condition(asked.where)}"


def _question(plan: Plan, number: int, total: ProgramTotal, dialect: Dialect) -> tuple[Question, dict[str, NoForm]]:
    """The part of a total that the source can compute, and the sums that it cannot with what is in the way."""
    fields = next(target.fields for target in plan.mapping.targets if target.table == total.target)
    target = plan.target_shapes[total.target]
    texts = plan.mapping.totals[number].by
    kept, groups = [], []
    for at, (name, _) in enumerate(total.by):
        try:
            form = group_form(texts[name], fields, target, plan.source_shape)
            dialect.group(form)
        except NoForm:
            continue
        kept.append(at)
        groups.append((_field_of(texts[name], target), form))
    sums, unknown = [], {}
    for name in total.sums:
        try:
            summed = number_form(name, fields, plan.source_shape)
            dialect.number(summed)
        except NoForm as reason:
            unknown[name] = reason
            continue
        sums.append((name, summed))
    return Question(number, total, tuple(kept), tuple(groups), tuple(sums)), unknown


def _field_of(text: str, target: TableShape) -> str:
    """The one column that an expression with a form names."""
    (name,) = parse_expression(text).columns
    found = find_column(target, name)
    return name if found is None else found.name


def _without_covered(questions: Sequence[Question]) -> Iterable[Question]:
    for at, one in enumerate(questions):
        others = (*questions[:at], *(each for each in questions[at + 1 :] if not one.covers(each)))
        if not any(each.covers(one) for each in others):
            yield one
