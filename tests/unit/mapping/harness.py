"""Small shapes and mappings for the tests of the mapping language, and their results as plain Python values."""

from __future__ import annotations

import atexit
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from migrate.mapping.compile import compile_mapping
from migrate.mapping.mapped import Mapped
from migrate.mapping.model import Mapping
from migrate.mapping.program import Program
from migrate.mapping.reader import parse_mapping
from migrate.mapping.transformer import Transformer
from migrate.mapping.types import parse_type
from migrate.values import Column, LogicalType, TableShape, UniqueKey

TEXT = LogicalType("text")
INTEGER = LogicalType("integer", low=-(2**63), high=2**63 - 1)
MONEY = LogicalType("decimal", precision=18, scale=2)


def column(name: str, kind: LogicalType | str = TEXT, *, nullable: bool = True, **facts: Any) -> Column:
    """A column; its type may be given by the name that mappings use."""
    return Column(name, parse_type(kind) if isinstance(kind, str) else kind, nullable, **facts)


def table(name: str, *columns: Column, key: Sequence[str] = ()) -> TableShape:
    """A table with a primary key, whose columns are NOT NULL."""
    keyed = tuple(
        Column(each.name, each.type, nullable=False) if each.name in key and each.nullable else each for each in columns
    )
    keys = (UniqueKey("pk", tuple(key), primary=True),) if key else ()
    return TableShape(name, keyed, keys)


OLD = table("old", column("id", INTEGER), column("x"), column("y"), column("zt"), key=["id"])
NEW = table("new", column("id", INTEGER), column("a"), column("b"), key=["id"])


def fields(a: str, b: str = "y", *, extra: str = "") -> str:
    """A target `new` with two fields."""
    return f"  - table: new\n    key: [id]\n{extra}    fields:\n      id: id\n      a: {a}\n      b: {b}\n"


def mapping_of(
    targets: str, *, source: str = "table: old\n  key: [id]", rest: str = "", path: Path | None = None
) -> Mapping:
    """A mapping from its `targets:` (YAML, indented by two)."""
    text = f"mapping: test\nsource:\n  {source}\ntargets:\n{targets}\n{rest}\n"
    return parse_mapping(text, path or Path("test.yaml"))


@dataclass(frozen=True)
class Outcome:
    """What became of a chunk, in Python values."""

    mapped: Mapped
    program: Program

    def rows(self, target: str = "new") -> list[dict[str, Any]]:
        """Rows of a target, with their unit."""
        found: list[dict[str, Any]] = self.mapped.rows[target].to_pylist()
        return found

    @property
    def rejects(self) -> list[tuple[int, str | None, str]]:
        """Unit, field and rule of each reject."""
        return [(each["_unit"], each["field"], each["rule"]) for each in self.mapped.rejects.to_pylist()]

    @property
    def reasons(self) -> list[str]:
        """The sentences of the rejects."""
        found: list[str] = self.mapped.rejects["reason"].to_pylist()
        return found


def run(
    mapping: Mapping,
    source: TableShape,
    targets: Sequence[TableShape],
    rows: Sequence[dict[str, Any]],
    lookups: dict[str, pa.Table] | None = None,
    lookup_shapes: dict[str, TableShape] | None = None,
) -> Outcome:
    """Compile and apply a mapping to rows, which may carry `_anomaly`; checks that nothing is swallowed."""
    program = compile_mapping(mapping, source, {each.name: each for each in targets}, lookup_shapes or {})
    schema = program.source_schema.append(pa.field("_anomaly", pa.string()))
    chunk = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
    with Transformer(program, lookups or {}) as transformer:
        mapped = transformer.apply(chunk)
    assert_complete(mapped, program)
    return Outcome(mapped, program)


def assert_complete(mapped: Mapped, program: Program) -> None:
    """Every row is filtered or belongs to one unit; a unit has rows in the targets or rejects, never both, never neither."""
    units = mapped.units["_unit"].to_pylist()
    assert units == list(range(len(units)))
    assert mapped.rows_read == mapped.filtered + sum(mapped.units["_rows"].to_pylist())
    rejected = set(mapped.rejects["_unit"].to_pylist())
    assert set(mapped.raw["_unit"].to_pylist()) == rejected
    for text in mapped.raw["raw"].to_pylist():
        json.loads(text)
    for target in program.targets:
        table_rows = mapped.rows[target.table]
        assert table_rows.schema == pa.schema([pa.field("_unit", pa.int64()), *target.schema])
        owners = table_rows["_unit"].to_pylist()
        assert owners == sorted(owners)
        assert set(owners) == set(units) - rejected
    assert not set(mapped.findings["_unit"].to_pylist()) & rejected


@cache
def _field(kind: LogicalType, field: str, have: LogicalType) -> tuple[Program, Transformer]:
    """One field over `x`, compiled and planned once for all the examples that a property test tries."""
    source = table("old", column("id", INTEGER), column("x", have), key=["id"])
    new = table("new", column("id", INTEGER), column("y", kind), key=["id"])
    mapping = mapping_of(f"  - table: new\n    key: [id]\n    fields:\n      id: id\n      y: {field}")
    program = compile_mapping(mapping, source, {"new": new})
    transformer = Transformer(program, {})
    atexit.register(transformer.close)
    return program, transformer


def convert(values: Sequence[Any], kind: LogicalType, field: str, *, have: LogicalType = TEXT) -> list[Any]:
    """Each value of a source column `x` through one field: the value that came out, or `Rejected(rule)`."""
    program, transformer = _field(kind, field, have)
    schema = program.source_schema.append(pa.field("_anomaly", pa.string()))
    columns = {"id": range(len(values)), "x": values, "_anomaly": [None] * len(values)}
    chunk = pa.table([pa.array(list(columns[name]), schema.field(name).type) for name in schema.names], schema=schema)
    mapped = transformer.apply(chunk)
    assert_complete(mapped, program)
    outcome = Outcome(mapped, program)
    found: dict[int, Any] = {row["id"]: row["y"] for row in outcome.rows()}
    for unit, _, rule in outcome.rejects:
        found.setdefault(unit, Rejected(rule))
    return [found[index] for index in range(len(values))]


@dataclass(frozen=True)
class Rejected:
    """Not mapped, for this rule."""

    rule: str
