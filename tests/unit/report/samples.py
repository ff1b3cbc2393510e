"""Verifications of every kind, as the verifier could have made them: invoices, Chinese names, differences that the eye misses."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from migrate.verify.notes import Note, NotVerified
from migrate.verify.verdict import Cell, Coverage, Difference, Recorded, TargetResult, TotalDifference, Verification

COLUMNS: Final = ("key", "kind", "number", "issued_at", "buyer_name", "buyer_tax_id", "net", "tax", "gross", "status")
KEY: Final = "O-91110108MA00XY0A11-SD-2511200000000000000"

EQUAL_INVOICES: Final = TargetResult(
    verdict="EQUAL",
    source_rows=1_284_530,
    target_rows=1_284_530,
    counts={"missing": 0, "extra": 0, "changed": 0, "multiplicity": 0},
    explained={"filtered": 4112, "rejected": 6},
    differences=(),
    columns=COLUMNS,
    left_out=("created_at", "imported_by_run"),
    contract="5f0c1e6b9a3d47c2a8e1f6b7c0d9e2f35f0c1e6b9a3d47c2a8e1f6b7c0d9e2f3",
)
EQUAL: Final = Verification(
    verdict="EQUAL",
    rules=(),
    not_verified=(),
    targets={
        "invoice": EQUAL_INVOICES,
        "invoice_line": replace(
            EQUAL_INVOICES, source_rows=3_902_114, target_rows=3_902_114, explained={}, left_out=()
        ),
    },
    totals=(),
    groups=148,
    rejects=Recorded(derived=6, recorded=6, only_derived=(), only_recorded=(), differ=0),
    mapping="legacy_vat",
    run="20261124T101500-3f9c",
    source="mysql://reader@10.2.0.14:3306/fapiao_old",
    target="postgresql://app@10.2.0.31:5432/invoices",
    nonce="9b1de4f07a8c42d39b1de4f07a8c42d3",
    began="2026-11-24T10:47:03+08:00",
    seconds=94.2,
    coverage=(
        Coverage("source", "fp_main", "stream", "replayed"),
        Coverage("target", "invoice", "sql", "faster", "4000 rows: 18.2 ms by SQL, 61.0 ms streamed", 1004),
        Coverage("target", "invoice_line", "stream", "no_form", "extra: jsonb has no canonical form in PostgreSQL"),
    ),
)
WITH_RULES: Final = replace(
    EQUAL,
    verdict="EQUAL_WITH_DECLARED_RULES",
    rules=("invoice.buyer_name: compared in Unicode form NFC", "invoice_line.price: rounded half up to 6 places"),
    targets={"invoice": replace(EQUAL_INVOICES, verdict="EQUAL_WITH_DECLARED_RULES", superseded=17)},
    rejects=None,
    run=None,
)
NOT_VERIFIED: Final = replace(
    EQUAL,
    verdict="NOT_VERIFIED",
    not_verified=(
        NotVerified("table invoice_file", "the query failed: canceling statement due to statement timeout (60 s)"),
        NotVerified("column invoice.extra", "its type geometry has no canonical text"),
    ),
    targets={"invoice": replace(EQUAL_INVOICES, verdict="NOT_VERIFIED")},
    groups=0,
    rejects=None,
)
CHANGED: Final = (
    Difference("changed", {"key": f"{KEY}1"}, {"net": Cell("100.00", "1.00")}, "value"),
    Difference("changed", {"key": f"{KEY}2"}, {"buyer_name": Cell("北京样例科技有限公司", "北京样例科技有限公司　")}, "trailing_space"),
    Difference("changed", {"key": f"{KEY}3"}, {"buyer_name": Cell("上海远景（集团）有限公司", "上海远景(集团)有限公司")}, "normalisation"),
    Difference("changed", {"key": f"{KEY}4"}, {"buyer_name": Cell("买买提·艾力餐饮店", "买买提•艾力\u200b餐饮店"), "status": Cell("issued", None)}, "value"),
    Difference("changed", {"key": f"{KEY}5"}, {"issued_at": Cell("2025-04-01T00:30:00.000000", "2025-03-31T16:30:00.000000")}, "hours_offset"),
    Difference("changed", {"key": f"{KEY}6"}, {"buyer_name": Cell("深圳市鑫淼焱贸易有限公司", "娣卞湷甯傞懌娣肩剦璐告槗鏈夐檺鍏徃")}, "charset"),
    Difference("changed", {"key": f"{KEY}7"}, {"buyer_tax_id": Cell("91310115MA1K3A0O8X", "91310115MA1K3A008X"), "tax": Cell("13.00", "13.0000")}, "scale"),
    Difference("changed", {"key": f"{KEY}8"}, {"buyer_name": Cell("Café Ren\u00e9", "Café Rene\u0301"), "status": Cell("", None)}, "normalisation", Note.of("loser_stands")),
)  # fmt: skip
DIFFERENT: Final = replace(
    EQUAL,
    verdict="DIFFERENT",
    not_verified=(NotVerified("column invoice.remark", "excluded by the mapping"),),
    targets={
        "invoice": replace(
            EQUAL_INVOICES,
            verdict="DIFFERENT",
            target_rows=1_284_531,
            counts={"missing": 2, "extra": 2, "changed": 1208, "multiplicity": 1},
            superseded=12,
            differences=(
                Difference("missing", {"key": f"{KEY}9"}, note=Note.of("ledger_rejected", reason="PARENT: no such parent")),
                Difference("missing", {"key": "I-91310115MA1K3A0O8X-011002400111-23918402"}),
                Difference("extra", {"key": "O-91110108MA00XY0A11-\u200b011002400111-00000001"}),
                Difference("extra", {"key": "O-91110108MA00XY0A11-011002400111-00000002"}, note=Note.of("unit_refused")),
                *CHANGED,
                Difference("multiplicity", {"key": f"{KEY}0"}, note=Note.of("multiplicity", source=1, target=2)),
            ),
        ),
        "invoice_line": replace(EQUAL_INVOICES, source_rows=3_902_114, target_rows=3_902_114, explained={}, left_out=()),
    },
    totals=(
        TotalDifference("invoice", {"month": "2025-04", "status": "issued"}, {"net": Cell("48210993.10", "48210894.10"), "tax": Cell("6267429.10", "6267416.23")}),
        TotalDifference("invoice", {"month": "2025-05", "status": None}, {"net": Cell("99.00", None)}),
    ),
    rejects=Recorded(6, 5, ("fpdm=011002400111, fphm=23918402",), (), 1),
)  # fmt: skip
