"""A small migration in which everything happens that a run must get right: three mappings over four target tables.

- `docs`: each source row becomes a header and its detail, or neither. Headers point at headers (before, after and in the same batch, or at none),
  are there already (the same, different, outside of the scope), and share keys with others (the same content, or not).
- `items`: lines of headers, by version; some of headers that were rejected, some older than what is there.
- `goods`: one row for each group of items.

Rows that do not convert are rejected, some rows are filtered, and one check only warns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

DOCS, ITEMS = 80, 72
BATCH_ROWS = 8

_source = sa.MetaData()
_doc = sa.Table(
    "doc",
    _source,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("no", sa.String(20)),
    sa.Column("kind", sa.String(4)),
    sa.Column("amount", sa.String(20)),
    sa.Column("blue", sa.String(20)),
    sa.Column("note", sa.String(40)),
    sa.Column("ver", sa.BigInteger),
)
_item = sa.Table(
    "item",
    _source,
    sa.Column("doc_no", sa.String(20), primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("good", sa.String(10)),
    sa.Column("price", sa.String(20)),
    sa.Column("ver", sa.BigInteger),
    sa.Index("item_good", "good", "doc_no", "line"),
)

_target = sa.MetaData()
_header = sa.Table(
    "header",
    _target,
    sa.Column("no", sa.String(20), primary_key=True),
    sa.Column("kind", sa.String(2), nullable=False),
    sa.Column("amount", sa.Numeric(12, 2)),
    sa.Column("blue", sa.String(20), sa.ForeignKey("header.no", name="header_blue")),
    sa.Column("ver", sa.BigInteger, nullable=False),
    sa.Column("origin", sa.String(10), nullable=False),
    sa.Column("extra", sa.String(10), server_default="none"),
)
_detail = sa.Table(
    "detail",
    _target,
    sa.Column("no", sa.String(20), sa.ForeignKey("header.no", name="detail_header"), primary_key=True),
    sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("note", sa.String(40)),
)
_position = sa.Table(
    "position",
    _target,
    sa.Column("no", sa.String(20), sa.ForeignKey("header.no", name="position_header"), primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("good", sa.String(10), nullable=False),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("ver", sa.BigInteger, nullable=False),
)
_goods = sa.Table(
    "goods",
    _target,
    sa.Column("good", sa.String(10), primary_key=True),
    sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("newest", sa.BigInteger),
)

TARGETS = tuple(_target.tables)
"""Names of the target tables."""

MAPPINGS = ("docs", "items", "goods")
"""Names of the mappings, in the order in which they run."""

_MAPPINGS = {
    "docs": """\
mapping: docs
source: {table: doc, key: [id], where: "kind <> 'X'"}
targets:
  - table: header
    key: [no]
    scope: "origin = 'docs'"
    on_conflict: update
    fields:
      no: no
      kind: {from: kind, values: {A: "01", B: "02"}}
      amount: {from: amount, clean: money, type: "decimal(12,2)"}
      blue: {from: blue, nulls: [""]}
      ver: ver
      origin: {value: docs}
  - table: detail
    key: [no, n]
    fields:
      no: no
      n: {value: "1"}
      note: note
checks:
  - {id: BIG, target: header, assert: "amount is null or amount < 2000", level: warn}
""",
    "items": """\
mapping: items
source: {table: item, key: [doc_no, line]}
targets:
  - table: position
    key: [no, line]
    on_conflict: {newer: ver}
    fields:
      no: {sql: "replace(doc_no, 'x', '')"}
      line: line
      good: good
      price: {from: price, type: "decimal(10,2)"}
      ver: ver
""",
    "goods": """\
mapping: goods
source: {table: item, key: [doc_no, line]}
targets:
  - table: goods
    key: [good]
    one_row_per: [good]
    fields:
      good: good
      lines: {sql: "count(*)"}
      newest: {sql: "max(ver)"}
""",
}


@dataclass(frozen=True)
class Scenario:
    """Source and target, filled, and the mapping files. `names` in the order in which they run."""

    source: str
    target: str
    mappings: tuple[Path, ...]
    batch_rows: int = BATCH_ROWS

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the mappings."""
        return tuple(path.stem for path in self.mappings)


def prepare(source: str, target: str, folder: Path, names: tuple[str, ...] = MAPPINGS) -> Scenario:
    """Fill both databases and write the mapping files."""
    folder.mkdir(parents=True, exist_ok=True)
    with _engine(source) as engine, engine.begin() as connection:
        _source.create_all(connection)
        connection.execute(sa.insert(_doc), _docs())
        connection.execute(sa.insert(_item), _items())
    reset(target)
    paths = tuple(folder / f"{name}.yaml" for name in names)
    for path in paths:
        path.write_text(_MAPPINGS[path.stem], encoding="utf-8")
    return Scenario(source, target, paths)


