"""The cleaners `money`, `digits`, `halfwidth` and `trim`: DuckDB macros, exact, vectorised; blank is NULL.

Each takes a text and gives a text: NULL when it is blank, and NULL as well when it cannot be cleaned (`money`, `digits`).
The two are told apart by `_blank`. Text that is clean already takes a short way.
"""

from __future__ import annotations

from collections.abc import Callable

from migrate.mapping.duck import literal

Keep = Callable[[str, str], str]
"""Computes SQL of a DuckDB type once for every row, and gives the name of what came out. What it is given must not be able to fail.

A macro repeats its argument, and macros in macros repeat it hundreds of times, of which each costs DuckDB time in every execution even
if no row needs it (15 ms for three amounts, measured).
"""


def in_place(sql: str, duckdb_type: str) -> str:  # noqa: ARG001 - a Keep
    """A `Keep` for where nothing can be computed ahead."""
    return f"({sql})"


# Blanks as old systems leave them: ASCII, no-break, ideographic and zero-width ones, and the byte order mark.
_SPACES = " \t\r\n\v\f\u00a0\u3000\u200b\u200c\u200d\u2060\ufeff"
_WIDE = "".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000"
_NARROW = "".join(chr(code) for code in range(0x21, 0x7F)) + " "
_NUMBER = "([0-9]{1,3}(,[0-9]{3})+([.][0-9]*)?|[0-9]+([.][0-9]*)?|[.][0-9]+)"
_SIGN = "[+-]?"
_CURRENCY = "([¥￥]|CNY|RMB)?"
_MONEY = f"{_SIGN} ?{_CURRENCY} ?{_SIGN}{_NUMBER} ?[元圆]?"
_BRACKETED = f"[(]{_CURRENCY} ?{_NUMBER} ?[元圆]?[)]"


def _strip() -> str:
    """Looking at both ends is cheaper than trimming every value, and a comparison cheaper than taking the first character out.

    '' is contained in everything and so goes the long way.
    """
    spaces = literal(_SPACES)
    first = f"CASE WHEN x >= '!' AND x < chr(127) THEN false ELSE contains({spaces}, x[1]) END"
    return f"CASE WHEN {first} OR contains({spaces}, x[-1]) THEN trim(x, {spaces}) ELSE x END"


def _narrow() -> str:
    wide, narrow = literal(_WIDE), literal(_NARROW)
    return f"CASE WHEN strlen(x) = length(x) THEN x ELSE translate(x, {wide}, {narrow}) END"


def _money_slow() -> str:
    plain = f"regexp_full_match(t, {literal(_MONEY)}) AND NOT regexp_matches(t, '[+-].*[+-]')"
    return (
        f"CASE WHEN {plain} THEN regexp_replace(t, '[^0-9.+-]', '', 'g')"
        f" WHEN regexp_full_match(t, {literal(_BRACKETED)}) THEN '-' || regexp_replace(t, '[^0-9.]', '', 'g') END"
    )


def _digits_slow() -> str:
    """An identifier from a spreadsheet: ="0110…", '0110…, 2511 2000-…, and the `.0` of a number while a float still held all digits."""
    return (
        "CASE WHEN regexp_full_match(t, '[0-9 -]*[0-9][0-9 -]*') THEN regexp_replace(t, '[ -]', '', 'g')"
        " WHEN regexp_full_match(t, '[0-9]{1,15}[.]0+') THEN regexp_replace(t, '[.]0+$', '') END"
    )


MACROS: tuple[str, ...] = (
    f"CREATE MACRO _strip(x) AS {_strip()}",
    "CREATE MACRO _blank(x) AS _strip(x) = ''",
    "CREATE MACRO _trim(x) AS nullif(_strip(x), '')",
    f"CREATE MACRO _narrow(x) AS {_narrow()}",
    "CREATE MACRO _halfwidth(x) AS CASE WHEN _blank(x) THEN NULL ELSE _narrow(x) END",
    f"CREATE MACRO _money_slow(t) AS {_money_slow()}",
    f"CREATE MACRO _digits_slow(t) AS {_digits_slow()}",
    "CREATE MACRO _unwrap(t) AS regexp_replace(t, '^(=\"(.*)\"|''(.*))$', '\\2\\3')",
)

MAY_FAIL = frozenset({"money", "digits"})

REASONS = {
    "money": "is not an amount of money",
    "digits": "is not a number of digits only",
}


def clean(name: str, sql: str, keep: Keep) -> str:
    """SQL of one cleaner over a text: the clean text, NULL when blank, NULL when it cannot be cleaned."""
    if name == "money":
        quick = keep(f"TRY_CAST({sql} AS DECIMAL(18,2))", "DECIMAL(18,2)")
        same = keep(f"coalesce(CAST({quick} AS VARCHAR) = {sql}, false)", "BOOLEAN")
        return f"CASE WHEN {same} THEN {sql} ELSE {slow_money(sql, same, keep)} END"
    if name == "digits":
        same = keep(f"coalesce(regexp_full_match({sql}, '[0-9]+'), false)", "BOOLEAN")
        return f"CASE WHEN {same} THEN {sql} ELSE {_slow_digits(sql, same, keep)} END"
    return f"_{name}({sql})"


def slow_money(sql: str, same: str, keep: Keep) -> str:
    """What `money` makes of the rows whose text is not the `same` as the clean one; NULL for the others."""
    return keep(_unless(same, f"_money_slow({_narrow_stripped(sql, same, keep)})"), "VARCHAR")


def _slow_digits(sql: str, same: str, keep: Keep) -> str:
    unwrapped = keep(_unless(same, f"_unwrap({_narrow_stripped(sql, same, keep)})"), "VARCHAR")
    return keep(_unless(same, f"_digits_slow({unwrapped})"), "VARCHAR")


def _narrow_stripped(sql: str, same: str, keep: Keep) -> str:
    narrow = keep(_unless(same, f"_narrow({sql})"), "VARCHAR")
    return keep(_unless(same, f"_strip({narrow})"), "VARCHAR")


def _unless(same: str, sql: str) -> str:
    return f"CASE WHEN {same} THEN NULL ELSE {sql} END"


def failed(name: str, before: str, after: str) -> str | None:
    """SQL that is true where a cleaner failed (and did not merely find a blank), or None for one that cannot fail."""
    if name not in MAY_FAIL:
        return None
    return f"CASE WHEN {after} IS NULL AND {before} IS NOT NULL THEN NOT _blank({before}) ELSE false END"
