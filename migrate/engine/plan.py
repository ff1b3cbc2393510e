"""The plan: everything that is known about a run before it begins. Frozen; making it reads both databases and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from migrate.checksum.contract import Contract
from migrate.engine.databases import Databases, databases_of
from migrate.engine.fingerprint import fingerprint
from migrate.engine.inspection import look_at_files
from migrate.engine.lookups import file_lookups
from migrate.engine.options import MANY_WRITERS, ONE_WRITER, RunOptions
from migrate.engine.preflight import Preflight, in_key_order, preflight
from migrate.errors import InputError, StateError
from migrate.mapping.checking import checked_program
from migrate.mapping.findings import Finding, MappingErrors
from migrate.mapping.model import Mapping
from migrate.mapping.program import Program, ProgramTarget
from migrate.stores.port import ROW_NUMBER, TargetStore
from migrate.stores.urls import parse_url
from migrate.values import SourceSpec, TableShape
from migrate.write.target import WriteTarget


@dataclass(frozen=True, slots=True)
class Plan:
    """A run of one mapping, ready to begin. `targets` are in foreign-key order; `parents` are all tables that their foreign keys name.

    `range_columns` cut the source into batches, `order` sorts inside of them; `resumable` is false for a database table without a key.
    URLs may hold secrets and are not shown.
    """

    mapping: Mapping
    source: SourceSpec = field(repr=False)
    target_url: str = field(repr=False)
    ledger_schema: str | None
    source_shape: TableShape
    target_shapes: AbstractMapping[str, TableShape]
    parents: AbstractMapping[str, TableShape]
    program: Program
    targets: tuple[WriteTarget, ...]
    fingerprint: str
    findings: tuple[Preflight, ...]
    warnings: tuple[Finding, ...]
    batch_rows: int
    chunk_bytes: int
    resumable: bool

    @property
    def name(self) -> str:
        """The mapping's name, its identity in the ledger."""
        return self.mapping.name

    @property
    def order(self) -> tuple[str, ...]:
        """Columns that sort the source."""
        return self.program.order

    @property
    def range_columns(self) -> tuple[str, ...]:
        """Columns that borders of batches are made of: whole groups, or the key."""
        return self.program.unit_columns if self.program.grouped else self.program.order

    @property
    def estimated_rows(self) -> int | None:
        """The database's estimate of the source's rows."""
        return self.source_shape.rows

    @property
    def refused(self) -> tuple[Preflight, ...]:
        """Findings that refuse a run."""
        return tuple(each for each in self.findings if each.level == "error")

    @property
    def steps(self) -> tuple[str, ...]:
        """What a run will do, in order, in sentences."""
        rows = "" if self.estimated_rows is None else f" (about {self.estimated_rows:,} rows)"
        by = ", ".join(self.range_columns)
        names = ", ".join(target.name for target in self.targets)
        unit = f"group of equal ({', '.join(self.program.unit_columns)})" if self.program.grouped else "row"
        return (
            f"read {self.source.relation}{rows} in the order of ({by}), {self.batch_rows:,} rows a batch",
            f"map each {unit} to {names}; reject whole what does not fit exactly",
            f"write each batch with its undo records in one transaction ({'; '.join(_policy(t) for t in self.targets)})",
            "settle what waits for a parent or shares a key, in source order",
            "advance sequences, seal the ledger",
        )


def plan_run(paths: Sequence[Path], options: RunOptions) -> list[Plan]:
    """Plans of the mappings, in the order of their foreign keys.

    Raises MappingErrors with the mistakes of all files, InputError for a file or URL that is not there, EnvironmentFault.
    """
    plans, findings = look_at_files(paths, lambda mapping: _plan(mapping, options))
    wrong = [each for each in findings if each.level == "error"]
    if wrong:
        raise MappingErrors(wrong)
    by_table = {shape.name: shape for plan in plans for shape in plan.target_shapes.values()}
    rank = {name: place for place, name in enumerate(in_key_order(by_table))}
    plans.sort(key=lambda plan: max(rank[target.name] for target in plan.targets))
    _refuse_own_lookups(plans)
    return plans


