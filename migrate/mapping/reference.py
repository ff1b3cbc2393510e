"""docs/mapping.md and mappings/schema.json, written from the models and the list of functions."""

from __future__ import annotations

import inspect
import json
from typing import Any

from migrate.mapping.formats import DEFAULT_FORMATS
from migrate.mapping.functions import FUNCTIONS
from migrate.mapping.model import (
    Changes,
    Check,
    FieldSpec,
    Limits,
    Lookup,
    MappingFile,
    Source,
    Strict,
    Target,
    TargetTable,
    Total,
)
from migrate.mapping.refusals import REFUSED
from migrate.mapping.types import SIMPLE_TYPES

_HEAD = """# The mapping file

Made by `make docs` from the code; a test fails when this page is not current.

A mapping says how the rows of one source become the rows of one or more target tables. It is a YAML file in which **every scalar is
text**: `01`, `no`, `1e3` and `2025-01-01` mean what they look like. Duplicate keys and unknown keys are mistakes, and
`migrate check` reports all mistakes of a file at once, each with its line:

```text
legacy.yaml:26 → targets[0].fields.no.sql: unknown function lenght() (did you mean `length`?)
```

A small one, complete:

```yaml
mapping: customers
source:
  url: "${OLD_URL}"
  table: kunden
target:
  url: "${NEW_URL}"
targets:
  - table: customer
    key: [id]
    fields:
      id:      kdnr                                        # a column as it is
      name:    {from: name1, nulls: ["", " "]}             # blank means NULL
      since:   {from: anlage, type: date, formats: ["%Y%m%d"]}
      balance: {from: saldo, clean: money}                 # '￥1,234.50' is 1234.50, never through a floating number
      active:  {from: aktiv, values: {J: "true", N: "false"}}
      label:   {sql: "upper(name1) || ' ' || ort"}         # an expression over the source's columns
      origin:  {value: old-shop}
```

The mappings for the legacy invoice system are in [mappings/](../mappings/): `legacy_vat.yaml` (headers), `legacy_vat_lines.yaml`,
`legacy_vat_red_links.yaml`. For a table the toolkit has never seen, `migrate init` writes a first mapping from both schemas.
For completion in an editor, begin the file with `# yaml-language-server: $schema=…/mappings/schema.json`.

## Exact, or rejected

A value reaches the target exactly as it was, or its whole unit is rejected with the field, the reason and the raw row. Nothing is
rounded, cut, padded or replaced on the way:

| rule | when |
|---|---|
| `READ` | the row could not be read from the source without loss |
| `CAST` | a text is not what its type needs, a cleaner found something else, or an expression cannot be computed |
| `SCALE` | more fraction digits, a time of day, or a finer floating value than the column keeps |
| `RANGE` | out of the column's range |
| `LENGTH` | more characters or bytes than fit, or a trailing space that the column does not keep |
| `CHARSET` | a character that the column's charset lacks, or U+0000 |
| `NULL` | no value for a NOT NULL column |
| `VALUE`, `LOOKUP` | not listed in `values`, not found in the lookup, and no `default` |
| `GROUP` | the rows of a group differ in a column that is used without an aggregate |
| `SCOPE` | the row lies outside of the target's `scope` |
| a check's id | a check of level `reject` does not hold |

A text becomes a number only if it is one: `12.7` is no integer, `1e3`, `1_000`, `0x1F` and ` 12 ` are no numbers at all. A date has the
whole shape of its format: `2025041` is not `%Y%m%d`, and a year has four digits. Where a field fails for several reasons, the first is reported.

## Units and groups

A unit is one source row, or with `one_row_per` on any target a whole group of rows with equal columns. It is written to all targets or to none.
In a target with `one_row_per`, fields may use the aggregates below; a column outside of an aggregate must be the same in every row of
its group. All `one_row_per` of a mapping contain the smallest of them, which is the unit.

## Expressions

`sql`, `where`, `assert` and `by` are single scalar expressions in DuckDB's SQL, over the source's columns (`assert`, `by`: the target's fields). Only
what is listed below may be used: everything is deterministic, and nothing reads files, other rows or the clock.

- **Casts** are exact or reject the row: `cast(x as int)` of `'12.7'` is no 13.
- **Kinds do not mix.** `'10.00' + 2.5` and `code = 5` are mistakes where one side is a text: cast it. Numbers and times compare as such.
- **No floating values by accident.** `/` is not there: multiply by a decimal (`x * 0.01`), or use `//` for whole numbers. A floating column
  goes into a decimal only by `cast(float_text(x) as decimal(18,2))`.
- Names of columns are found without regard to case where that is unambiguous; `"…"` quotes strange ones.
- Operators: `= <> < <= > >=`, `+ - * // %`, `||`, `and or not`, `is null`, `is distinct from`, `in (…)`, `between`, `like`, `ilike`, `case`, `cast(… as …)`, `date '…'`, `interval 1 day`.
- `where` that is not true, or NULL, filters a row; one that cannot be computed rejects it. An `assert` holds only when it is true.
"""

