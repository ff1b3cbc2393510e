"""The forms of `source_forms` in SQL: of PostgreSQL, MariaDB and SQLite for the source, and of DuckDB for rows that were read.

Texts are compared and grouped by their bytes, whatever the collation. Sums are exact, or the database refuses them.
A text says a plain number if it is written as the dialects agree on: no sign but a minus, no needless zeros in front, at most six
digits behind the point, and at most sixteen characters. What is written otherwise is in no sum, on neither side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from migrate.checksum.sql_column import StoredColumn
from migrate.stores import mariadb_shape, sqlite_types
from migrate.verify.source_forms import (
    Comparison,
    Condition,
    DateForm,
    IsNull,
    Junction,
    NoForm,
    NumberForm,
    TextForm,
    UnsureColumn,
)

_PLAIN: Final = "-?(0|[1-9][0-9]*)([.][0-9]{1,6})?"
"""A plain number of any length. (A bound of the digits in it doubles the time that PostgreSQL takes.)"""

LENGTH: Final = 16
_DIGITS: Final = 15
FRACTION: Final = 6
_CHARSETS: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"})


@dataclass(frozen=True, slots=True)
class Number:
    """A number of each row, in SQL: `whole` and as many `millionths`, where it needs two to be exact.

    `odd`: true for a value of a column of numbers that is in no sum; None where there is none.
    """

    whole: str
    millionths: str | None = None
    odd: str | None = None

    def unless(self, unlisted: str) -> Number:
        """NULL where `unlisted` is NULL."""
        fraction = None if self.millionths is None else _where_there(self.millionths, unlisted)
        return Number(_where_there(self.whole, unlisted), fraction, self.odd)


class Dialect(ABC):
    """SQL over the columns given. Raises NoForm for a column that is stored in a way that it does not know."""

    is_strict = False
    """Whether it can refuse a text that says no number, in a fraction of the time that a look at each text takes."""

    def __init__(self, columns: Mapping[str, StoredColumn]) -> None:
        self._columns = columns

    def text(self, form: TextForm) -> str:
        """The text of each row."""
        if form.column is None:
            return self.constant(form.default or "")
        value = self._with_nulls(self.read(self._stored(form.column.name)), form.nulls)
        if form.values is not None:
            cases = " ".join(f"WHEN {self.same(value, old)} THEN {self.constant(new)}" for old, new in form.values)
            value = f"CASE {cases} END"
        return value if form.default is None else f"coalesce({value}, {self.constant(form.default)})"

    def group(self, form: TextForm | DateForm) -> str:
        """What rows are grouped by, as it is sent."""
        return self.sent(self.text(form) if isinstance(form, TextForm) else self.date(form))

    def condition(self, form: Condition) -> str:
        """The condition, with three values."""
        if isinstance(form, Junction):
            parts = [f"({self.condition(part)})" for part in form.parts]
            return f"NOT {parts[0]}" if form.word == "NOT" else f" {form.word} ".join(parts)
        column = self._stored(form.column.name)
        if isinstance(form, IsNull):
            return f"{column.sql} IS NULL"
        return self._text_compared(form, column) if column.type.kind == "text" else _compared(form, column.sql)

    def number(self, form: NumberForm, *, strict: bool = False) -> Number:
        """The number of each row. `strict`, where the dialect `is_strict`: of a text that says none, an error."""
        column = self._stored(form.column.name)
        if form.of_text:
            text = self._with_nulls(self.read(column), form.nulls)
            return self.cast(text) if strict else self.plain(text)
        found = self.own_number(column)
        return found.unless(self._with_nulls(self.read(column), form.nulls)) if form.nulls else found

    def _text_compared(self, form: Comparison, column: StoredColumn) -> str:
        value = self.read(column)
        if form.default is not None:
            value = f"coalesce({value}, {self.constant(form.default)})"
        equal = " OR ".join(self.same(value, each) for each in form.constants)
        return f"NOT ({equal})" if form.operator == "<>" else f"({equal})"

    def _with_nulls(self, value: str, nulls: tuple[str, ...]) -> str:
        if not nulls:
            return value
        return f"CASE WHEN {' OR '.join(self.same(value, each) for each in nulls)} THEN NULL ELSE {value} END"

    def _stored(self, name: str) -> StoredColumn:
        if name not in self._columns:
            raise UnsureColumn(name, None)
        return self._columns[name]

    def same(self, value: str, constant: str) -> str:
        """Has a text the bytes of this constant?"""
        return f"{value} = {self.constant(constant)}"

    def constant(self, text: str) -> str:
        """A text constant."""
        if "\\" in text or "\0" in text:
            # What a backslash means depends on the server's settings.
            raise NoForm(text)
        return "'" + text.replace("'", "''") + "'"

    def sent(self, value: str) -> str:
        """A text as it is sent."""
        return value

    def received(self, value: object) -> str | None:
        """A text that was sent, as it is."""
        return None if value is None else str(value)

    def cast(self, text: str) -> Number:
        """The value of a text, or an error where `is_strict`."""
        raise NoForm(text)

    def total(self, addend: str) -> str:
        """The sum over rows, as it is sent."""
        return f"sum({addend})"

    @abstractmethod
    def read(self, column: StoredColumn) -> str:
        """The text of a column of texts or integers, compared by its bytes."""

    @abstractmethod
    def date(self, form: DateForm) -> str:
        """The text of a date, or of a part of it."""

    @abstractmethod
    def plain(self, text: str) -> Number:
        """The value of a text that is a plain number, else NULL."""

    @abstractmethod
    def own_number(self, column: StoredColumn) -> Number:
        """The value of a column of numbers."""


def _where_there(value: str, there: str) -> str:
    return f"CASE WHEN {there} IS NOT NULL THEN {value} END"


def _compared(form: Comparison, sql: str) -> str:
    if form.operator == "in":
        return f"{sql} IN ({', '.join(form.constants)})"
    return f"{sql} {form.operator} {form.constants[0]}"


class DuckDb(Dialect):
    """For rows that were read, under their own names."""

    def constant(self, text: str) -> str:
        """No character has a meaning of its own."""
        return "'" + text.replace("'", "''") + "'"

    def read(self, column: StoredColumn) -> str:
        """As it is."""
        return column.sql if column.type.kind == "text" else f"CAST({column.sql} AS VARCHAR)"

    def date(self, form: DateForm) -> str:
        """The date itself: the control total's own expression makes the group of it."""
        return self._stored(form.column.name).sql

    def plain(self, text: str) -> Number:
        """Exact."""
        return Number(f"CASE WHEN {self._is_plain(text)} THEN CAST({text} AS DECIMAL(38,{FRACTION})) END")

    def own_number(self, column: StoredColumn) -> Number:
        """A number without a declared scale is a text here."""
        if column.type.duckdb != "VARCHAR":
            return Number(column.sql)
        return Number(
            self.plain(column.sql).whole,
            odd=f"({column.sql} IS NOT NULL AND NOT ({self._is_plain(column.sql)}))",
        )

    def _is_plain(self, text: str) -> str:
        return f"regexp_full_match({text}, '{_PLAIN}') AND length({text}) <= {LENGTH}"


