"""Control totals of a mapping as SQL: sums of exact columns by expressions over a target's fields."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass

import duckdb

from migrate.mapping import cleaners
from migrate.mapping.columns import find_column
from migrate.mapping.duck import connect_briefly, quoted
from migrate.mapping.expressions import parse_expression
from migrate.mapping.model import Mapping, Total
from migrate.mapping.typed import Compiler, Oracle
from migrate.values import TableShape


@dataclass(frozen=True, slots=True)
class ProgramTotal:
    """One control total of a target: `by` as (name, SQL over the target's fields), `sums` the exact names of the columns added up."""

    target: str
    by: tuple[tuple[str, str], ...]
    sums: tuple[str, ...]


def compile_totals(mapping: Mapping, shapes: Map[str, TableShape]) -> tuple[ProgramTotal, ...]:
    """The totals of a mapping that was checked against these shapes of its targets."""
    with connect_briefly(cleaners.MACROS) as connection:
        return tuple(_total(mapping, total, shapes[total.target], connection) for total in mapping.totals)


def _total(mapping: Mapping, total: Total, shape: TableShape, connection: duckdb.DuckDBPyConnection) -> ProgramTotal:
    fields = next(target.fields for target in mapping.targets if target.table == total.target)
    columns = [found for name in fields if (found := find_column(shape, name)) is not None]
    oracle = Oracle(connection, {column.name: column.type.duckdb for column in columns})
    compiler = Compiler(oracle, {column.name: (quoted(column.name), column.type.duckdb) for column in columns})
    by = tuple((name, compiler.compile(parse_expression(text)).sql) for name, text in total.by.items())
    sums = tuple(found.name for name in total.sum if (found := find_column(shape, name)) is not None)
    return ProgramTotal(total.target, by, sums)