_SECTIONS: tuple[tuple[str, type[Strict]], ...] = (
    ("The file", MappingFile),
    ("`source`", Source),
    ("`source.changes`", Changes),
    ("`target`", Target),
    ("`lookups.NAME`", Lookup),
    ("`targets[]`", TargetTable),
    ("`targets[].fields.NAME`", FieldSpec),
    ("`checks[]`", Check),
    ("`totals[]`", Total),
    ("`limits`", Limits),
)


def markdown() -> str:
    """The whole page docs/mapping.md."""
    parts = [_HEAD, "## All keys", ""]
    for title, model in _SECTIONS:
        parts += [f"### {title}", "", inspect.cleandoc(model.__doc__ or ""), "", *_keys(model), ""]
    return "\n".join([*parts, *_types(), *_functions(), *_refused()])


def schema_json() -> str:
    """The whole file mappings/schema.json, for editors."""
    schema = MappingFile.model_json_schema(by_alias=True)
    schema["title"] = "Mapping file"
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    spec = schema["$defs"]["FieldSpec"]
    schema["$defs"]["FieldSpec"] = {
        "anyOf": [{"type": "string", "description": "Source column, copied."}, spec],
        "description": spec.pop("description", ""),
    }
    return json.dumps(_lists_or_text(schema), indent=2, ensure_ascii=False) + "\n"


def _lists_or_text(node: Any) -> Any:
    """Where a list of texts is expected, a single text may stand for it."""
    if isinstance(node, list):
        return [_lists_or_text(each) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _lists_or_text(value) for key, value in node.items() if key != "default" or value is not None}
    if changed.get("type") == "array" and changed.get("items", {}).get("type") == "string":
        about = {key: changed.pop(key) for key in ("description", "title") if key in changed}
        return {**about, "anyOf": [changed["items"], changed]}
    return changed


def _keys(model: type[Strict]) -> list[str]:
    lines = ["| key | default | |", "|---|---|---|"]
    for name, info in model.model_fields.items():
        shown = "**required**" if info.is_required() else _default(info.get_default(call_default_factory=False))
        lines.append(f"| `{info.alias or name}` | {shown} | {_cell(info.description or '')} |")
    return lines


def _default(value: Any) -> str:
    return f"`{value}`" if isinstance(value, (str, int)) else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _types() -> list[str]:
    names = ", ".join(f"`{name}`" for name in ("decimal(p,s)", *SIMPLE_TYPES))
    formats = [f"- `{kind}`: {', '.join(f'`{fmt}`' for fmt in each)}" for kind, each in DEFAULT_FORMATS.items()]
    return [
        "## Types",
        "",
        f"For `type` and in casts: {names}.",
        "",
        "Without `formats` these are read:",
        "",
        *formats,
        "",
    ]


def _functions() -> list[str]:
    lines = ["## Functions", "", "| function | | example | gives |", "|---|---|---|---|"]
    lines += [
        f"| `{function.signature}` | {_cell(function.about)} | `{_cell(function.example)}` | `{_cell(function.gives)}` |"
        for function in FUNCTIONS.values()
        if not function.aggregate
    ]
    lines += [
        "",
        "Aggregates, only in fields of a target with `one_row_per`; `filter (where …)` is allowed:",
        "",
        "| aggregate | |",
        "|---|---|",
    ]
    lines += [
        f"| `{function.signature}` | {_cell(function.about)} |" for function in FUNCTIONS.values() if function.aggregate
    ]
    return [*lines, ""]


def _refused() -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, why in REFUSED.items():
        reasons.setdefault(why, []).append(f"`{name}`")
    lines = ["Not there on purpose:", ""]
    lines += [f"- {', '.join(names)}: {why}" for why, names in reasons.items()]
    return [*lines, ""]