class Postgres(Dialect):
    """PostgreSQL."""

    is_strict = True

    _PARTS: Final = {"%Y-%m-%d": "YYYY-MM-DD", "%Y-%m": "YYYY-MM", "%Y": "YYYY"}

    def total(self, addend: str) -> str:
        """As text."""
        return f"(sum({addend}))::text"

    def read(self, column: StoredColumn) -> str:
        """As text, and never by another collation."""
        if column.native not in ("text", "varchar", "enum", "int2", "int4", "int8"):
            raise UnsureColumn(column.name, column.native)
        return f'(({column.sql})::text COLLATE "C")'

    def date(self, form: DateForm) -> str:
        """ISO."""
        return f"to_char({self._stored(form.column.name).sql}, '{self._PARTS[form.part]}')"

    def cast(self, text: str) -> Number:
        """Whatever it takes for a number: also `1e3`, ` 5 ` and NaN."""
        return Number(f"({text})::numeric")

    def plain(self, text: str) -> Number:
        """By a regular expression in which `$` is the end of the text."""
        return Number(f"CASE WHEN {text} ~ '^{_PLAIN}$' AND length({text}) <= {LENGTH} THEN ({text})::numeric END")

    def own_number(self, column: StoredColumn) -> Number:
        """As it is."""
        if column.native not in ("int2", "int4", "int8", "numeric"):
            raise UnsureColumn(column.name, column.native)
        return Number(f"({column.sql})::numeric")


class MariaDb(Dialect):
    """MariaDB and MySQL; texts are binary strings, so that neither case nor blanks at the end are lost in a comparison."""

    _INTEGERS: Final = ("tinyint", "smallint", "mediumint", "int", "integer", "bigint")
    _TEXTS: Final = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum")

    def constant(self, text: str) -> str:
        """In hexadecimal, which no setting of the server changes."""
        return f"CAST({mariadb_shape.literal(text)} AS BINARY)"

    def sent(self, value: str) -> str:
        """In hexadecimal."""
        return f"hex({value})"

    def received(self, value: object) -> str | None:
        """From hexadecimal."""
        return None if value is None else bytes.fromhex(str(value)).decode()

    def total(self, addend: str) -> str:
        """As text."""
        return f"CAST(sum({addend}) AS CHAR)"

    def read(self, column: StoredColumn) -> str:
        """The bytes in UTF-8."""
        if column.native in self._INTEGERS:
            return f"CAST(CAST({column.sql} AS CHAR) AS BINARY)"
        if column.native not in self._TEXTS or column.charset not in _CHARSETS:
            raise UnsureColumn(column.name, " ".join(filter(None, (column.native, column.charset))))
        return f"CAST(CONVERT({column.sql} USING utf8mb4) AS BINARY)"

    def date(self, form: DateForm) -> str:
        """ISO."""
        return f"date_format({self._stored(form.column.name).sql}, '{form.part}')"

    def plain(self, text: str) -> Number:
        """By a regular expression; its `$` would let a line break pass, which the second one does not."""
        value = f"CONVERT({text} USING utf8mb4)"
        is_plain = f"{value} REGEXP '^{_PLAIN}$' AND NOT {value} REGEXP '[^-.0-9]' AND char_length({value}) <= {LENGTH}"
        return Number(f"CASE WHEN {is_plain} THEN CAST({value} AS DECIMAL(38,{FRACTION})) END")

    def own_number(self, column: StoredColumn) -> Number:
        """As it is."""
        if column.native.removesuffix(" zerofill") not in (*self._INTEGERS, "decimal"):
            raise UnsureColumn(column.name, column.native)
        return Number(column.sql)


