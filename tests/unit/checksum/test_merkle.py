"""The hash tree: known roots of RFC 6962, blocks, and what is no leaf."""

import pytest

from migrate.checksum.merkle import HASH_BYTES, TreeBuilder, leaf_hash, leaf_hashes, path_within, root_by_path, root_of

# The inputs and roots of the test data of certificate-transparency (RFC 6962's reference implementation).
INPUTS = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(len(ROOTS)))
def test_the_roots_are_those_of_the_reference_implementation(count: int) -> None:
    """Of no leaf up to eight, the published roots come out, at once and leaf by leaf."""
    assert root_of(b"".join(leaf_hash(each) for each in INPUTS[:count])).hex() == ROOTS[count]
    tree = TreeBuilder()
    for each in INPUTS[:count]:
        tree.add(leaf_hash(each))
    assert tree.root.hex() == ROOTS[count]


def test_leaves_of_one_width_are_hashed_one_by_one() -> None:
    """Two leaves in one bytes value have the hashes of two leaves."""
    assert leaf_hashes(b"abcdef", 3) == leaf_hash(b"abc") + leaf_hash(b"def")


def test_an_inner_node_is_no_leaf() -> None:
    """The 64 bytes below a node, shown as a leaf, have another hash than the node; and its path is too short for any leaf."""
    level = b"".join(leaf_hash(each) for each in INPUTS)
    path = path_within(level, 2)
    node = level[2 * HASH_BYTES : 4 * HASH_BYTES]
    assert root_by_path(level[2 * HASH_BYTES : 3 * HASH_BYTES], 2, 8, path) == root_of(level)
    assert root_by_path(leaf_hash(node), 1, 4, path[1:]) != root_of(level)
    assert root_by_path(root_of(node), 1, 4, path[1:]) == root_of(level), "so only the size of the tree tells"
    assert root_by_path(root_of(node), 1, 8, path[1:]) is None


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_root(index: int, size: int) -> None:
    """An index outside of the tree proves nothing, whatever the path is."""
    assert root_by_path(leaf_hash(b""), index, size, []) is None
    with pytest.raises(IndexError):
        path_within(leaf_hash(b"") * size, index)