def refuse_unplanned(plan: Plan) -> None:
    """Raise StateError with all findings that refuse a run of this plan."""
    if plan.refused:
        lines = [
            f"{each.where}: {each.message}" + (f" — {each.next_step}" if each.next_step else "")
            for each in plan.refused
        ]
        raise StateError(
            f"{plan.name} cannot be run as planned:\n  " + "\n  ".join(lines),
            next_step=f"mend these, then look again: migrate plan {plan.mapping.path}",
        )


def _plan(mapping: Mapping, options: RunOptions) -> tuple[Plan | None, list[Finding]]:
    with databases_of(mapping, options) as databases:
        program, findings = checked_program(
            mapping, databases.source.shape, databases.target_shapes, databases.lookup_shapes
        )
        plan = None if program is None else _plan_between(mapping, program, databases, options)
    return None if plan is None else replace(plan, warnings=tuple(findings)), findings


def _plan_between(mapping: Mapping, program: Program, databases: Databases, options: RunOptions) -> Plan:
    source, target, shapes = databases.source, databases.target, databases.target_shapes
    by_name = {each.table: _write_target(each, shapes[each.table]) for each in program.targets}
    targets = tuple(by_name[name] for name in in_key_order(shapes))
    physical = program.order == (ROW_NUMBER,) and databases.spec.files is None
    size = ONE_WRITER if target.writers == 1 else MANY_WRITERS
    return Plan(
        mapping=mapping,
        source=databases.spec,
        target_url=databases.target_url,
        ledger_schema=options.ledger_schema,
        source_shape=source.shape,
        target_shapes=shapes,
        parents=_parents(target, shapes),
        program=program,
        targets=targets,
        fingerprint=fingerprint(
            program.definition(), source.fingerprint(), target.fingerprint(), file_lookups(mapping)
        ),
        findings=tuple(preflight(source.shape, program.order, targets, resumable=not physical)),
        warnings=(),
        batch_rows=options.batch_rows or size.rows,
        chunk_bytes=size.chunk_bytes,
        resumable=not physical,
    )


def _write_target(target: ProgramTarget, shape: TableShape) -> WriteTarget:
    types = tuple((name, shape.column(name).type) for name in target.fields)
    return WriteTarget(
        shape=shape,
        fields=target.fields,
        key=target.key,
        mode=target.on_conflict.mode,
        version_field=target.on_conflict.version_field,
        scope_sql=target.scope_sql,
        grouped=bool(target.one_row_per),
        contract=Contract(types, target.key),
    )


def _parents(target: TargetStore, shapes: AbstractMapping[str, TableShape]) -> dict[str, TableShape]:
    found: dict[str, TableShape] = {}
    for shape in shapes.values():
        for foreign_key in shape.foreign_keys:
            parent = (
                found.get(foreign_key.parent) or shapes.get(foreign_key.parent) or target.describe(foreign_key.parent)
            )
            if parent is not None:
                found[foreign_key.parent] = parent
    return found


def _policy(target: WriteTarget) -> str:
    mode = f"newer by {target.version_field}" if target.mode == "newer" else target.mode
    return f"{target.name}: {mode} on conflict"


def _refuse_own_lookups(plans: Sequence[Plan]) -> None:
    written = {(parse_url(plan.target_url), target.name) for plan in plans for target in plan.targets}
    for plan in plans:
        for name, lookup in plan.mapping.lookups.items():
            if lookup.target_table is not None and (parse_url(plan.target_url), lookup.target_table) in written:
                raise InputError(
                    f"lookup {name} reads {lookup.target_table}, which this invocation writes: what it holds would depend on timing",
                    where=f"{plan.mapping.path} → lookups.{name}",
                    next_step="join the table in `query:`, or run the other mapping first, by itself",
                )
