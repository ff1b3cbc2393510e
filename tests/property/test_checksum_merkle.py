"""The hash tree against the definitions of RFC 6962, written down as they stand there."""

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.merkle import (
    BLOCK_LEAVES,
    HASH_BYTES,
    TreeBuilder,
    inclusion_path,
    leaf_hashes,
    path_within,
    root_by_path,
    root_of,
)

contents = st.lists(st.integers(0, 255).map(lambda byte: bytes([byte])), min_size=1, max_size=70)
sizes = st.integers(1, 5) | st.integers(BLOCK_LEAVES - 2, BLOCK_LEAVES + 2) | st.integers(1, 2 * BLOCK_LEAVES + 70)


def split(count: int) -> int:
    """The largest power of two below the number of leaves."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH(D[n]) of section 2.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    at = split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:at]) + naive_root(leaves[at:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(leaves) == 1:
        return []
    at = split(len(leaves))
    if index < at:
        return [*naive_path(index, leaves[:at]), naive_root(leaves[at:])]
    return [*naive_path(index - at, leaves[at:]), naive_root(leaves[:at])]


@given(sizes, st.data())
def test_roots_and_paths_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    """Leaves that are added in any pieces have the root of the definition, and each of them its path."""
    leaves = [number.to_bytes(4, "big") for number in range(size)]
    hashes = leaf_hashes(b"".join(leaves), 4)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
    tree = TreeBuilder()
    for start, end in pairwise([0, *cuts, size]):
        tree.add(hashes[start * HASH_BYTES : end * HASH_BYTES])
    assert tree.root == root_of(hashes) == naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    first = (index - index % BLOCK_LEAVES) * HASH_BYTES
    block = hashes[first : first + BLOCK_LEAVES * HASH_BYTES]
    path = inclusion_path(block, tree.blocks, index)
    assert path == path_within(hashes, index) == naive_path(index, leaves)
    assert root_by_path(hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES], index, size, path) == tree.root


@given(contents, st.data())
def test_whatever_is_altered_leads_elsewhere(leaves: list[bytes], data: st.DataObject) -> None:
    """Another leaf, another hash on the path, a hash more or less, or the place of another content never lead to the root."""
    hashes = leaf_hashes(b"".join(leaves), 1)
    size, root = len(leaves), root_of(hashes)
    index = data.draw(st.integers(0, size - 1))
    leaf, path = hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES], path_within(hashes, index)
    flipped = bytes([leaf[0] ^ 1]) + leaf[1:]
    assert root_by_path(flipped, index, size, path) != root
    for place, sibling in enumerate(path):
        altered = [*path[:place], bytes([sibling[0] ^ 1]) + sibling[1:], *path[place + 1 :]]
        assert root_by_path(leaf, index, size, altered) != root
        assert root_by_path(leaf, index, size, path[:place] + path[place + 1 :]) != root
    assert root_by_path(leaf, index, size, [*path, leaf]) is None
    other = data.draw(st.integers(0, size - 1))
    if leaves[other] != leaves[index]:
        assert root_by_path(leaf, other, size, path_within(hashes, other)) != root
