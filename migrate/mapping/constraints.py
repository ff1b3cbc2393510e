"""What a target column can hold, as conditions in DuckDB SQL that are true for a value that does not fit.

The value is already of the column's Arrow type; a condition may be NULL, which means that it fits (a NULL fits everywhere
but in a NOT NULL column, which is not decided here).
"""

from __future__ import annotations

from migrate.mapping.casts import Fault
from migrate.mapping.charsets import extra_bytes, unfit_pattern
from migrate.mapping.duck import literal
from migrate.values import INT64_HIGH, INT64_LOW, LogicalType

_MICROSECONDS = 6


def constraints(value: str, target: LogicalType) -> tuple[Fault, ...]:
    """Conditions under which `value` does not fit into `target`, in the order to ask."""
    if target.kind in ("text", "uuid", "json"):
        return _text(value, target)
    if target.kind == "integer":
        return _integer(value, target)
    if target.kind in ("date", "time", "timestamp", "instant"):
        return _time(value, target)
    if target.kind == "float":
        return _float(value, target)
    if target.kind == "bytes" and target.length is not None:
        return (Fault(f"octet_length({value}) > {target.length}", "LENGTH", f"is longer than {target.length} bytes"),)
    return ()


def within(sql: str, target: LogicalType) -> str:
    """`sql` where it fits into `target`, NULL elsewhere; `sql` itself when everything fits."""
    faults = constraints(sql, target)
    if not faults:
        return sql
    bad = " OR ".join(f"({fault.condition})" for fault in faults)
    return f"CASE WHEN NOT coalesce({bad}, false) THEN {sql} END"


def _text(value: str, target: LogicalType) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    if not target.nul:
        faults.append(
            Fault(
                f"contains({value}, chr(0))", "CHARSET", "contains the character U+0000, which the column cannot hold"
            )
        )
    pattern = unfit_pattern(target.charset)
    if pattern is not None:
        # Pure ASCII is in every charset, and told apart far faster than by a regular expression.
        condition = f"strlen({value}) > length({value}) AND regexp_matches({value}, {literal(pattern)})"
        faults.append(Fault(condition, "CHARSET", f"has a character that {target.charset} lacks"))
    if target.length is not None:
        # strlen counts bytes without looking at them: only a longer text is counted in characters.
        condition = f"strlen({value}) > {target.length} AND length({value}) > {target.length}"
        faults.append(Fault(condition, "LENGTH", f"is longer than {target.length} characters"))
    if target.max_bytes is not None:
        faults.append(Fault(_too_many_bytes(value, target), "LENGTH", f"is longer than {target.max_bytes} bytes"))
    if not target.keeps_spaces:
        faults.append(Fault(f"ends_with({value}, ' ')", "LENGTH", "ends in a space, which the column does not keep"))
    return tuple(faults)


def _too_many_bytes(value: str, target: LogicalType) -> str:
    extra = extra_bytes(target.charset)
    if extra is None:
        return f"strlen({value}) > {target.max_bytes}"
    more = "".join(f" + {count} * (length({value}) - length({_without(value, pattern)}))" for pattern, count in extra)
    longest = 1 + max((count for _, count in extra), default=0)
    return f"CASE WHEN {longest} * length({value}) > {target.max_bytes} THEN length({value}){more} > {target.max_bytes} END"


def _without(value: str, pattern: str) -> str:
    return f"regexp_replace({value}, {literal(pattern)}, '', 'g')"


def _integer(value: str, target: LogicalType) -> tuple[Fault, ...]:
    parts = []
    if target.low is not None and (target.low > INT64_LOW or target.wide):
        parts.append(f"{value} < {target.low}")
    if target.high is not None and (target.high < INT64_HIGH or target.wide):
        parts.append(f"{value} > {target.high}")
    if not parts:
        return ()
    low = "" if target.low is None else str(target.low)
    high = "" if target.high is None else str(target.high)
    return (Fault(" OR ".join(parts), "RANGE", f"is out of the column's range {low} to {high}"),)


def _time(value: str, target: LogicalType) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    sql_type = {"date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "instant": "TIMESTAMPTZ"}[target.kind]
    if target.kind in ("date", "timestamp", "instant"):
        faults.append(Fault(f"NOT isfinite({value})", "RANGE", "is not a finite date"))
    if target.kind != "date" and target.fraction < _MICROSECONDS:
        step = 10 ** (_MICROSECONDS - target.fraction)
        faults.append(
            Fault(f"microsecond({value}) % {step} <> 0", "SCALE", f"has more than {target.fraction} digits of a second")
        )
    bounds = []
    if target.earliest is not None:
        bounds.append(f"{value} < CAST({literal(target.earliest)} AS {sql_type})")
    if target.latest is not None:
        bounds.append(f"{value} > CAST({literal(target.latest)} AS {sql_type})")
    if bounds:
        faults.append(
            Fault(
                " OR ".join(bounds),
                "RANGE",
                f"is out of the column's range {target.earliest or ''} to {target.latest or ''}",
            )
        )
    return tuple(faults)


def _float(value: str, target: LogicalType) -> tuple[Fault, ...]:
    if target.bits >= 64:  # noqa: PLR2004 - double precision
        return ()
    # NaN and the infinities are the same in both.
    narrow = f"CAST(TRY_CAST({value} AS FLOAT) AS DOUBLE)"
    condition = f"isfinite({value}) AND coalesce({narrow} <> {value}, true)"
    return (Fault(condition, "SCALE", f"has no exact floating value of {target.bits} bits"),)
