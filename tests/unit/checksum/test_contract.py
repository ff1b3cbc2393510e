"""The contract: what decides its hash, and what it refuses."""

import pytest

from migrate.checksum.contract import Contract
from migrate.errors import InputError
from migrate.values import LogicalType

MONEY = LogicalType("decimal", 18, 2)
TEXT = LogicalType("text")


def test_order_and_lengths_do_not_count() -> None:
    """Two contracts that encode alike are one: column order, lengths and ranges decide nothing."""
    one = Contract(
        (("net", MONEY), ("key", LogicalType("text", length=20)), ("n", LogicalType("integer", low=0))), ("key",)
    )
    other = Contract((("n", LogicalType("integer")), ("key", LogicalType("text", length=45)), ("net", MONEY)), ("key",))
    assert one == other
    assert one.hash == other.hash
    assert [name for name, _ in one.columns] == ["key", "n", "net"]


@pytest.mark.parametrize(
    "other",
    [
        Contract((("key", TEXT), ("net", LogicalType("decimal", 18, 4))), ("key",)),
        Contract((("key", TEXT), ("net", LogicalType("decimal"))), ("key",)),
        Contract((("key", LogicalType("text", keeps_spaces=False)), ("net", MONEY)), ("key",)),
        Contract((("key", TEXT), ("net", TEXT)), ("key",)),
        Contract((("key", TEXT), ("Net", MONEY)), ("key",)),
        Contract((("key", TEXT), ("net", MONEY)), ("key", "net")),
        Contract((("key", TEXT), ("net", MONEY))),
        Contract((("key", TEXT),), ("key",)),
    ],
)
def test_the_hash_sees_every_change_that_counts(other: Contract) -> None:
    """A name, a type, a scale, padding or the key: each changes the hash."""
    assert other.hash != Contract((("key", TEXT), ("net", MONEY)), ("key",)).hash


def test_json_form() -> None:
    """The JSON form is canonical, readable and read back to the same contract."""
    contract = Contract((("金额", MONEY), ("key", LogicalType("text", keeps_spaces=False))), ("key",))
    assert contract.json == (
        '{"columns":[{"kind":"text","name":"key","padded":true},'
        '{"kind":"decimal","name":"\\u91d1\\u989d","precision":18,"scale":2}],"encoding":"CRE/1","key":["key"]}'
    )
    assert Contract.from_json(contract.json) == contract
    assert Contract.from_json(contract.json).hash == contract.hash


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"encoding":"CRE/2","columns":[],"key":[]}',
        '{"encoding":"CRE/1","columns":[{"name":"a","kind":"x"}],"key":[]}',
    ],
)
def test_other_json_is_refused(text: str) -> None:
    """What is not a contract of this encoding is an error, not an empty contract."""
    with pytest.raises(InputError):
        Contract.from_json(text)


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ((), ()),
        ((("a", TEXT), ("a", MONEY)), ()),
        ((("a", TEXT),), ("b",)),
        ((("a", TEXT),), ("a", "a")),
        ((("a", LogicalType("unsupported")),), ()),
        ((("a", LogicalType("decimal", 5, -2)),), ()),
    ],
)
def test_what_cannot_be_compared_is_refused(columns: tuple[tuple[str, LogicalType], ...], key: tuple[str, ...]) -> None:
    """No columns, a name twice, a key from elsewhere or a type without encoding is an error when the contract is made."""
    with pytest.raises(InputError):
        Contract(columns, key)


def test_without_a_key_all_columns_identify_a_row() -> None:
    """A table without a key is digested too: its key digest is its row digest."""
    contract = Contract((("b", TEXT), ("a", MONEY)))
    assert contract.key_columns == contract.columns
