"""The schemas that the case files of wrong mappings are checked against."""

from __future__ import annotations

from migrate.values import Column, ForeignKey, LogicalType, TableShape, UniqueKey
from tests.unit.mapping.harness import INTEGER, MONEY, column

SOURCE = TableShape(
    "fpxx",
    (
        *(
            column(name, nullable=name not in ("fpdm", "fphm"))
            for name in ("fpdm", "fphm", "fplx", "kprq", "xsf_nsrsbh", "je", "se", "jshj", "zt", "gxsj")
        ),
        column("weight", "float"),
        column("pages", INTEGER),
        column("scan", "bytes"),
        column("changed", "timestamp"),
    ),
    (UniqueKey("pk", ("fpdm", "fphm"), primary=True),),
)

INVOICE = TableShape(
    "invoice",
    (
        column("key", LogicalType("text", length=100), nullable=False),
        column("seller_tax_id", LogicalType("text", length=20), nullable=False),
        column("issue_date", "date"),
        column("net", MONEY),
        column("tax", MONEY),
        column("gross", MONEY),
        column("status", LogicalType("text", length=2), nullable=False),
        column("is_blue", "boolean"),
        column("version", INTEGER, nullable=False, default_kind="literal", default="0"),
        column("gross_cents", INTEGER, default_kind="generated"),
        column("batch", INTEGER),
        column("batch_line", INTEGER),
        column("note", "text"),
    ),
    (UniqueKey("pk", ("key",), primary=True), UniqueKey("uq_seller_date", ("seller_tax_id", "issue_date"))),
    (ForeignKey("fk_batch", ("batch", "batch_line"), "batch_part", ("id", "line")),),
)

TOTALS = TableShape(
    "totals",
    (column("seller_tax_id", nullable=False), column("net", MONEY), column("names"), column("rows", INTEGER)),
    (UniqueKey("pk", ("seller_tax_id",), primary=True),),
)

STATES = TableShape(
    "states", (Column("old", LogicalType("text"), nullable=False), column("new")), (UniqueKey("pk", ("old",)),)
)
