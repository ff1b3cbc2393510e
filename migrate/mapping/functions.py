"""The functions that expressions may call: an allow-list of deterministic, scalar ones, and a few aggregates for groups.

An allow-list, since DuckDB labels order-dependent functions as consistent. A function that does harmless-looking harm
(`lpad` truncates) is made safe here, and one that cannot be is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from migrate.mapping import rewrites
from migrate.mapping.rewrites import Rewrite

Argument = Literal["text", "integer", "number", "time", "boolean", "any", "constant"]


@dataclass(frozen=True)
class Function:
    """One allowed function.

    `arguments`: what each takes; the last one repeats if `repeats`, the last `optional` ones may be left out.
    `example` and `gives`: an expression and its result as text, for the docs and for the tests.
    `rewrite`: SQL for the already compiled arguments in place of a plain call. `may_fail`: can raise for some rows.
    """

    name: str
    arguments: tuple[Argument, ...]
    about: str
    example: str
    gives: str
    optional: int = 0
    repeats: bool = False
    may_fail: bool = False
    rewrite: Rewrite | None = None
    aggregate: bool = False
    ordered: bool = False

    @property
    def signature(self) -> str:
        """How it is called, for people."""
        names = [
            f"{kind}…" if self.repeats and index == len(self.arguments) - 1 else kind
            for index, kind in enumerate(self.arguments)
        ]
        required = len(names) - self.optional
        text = ", ".join(names[:required])
        rest = "".join(f"[, {name}]" for name in names[required:])
        return f"{self.name}({text}{rest if text else rest.lstrip('[, ')})"


_ALL: tuple[Function, ...] = (
    # text
    Function("length", ("text",), "Number of characters.", "length('发票')", "2"),
    Function("lower", ("text",), "Lower case.", "lower('Ab')", "ab"),
    Function("upper", ("text",), "Upper case.", "upper('Ab')", "AB"),
    Function("left", ("text", "integer"), "First characters.", "left('12345', 2)", "12"),
    Function("right", ("text", "integer"), "Last characters.", "right('12345', 2)", "45"),
    Function(
        "substr",
        ("text", "integer", "integer"),
        "Part of a text: from position (1 is the first), length.",
        "substr('20250413', 5, 2)",
        "04",
        optional=1,
    ),
    Function(
        "substring",
        ("text", "integer", "integer"),
        "The same as substr.",
        "substring('20250413', 1, 4)",
        "2025",
        optional=1,
    ),
    Function("replace", ("text", "text", "text"), "All occurrences replaced.", "replace('a-b-c', '-', '/')", "a/b/c"),
    Function(
        "translate",
        ("text", "constant", "constant"),
        "Characters replaced one by one; those without a counterpart are removed.",
        "translate('2025-04-13', '-', '')",
        "20250413",
        rewrite=rewrites.translate,
    ),
    Function(
        "concat",
        ("any",),
        "Texts joined; NULL counts as empty (`||` gives NULL instead).",
        "concat('a', null, 'b')",
        "ab",
        repeats=True,
    ),
    Function(
        "concat_ws",
        ("text", "any"),
        "Texts joined with a separator; NULLs are skipped.",
        "concat_ws('-', 'a', null, 'b')",
        "a-b",
        repeats=True,
    ),
    Function(
        "ltrim",
        ("text", "constant"),
        "Blanks (or the given characters) removed at the left.",
        "ltrim('007', '0')",
        "7",
        optional=1,
        rewrite=rewrites.trim("ltrim"),
    ),
    Function(
        "rtrim",
        ("text", "constant"),
        "Blanks (or the given characters) removed at the right.",
        "rtrim('7.00', '0')",
        "7.",
        optional=1,
        rewrite=rewrites.trim("rtrim"),
    ),
    Function(
        "lpad",
        ("text", "constant", "constant"),
        "Filled up at the left; a longer text stays whole (DuckDB's own cuts it).",
        "lpad('4567', 8, '0')",
        "00004567",
        rewrite=rewrites.pad("lpad"),
    ),
    Function(
        "rpad",
        ("text", "constant", "constant"),
        "Filled up at the right; a longer text stays whole.",
        "rpad('3040201', 10, '0')",
        "3040201000",
        rewrite=rewrites.pad("rpad"),
    ),
    Function("reverse", ("text",), "Characters in reverse order.", "reverse('abc')", "cba"),
    Function("contains", ("text", "text"), "Does it occur?", "contains('数电票', '电')", "true"),
    Function("starts_with", ("text", "text"), "Does it begin so?", "starts_with('14403', '144')", "true"),
    Function("ends_with", ("text", "text"), "Does it end so?", "ends_with('1100201130', '130')", "true"),
    Function(
        "strpos", ("text", "text"), "Position of the first occurrence; 0 when there is none.", "strpos('a-b', '-')", "2"
    ),
    Function(
        "split_part",
        ("text", "text", "integer"),
        "Part number n between separators.",
        "split_part('a,b,c', ',', 2)",
        "b",
    ),
    Function(
        "regexp_full_match",
        ("text", "constant"),
        "Does the whole text match?",
        "regexp_full_match('25112000', '[0-9]{8}')",
        "true",
    ),
    Function("regexp_matches", ("text", "constant"), "Does any part match?", "regexp_matches('a1', '[0-9]')", "true"),
    Function(
        "regexp_extract",
        ("text", "constant", "constant"),
        "The part that matches, or a group of it; empty when none does.",
        "regexp_extract('no 123', '[0-9]+')",
        "123",
        optional=1,
    ),
    Function(
        "regexp_replace",
        ("text", "constant", "constant", "constant"),
        "First match replaced; all with 'g'.",
        "regexp_replace('a1b2', '[0-9]', '', 'g')",
        "ab",
        optional=1,
    ),
    Function("nfc_normalize", ("text",), "Unicode normal form C.", "nfc_normalize('é')", "é"),
    Function("chr", ("integer",), "Character of a code point.", "chr(65)", "A", may_fail=True),
    Function("unicode", ("text",), "Code point of the first character.", "unicode('A')", "65"),
    Function("md5", ("text",), "MD5 in hex.", "md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
    Function("sha256", ("text",), "SHA-256 in hex.", "left(sha256('a'), 8)", "ca978112"),
    # cleaners
    Function(
        "trim",
        ("text", "constant"),
        "Blanks of every kind removed at both ends; blank is NULL. With characters: those removed.",
        "trim('　a ')",
        "a",
        optional=1,
        rewrite=rewrites.trim("trim"),
    ),
    Function(
        "halfwidth",
        ("text",),
        "Full-width letters, digits and signs to ASCII; blank is NULL.",
        "halfwidth('（ＡＢ）１')",
        "(AB)1",
        rewrite=lambda args, _: f"_halfwidth({args[0]})",
    ),
    Function(
        "digits",
        ("text",),
        "Digits of an identifier without separators and spreadsheet quoting; blank is NULL, anything else rejects.",
        "digits('=\"0110 0190\"')",
        "01100190",
        may_fail=True,
        rewrite=rewrites.digits,
    ),
    Function(
        "money",
        ("text",),
        "An amount as decimal(38,13), never through float; blank is NULL, anything else rejects.",
        "cast(money('￥1,234.50') as decimal(18,2))",
        "1234.50",
        may_fail=True,
        rewrite=rewrites.money,
    ),
    Function(
        "float_text",
        ("number",),
        "Shortest text that reads back as the same floating number.",
        "float_text(1.5e0)",
        "1.5",
        rewrite=lambda args, _: f"CAST({args[0]} AS VARCHAR)",
    ),
    # choices
    Function("coalesce", ("any",), "The first that is not NULL.", "coalesce(null, 'a')", "a", repeats=True),
    Function(
        "ifnull",
        ("any", "any"),
        "The second when the first is NULL.",
        "ifnull(null, 'a')",
        "a",
        rewrite=lambda args, _: f"coalesce({', '.join(args)})",
    ),
    Function("nullif", ("any", "any"), "NULL when both are equal.", "nullif('0', '0')", "NULL"),
    Function("greatest", ("any",), "The greatest; NULLs are skipped.", "greatest(1, 2)", "2", repeats=True),
    Function("least", ("any",), "The least; NULLs are skipped.", "least(1, 2)", "1", repeats=True),
    # numbers
    Function("abs", ("number",), "Without its sign.", "abs(-1.50)", "1.50", may_fail=True),
    Function("sign", ("number",), "-1, 0 or 1.", "sign(-5)", "-1"),
    Function(
        "round",
        ("number", "constant"),
        "Rounded half away from zero, on purpose.",
        "round(1.005, 2)",
        "1.01",
        optional=1,
        may_fail=True,
    ),
    Function("floor", ("number",), "The next whole number below.", "floor(1.9)", "1", may_fail=True),
    Function("ceil", ("number",), "The next whole number above.", "ceil(1.1)", "2", may_fail=True),
    # dates and times
    Function(
        "strftime", ("time", "constant"), "Date or time as text.", "strftime(date '2025-04-13', '%Y-%m')", "2025-04"
    ),
    Function(
        "strptime",
        ("text", "constant"),
        "Text as timestamp, exactly in that format; anything else rejects.",
        "strptime('20250413', '%Y%m%d')",
        "2025-04-13 00:00:00",
        may_fail=True,
    ),
    Function("year", ("time",), "The year.", "year(date '2025-04-13')", "2025"),
    Function("quarter", ("time",), "The quarter.", "quarter(date '2025-04-13')", "2"),
    Function("month", ("time",), "The month.", "month(date '2025-04-13')", "4"),
    Function("day", ("time",), "The day of the month.", "day(date '2025-04-13')", "13"),
    Function("hour", ("time",), "The hour.", "hour(timestamp '2025-04-13 10:11:12')", "10"),
    Function("minute", ("time",), "The minute.", "minute(timestamp '2025-04-13 10:11:12')", "11"),
    Function(
        "last_day", ("time",), "Last day of the month.", "last_day(date '2025-02-01')", "2025-02-28", may_fail=True
    ),
    Function(
        "date_trunc",
        ("constant", "time"),
        "Cut to 'year', 'month', 'day', 'hour' …, on purpose.",
        "date_trunc('month', date '2025-04-13')",
        "2025-04-01 00:00:00",
        may_fail=True,
    ),
    Function(
        "date_diff",
        ("constant", "time", "time"),
        "Borders of 'day', 'month' … between two.",
        "date_diff('day', date '2025-04-13', date '2025-04-15')",
        "2",
        may_fail=True,
    ),
    Function(
        "make_date",
        ("integer", "integer", "integer"),
        "Date of year, month, day.",
        "make_date(2025, 4, 13)",
        "2025-04-13",
        may_fail=True,
    ),
    # aggregates, in fields of a target with one_row_per
    Function(
        "count",
        ("any",),
        "Rows of the group, or those that are not NULL; count(distinct x).",
        "count(*)",
        "",
        aggregate=True,
    ),
    Function("sum", ("number",), "Exact sum; floating values are refused.", "sum(1)", "", aggregate=True),
    Function("min", ("any",), "The least.", "min(1)", "", aggregate=True),
    Function("max", ("any",), "The greatest.", "max(1)", "", aggregate=True),
    Function("bool_and", ("boolean",), "True for all.", "bool_and(true)", "", aggregate=True),
    Function("bool_or", ("boolean",), "True for any.", "bool_or(true)", "", aggregate=True),
    Function(
        "string_agg",
        ("text", "constant"),
        "Texts joined; needs ORDER BY.",
        "string_agg('a', ',' order by 1)",
        "",
        aggregate=True,
        ordered=True,
    ),
    Function("first", ("any",), "The first; needs ORDER BY.", "first(1 order by 1)", "", aggregate=True, ordered=True),
    Function("last", ("any",), "The last; needs ORDER BY.", "last(1 order by 1)", "", aggregate=True, ordered=True),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _ALL}
