"""What planning finds before a row is moved: pure judgements over the shapes of source and target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from migrate.values import TableShape
from migrate.write.target import WriteTarget

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Preflight:
    """One finding. An `error` refuses the run (exit 4); a `warning` should be read; an `info` says what will happen."""

    level: Level
    where: str
    message: str
    next_step: str | None = None


def preflight(
    source: TableShape, order: Sequence[str], targets: Sequence[WriteTarget], *, resumable: bool
) -> list[Preflight]:
    """All findings, errors first."""
    found = [*_source(source, order, resumable=resumable)]
    for target in targets:
        found += _target(target)
    rank = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda each: rank[each.level])


def _source(shape: TableShape, order: Sequence[str], *, resumable: bool) -> Iterator[Preflight]:
    for column in shape.columns:
        if column.type.kind == "unsupported":
            yield Preflight(
                "info",
                f"source {shape.name}.{column.name}",
                f"type {column.declared} is read as the database's own text",
            )
    if not resumable:
        yield Preflight(
            "warning",
            f"source {shape.name}",
            "has no key: rows are read by their physical place inside of one snapshot, and a broken run cannot be resumed",
            "name a key in the mapping (`key:`) if some columns tell its rows apart",
        )
    elif not _unique(shape, order) and not shape.positional:
        yield Preflight(
            "warning",
            f"source {shape.name}",
            f"nothing in the database says that ({', '.join(order)}) is unique: rows with equal keys are told apart by their content",
        )
    for name in order:
        if name in shape.names and shape.column(name).nullable:
            yield Preflight(
                "info", f"source {shape.name}.{name}", "is part of the key and can be NULL: such rows are read too"
            )


def _unique(shape: TableShape, order: Sequence[str]) -> bool:
    return any(set(key.columns) <= set(order) for key in shape.unique_keys)


def _target(target: WriteTarget) -> Iterator[Preflight]:
    shape, where = target.shape, f"target {target.name}"
    for obstacle in shape.obstacles:
        yield Preflight(
            "error",
            where,
            f"{obstacle}: what the run writes would not be what it can account for and take back",
            "drop or disable it for the migration, and put it back afterwards",
        )
    if not any(set(key.columns) == set(target.key) for key in shape.unique_keys):
        yield Preflight(
            "error",
            where,
            f"no unique key over ({', '.join(target.key)}): rows could be doubled and not be found again",
            f"create one: ALTER TABLE {target.name} ADD UNIQUE ({', '.join(target.key)})",
        )
    for remark in shape.remarks:
        yield Preflight("warning", where, remark)
    yield from _columns(target)
    for foreign_key in shape.foreign_keys:
        if foreign_key.cascades:
            yield Preflight(
                "error",
                where,
                f"its foreign key to {foreign_key.parent} ({foreign_key.name}) cascades: rows could vanish without being recorded",
                "replace the cascade by NO ACTION for the migration",
            )


def _columns(target: WriteTarget) -> Iterator[Preflight]:
    for column in target.shape.columns:
        where = f"target {target.name}.{column.name}"
        if column.name in target.key and column.nullable:
            yield Preflight(
                "info", where, "is part of the target key and can be NULL: units with NULL there are rejected"
            )
        if column.name in target.key and column.collation and _folds(column.collation):
            yield Preflight(
                "warning",
                where,
                f"collation {column.collation} holds different texts equal: such keys become conflicts",
            )
        if column.name in target.fields and column.digits_kept is not None:
            yield Preflight(
                "warning",
                where,
                f"is declared {column.declared}, of which it keeps {column.digits_kept} digits exactly: values with more are rejected",
                "declare it DECIMAL_TEXT, which keeps all of them (docs/schema.md)",
            )
        if column.name in target.fields and column.default_kind == "identity":
            yield Preflight("info", where, "its sequence is advanced at the end")
    if target.volatile:
        yield Preflight(
            "info",
            f"target {target.name}",
            f"({', '.join(target.volatile)}) is filled by the database and read back for the undo",
        )


def _folds(collation: str) -> bool:
    name = collation.lower()
    return name.endswith("_ci") or "nocase" in name or "_ci_" in name


def in_key_order(tables: Mapping[str, TableShape]) -> list[str]:
    """Names of tables so that parents come before the tables that point at them; cycles stay in the order given."""
    done: list[str] = []
    left = list(tables)
    while left:
        ready = next((name for name in left if not _waits_for(tables[name], left)), left[0])
        left.remove(ready)
        done.append(ready)
    return done


def _waits_for(shape: TableShape, left: Iterable[str]) -> bool:
    return any(key.parent in left and key.parent != shape.name for key in shape.foreign_keys)
