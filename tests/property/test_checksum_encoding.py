"""CRE/1: the vectorised evaluator is the reference evaluator, and an encoding tells everything about its row."""

import hashlib

from hypothesis import assume, example, given
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import NotEncodable, encode_row
from migrate.checksum.vectorised import key_digests, row_digests, row_encodings
from migrate.values import LogicalType
from tests.property.checksum_rows import NASTY, Rows, Sample, samples, texts

TEXT = LogicalType("text")


def reference(contract: Contract, rows: Rows) -> list[bytes | None]:
    """The encodings by definition; None for a poisoned row."""
    encodings: list[bytes | None] = []
    for row in rows:
        try:
            encodings.append(encode_row(contract, row))
        except NotEncodable:
            encodings.append(None)
    return encodings


def fields_of(encoded: bytes) -> list[tuple[bytes, bytes] | None]:
    """Read an encoding back into tags and contents, by its grammar alone."""
    fields: list[tuple[bytes, bytes] | None] = []
    at = 0
    while at < len(encoded):
        if encoded[at : at + 2] == b"N;":
            fields.append(None)
            at += 2
            continue
        colon = encoded.index(b":", at)
        end = colon + 1 + int(encoded[at + 1 : colon])
        assert encoded[end : end + 1] == b";"
        fields.append((encoded[at : at + 1], encoded[colon + 1 : end]))
        at = end + 1
    return fields


@given(samples(), st.lists(st.integers(0, 6), max_size=3), st.booleans())
def test_vectorised_equals_reference(sample: Sample, cuts: list[int], large: bool) -> None:
    """Byte for byte the same encodings and digests as the definition, for hostile values, cut and offset arrays."""
    table = sample.table([min(cut, len(sample.rows)) for cut in cuts], large=large)
    expected = reference(sample.contract, sample.rows)
    assert row_encodings(table, sample.contract).to_pylist() == expected
    assert row_digests(table, sample.contract).to_pylist() == [
        None if encoded is None else hashlib.sha256(encoded).digest() for encoded in expected
    ]


@given(samples(least=1))
def test_key_digest_is_the_digest_of_the_key_fields(sample: Sample) -> None:
    """K is R of the row restricted to its key, whatever stands in the other columns."""
    key = Contract(sample.contract.key_columns, sample.contract.key)
    expected = [None if e is None else hashlib.sha256(e).digest() for e in reference(key, sample.rows)]
    assert key_digests(sample.table(), sample.contract).to_pylist() == expected


@given(samples(least=1, most=1))
def test_an_encoding_can_be_read_back(sample: Sample) -> None:
    """Nothing in a value imitates a border or a NULL: tags, contents and NULLs are read back from the bytes alone."""
    (encoded,) = reference(sample.contract, sample.rows)
    assume(encoded is not None)
    assert encoded is not None
    fields = fields_of(encoded)
    assert len(fields) == len(sample.contract.columns)
    for field, (name, logical) in zip(fields, sample.contract.columns, strict=True):
        value = sample.rows[0][name]
        assert (field is None) == (value is None)
        if field is not None and field[0] == b"S" and logical.keeps_spaces:
            assert field[1].decode() == value


two_texts = st.fixed_dictionaries({"a": st.none() | texts, "b": st.none() | texts})
glued = st.lists(st.sampled_from(NASTY), min_size=2, max_size=4)


@given(two_texts, two_texts)
@example({"a": "ab", "b": "c"}, {"a": "a", "b": "bc"})
@example({"a": None, "b": ""}, {"a": "", "b": None})
@example({"a": "N;", "b": None}, {"a": None, "b": "N;"})
def test_different_rows_have_different_encodings(one: dict[str, str | None], other: dict[str, str | None]) -> None:
    """The encoding is injective: two rows are encoded alike only if they are equal."""
    contract = Contract((("a", TEXT), ("b", TEXT)))
    assert (encode_row(contract, one) == encode_row(contract, other)) == (one == other)


@given(glued, st.data())
def test_the_place_of_a_border_counts(pieces: list[str], data: st.DataObject) -> None:
    """The same characters cut at another place are another row."""
    contract = Contract((("a", TEXT), ("b", TEXT)))
    whole = "".join(pieces)
    first, second = (data.draw(st.integers(0, len(whole))) for _ in range(2))
    encodings = {encode_row(contract, {"a": whole[:cut], "b": whole[cut:]}) for cut in (first, second)}
    assert len(encodings) == len({first, second})
