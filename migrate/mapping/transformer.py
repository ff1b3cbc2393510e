"""Applies a compiled mapping to chunks of source rows: DuckDB over Arrow, no Python per row.

A chunk with nothing wrong costs one statement per level; the reasons of rejects and findings are asked for afterwards, and
only for the rows concerned. Nothing is swallowed: `rows_read = filtered + sum of _rows`, and a unit has rows or rejects, never both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import InputError, Miscount
from migrate.mapping import cleaners
from migrate.mapping.duck import connect, literal, quoted
from migrate.mapping.levels import output_name
from migrate.mapping.mapped import ANOMALY, FINDING_SCHEMA, ORDINAL, RAW_SCHEMA, REJECT_SCHEMA, ROWS, Mapped
from migrate.mapping.program import Level, Program
from migrate.mapping.stages import CHUNK, ROW, UNIT, lookup_name


class _Rows:
    """The rows in hand, as DuckDB scans them: they are exchanged between executions, their schema never changes.

    An object of its own, since DuckDB keeps it: one that knew the connection would keep both alive.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._none = schema.empty_table()
        self.table = self._none

    def clear(self) -> None:
        """Let the rows go."""
        self.table = self._none

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._none.schema.__arrow_c_schema__()


class _Statements:
    """Statements over the rows in hand, each planned once.

    Planning a mapping takes a tenth of a second, as long as 40,000 rows (measured), so statements are prepared.
    """

    def __init__(self, schema: pa.Schema, lookups: Mapping[str, pa.Table]) -> None:
        self._connection = connect(cleaners.MACROS)
        self._rows = _Rows(schema)
        self._prepared: dict[str, str] = {}
        self._connection.register(CHUNK, self._rows)
        for name, table in lookups.items():
            # A scan of Arrow, since a prepared statement over a table of DuckDB's own is planned again every time (measured).
            self._connection.register(lookup_name(name), table)

    def run(self, sql: str, rows: pa.Table) -> pa.Table:
        """The result of `sql` over `rows`."""
        name = self._prepared.get(sql)
        if name is None:
            name = f"s{len(self._prepared)}"
            self._connection.execute(f"PREPARE {name} AS {sql}")
            self._prepared[sql] = name
        self._rows.table = rows
        try:
            return self._connection.sql(f"EXECUTE {name}").to_arrow_table()
        finally:
            self._rows.clear()

    def close(self) -> None:
        """Free the connection; safe to call twice."""
        self._connection.close()


