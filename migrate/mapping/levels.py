"""Assembles the SQL of one level: fields, scope and checks of its targets, rejects and findings with their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from migrate.mapping.casts import text_form
from migrate.mapping.compiled import Compiled
from migrate.mapping.duck import literal, quoted
from migrate.mapping.expressions import Expression
from migrate.mapping.fields import FieldPlan
from migrate.mapping.model import Check
from migrate.mapping.program import Level
from migrate.mapping.stages import ROW, UNIT, Stages, Trouble

_SHOWN = 100
"""Characters of a value in a sentence; the raw row has the whole value."""


@dataclass(frozen=True)
class CheckPlan:
    """A check or the scope, compiled over the fields: `fails` is true where it does not hold."""

    id: str
    level: str
    fails: str
    reason: str
    shown: str | None


@dataclass
class TargetPlan:
    """One target of the level: its fields in column order, and what is checked over them."""

    index: int
    table: str
    fields: list[FieldPlan] = field(default_factory=list)
    checks: list[CheckPlan] = field(default_factory=list)
    troubles: list[tuple[str | None, Trouble]] = field(default_factory=list)

    def all_troubles(self) -> list[tuple[str | None, Trouble]]:
        """Field (or None) and trouble, in the order to report."""
        return [*self.troubles, *((plan.name, trouble) for plan in self.fields for trouble in plan.troubles)]


def check_plan(
    check: Check, expression: Expression, compiled: Compiled, fields: dict[str, tuple[str, str]]
) -> CheckPlan:
    """A compiled check; one that cannot be computed does not hold."""
    shown = [f"{literal(name + ' = ')} || coalesce({text_form(*fields[name])}, 'NULL')" for name in compiled.columns]
    reason = f": {check.message}" if check.message else f" does not satisfy {expression.text}"
    return CheckPlan(check.id, check.level, not_true(compiled), reason, " || ', ' || ".join(shown) or None)


def not_true(compiled: Compiled) -> str:
    """SQL that is true where a condition is false, NULL or cannot be computed."""
    inner = f"TRY({compiled.sql})" if compiled.may_fail else f"({compiled.sql})"
    return f"{inner} IS NOT TRUE"


def build_level(stages: Stages, plans: Sequence[TargetPlan]) -> Level:
    """The SQL of a level."""
    relation = stages.relation()
    outputs = [
        f"{plan.value.sql} AS {quoted(output_name(target.index, plan.name))}"
        for target in plans
        for plan in target.fields
    ]
    bad = [trouble.when for target in plans for _, trouble in target.all_troubles()]
    bad += [check.fails for target in plans for check in target.checks if check.level == "reject"]
    warn = [check.fails for target in plans for check in target.checks if check.level != "reject"]
    columns = f'SELECT {quoted(UNIT)}, {", ".join(outputs)}, {_any(bad)} AS "_:bad"'
    rows = f"FROM ({relation}) AS s"
    return Level(
        tuple(target.index for target in plans),
        f'{columns}, {_any(warn)} AS "_:warn" {rows}',
        f"{columns} {rows}",
        _rejects(relation, plans),
        _findings(relation, plans) if warn else None,
    )


def output_name(index: int, name: str) -> str:
    """Column of the main query that holds a field of the target with that index."""
    return f"{index}.{name}"


def _any(conditions: Iterable[str]) -> str:
    # A condition that is NULL means no: only `IS TRUE` of the whole counts, and NULL OR true is true.
    return " OR ".join(f"({condition})" for condition in dict.fromkeys(conditions)) or "false"


def _rejects(relation: str, plans: Sequence[TargetPlan]) -> str:
    """One SELECT per trouble over the materialised level; checks only where the fields themselves are well."""
    flags = []
    parts: list[str] = []
    for target in plans:
        troubles = target.all_troubles()
        flag = quoted(f"_:bad {target.index}")
        flags.append(f"coalesce({_any(trouble.when for _, trouble in troubles)}, false) AS {flag}")
        for name in dict.fromkeys(name for name, _ in troubles):
            parts.append(_field(len(parts), target, name, [trouble for owner, trouble in troubles if owner == name]))
        parts += [
            _check(len(parts), target, check, f"NOT {flag} AND ") for check in target.checks if check.level == "reject"
        ]
    return _union(relation, flags, parts, "_unit, target, field, rule, reason, value")


def _findings(relation: str, plans: Sequence[TargetPlan]) -> str:
    parts: list[str] = []
    for target in plans:
        parts += [_check(len(parts), target, check, "") for check in target.checks if check.level != "reject"]
    return _union(relation, [], parts, "_unit, target, field, rule, reason, value, level")


def _union(relation: str, flags: list[str], parts: list[str], columns: str) -> str:
    if not parts:
        return f"SELECT 0::BIGINT AS _unit, {', '.join(f'NULL::VARCHAR AS {name}' for name in columns.split(', ')[1:])} WHERE false"
    added = "".join(f", {flag}" for flag in flags)
    return (
        f"WITH s AS MATERIALIZED (SELECT *{added} FROM ({relation})) "
        f"SELECT {columns} FROM ({' UNION ALL '.join(parts)}) ORDER BY _unit, n, k"
    )


def _field(number: int, target: TargetPlan, name: str | None, troubles: Sequence[Trouble]) -> str:
    """The first trouble of a field that a row has: the later ones follow from it."""
    label = literal(f"{name}: " if name else "")
    rules, reasons, values = [], [], []
    for trouble in troubles:
        value = trouble.shown or "NULL::VARCHAR"
        shown = f"{literal(chr(39))} || {_short(value)} || {literal(chr(39) + ' ')}" if trouble.shown else "''"
        rules.append((trouble.when, _choice((fault.condition, literal(fault.rule)) for fault in trouble.faults)))
        reason = _choice((fault.condition, literal(fault.reason)) for fault in trouble.faults)
        reasons.append((trouble.when, f"{label} || coalesce({shown}, 'NULL ') || {reason}"))
        values.append((trouble.when, value))
    return _part(
        number,
        target,
        name,
        _Row(_choice(rules), _choice(reasons), _choice(values)),
        _any(each.when for each in troubles),
    )


def _check(number: int, target: TargetPlan, check: CheckPlan, guard: str) -> str:
    value = check.shown or "NULL::VARCHAR"
    reason = f"{literal(check.id + ': ')} || coalesce({_short(value)}, 'it') || {literal(check.reason)}"
    return _part(number, target, None, _Row(literal(check.id), reason, value, check.level), f"{guard}{check.fails}")


@dataclass(frozen=True)
class _Row:
    """SQL of what is said about a row."""

    rule: str
    reason: str
    value: str
    level: str = ""


def _part(number: int, target: TargetPlan, name: str | None, row: _Row, when: str) -> str:
    field_sql = literal(name) if name else "NULL::VARCHAR"
    return (
        f"SELECT {quoted(UNIT)} AS _unit, {quoted(ROW)} AS n, {number} AS k, {literal(target.table)} AS target, {field_sql} AS field, "
        f"{row.rule} AS rule, {row.reason} AS reason, {row.value} AS value, {literal(row.level)} AS level FROM s WHERE ({when})"
    )


def _choice(pairs: Iterable[tuple[str, str]]) -> str:
    known = list(pairs)
    if len(known) == 1:
        return known[0][1]
    branches = " ".join(f"WHEN {condition} THEN {text}" for condition, text in known[:-1])
    return f"CASE {branches} ELSE {known[-1][1]} END"


def _short(value: str) -> str:
    return f"CASE WHEN length({value}) > {_SHOWN} THEN left({value}, {_SHOWN}) || '…' ELSE {value} END"
