"""Functions that people write and mappings do not have: the name that is meant, or the reason why there is none."""

from __future__ import annotations

ALIASES = {
    "len": "length", "char_length": "length", "instr": "strpos", "position": "strpos", "suffix": "ends_with", "prefix": "starts_with",
    "ucase": "upper", "lcase": "lower", "nvl": "coalesce", "to_date": "strptime", "to_char": "strftime", "date_format": "strftime",
    "ceiling": "ceil", "group_concat": "string_agg", "listagg": "string_agg", "isnull": "ifnull", "try_strptime": "strptime",
}  # fmt: skip
"""Names from elsewhere: the function that is meant, for the hint."""

_NOW = "it depends on when it runs; the target must not"
_ORDER = "it depends on the order of rows"
_RANDOM = "it is different every time"
_FILES = "expressions read no files"

REFUSED: dict[str, str] = {
    "now": _NOW, "current_timestamp": _NOW, "current_date": _NOW, "current_time": _NOW, "current_localtimestamp": _NOW,
    "current_localtime": _NOW, "get_current_timestamp": _NOW, "transaction_timestamp": _NOW, "today": _NOW, "age": _NOW,
    "localtime": _NOW, "localtimestamp": _NOW,
    "random": _RANDOM, "uuid": _RANDOM, "gen_random_uuid": _RANDOM, "uuidv7": _RANDOM, "setseed": _RANDOM, "nextval": _RANDOM, "currval": _RANDOM,
    "any_value": f"{_ORDER}; use min(x), or first(x order by …)",
    "arbitrary": f"{_ORDER}; use min(x), or first(x order by …)",
    "list": f"{_ORDER}; use string_agg(x, ',' order by …)",
    "array_agg": f"{_ORDER}; use string_agg(x, ',' order by …)",
    "arg_min": f"{_ORDER} when values are equal; use first(x order by …)",
    "arg_max": f"{_ORDER} when values are equal; use last(x order by …)",
    "min_by": f"{_ORDER} when values are equal; use first(x order by …)",
    "max_by": f"{_ORDER} when values are equal; use last(x order by …)",
    "avg": "it is a floating value; use sum and count",
    "mean": "it is a floating value; use sum and count",
    "median": "it is a floating value",
    "sqrt": "it is a floating value", "power": "it is a floating value", "pow": "it is a floating value", "ln": "it is a floating value", "exp": "it is a floating value",
    "hash": "it changes between versions of DuckDB; use sha256",
    "version": "it depends on the version of DuckDB",
    "md5_number": "its sums are floating values; use sha256",
    "read_csv": _FILES, "read_csv_auto": _FILES, "read_parquet": _FILES, "read_text": _FILES, "read_blob": _FILES, "read_json": _FILES, "glob": _FILES,
    "getenv": "expressions read no environment", "getvariable": "expressions read no variables", "current_setting": "expressions read no settings",
    "error": "a check with level reject says it better",
    "try": "a cast that fails rejects the row; use `values`, `nulls` or a case to allow a value",
    "repeat": "it can fill the memory",
    "row_number": "expressions look at one row; there are no windows",
}  # fmt: skip
"""Functions that people ask for and do not get, and why."""