class Transformer:
    """Owns one DuckDB connection; for one thread at a time. `lookups` by name, as `ProgramLookup.columns` asks for them.

    Without `findings` none are computed, and there are none; all else is the same.
    """

    def __init__(self, program: Program, lookups: Mapping[str, pa.Table], *, findings: bool = True) -> None:
        missing = [lookup.name for lookup in program.lookups if lookup.name not in lookups]
        if missing:
            raise InputError(f"The rows of lookup {', '.join(missing)} are not given.")
        self._program = program
        self._wants_findings = findings
        self._read_schema = program.source_schema.append(pa.field(ANOMALY, pa.string()))
        numbered = self._read_schema.append(pa.field(ROW, pa.int64())).append(pa.field(UNIT, pa.int64()))
        used = {lookup.name: lookups[lookup.name].select(list(lookup.columns)) for lookup in program.lookups}
        self._statements = _Statements(numbered, used)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the connection; safe to call twice."""
        self._statements.close()

    def apply(self, chunk: pa.Table) -> Mapped:
        """Map one chunk: the program's source columns in reading order, and `_anomaly`; whole groups for a grouped program."""
        rows = chunk.select(self._read_schema.names).cast(self._read_schema)
        numbered, failed = self._keep(_number(rows))
        filtered = chunk.num_rows - numbered.num_rows
        numbered, units = self._units(numbered)
        bad = _Bad(numbered, failed)
        outputs: list[tuple[Level, pa.Table]] = []
        for level in self._program.levels:
            sql = level.main if self._wants_findings else level.deciding
            outputs.append((level, self._run(sql, numbered)))
            bad.add(outputs[-1][1])
        rejects = self._rejects(numbered, bad) if bad.any else REJECT_SCHEMA.empty_table()
        findings = self._findings(numbered, outputs, bad) if self._wants_findings else FINDING_SCHEMA.empty_table()
        return Mapped(
            rows_read=chunk.num_rows,
            units=units,
            filtered=filtered,
            rows=self._rows(outputs, bad),
            rejects=rejects,
            findings=findings,
            raw=self._raw(numbered, bad) if bad.any else RAW_SCHEMA.empty_table(),
        )

    # ------------------------------------------------------------ rows and units

    def _keep(self, numbered: pa.Table) -> tuple[pa.Table, pa.Array | None]:
        """Rows that `where` keeps, and which of those it could not be computed for. A row that was not read well is always kept."""
        if self._program.where_sql is None:
            return numbered, None
        found = self._statements.run(self._program.where_sql, numbered)
        if found.num_rows != numbered.num_rows:
            raise Miscount(f"`where` decided on {found.num_rows} of {numbered.num_rows} rows")
        keep = pc.or_(_flat(found["keep"]), pc.is_valid(_flat(numbered[ANOMALY])))
        failed = _flat(found["failed"])
        if pc.all(keep, min_count=0).as_py():
            return numbered, failed
        return _number(numbered.filter(keep).drop_columns([ROW, UNIT])), failed.filter(keep)

    def _units(self, numbered: pa.Table) -> tuple[pa.Table, pa.Table]:
        """The rows with the number of their unit, and the table of units."""
        program, count = self._program, numbered.num_rows
        if program.units_sql is not None:
            unit = _flat(self._statements.run(program.units_sql, numbered)["unit"]).cast(pa.int64())
            numbered = numbered.set_column(numbered.schema.get_field_index(UNIT), UNIT, unit)
            return numbered, _grouped_units(numbered, unit, program.unit_columns)
        columns = [
            numbered[UNIT],
            pa.array(np.ones(count, dtype=np.int64)),
            *(numbered[name] for name in program.unit_columns),
        ]
        units = pa.table(columns, names=[UNIT, ROWS, *program.unit_columns])
        return numbered, units.append_column(ORDINAL, self._ordinals(numbered))

    def _ordinals(self, numbered: pa.Table) -> pa.Array:
        """Rank among rows with equal unit columns, by their content, so that it does not depend on the order of reading."""
        zeros = pa.array(np.zeros(numbered.num_rows, dtype=np.int64))
        keys = ", ".join(quoted(name) for name in self._program.unit_columns)
        if self._program.unit_is_unique or not keys:
            return zeros
        twice = f"SELECT {keys} FROM {quoted(CHUNK)} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
        if self._statements.run(twice, numbered).num_rows == 0:
            return zeros
        content = ", ".join(quoted(name) for name in (*self._program.source_columns, ANOMALY))
        ranked = f"SELECT row_number() OVER (PARTITION BY {keys} ORDER BY {content}) - 1 AS ordinal, {quoted(ROW)} FROM {quoted(CHUNK)}"
        return _flat(
            self._statements.run(f"SELECT ordinal FROM ({ranked}) ORDER BY {quoted(ROW)}", numbered)["ordinal"]
        ).cast(pa.int64())

    def _rows(self, outputs: list[tuple[Level, pa.Table]], bad: _Bad) -> dict[str, pa.Table]:
        found: dict[str, pa.Table] = {}
        for level, table in outputs:
            good = table.filter(bad.good(table)) if bad.any else table
            for index in level.targets:
                target = self._program.targets[index]
                columns = [good[UNIT]]
                columns += [
                    _typed(good[output_name(index, column.name)], column.type.arrow) for column in target.columns
                ]
                found[target.table] = pa.table(columns, names=[UNIT, *target.fields])
        return {target.table: found[target.table] for target in self._program.targets}

    # ------------------------------------------------------------ reasons

    def _rejects(self, numbered: pa.Table, bad: _Bad) -> pa.Table:
        parts = [self._read_rejects(bad), self._where_rejects(bad)]
        rows = numbered.filter(bad.explainable(numbered))
        if rows.num_rows:
            parts += [self._statements.run(level.rejects, rows).cast(REJECT_SCHEMA) for level in self._program.levels]
        rejects = pa.concat_tables(parts).combine_chunks()
        return _by_unit(rejects)

    def _read_rejects(self, bad: _Bad) -> pa.Table:
        reasons = bad.anomalies
        columns = [
            reasons[UNIT],
            *_nulls(2, len(reasons)),
            _repeat("READ", len(reasons)),
            reasons[ANOMALY],
            *_nulls(1, len(reasons)),
        ]
        return pa.table(columns, schema=REJECT_SCHEMA)

    def _where_rejects(self, bad: _Bad) -> pa.Table:
        units = bad.where_failed
        reason = "where: cannot be computed for this row"
        columns = [
            units,
            *_nulls(2, len(units)),
            _repeat("CAST", len(units)),
            _repeat(reason, len(units)),
            *_nulls(1, len(units)),
        ]
        return pa.table(columns, schema=REJECT_SCHEMA)

    def _findings(self, numbered: pa.Table, outputs: list[tuple[Level, pa.Table]], bad: _Bad) -> pa.Table:
        parts = [FINDING_SCHEMA.empty_table()]
        for level, table in outputs:
            if level.findings is None:
                continue
            units = _flat(table[UNIT]).filter(pc.fill_null(_flat(table["_:warn"]), False))
            if bad.any:
                units = units.filter(pc.invert(pc.is_in(units, value_set=bad.units)))
            if len(units):
                rows = numbered.filter(pc.is_in(numbered[UNIT], value_set=units))
                parts.append(self._statements.run(level.findings, rows).cast(FINDING_SCHEMA))
        return _by_unit(pa.concat_tables(parts).combine_chunks())

    def _raw(self, numbered: pa.Table, bad: _Bad) -> pa.Table:
        parts = []
        for field in self._program.source_schema:
            name = quoted(field.name)
            text = f"hex({name})" if pa.types.is_binary(field.type) else f"CAST({name} AS VARCHAR)"
            parts.append(f"{literal(field.name)}, {text}")
        sql = f"SELECT {quoted(UNIT)}, CAST(json_object({', '.join(parts)}) AS VARCHAR) AS raw FROM {quoted(CHUNK)} ORDER BY {quoted(ROW)}"
        return self._statements.run(sql, numbered.filter(pc.is_in(numbered[UNIT], value_set=bad.units))).cast(
            RAW_SCHEMA
        )

    # ------------------------------------------------------------ statements

    def _run(self, sql: str, rows: pa.Table) -> pa.Table:
        table = self._statements.run(sql, rows)
        if not self._program.grouped and table.num_rows != rows.num_rows:
            raise InputError("A lookup gave several rows for one key.", next_step="Make the lookup's keys unique.")
        return _by_unit(table)


