"""Exact conversion of a value of one type into another, as DuckDB SQL: the exact value, or NULL where there is none.

DuckDB's own casts round, read `1e3`, `1_000`, `0x1F` and surrounding blanks, and go through binary floats; nothing here does.
Each conversion carries the reasons for which a value can fail, told apart only for the rows that failed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from migrate.mapping.duck import kind_of, literal
from migrate.mapping.formats import DEFAULT_FORMATS, FormatError, duckdb_format, pattern_of
from migrate.values import LogicalType

INTEGER_PATTERN = "[+-]?[0-9]+"
NUMBER_PATTERN = r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)"
_FLOAT_PATTERN = NUMBER_PATTERN + "([eE][+-]?[0-9]+)?"
_UUID_PATTERN = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


class NoConversion(Exception):
    """There is no exact conversion between these types; the message says what to do instead."""


@dataclass(frozen=True)
class Fault:
    """Why a value fails: a condition over the failed value, the rule and the end of the sentence `'…' …`."""

    condition: str
    rule: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """SQL that gives the exact value or NULL; `total` when it cannot fail; `faults` in the order to ask."""

    sql: str
    total: bool
    faults: tuple[Fault, ...] = ()


def text_form(sql: str, duckdb_type: str) -> str:
    """The exact text of a value, for messages and for comparison with texts of the mapping file."""
    kind = kind_of(duckdb_type)
    if kind == "text":
        return sql
    return f"hex({sql})" if kind == "bytes" else f"CAST({sql} AS VARCHAR)"


def convert(
    sql: str, duckdb_type: str, target: LogicalType, *, formats: tuple[str, ...] = (), timezone: str | None = None
) -> Conversion:
    """Exact conversion of `sql` into `target`; NoConversion when the types cannot match, FormatError for a bad format."""
    source = kind_of(duckdb_type)
    if source == "null":
        return Conversion(f"CAST(NULL AS {target.duckdb})", total=True)
    if target.kind == "unsupported":
        raise NoConversion("the target column's type is not supported")
    if formats and (source != "text" or target.kind not in ("date", "time", "timestamp", "instant")):
        raise NoConversion("`formats` turn a text into a date, time, timestamp or instant")
    maker = _MAKERS.get((source, target.kind))
    if maker is None:
        raise NoConversion(_advice(source, target))
    if source == "text" and target.kind in ("date", "time", "timestamp", "instant"):
        return _from_text_time(sql, target, formats, timezone)
    if (source, target.kind) in (("timestamp", "instant"), ("instant", "timestamp")):
        return _zoned(sql, target, timezone)
    return maker(sql, duckdb_type, target)


def _advice(source: str, target: LogicalType) -> str:
    if source == "float" and target.kind in ("decimal", "integer", "text", "uuid", "json"):
        return (
            f"a floating value does not go into {target} exactly; "
            "float_text(x) gives the shortest text that reads back as the same number, and that can be cast"
        )
    if source == "float":
        return f"a floating value cannot become {target}"
    return f"{source} cannot become {target}"


# ---------------------------------------------------------------- text to numbers


def _same_text(cast: str, sql: str) -> str:
    # The common case costs one cast and one comparison instead of a regular expression (measured: half the time).
    return f"CAST({cast} AS VARCHAR) = {sql}"


def _text_to_integer(sql: str, _: str, target: LogicalType) -> Conversion:
    cast = f"TRY_CAST({sql} AS {target.duckdb})"
    exact = f"CASE WHEN {_same_text(cast, sql)} THEN {cast} WHEN regexp_full_match({sql}, '{INTEGER_PATTERN}') THEN {cast} END"
    faults = (
        Fault(f"regexp_full_match({sql}, '{INTEGER_PATTERN}')", "RANGE", f"is out of range for {target}"),
        Fault("true", "CAST", f"is not {_article(target)}"),
    )
    return Conversion(exact, total=False, faults=faults)


def _text_to_decimal(sql: str, _: str, target: LogicalType) -> Conversion:
    if not target.exact_decimal:
        return _text_to_plain(sql, target)
    scale = target.scale or 0
    fits = (
        rf"[+-]?([0-9]+([.][0-9]{{0,{scale}}}0*)?|[.][0-9]{{1,{scale}}}0*)" if scale else "[+-]?([0-9]+([.]0*)?|[.]0+)"
    )
    cast = f"TRY_CAST({sql} AS {target.duckdb})"
    exact = f"CASE WHEN {_same_text(cast, sql)} THEN {cast} WHEN regexp_full_match({sql}, '{fits}') THEN {cast} END"
    faults = (
        Fault(f"NOT regexp_full_match({sql}, '{NUMBER_PATTERN}')", "CAST", f"is not {_article(target)}"),
        Fault(f"NOT regexp_full_match({sql}, '{fits}')", "SCALE", f"has more than {scale} fraction digits"),
        Fault("true", "RANGE", f"is out of range for {target}"),
    )
    return Conversion(exact, total=False, faults=faults)


def _text_to_plain(sql: str, target: LogicalType) -> Conversion:
    """Decimals beyond decimal128 stay text in plain notation; digits are counted, never computed."""
    plain = f"regexp_replace({sql}, '^[+]|^([+-]?)0+([0-9])', '\\1\\2')"
    whole = f"length(regexp_extract({sql}, '^[+-]?0*([0-9]*)', 1))"
    fraction = f"length(regexp_extract({sql}, '[.]([0-9]*?)0*$', 1))"
    conditions = [Fault(f"NOT regexp_full_match({sql}, '{NUMBER_PATTERN}')", "CAST", f"is not {_article(target)}")]
    if target.scale is not None:
        conditions.append(
            Fault(f"{fraction} > {target.scale}", "SCALE", f"has more than {target.scale} fraction digits")
        )
    if target.precision is not None:
        room = target.precision - (target.scale or 0)
        conditions.append(Fault(f"{whole} > {room}", "RANGE", f"is out of range for {target}"))
    bad = " OR ".join(f"({fault.condition})" for fault in conditions)
    return Conversion(f"CASE WHEN NOT ({bad}) THEN {plain} END", total=False, faults=tuple(conditions))


def _text_to_float(sql: str, _: str, target: LogicalType) -> Conversion:
    cast = f"TRY_CAST({sql} AS DOUBLE)"
    exact = f"CASE WHEN regexp_full_match({sql}, '{_FLOAT_PATTERN}') AND isfinite({cast}) THEN {cast} END"
    faults = (
        Fault(f"regexp_full_match({sql}, '{_FLOAT_PATTERN}')", "RANGE", f"is out of range for {target}"),
        Fault("true", "CAST", "is not a number"),
    )
    return Conversion(exact, total=False, faults=faults)


def _text_to_boolean(sql: str, _: str, __: LogicalType) -> Conversion:
    exact = f"CASE WHEN lower({sql}) IN ('true', 't', '1') THEN true WHEN lower({sql}) IN ('false', 'f', '0') THEN false END"
    return Conversion(exact, total=False, faults=(Fault("true", "CAST", "is not a boolean (true, false, t, f, 1, 0)"),))


def _text_to_uuid(sql: str, _: str, __: LogicalType) -> Conversion:
    exact = f"CASE WHEN regexp_full_match({sql}, '{_UUID_PATTERN}') THEN lower({sql}) END"
    return Conversion(exact, total=False, faults=(Fault("true", "CAST", "is not a uuid"),))


def _text_to_json(sql: str, _: str, __: LogicalType) -> Conversion:
    exact = f"CASE WHEN json_valid({sql}) THEN {sql} END"
    return Conversion(exact, total=False, faults=(Fault("true", "CAST", "is not JSON"),))


# ---------------------------------------------------------------- numbers to numbers


def _exact_number(sql: str, duckdb_type: str, target: LogicalType) -> Conversion:
    """Between integers and decimals: narrow, then compare with the original at its own scale."""
    if duckdb_type == target.duckdb:
        return Conversion(sql, total=True)
    if not target.exact_decimal and target.kind == "decimal":
        inner = _text_to_plain(f"CAST({sql} AS VARCHAR)", target)
        return Conversion(inner.sql, total=False, faults=inner.faults)
    cast = f"TRY_CAST({sql} AS {target.duckdb})"
    narrow_scale = target.scale or 0 if target.kind == "decimal" else 0
    have_scale = _scale(duckdb_type)
    if have_scale <= narrow_scale:
        return Conversion(cast, total=False, faults=(Fault("true", "RANGE", f"is out of range for {target}"),))
    # Back to the type it came from: equal only when nothing was rounded away.
    exact = f"CASE WHEN TRY_CAST({cast} AS {duckdb_type}) = {sql} THEN {cast} END"
    what = f"has more than {narrow_scale} fraction digits" if narrow_scale else "is not a whole number"
    faults = (
        Fault(f"{cast} IS NULL", "RANGE", f"is out of range for {target}"),
        Fault("true", "SCALE", what),
    )
    return Conversion(exact, total=False, faults=faults)


def _scale(duckdb_type: str) -> int:
    found = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", duckdb_type)
    return int(found[2]) if found else 0


def _number_to_float(sql: str, duckdb_type: str, target: LogicalType) -> Conversion:
    cast = f"TRY_CAST({sql} AS DOUBLE)"
    if kind_of(duckdb_type) == "float":
        return Conversion(cast if duckdb_type != "DOUBLE" else sql, total=True)
    exact = f"CASE WHEN TRY_CAST({cast} AS {duckdb_type}) = {sql} THEN {cast} END"
    return Conversion(exact, total=False, faults=(Fault("true", "SCALE", f"has no exact {target}"),))


def _number_to_boolean(sql: str, _: str, __: LogicalType) -> Conversion:
    exact = f"CASE WHEN {sql} = 1 THEN true WHEN {sql} = 0 THEN false END"
    return Conversion(exact, total=False, faults=(Fault("true", "CAST", "is not a boolean (1 or 0)"),))


def _total_cast(sql: str, duckdb_type: str, target: LogicalType) -> Conversion:
    return Conversion(sql if duckdb_type == target.duckdb else f"CAST({sql} AS {target.duckdb})", total=True)


def _same(sql: str, _: str, __: LogicalType) -> Conversion:
    return Conversion(sql, total=True)


# ---------------------------------------------------------------- dates and times


def _from_text_time(sql: str, target: LogicalType, formats: tuple[str, ...], timezone: str | None) -> Conversion:
    chosen = formats or DEFAULT_FORMATS[target.kind]
    zoned = [fmt for fmt in chosen if pattern_of(fmt).zoned]
    if zoned and target.kind != "instant":
        raise FormatError(f"`{zoned[0]}` reads a zone, which {target.kind} does not keep: use type instant")
    if target.kind == "instant" and len(zoned) != len(chosen) and timezone is None:
        raise NoConversion("a time without a zone becomes an instant only with `source.timezone`")
    parts = [_read_one(sql, fmt, target, timezone) for fmt in chosen]
    exact = parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"
    shown = " or ".join(chosen)
    return Conversion(
        exact, total=False, faults=(Fault("true", "CAST", f"is not {_article(target)} in the format {shown}"),)
    )


def _read_one(sql: str, fmt: str, target: LogicalType, timezone: str | None) -> str:
    """One format: the whole text has its shape, so that no blank, short year or run of digits is read leniently."""
    shape = pattern_of(fmt)
    parsed = f"try_strptime({sql}, {literal(duckdb_format(fmt))})"
    value = {"date": f"CAST({parsed} AS DATE)", "time": f"CAST({parsed} AS TIME)"}.get(target.kind, parsed)
    guard = f"regexp_full_match({sql}, {literal(shape.regex)})"
    if target.kind == "date" and shape.has_time:
        guard += f" AND {parsed} = date_trunc('day', {parsed})"
    if target.kind == "instant" and not shape.zoned:
        zone = timezone or "UTC"
        value = f"timezone({literal(zone)}, {parsed})"
        # Sums and zones near the ends of the calendar raise.
        return f"TRY(CASE WHEN {guard} AND {_one_instant(parsed, zone)} THEN {value} END)"
    return f"CASE WHEN {guard} THEN {value} END"


def _one_instant(local: str, timezone: str) -> str:
    """True where this wall clock time existed once (Shanghai had summer time from 1986 to 1991)."""
    zone = literal(timezone)
    there = f"timezone({zone}, {local})"
    return (
        f"timezone({zone}, {there}) = {local} AND timezone({zone}, {there} - INTERVAL 1 HOUR) <> {local}"
        f" AND timezone({zone}, {there} + INTERVAL 1 HOUR) <> {local}"
    )


def _zoned(sql: str, target: LogicalType, timezone: str | None) -> Conversion:
    if timezone is None:
        raise NoConversion("a timestamp and an instant are turned into each other only with `source.timezone`")
    zone = literal(timezone)
    there = f"timezone({zone}, {sql})"
    local = there if target.kind == "timestamp" else sql
    fault = Fault("true", "CAST", f"did not exist, or existed twice, on the clocks of {timezone}")
    return Conversion(f"TRY(CASE WHEN {_one_instant(local, timezone)} THEN {there} END)", total=False, faults=(fault,))


def _date_to_timestamp(sql: str, _: str, __: LogicalType) -> Conversion:
    # Dates reach further than timestamps.
    fault = Fault("true", "RANGE", "is out of range for a timestamp")
    return Conversion(f"TRY_CAST({sql} AS TIMESTAMP)", total=False, faults=(fault,))


def _timestamp_to_date(sql: str, _: str, __: LogicalType) -> Conversion:
    exact = f"CASE WHEN {sql} = date_trunc('day', {sql}) THEN CAST({sql} AS DATE) END"
    reason = "has a time of day, which a date does not keep (date_trunc('day', x) drops it on purpose)"
    return Conversion(exact, total=False, faults=(Fault("true", "SCALE", reason),))


def _article(target: LogicalType) -> str:
    return f"an {target}" if str(target)[0] in "aeiou" else f"a {target}"


_MAKERS = {
    ("text", "text"): _same,
    ("text", "integer"): _text_to_integer,
    ("text", "decimal"): _text_to_decimal,
    ("text", "float"): _text_to_float,
    ("text", "boolean"): _text_to_boolean,
    ("text", "uuid"): _text_to_uuid,
    ("text", "json"): _text_to_json,
    ("text", "date"): _same,
    ("text", "time"): _same,
    ("text", "timestamp"): _same,
    ("text", "instant"): _same,
    ("integer", "integer"): _exact_number,
    ("integer", "decimal"): _exact_number,
    ("integer", "float"): _number_to_float,
    ("integer", "boolean"): _number_to_boolean,
    ("integer", "text"): _total_cast,
    ("decimal", "integer"): _exact_number,
    ("decimal", "decimal"): _exact_number,
    ("decimal", "float"): _number_to_float,
    ("decimal", "text"): _total_cast,
    ("float", "float"): _number_to_float,
    ("boolean", "boolean"): _same,
    ("boolean", "integer"): _total_cast,
    ("boolean", "text"): _total_cast,
    ("date", "date"): _same,
    ("date", "timestamp"): _date_to_timestamp,
    ("date", "text"): _total_cast,
    ("time", "time"): _same,
    ("time", "text"): _total_cast,
    ("timestamp", "timestamp"): _same,
    ("timestamp", "date"): _timestamp_to_date,
    ("timestamp", "text"): _total_cast,
    ("timestamp", "instant"): _same,
    ("instant", "instant"): _same,
    ("instant", "timestamp"): _same,
    ("bytes", "bytes"): _same,
}