class Sqlite(Dialect):
    """SQLite, which adds up integers exactly and nothing else: a number is its whole part and its millionths, each an integer."""

    def constant(self, text: str) -> str:
        """No character but the end of a string has a meaning of its own."""
        if "\0" in text:
            raise NoForm(text)
        return "'" + text.replace("'", "''") + "'"

    def read(self, column: StoredColumn) -> str:
        """A column that can hold nothing but texts, or integers."""
        if column.type.kind == "integer":
            return f"CAST({column.sql} AS TEXT)"
        if sqlite_types.affinity(column.native) != "TEXT":
            raise UnsureColumn(column.name, column.native)
        return f"({column.sql} COLLATE BINARY)"

    def date(self, form: DateForm) -> str:
        """The beginning of an ISO text."""
        lengths = {"%Y-%m-%d": 10, "%Y-%m": 7, "%Y": 4}
        return f"substr({self._stored(form.column.name).sql}, 1, {lengths[form.part]})"

    def plain(self, text: str) -> Number:
        """Character by character, as there are no regular expressions; a U+0000 would hide what is behind it."""
        digits = f"ltrim({text}, '-')"
        signed = f"{text} NOT GLOB '--*' AND octet_length({text}) = length({text})"
        point = f"instr({digits}, '.')"
        whole = f"CASE WHEN {point} > 0 THEN {point} - 1 ELSE length({digits}) END"
        is_plain = (
            f"{signed} AND {digits} NOT GLOB '*[^0-9.]*' AND {digits} NOT GLOB '*.*.*' AND {digits} NOT GLOB '*.'"
            f" AND ({digits} GLOB '[1-9]*' OR {digits} = '0' OR {digits} GLOB '0.*') AND length({text}) <= {LENGTH}"
            f" AND length({digits}) - ({whole}) <= {FRACTION + 1}"
        )
        sign = f"CASE WHEN {text} GLOB '-*' THEN -1 ELSE 1 END"
        millionths = f"CASE WHEN {point} > 0 THEN substr(substr({digits}, {point} + 1) || '000000', 1, {FRACTION}) END"
        return Number(
            f"CASE WHEN {is_plain} THEN ({sign}) * CAST(substr({digits}, 1, {whole}) AS INTEGER) END",
            f"CASE WHEN {is_plain} THEN ({sign}) * CAST(coalesce({millionths}, '0') AS INTEGER) END",
        )

    def own_number(self, column: StoredColumn) -> Number:
        """By the class in which each value is stored."""
        if column.type.kind == "integer":
            return Number(column.sql)
        text, real, bound = self.plain(column.sql), self._of_real(column), 10**_DIGITS
        small = f"{column.sql} > -{bound} AND {column.sql} < {bound}"
        whole = _by_class(column.sql, f"CASE WHEN {small} THEN {column.sql} END", text.whole, real.whole)
        millionths = _by_class(column.sql, "0", text.millionths or "0", real.millionths or "0")
        return Number(whole, millionths, f"({column.sql} IS NOT NULL AND ({whole}) IS NULL)")

    def _of_real(self, column: StoredColumn) -> Number:
        """A binary fraction that is the nearest to a decimal of at most fifteen digits, which then is the only one; else NULL."""
        digits = min(column.type.scale or 0, FRACTION)
        scaled = f"CAST(round({column.sql} * 1e{digits}) AS INTEGER)"
        is_near = f"abs({column.sql}) < 1e{_DIGITS - digits} AND {scaled} / 1e{digits} = {column.sql}"
        fraction = f"({scaled} % {10**digits}) * {10 ** (FRACTION - digits)}"
        return Number(
            f"CASE WHEN {is_near} THEN {scaled} / {10**digits} END", f"CASE WHEN {is_near} THEN {fraction} END"
        )


def _by_class(sql: str, integer: str, text: str, real: str) -> str:
    return f"CASE typeof({sql}) WHEN 'integer' THEN {integer} WHEN 'text' THEN {text} WHEN 'real' THEN {real} END"


DIALECTS: Final[Mapping[str, type[Dialect]]] = {"postgresql": Postgres, "mariadb": MariaDb, "sqlite": Sqlite}
