"""The cleaners `money`, `digits`, `halfwidth` and `trim`: DuckDB macros, exact, vectorised; blank is NULL.

Each takes a text and gives a text: NULL when it is blank, and NULL as well when it cannot be cleaned (`money`, `digits`).
The two are told apart by `_blank`. Text that is clean already takes a short way.
"""

from __future__ import annotations

from migrate.mapping.duck import literal

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


def _money() -> str:
    return "CASE WHEN CAST(TRY_CAST(x AS DECIMAL(18,2)) AS VARCHAR) = x THEN x ELSE _money_slow(_strip(_narrow(x))) END"


def _digits_slow() -> str:
    """An identifier from a spreadsheet: ="0110…", '0110…, 2511 2000-…, and the `.0` of a number while a float still held all digits."""
    return (
        "CASE WHEN regexp_full_match(t, '[0-9 -]*[0-9][0-9 -]*') THEN regexp_replace(t, '[ -]', '', 'g')"
        " WHEN regexp_full_match(t, '[0-9]{1,15}[.]0+') THEN regexp_replace(t, '[.]0+$', '') END"
    )


def _digits() -> str:
    return "CASE WHEN regexp_full_match(x, '[0-9]+') THEN x ELSE _digits_slow(_unwrap(_strip(_narrow(x)))) END"


MACROS: tuple[str, ...] = (
    f"CREATE MACRO _strip(x) AS {_strip()}",
    "CREATE MACRO _blank(x) AS _strip(x) = ''",
    "CREATE MACRO _trim(x) AS nullif(_strip(x), '')",
    f"CREATE MACRO _narrow(x) AS {_narrow()}",
    "CREATE MACRO _halfwidth(x) AS CASE WHEN _blank(x) THEN NULL ELSE _narrow(x) END",
    f"CREATE MACRO _money_slow(t) AS {_money_slow()}",
    f"CREATE MACRO _money(x) AS {_money()}",
    f"CREATE MACRO _digits_slow(t) AS {_digits_slow()}",
    "CREATE MACRO _unwrap(t) AS regexp_replace(t, '^(=\"(.*)\"|''(.*))$', '\\2\\3')",
    f"CREATE MACRO _digits(x) AS {_digits()}",
)

MAY_FAIL = frozenset({"money", "digits"})

REASONS = {
    "money": "is not an amount of money",
    "digits": "is not a number of digits only",
}


def clean(name: str, sql: str) -> str:
    """SQL of one cleaner over a text: the clean text, NULL when blank, NULL when it cannot be cleaned."""
    return f"_{name}({sql})"


def failed(name: str, before: str, after: str) -> str | None:
    """SQL that is true where a cleaner failed (and did not merely find a blank), or None for one that cannot fail."""
    if name not in MAY_FAIL:
        return None
    return f"CASE WHEN {after} IS NULL AND {before} IS NOT NULL THEN NOT _blank({before}) ELSE false END"