def reset(target: str) -> None:
    """Drop everything in the target, ledger included, and put back what is there before the run."""
    with _engine(target) as engine:
        ledger = sa.MetaData()
        with engine.begin() as connection:
            names = sa.inspect(connection).get_table_names()
            ledger.reflect(connection, only=[name for name in names if name.startswith("migrate_")])
            ledger.drop_all(connection)
            _target.drop_all(connection)
            _target.create_all(connection)
        with engine.begin() as connection:
            for table, rows in _existing().items():
                connection.execute(sa.insert(_target.tables[table]), rows)


@contextmanager
def _engine(url: str) -> Iterator[sa.Engine]:
    # pymysql and psycopg by name: a bare `mysql://` means another driver to SQLAlchemy.
    parsed = sa.make_url(url)
    drivers = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
    engine = sa.create_engine(
        parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername)),
        poolclass=sa.NullPool,
    )
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """An administrator's connection in autocommit mode, which knows nothing of the toolkit."""
    with _engine(url) as engine, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def _docs() -> list[dict[str, Any]]:
    rows = {number: _doc_row(number) for number in range(1, DOCS + 1)}
    changes: dict[int, dict[str, Any]] = {
        # Two units for one key: later in another batch, in the same batch, the same content, three of them.
        70: {"no": "D0003"},
        8: {"no": "D0007"},
        72: {**rows[9], "id": 72},
        38: {"no": "D0036"},
        60: {"no": "D0036"},
        # Of a header that is there already.
        74: {"no": "D0012"},
        # Red ones: blue later, earlier, in the same batch, missing, missing over two steps, and one whose blue is contested.
        20: {"blue": "D0069"},
        71: {"blue": "D0021"},
        34: {"blue": "D0035"},
        30: {"blue": "NONE"},
        40: {"blue": "D0078"},
        78: {"blue": "NONE"},
        73: {"blue": "D0003"},
        2: {"blue": "D0036"},
        # What does not convert, is filtered, is warned of.
        45: {"amount": "1.234"},
        46: {"kind": "Q"},
        47: {"kind": "X"},
        48: {"amount": "9999.00"},
        58: {"kind": "X"},
        59: {"amount": "abc"},
    }
    for number, change in changes.items():
        rows[number] |= change
    return list(rows.values())


def _doc_row(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "no": f"D{number:04}",
        "kind": "AB"[number % 2],
        "amount": f"{number}.{number % 100:02}",
        "blue": "",
        "note": f"备注 {number}",
        "ver": number,
    }


def _items() -> list[dict[str, Any]]:
    rows = [
        {
            "doc_no": f"D{1 + number // 2:04}",
            "line": 1 + number % 2,
            "good": f"G{number % 12:02}",
            "price": f"{number}.5",
            "ver": 10 + number,
        }
        for number in range(ITEMS)
    ]
    # A second claimant for a key, with a lower, a higher and the same version.
    for number, version in ((5, 1), (15, 10_000), (25, 10 + 48)):
        rows.append({"doc_no": f"D{number:04}x", "line": 1, "good": "G99", "price": "1", "ver": version})
    return rows


def _existing() -> dict[str, list[dict[str, Any]]]:
    header = {"blue": None, "origin": "docs", "extra": "none"}
    same = _doc_row(5)
    return {
        "header": [
            {**header, "no": "D0005", "kind": "02", "amount": same["amount"], "ver": 5},
            {**header, "no": "D0006", "kind": "02", "amount": "0.00", "ver": 0, "extra": "kept"},
            {**header, "no": "D0012", "kind": "02", "amount": "1.00", "ver": 0},
            {**header, "no": "D0010", "kind": "02", "amount": "1.00", "ver": 0, "origin": "other"},
            {**header, "no": "OLD", "kind": "02", "amount": "1.00", "ver": 0},
        ],
        "detail": [
            {"no": "D0005", "n": 1, "note": "备注 5"},
            {"no": "OLD", "n": 1, "note": "of old"},
        ],
        "position": [
            {"no": "OLD", "line": 1, "good": "G00", "price": "1.00", "ver": 1},
            {"no": "D0006", "line": 1, "good": "G00", "price": "7.00", "ver": 1},
            {"no": "D0006", "line": 2, "good": "G00", "price": "7.00", "ver": 999},
        ],
    }
