"""The canonical invoice tables as SQLAlchemy metadata, for PostgreSQL, MariaDB/MySQL and SQLite.

Keys are natural: a number drawn from a sequence would differ after a crash and a second run. Column names are those that
mappings use; docs/schema.md explains each table and constraint. Nothing here opens a connection.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from migrate.invoice.checks import fitting_on_sqlite, length_in, on_amounts, on_every_database, only
from migrate.invoice.types import CODE_COLLATION, decimal, document, moment, money, name

METADATA = sa.MetaData()

_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": CODE_COLLATION}
_OPTIONS |= {option.replace("mysql_", "mariadb_"): value for option, value in _OPTIONS.items()}

KEY_LENGTH = 100
"""Characters of an invoice key; the longest legal one (缴款书, 50 characters) has 76."""


def _key(*, primary_key: bool = False, nullable: bool = False, column: str = "key") -> sa.Column[str]:
    return sa.Column(column, sa.String(KEY_LENGTH), primary_key=primary_key, nullable=nullable)


def _source_system() -> sa.Column[str]:
    return sa.Column("source_system", sa.String(32), nullable=False)


def _party(role: str) -> list[sa.Column[str]]:
    return [
        sa.Column(f"{role}_tax_id", sa.String(20)),
        sa.Column(f"{role}_name", name(300)),
        sa.Column(f"{role}_contact", name(300)),
        sa.Column(f"{role}_bank", name(300)),
    ]


INVOICE = sa.Table(
    "invoice",
    METADATA,
    _key(primary_key=True),
    sa.Column("direction", sa.CHAR(1), nullable=False),
    sa.Column("owner_tax_id", sa.String(20), nullable=False),
    sa.Column("type_code", sa.String(4), nullable=False),
    sa.Column("digital_no", sa.String(20)),
    sa.Column("code", sa.String(12)),
    sa.Column("no", sa.String(8)),
    sa.Column("check_code", sa.String(32)),
    sa.Column("origin", sa.CHAR(1)),
    sa.Column("issued_at", moment()),
    sa.Column("issue_date", sa.Date()),
    *_party("seller"),
    *_party("buyer"),
    sa.Column("net", money()),
    sa.Column("tax", money()),
    sa.Column("gross", money()),
    sa.Column("is_blue", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("status", sa.String(2), nullable=False),
    sa.Column("risk", sa.String(2)),
    sa.Column("use_status", sa.String(2)),
    sa.Column("use_period", sa.String(6)),
    sa.Column("deductible_tax", money()),
    sa.Column("entry_status", sa.String(2)),
    sa.Column("special_type", sa.String(2)),
    sa.Column("drawer", name(100)),
    sa.Column("remark", name(610)),
    sa.Column("version", sa.BigInteger(), nullable=False),
    _source_system(),
    *only("key", "A-Za-z0-9-", "ck_invoice_key_characters"),
    *on_every_database("direction IN ('O', 'I')", "ck_invoice_direction"),
    *on_every_database("status IN ('01', '02', '03', '04', '99')", "ck_invoice_status"),
    *on_every_database("origin IN ('1', '2')", "ck_invoice_origin"),
    *on_every_database("is_blue IN (true, false)", "ck_invoice_is_blue"),
    *only("digital_no", "0-9", "ck_invoice_digital_no_digits"),
    *length_in("digital_no", (20,), "ck_invoice_digital_no_length"),
    *only("code", "0-9", "ck_invoice_code_digits"),
    *length_in("code", (10, 12), "ck_invoice_code_length"),
    *only("no", "0-9", "ck_invoice_no_digits"),
    *length_in("no", (8,), "ck_invoice_no_length"),
    # 17 and 21 are customs payments (海关缴款书), whose number stands in the key alone.
    *on_every_database(
        "digital_no IS NOT NULL OR (code IS NOT NULL AND no IS NOT NULL) OR type_code IN ('17', '21')",
        "ck_invoice_identity",
    ),
    *on_every_database(
        "(net IS NOT NULL AND tax IS NOT NULL AND gross IS NOT NULL)"
        " OR (net IS NULL AND tax IS NULL AND gross IS NULL AND status = '02')",
        "ck_invoice_amounts_present",
    ),
    *on_amounts("{gross} = {net} + {tax}", ("net", "tax", "gross"), "ck_invoice_gross"),
    *on_amounts("(is_blue AND {gross} >= 0) OR (NOT is_blue AND {gross} <= 0)", ("gross",), "ck_invoice_sign"),
    sa.Index("ix_invoice_issue_date", "issue_date"),
    sa.Index("ix_invoice_seller", "seller_tax_id", "issue_date"),
    sa.Index("ix_invoice_buyer", "buyer_tax_id", "issue_date"),
    sa.Index("ix_invoice_status", "status", "issue_date"),
    **_OPTIONS,
)

INVOICE_ALIAS = sa.Table(
    "invoice_alias",
    METADATA,
    sa.Column("alias", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    # Part of the primary key, since an alias may name several invoices: a 10+8 split lost two digits.
    _key(primary_key=True),
    _source_system(),
    sa.ForeignKeyConstraint(["key"], ["invoice.key"], name="fk_invoice_alias_key"),
    sa.Index("ix_invoice_alias_key", "key"),
    **_OPTIONS,
)

INVOICE_LINE = sa.Table(
    "invoice_line",
    METADATA,
    _key(primary_key=True),
    sa.Column("line_no", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("nature", sa.String(2)),
    sa.Column("goods_name", name(300)),
    sa.Column("short_name", name(100)),
    sa.Column("goods_code", sa.String(19)),
    sa.Column("spec", name(150)),
    sa.Column("unit", name(50)),
    sa.Column("quantity_text", sa.String(25)),
    sa.Column("price_text", sa.String(25)),
    sa.Column("quantity", decimal(38, 13)),
    sa.Column("price", decimal(38, 13)),
    sa.Column("net", money()),
    sa.Column("rate", decimal(8, 6)),
    sa.Column("rate_kind", sa.String(16)),
    sa.Column("tax", decimal(18, 6)),
    _source_system(),
    *on_every_database("line_no >= 0", "ck_invoice_line_line_no"),
    *only("goods_code", "0-9", "ck_invoice_line_goods_code_digits"),
    *on_amounts("{rate} >= 0", ("rate",), "ck_invoice_line_rate"),
    sa.ForeignKeyConstraint(["key"], ["invoice.key"], name="fk_invoice_line_key"),
    **_OPTIONS,
)

RED_LINK = sa.Table(
    "red_link",
    METADATA,
    _key(primary_key=True),
    # No foreign key: the blue invoice may lie in a year, a system or a company's books that never come into this database.
    # Such a link is a warning (RD01), not a reason to lose the red invoice.
    _key(column="blue_key", nullable=True),
    sa.Column("confirm_no", sa.String(20)),
    sa.Column("info_no", sa.String(24)),
    sa.Column("reason", sa.String(2)),
    sa.Column("net", money()),
    sa.Column("tax", money()),
    _source_system(),
    *on_every_database("blue_key <> {key}", "ck_red_link_other"),
    sa.ForeignKeyConstraint(["key"], ["invoice.key"], name="fk_red_link_key"),
    sa.Index("ix_red_link_blue_key", "blue_key"),
    **_OPTIONS,
)

INVOICE_EVENT = sa.Table(
    "invoice_event",
    METADATA,
    sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
    # NULL for a boundary event, which stands for all rows of a bulk load, a rollback or a restore.
    _key(nullable=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("from_status", sa.String(2)),
    sa.Column("to_status", sa.String(2)),
    sa.Column("version", sa.BigInteger()),
    sa.Column("occurred_at", moment(), nullable=False),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Index("ix_invoice_event_key", "key", "position"),
    **_OPTIONS,
)

INVOICE_CONFLICT = sa.Table(
    "invoice_conflict",
    METADATA,
    _key(primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True, autoincrement=False),
    # SHA-256 of the payload, hex: the same conflict delivered twice is kept once.
    sa.Column("payload_digest", sa.CHAR(64), primary_key=True),
    sa.Column("payload", document(), nullable=False),
    sa.Column("received_at", moment(), nullable=False),
    **_OPTIONS,
)

for _table in METADATA.sorted_tables:
    for _constraint in fitting_on_sqlite(_table):
        _table.append_constraint(_constraint)
