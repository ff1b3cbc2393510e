"""The reference evaluator against the golden vectors, and what it refuses."""

import hashlib
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from migrate.checksum.contract import ENCODING, Contract
from migrate.checksum.encoding import NotEncodable, encode_row, encode_value
from migrate.values import Kind, LogicalType
from tests.unit.checksum import golden

VALUES = golden.GOLDEN["values"]


@pytest.mark.parametrize("vector", VALUES, ids=lambda v: f"{v['kind']}-{str(v['value'])[:24]!a}")
def test_golden_value(vector: dict[str, Any]) -> None:
    """Each golden value has exactly the encoding and the SHA-256 that the file fixes, or none."""
    logical = golden.logical_type(vector)
    content = golden.value(logical, vector["value"])
    expected = golden.encoding(vector, content)
    if expected is None:
        with pytest.raises(NotEncodable):
            encode_value(logical, content)
    else:
        assert encode_value(logical, content) == expected
        assert hashlib.sha256(expected).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", golden.GOLDEN["rows"], ids=lambda v: v["name"])
def test_golden_row(vector: dict[str, Any]) -> None:
    """Each golden row is encoded column by column in code-point order, and its key likewise."""
    contract, row = golden.contract(vector), golden.row(vector)
    encoded = encode_row(contract, row)
    assert encoded == vector["encoding"].encode()
    assert hashlib.sha256(encoded).hexdigest() == vector["sha256"]
    key = encode_row(Contract(contract.key_columns, contract.key), row)
    assert key == vector["key_encoding"].encode()
    assert hashlib.sha256(key).hexdigest() == vector["key_sha256"]


def test_golden_vectors_cover_every_kind() -> None:
    """The vectors are of the version that is computed, and hold NULL and more for each kind with an encoding."""
    assert golden.GOLDEN["encoding"] == ENCODING
    for kind in set(Kind.__args__) - {"unsupported"}:  # type: ignore[attr-defined]
        of_kind = [vector for vector in VALUES if vector["kind"] == kind]
        assert any(vector["value"] is None for vector in of_kind)
        assert len(of_kind) > 2


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("integer", True),
        ("integer", "1"),
        ("integer", 1.0),
        ("integer", Decimal("1.5")),
        ("integer", Decimal("NaN")),
        ("integer", Decimal("1E999999999")),
        ("decimal", 1.5),
        ("decimal", True),
        ("decimal", Decimal("Infinity")),
        ("decimal", Decimal("1E999999999")),
        ("float", 1),
        ("boolean", 1),
        ("boolean", "t"),
        ("date", datetime(2025, 1, 1, tzinfo=UTC)),
        ("date", "0000-00-00"),
        ("time", time(1, tzinfo=UTC)),
        ("timestamp", datetime(2025, 1, 1, tzinfo=UTC)),
        ("timestamp", date(2025, 1, 1)),
        ("instant", datetime(2025, 1, 1)),  # noqa: DTZ001 - the missing zone is the point
        ("text", b"bytes"),
        ("bytes", "text"),
        ("uuid", 7),
        ("json", {"parsed": 1}),
        ("json", "[" * 100_000),
    ],
)
def test_values_of_another_type_are_refused(kind: Kind, wrong: object) -> None:
    """A value that is not of the type is refused, never converted: what is compared is what was stored."""
    with pytest.raises(NotEncodable, match="has no encoding"):
        encode_value(LogicalType(kind), wrong)


def test_a_refusal_names_the_column() -> None:
    """An error about a row says which column it is, and a missing column is an error, not a NULL."""
    contract = Contract((("net", LogicalType("decimal", 18, 2)), ("key", LogicalType("text"))), ("key",))
    with pytest.raises(NotEncodable, match="column net"):
        encode_row(contract, {"key": "O-1", "net": Decimal("1.005")})
    with pytest.raises(NotEncodable, match="column key"):
        encode_row(contract, {"net": Decimal(1)})
