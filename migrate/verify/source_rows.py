"""Control totals as the source should have them, from rows that were read: those of the mapped rows, with the rows that the mapping rejects.

Values that only the mapping can read as numbers (`￥1,234.50`) are left out, since the source leaves them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.mapping import cleaners
from migrate.mapping.duck import connect, quoted
from migrate.mapping.mapped import Mapped
from migrate.mapping.stages import UNIT
from migrate.stores.port import ANOMALY
from migrate.values import TableShape
from migrate.verify.source_forms import DateForm, NumberForm
from migrate.verify.source_questions import Asked, Question, dialect_of_rows
from migrate.verify.source_sql import FRACTION, LENGTH
from migrate.verify.totals import Sums, Totals, exact_sum

_ROWS: Final = "rows"


class ReadTotals:
    """Of one walk, chunk by chunk. For one thread at a time; `close` frees the connections.

    `kept`: rows that `where` keeps. `unread`: rows that cannot be read without loss. `spelled`: values that are left out.
    `failed`: why there are no sums, or None. `only_counted`: there are none, since the rows were read earlier.
    """

    def __init__(self, asked: Asked, source: TableShape) -> None:
        self._asked = asked
        self._dialect = dialect_of_rows(source)
        self._connection = connect(cleaners.MACROS)
        reduced = [question.reduced for question in asked.questions]
        self._spelled = [Totals([each]) for each in reduced]
        self._rejected = [Totals([each]) for each in reduced]
        self._chunks: deque[pa.Table] = deque()
        self.kept = 0
        self.unread = 0
        self.spelled = 0
        self.failed: str | None = None
        self.only_counted = False

    def restore(self, kept: int, unread: int) -> None:
        """Take the counts of a walk of which no more is known."""
        self.kept, self.unread, self.only_counted = kept, unread, True

    def look(self, chunk: pa.Table) -> None:
        """Source rows as they were read; `add` follows with what the mapping makes of them, in the same order, perhaps some chunks later."""
        # No more of them than is asked about, since they wait here until they are mapped.
        self._chunks.append(chunk.select([*self._asked.columns, ANOMALY]))

    def add(self, mapped: Mapped) -> None:
        """What became of the rows that were looked at."""
        chunk = self._chunks.popleft()
        self.kept += mapped.rows_read - mapped.filtered
        self.unread += len(chunk) - chunk[ANOMALY].null_count
        if not self._asked.questions or self.unread or self.failed is not None:
            return
        try:
            rows = self._kept_of(chunk, mapped)
            if rows.num_rows != mapped.units.num_rows:
                self.failed = f"`where` keeps {rows.num_rows} rows, and the mapping {mapped.units.num_rows}"
                return
            for at, question in enumerate(self._asked.questions):
                self._note(at, question, rows, mapped.rows[question.total.target])
        except duckdb.Error as error:
            self.failed = str(error).partition("\n")[0]

    def expected(self, at: int, totals: Totals) -> Sums:
        """The groups of a question as the source should have them; `totals` are those of the mapped rows of this walk."""
        question = self._asked.questions[at]
        every = range(len(question.kept))
        chosen = [question.total.sums.index(name) for name, _ in question.sums]
        found = totals.grouped(question.number, question.kept, chosen)
        sums = range(len(chosen))
        for part, sign in ((self._rejected[at], 1), (self._spelled[at], -1)):
            for group, (rows, values) in part.grouped(0, every, sums).items():
                before, old = found.get(group, (0, (Decimal(0),) * len(chosen)))
                new = tuple(exact_sum(one, other, sign) for one, other in zip(old, values, strict=True))
                found[group] = (before + (rows if sign > 0 else 0), new)
        return found

    def cannot(self, at: int, totals: Totals) -> str | None:
        """Why there are no sums of a question on this side, or None."""
        number = self._asked.questions[at].number
        parts = (totals.failed.get(number), self._rejected[at].failed.get(0), self._spelled[at].failed.get(0))
        return self.failed or next((each for each in parts if each is not None), None)

    def close(self) -> None:
        """Free the connections."""
        self._connection.close()
        for each in (*self._spelled, *self._rejected):
            each.close()

    def _kept_of(self, chunk: pa.Table, mapped: Mapped) -> pa.Table:
        """The rows that `where` keeps, as its form says; where the mapping keeps all, the source's own count of them says the same."""
        rows = chunk.select(list(self._asked.columns))
        if self._asked.where is None or mapped.units.num_rows == rows.num_rows:
            return rows
        keep = self._computed([f"coalesce({self._dialect.condition(self._asked.where)}, false)"], rows)
        return rows.filter(keep.column(0))

    def _note(self, at: int, question: Question, rows: pa.Table, mapped: pa.Table) -> None:
        """Note the values that only the mapping can read, and the rows that it rejects."""
        units = mapped[UNIT].to_numpy()
        all_mapped = len(units) == rows.num_rows
        for summed in question.sums:
            if summed[1].of_text:
                texts = rows[summed[1].column.name]
                self._note_spelled(at, summed, texts if all_mapped else texts.take(units), mapped)
        if not all_mapped:
            rejected = np.ones(rows.num_rows, dtype=bool)
            rejected[units] = False
            self._note_rejected(at, question, rows.filter(pa.array(rejected)))

    def _note_rejected(self, at: int, question: Question, rows: pa.Table) -> None:
        odd = [self._dialect.number(form).odd for _, form in question.sums]
        found = self._computed([f"bool_or({each})" for each in odd if each is not None] or ["false"], rows)
        if any(value for column in found.columns for value in column.to_pylist()):
            self.failed = "a row that the mapping rejects has a number with more digits than are added up here"
            return
        self._rejected[at].add(question.total.target, self._as_fields(question, rows))

    def _note_spelled(self, at: int, summed: tuple[str, NumberForm], texts: pa.ChunkedArray, mapped: pa.Table) -> None:
        """Note the values of one field of which the text is no plain number; `texts` belong to the mapped rows."""
        name, form = summed
        unlike = np.flatnonzero(_unlike(texts, mapped[name]))
        if not len(unlike):
            return
        found = pa.table({form.column.name: texts.take(unlike)})
        plain = self._computed([self._dialect.number(form).whole], found).column(0)
        spelled = unlike[np.asarray(plain.is_null())]
        if len(spelled):
            self.spelled += len(spelled)
            question = self._asked.questions[at]
            self._spelled[at].add(question.total.target, _only(question, name, mapped.take(spelled)))

    def _as_fields(self, question: Question, rows: pa.Table) -> pa.Table:
        """Source rows under the names of the target's fields, as far as the question names them."""
        columns = {
            name: self._dialect.date(form) if isinstance(form, DateForm) else self._dialect.text(form)
            for name, form in question.groups
        }
        columns |= {name: self._dialect.number(form).whole for name, form in question.sums}
        return pa.table(self._computed(list(columns.values()), rows).columns, names=list(columns))

    def _computed(self, expressions: Sequence[str], rows: pa.Table) -> pa.Table:
        self._connection.register(_ROWS, rows)
        try:
            names = ", ".join(f"{sql} AS {quoted(f'c{at}')}" for at, sql in enumerate(expressions))
            return self._connection.sql(f"SELECT {names} FROM {_ROWS}").to_arrow_table()
        finally:
            self._connection.unregister(_ROWS)


def _unlike(texts: pa.ChunkedArray, values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where a text is not the shortest plain number that has the digits of its value; never where there is no value or no text."""
    if pa.types.is_decimal(values.type) and not 0 <= values.type.scale <= FRACTION:
        return np.asarray(pc.and_(values.is_valid(), texts.is_valid()))
    # Arrow writes digits and a point, which every dialect takes for the same number.
    differs = pc.or_(pc.not_equal(texts, values.cast(texts.type)), pc.greater(pc.binary_length(texts), LENGTH))
    return np.asarray(differs.fill_null(False))


def _only(question: Question, name: str, rows: pa.Table) -> pa.Table:
    """The rows with no value but this one of those that are added up."""
    for other, _ in question.sums:
        if other != name:
            place = rows.schema.get_field_index(other)
            rows = rows.set_column(place, rows.schema.field(place), pa.nulls(len(rows), rows.schema.field(place).type))
    return rows
