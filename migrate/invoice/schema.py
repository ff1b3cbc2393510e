"""The canonical invoice tables as SQLAlchemy metadata, for PostgreSQL, MariaDB/MySQL and SQLite.

Keys are natural: a number drawn from a sequence would differ after a crash and a second run. Column names are those that
mappings use; docs/schema.md is made from what stands here. Nothing here opens a connection.
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


def _key(*, doc: str, primary_key: bool = False, nullable: bool = False, column: str = "key") -> sa.Column[str]:
    return sa.Column(column, sa.String(KEY_LENGTH), primary_key=primary_key, nullable=nullable, doc=doc)


def _source_system() -> sa.Column[str]:
    return sa.Column(
        "source_system", sa.String(32), nullable=False, doc="Where the row came from; mappings scope by it."
    )


def _party(role: str) -> list[sa.Column[str]]:
    return [
        sa.Column(f"{role}_tax_id", sa.String(20), doc="Tax id (纳税人识别号), NULL for a private buyer."),
        sa.Column(f"{role}_name", name(300), doc="Name."),
        sa.Column(f"{role}_contact", name(300), doc="Address and telephone."),
        sa.Column(f"{role}_bank", name(300), doc="Bank and account."),
    ]


INVOICE = sa.Table(
    "invoice",
    METADATA,
    _key(
        primary_key=True,
        doc="`<O|I>-<owner's tax id>-<SD|SK|HG>-<number>`: SD a 20-digit number, SK code-number, HG a customs payment number. Letters, digits and `-` only.",
    ),
    sa.Column(
        "direction",
        sa.CHAR(1),
        nullable=False,
        doc="`O` issued by the owner (销项), `I` received (进项). Within a group of companies one invoice can be both.",
    ),
    sa.Column("owner_tax_id", sa.String(20), nullable=False, doc="Tax id of the company in whose books it is."),
    sa.Column("type_code", sa.String(4), nullable=False, doc="The tax bureau's fplx: 01, 04, 08, 10, 81, 82, …"),
    sa.Column("digital_no", sa.String(20), doc="20-digit number of a 数电票; for 85–88 beside code and number."),
    sa.Column("code", sa.String(12), doc="发票代码, 10 or 12 digits."),
    sa.Column("no", sa.String(8), doc="发票号码, 8 digits with leading zeros."),
    sa.Column("check_code", sa.String(32), doc="校验码."),
    sa.Column("origin", sa.CHAR(1), doc="`1` tax-control system (税控), `2` electronic invoice platform."),
    sa.Column("issued_at", moment(), doc="Time of issue in China, without zone."),
    sa.Column("issue_date", sa.Date(), doc="开票日期."),
    *_party("seller"),
    *_party("buyer"),
    sa.Column("net", money(), doc="合计金额. Amounts are NULL together, and only for voided blanks."),
    sa.Column("tax", money(), doc="合计税额."),
    sa.Column("gross", money(), doc="价税合计, exactly net + tax."),
    sa.Column(
        "is_blue",
        sa.Boolean(create_constraint=False),
        nullable=False,
        doc="True for a blue invoice (是否正数发票), false for a red one.",
    ),
    sa.Column(
        "status",
        sa.String(2),
        nullable=False,
        doc="`01` normal, `02` void, `03` fully reversed, `04` partly reversed, `99` unknown (待更新). A red invoice's own status is 01.",
    ),
    sa.Column("risk", sa.String(2), doc="`01` normal, `02` abnormal voucher, `03` doubtful."),
    sa.Column("use_status", sa.String(2), doc="勾选: `0` not chosen, `1` chosen, `2` confirmed."),
    sa.Column("use_period", sa.String(6), doc="税款所属期, `yyyymm`."),
    sa.Column("deductible_tax", money(), doc="有效抵扣税额; may differ from the tax."),
    sa.Column(
        "entry_status", sa.String(2), doc="入账: `01` no, `02` booked and deductible, `03` booked, `06` taken back."
    ),
    sa.Column("special_type", sa.String(2), doc="特定要素 (tdys), `01` to `52`."),
    sa.Column("drawer", name(100), doc="开票人."),
    sa.Column("remark", name(610), doc="备注."),
    sa.Column(
        "version", sa.BigInteger(), nullable=False, doc="Grows with every change of the invoice; the newer one wins."
    ),
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
    info={"doc": "One row per invoice and side."},
    **_OPTIONS,
)

INVOICE_ALIAS = sa.Table(
    "invoice_alias",
    METADATA,
    sa.Column(
        "alias",
        sa.String(64),
        primary_key=True,
        doc="Another spelling of the number: paper code and number, a split of 20 digits, code and number joined.",
    ),
    sa.Column("kind", sa.String(16), primary_key=True, doc="Which spelling it is."),
    _key(primary_key=True, doc="The invoice."),
    _source_system(),
    sa.ForeignKeyConstraint(["key"], ["invoice.key"], name="fk_invoice_alias_key"),
    sa.Index("ix_invoice_alias_key", "key"),
    info={
        "doc": "Other numbers under which an invoice may be asked for. An alias can name several invoices: the 10+8 split lost two digits."
    },
    **_OPTIONS,
)

INVOICE_LINE = sa.Table(
    "invoice_line",
    METADATA,
    _key(primary_key=True, doc="The invoice."),
    sa.Column(
        "line_no", sa.Integer(), primary_key=True, autoincrement=False, doc="序号, from 1 in the source's order."
    ),
    sa.Column("nature", sa.String(2), doc="fphxz: `00` normal, `01` discount, `02` discounted."),
    sa.Column("goods_name", name(300), doc="货物或应税劳务名称, with its `*short name*`."),
    sa.Column("short_name", name(100), doc="简称; compare codes instead, short names change."),
    sa.Column("goods_code", sa.String(19), doc="税收分类编码, 19 digits."),
    sa.Column("spec", name(150), doc="规格型号."),
    sa.Column("unit", name(50), doc="单位."),
    sa.Column("quantity_text", sa.String(25), doc="数量 as received; toll lines hold a date here."),
    sa.Column("price_text", sa.String(25), doc="单价 as received."),
    sa.Column("quantity", decimal(38, 13), doc="数量 as a number, NULL where the text is none."),
    sa.Column("price", decimal(38, 13), doc="单价 as a number."),
    sa.Column("net", money(), doc="金额."),
    sa.Column("rate", decimal(8, 6), doc="税率, `0.130000` for 13 %."),
    sa.Column("rate_kind", sa.String(16), doc="What stands in place of a rate: exempt, not taxed, zero."),
    sa.Column("tax", decimal(18, 6), doc="税额; six decimals, as 乐企 sends it."),
    _source_system(),
    *on_every_database("line_no >= 0", "ck_invoice_line_line_no"),
    *only("goods_code", "0-9", "ck_invoice_line_goods_code_digits"),
    *on_amounts("{rate} >= 0", ("rate",), "ck_invoice_line_rate"),
    sa.ForeignKeyConstraint(["key"], ["invoice.key"], name="fk_invoice_line_key"),
    info={"doc": "The lines of an invoice."},
    **_OPTIONS,
)

RED_LINK = sa.Table(
    "red_link",
    METADATA,
    _key(primary_key=True, doc="The red invoice."),
    _key(column="blue_key", nullable=True, doc="The blue invoice, where it is known."),
    sa.Column("confirm_no", sa.String(20), doc="红字确认单编号, 20 digits."),
    sa.Column("info_no", sa.String(24), doc="红字信息表编号."),
    sa.Column(
        "reason",
        sa.String(2),
        doc="`01` error, `02` return, `03` service ended, `04` discount. Some vendors exchange 1 and 2.",
    ),
    sa.Column("net", money(), doc="Reversed net amount."),
    sa.Column("tax", money(), doc="Reversed tax."),
    _source_system(),
    *on_every_database("blue_key <> {key}", "ck_red_link_other"),
    sa.ForeignKeyConstraint(["key"], ["invoice.key"], name="fk_red_link_key"),
    sa.Index("ix_red_link_blue_key", "blue_key"),
    info={
        "doc": "Which blue invoice a red one reverses. `blue_key` has no foreign key: the blue invoice may lie in a year, a system or a company's books that never come into this database, and that is a warning (RD01), not a reason to lose the red one."
    },
    **_OPTIONS,
)

INVOICE_EVENT = sa.Table(
    "invoice_event",
    METADATA,
    sa.Column(
        "position",
        sa.BigInteger(),
        primary_key=True,
        autoincrement=False,
        doc="Place in the change feed, given under the feed lock: a reader past p misses nothing ≤ p.",
    ),
    _key(
        nullable=True,
        doc="The invoice; NULL for a boundary event, which stands for all rows of a bulk load, rollback or restore.",
    ),
    sa.Column("kind", sa.String(16), nullable=False, doc="What happened."),
    sa.Column("from_status", sa.String(2), doc="Status before."),
    sa.Column("to_status", sa.String(2), doc="Status after."),
    sa.Column("version", sa.BigInteger(), doc="The invoice's version after it."),
    sa.Column("occurred_at", moment(), nullable=False, doc="When it was recorded."),
    sa.Column("source", sa.String(32), nullable=False, doc="Who changed it."),
    sa.Column("digest", sa.String(64), doc="CRE/1 digest of the row after it."),
    sa.Index("ix_invoice_event_key", "key", "position"),
    info={"doc": "The change feed: every change, in the order in which it can be read."},
    **_OPTIONS,
)

INVOICE_CONFLICT = sa.Table(
    "invoice_conflict",
    METADATA,
    _key(primary_key=True, doc="The invoice."),
    sa.Column(
        "version", sa.BigInteger(), primary_key=True, autoincrement=False, doc="The version that both payloads claim."
    ),
    sa.Column(
        "payload_digest",
        sa.CHAR(64),
        primary_key=True,
        doc="SHA-256 of the payload, hex: a conflict delivered twice is kept once.",
    ),
    sa.Column("payload", document(), nullable=False, doc="What was received, byte for byte."),
    sa.Column("received_at", moment(), nullable=False, doc="When."),
    info={
        "doc": "Payloads that claim a version which another payload already has; kept for inspection, never applied."
    },
    **_OPTIONS,
)

for _table in METADATA.sorted_tables:
    for _constraint in fitting_on_sqlite(_table):
        _table.append_constraint(_constraint)
