"""docs/schema.md, written from the metadata of the invoice tables."""

from __future__ import annotations

import sqlalchemy as sa

from migrate.invoice.checks import made_on
from migrate.invoice.schema import METADATA

_HEAD = """# The canonical invoice tables

Made by `make docs` from the code; a test fails when this page is not current. `migrate schema show --target URL` prints the DDL
for a database, `migrate schema apply --target URL` creates what is missing and refuses (exit 4) where another table stands in its place.

```console
$ migrate schema apply --target sqlite:///new.db
table invoice created
…
$ migrate schema apply --target sqlite:///new.db
every invoice table is there already; nothing was changed
```

The same tables exist on PostgreSQL, on MariaDB and MySQL (InnoDB, utf8mb4), and on SQLite:

- **Keys** are natural. A number drawn from a sequence would differ after a crash and a second run.
- **Money is exact.** `decimal` is DECIMAL on servers. SQLite has no exact decimals, so there the column is declared
  `DECIMAL_TEXT(p,s)` and holds canonical text: exactly s fraction digits, no leading zeros, no `+`, no `-0`.
- **Keys and codes are compared by code point** on MariaDB (`utf8mb4_bin`), so that no two keys are merged. Names and addresses
  have `utf8mb4_unicode_520_ci`: searching ignores case, and rare characters such as 𠮷 are told apart.
- **Times** have no zone (China's time) and keep microseconds.
- **Constraints hold for every legal invoice**; what old data may break lawfully (check digits, provinces in numbers) is a rule of a
  mapping, not a constraint. SQLite enforces neither lengths nor dates by itself, so there each column has a check `…_fits` as well.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_table(table) for table in METADATA.sorted_tables)])


def _table(table: sa.Table) -> str:
    lines = [f"## {table.name}", "", table.info["doc"], "", "| column | type | |", "|---|---|---|"]
    for column in table.columns:
        mark = " **key**" if column.primary_key else " required" if not column.nullable else ""
        lines.append(
            f"| `{column.name}` | {_type(column.type)}{mark} | {(column.doc or '').replace('|', chr(92) + '|')} |"
        )
    lines += ["", *_constraints(table), ""]
    return "\n".join(lines)


def _constraints(table: sa.Table) -> list[str]:
    lines = [
        f"- `{constraint.name}`: `{constraint.sqltext}`"
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint) and made_on(constraint, "postgresql")
    ]
    for foreign in table.foreign_key_constraints:
        child, parent = ", ".join(foreign.column_keys), foreign.referred_table.name
        lines.append(f"- `{foreign.name}`: `{child}` is a key of `{parent}`")
    lines += [
        f"- index `{index.name}` on {', '.join(f'`{column.name}`' for column in index.columns)}"
        for index in table.indexes
    ]
    return sorted(lines, key=lambda line: (line.startswith("- index"), line))


def _type(declared: sa.types.TypeEngine[object]) -> str:
    match declared:
        case sa.Numeric():
            return f"decimal({declared.precision},{declared.scale})"
        case sa.Text():
            return "text"
        case sa.CHAR():
            return f"char({declared.length})"
        case sa.String():
            return f"text({declared.length})"
        case sa.DateTime():
            return "timestamp"
        case sa.BigInteger():
            return "bigint"
        case _:
            return type(declared).__name__.lower()
