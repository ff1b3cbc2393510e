"""Rows taken apart, and keys as people type them."""

import pytest
from hypothesis import given

from migrate.certificate.rows import fields_of, key_encoding, parse_key
from migrate.checksum.contract import Contract
from migrate.checksum.vectorised import row_encodings
from migrate.errors import InputError
from migrate.values import LogicalType
from tests.property.checksum_rows import Sample, samples

NAMED = Contract((("a", LogicalType("text")), ("b", LogicalType("text"))), ("a",))


@given(samples())
def test_every_row_comes_apart_into_its_columns(sample: Sample) -> None:
    """Each encoding has exactly the columns of the contract, NULL where the value is, and no other cut of it does."""
    for encoded, row in zip(row_encodings(sample.table(), sample.contract).to_pylist(), sample.rows, strict=True):
        if encoded is not None:
            fields = fields_of(sample.contract, encoded)
            assert {name for name, text in fields.items() if text is None} == {
                name for name in fields if row[name] is None
            }
            for wrong in (encoded[:-1], encoded + b"N;", b"N;" + encoded):
                with pytest.raises(ValueError):  # noqa: PT011 - what is wrong depends on where it was cut
                    fields_of(sample.contract, wrong)


def test_a_text_that_looks_like_fields_stays_one() -> None:
    """Lengths decide, not what a value contains."""
    assert fields_of(NAMED, b"S5:a;S1:;N;") == {"a": "a;S1:", "b": None}


@pytest.mark.parametrize(
    ("logical", "text", "encoding"),
    [
        (LogicalType("integer"), "-07", b"I2:-7;"),
        (LogicalType("decimal", 9, 2), "1.5", b"D4:1.50;"),
        (LogicalType("boolean"), "true", b"B1:1;"),
        (LogicalType("date"), "2025-04-13", b"A10:2025-04-13;"),
        (LogicalType("timestamp"), "2025-04-13 08:00", b"T26:2025-04-13T08:00:00.000000;"),
        (LogicalType("instant"), "2025-04-13T08:00:00", b"Z26:2025-04-13T08:00:00.000000;"),
        (LogicalType("instant"), "2025-04-13T08:00:00+08:00", b"Z26:2025-04-13T00:00:00.000000;"),
        (LogicalType("text"), "发票 ", "S7:发票 ;".encode()),
    ],
    ids=str,
)
def test_a_typed_key_is_encoded_as_its_column(logical: LogicalType, text: str, encoding: bytes) -> None:
    """What `check-proof` shows can be typed as a key."""
    assert key_encoding(Contract((("k", logical),), ("k",)), {"k": text}) == encoding


def test_what_is_no_key_is_refused() -> None:
    """A value that its column cannot have, and words that are not COLUMN=VALUE."""
    contract = Contract((("k", LogicalType("integer")),), ("k",))
    with pytest.raises(InputError, match="is no integer"):
        key_encoding(contract, {"k": "one"})
    assert parse_key(("k=1", "l=a=b")) == {"k": "1", "l": "a=b"}
    for words in (("k",), ("=1",), ("k=1", "k=2")):
        with pytest.raises(InputError, match="COLUMN=VALUE"):
            parse_key(words)
