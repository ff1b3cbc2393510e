"""The golden vectors of golden.json as Python and Arrow values."""

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from migrate.checksum.contract import Contract
from migrate.values import LogicalType

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="ascii"))


def logical_type(member: Mapping[str, Any]) -> LogicalType:
    """The type that a vector names."""
    return LogicalType(
        member["kind"],
        precision=member.get("precision"),
        scale=member.get("scale"),
        keeps_spaces=not member.get("padded", False),
    )


def value(logical: LogicalType, written: Any) -> Any:
    """The value that a vector writes, as the reference evaluator takes it."""
    if written is None:
        return None
    if isinstance(written, dict):
        return str(written["repeat"]) * int(written["times"])
    readers: dict[str, Any] = {
        "integer": int,
        "decimal": Decimal if logical.exact_decimal else str,
        "float": float,
        "boolean": {"true": True, "false": False}.__getitem__,
        "date": date.fromisoformat,
        "time": time.fromisoformat,
        "timestamp": datetime.fromisoformat,
        "instant": datetime.fromisoformat,
        "bytes": bytes.fromhex,
    }
    return readers.get(logical.kind, str)(written)


def encoding(vector: Mapping[str, Any], content: Any) -> bytes | None:
    """The expected encoding; None where there is none. Long texts stand in the file as what surrounds them."""
    expected = vector["encoding"]
    if expected is None:
        return None
    if isinstance(expected, dict):
        return f"{expected['before']}{content}{expected['after']}".encode()
    return str(expected).encode()


def contract(vector: Mapping[str, Any]) -> Contract:
    """The contract of a row vector."""
    return Contract(tuple((c["name"], logical_type(c)) for c in vector["columns"]), tuple(vector["key"]))


def row(vector: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row vector."""
    return {c["name"]: value(logical_type(c), vector["row"][c["name"]]) for c in vector["columns"]}