class _Bad:
    """Units that are rejected, and why without asking: rows that were not read well, rows for which `where` failed."""

    def __init__(self, numbered: pa.Table, failed: pa.Array | None) -> None:
        broken = pc.is_valid(_flat(numbered[ANOMALY]))
        self.anomalies = numbered.select([UNIT, ANOMALY]).filter(broken).combine_chunks()
        unit = _flat(numbered[UNIT])
        self.where_failed = pc.unique(unit.filter(failed)) if failed is not None else unit.slice(0, 0)
        unread = pc.unique(_flat(self.anomalies[UNIT]))
        self.where_failed = self.where_failed.filter(pc.invert(pc.is_in(self.where_failed, value_set=unread)))
        self._settled = pa.concat_arrays([unread, self.where_failed])
        self.units = self._settled

    def add(self, table: pa.Table) -> None:
        """Add the units that a level found bad."""
        flags = pc.fill_null(_flat(table["_:bad"]), False)
        if pc.any(flags, min_count=0).as_py():
            found = pc.unique(_flat(table[UNIT]).filter(flags))
            self.units = pc.unique(pa.concat_arrays([self.units, found]))

    @property
    def any(self) -> bool:
        """Is any unit rejected?"""
        return len(self.units) > 0

    def good(self, table: pa.Table) -> pa.Array:
        """Which rows belong to a unit that is not rejected."""
        return pc.invert(pc.is_in(_flat(table[UNIT]), value_set=self.units))

    def explainable(self, numbered: pa.Table) -> pa.Array:
        """Which rows belong to a rejected unit whose reason has to be asked for."""
        unit = _flat(numbered[UNIT])
        return pc.and_(pc.is_in(unit, value_set=self.units), pc.invert(pc.is_in(unit, value_set=self._settled)))


def _number(rows: pa.Table) -> pa.Table:
    """The rows with their number, which is also the number of their unit as long as no groups are formed."""
    numbers = pa.array(np.arange(rows.num_rows, dtype=np.int64))
    return rows.append_column(ROW, numbers).append_column(UNIT, numbers)


def _grouped_units(numbered: pa.Table, unit: pa.Array, columns: tuple[str, ...]) -> pa.Table:
    """One row per unit: how many rows, and the unit columns of the first."""
    numbers = unit.to_numpy(zero_copy_only=False)
    found, first, rows = np.unique(numbers, return_index=True, return_counts=True)
    firsts = numbered.select(list(columns)).take(pa.array(first))
    parts = [pa.array(found.astype(np.int64)), pa.array(rows.astype(np.int64)), *(firsts[name] for name in columns)]
    units = pa.table(parts, names=[UNIT, ROWS, *columns])
    return units.append_column(ORDINAL, pa.array(np.zeros(len(found), dtype=np.int64)))


def _by_unit(table: pa.Table) -> pa.Table:
    """Sorted by unit; rows of one unit keep their order."""
    units = _flat(table[UNIT]).to_numpy(zero_copy_only=False)
    if len(units) < 2 or not bool((np.diff(units) < 0).any()):  # noqa: PLR2004 - one row is sorted
        return table
    return table.take(pa.array(np.argsort(units, kind="stable")))


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _typed(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    # DuckDB's types are those of the columns already; only names of the same type differ (UTC, Etc/UTC).
    return column if column.type == wanted else column.cast(wanted)


def _nulls(columns: int, rows: int) -> list[pa.Array]:
    return [pa.nulls(rows, pa.string()) for _ in range(columns)]


def _repeat(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows)
