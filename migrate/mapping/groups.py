"""SQL that forms groups: the unit of each row, one row per group, and what a group can be rejected for."""

from __future__ import annotations

from migrate.mapping.casts import Fault
from migrate.mapping.compiled import Aggregation
from migrate.mapping.duck import quoted
from migrate.mapping.stages import CHUNK, ROW, UNIT, Trouble


def units_sql(columns: tuple[str, ...]) -> str:
    """Number of the unit of each row, by the first row of its group."""
    keys = ", ".join(quoted(name) for name in columns)
    first = f"SELECT {quoted(ROW)}, min({quoted(ROW)}) OVER (PARTITION BY {keys}) AS first FROM {quoted(CHUNK)}"
    return f"SELECT dense_rank() OVER (ORDER BY first) - 1 AS unit FROM ({first}) ORDER BY {quoted(ROW)}"


def group_sql(columns: tuple[str, ...], aggregation: Aggregation) -> str:
    """Rows of a grouped level: row parts, then one row per unit and group."""
    parts = [f"{part.sql} AS {quoted(alias)}" if not part.may_fail else f"TRY({{'v': {part.sql}}}) AS {quoted(alias + ' try')}"
             for alias, part in aggregation.row_parts.items()]  # fmt: skip
    rows = f"SELECT {', '.join(['*', *parts])} FROM {quoted(CHUNK)}"
    failing = {alias: part for alias, part in aggregation.row_parts.items() if part.may_fail}
    if failing:
        values = [f"struct_extract({quoted(alias + ' try')}, 'v') AS {quoted(alias)}" for alias in failing]
        rows = f"SELECT *, {', '.join(values)} FROM ({rows})"
    outputs = [f"{sql} AS {quoted(alias)}" for alias, sql in aggregation.aggregates.items()]
    for alias, sql in aggregation.constants.items():
        outputs.append(f"min({sql}) AS {quoted(alias)}")
        outputs.append(
            f"min({sql}) IS DISTINCT FROM max({sql}) OR count({sql}) NOT IN (0, count(*)) AS {quoted(alias + ' differs')}"
        )
        outputs.append(f"concat_ws(''', ''', min({sql}), max({sql})) AS {quoted(alias + ' values')}")
    for alias, part in failing.items():
        tried = quoted(alias + " try")
        shown = (
            " || ', ' || ".join(f"coalesce(CAST({quoted(name)} AS VARCHAR), 'NULL')" for name in part.columns) or "''"
        )
        outputs.append(f"bool_or({tried} IS NULL) AS {quoted(alias + ' fails')}")
        outputs.append(f"min(CASE WHEN {tried} IS NULL THEN {shown} END) AS {quoted(alias + ' failing')}")
    keys = ", ".join(quoted(name) for name in columns)
    listed = f"{quoted(UNIT)}, min({quoted(ROW)}) AS {quoted(ROW)}"
    return (
        f"SELECT {', '.join([listed, *outputs])} FROM ({rows}) GROUP BY {quoted(UNIT)}, {keys} ORDER BY {quoted(ROW)}"
    )


def row_part_troubles(name: str, aggregation: Aggregation, before: set[str]) -> list[tuple[str | None, Trouble]]:
    """Rows for which a part of an aggregate, new since `before`, cannot be computed; reported at the field `name`."""
    found: list[tuple[str | None, Trouble]] = []
    for alias, part in aggregation.row_parts.items():
        if part.may_fail and alias not in before:
            fault = Fault("true", "CAST", "cannot be computed for a row of the group")
            found.append((name, Trouble(quoted(alias + " fails"), (fault,), quoted(alias + " failing"))))
    return found


def constant_troubles(aggregation: Aggregation) -> list[tuple[str | None, Trouble]]:
    """Bare columns that differ within a group."""
    found: list[tuple[str | None, Trouble]] = []
    for alias in aggregation.constants:
        fault = Fault(
            "true",
            "GROUP",
            f"differ within the group in {alias.removeprefix('_:c ')}; use an aggregate, or add it to `one_row_per`",
        )
        found.append((None, Trouble(quoted(alias + " differs"), (fault,), quoted(alias + " values"))))
    return found
