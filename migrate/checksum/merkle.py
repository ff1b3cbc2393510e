"""The hash tree of RFC 6962 (section 2.1) over SHA-256: root, proof that a leaf is in it, and the check of such a proof.

Pure. A level of the tree is one bytes value, 32 bytes a node, so that millions of leaves need no object each. Leaves are added in blocks of
`BLOCK_LEAVES`, of which only the root is kept; a proof needs the leaves of one block and the roots of all. Leaf and inner node are hashed behind
different first bytes: without them, an inner node could be shown as a leaf of 64 bytes.
"""

from __future__ import annotations

import hashlib
from typing import Final

HASH_BYTES: Final = 32
BLOCK_LEAVES: Final = 1024
"""A power of two: then a block is a subtree of its own, wherever the tree ends."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf with this content."""
    return hashlib.sha256(_LEAF + content).digest()


def leaf_hashes(contents: bytes, width: int) -> bytes:
    """The hashes of leaves of `width` bytes each, one behind the other."""
    sha256 = hashlib.sha256
    return b"".join([sha256(_LEAF + contents[at : at + width]).digest() for at in range(0, len(contents), width)])


def root_of(level: bytes) -> bytes:
    """The root over the hashes of a level; of none, SHA-256 of nothing."""
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > HASH_BYTES:
        level = _level_above(level)
    return level


class TreeBuilder:
    """Adds up leaf hashes, in the order of the leaves, and keeps the roots of their blocks only."""

    def __init__(self) -> None:
        self._open = b""
        self._blocks = bytearray()

    def add(self, hashes: bytes) -> None:
        """Add the next leaf hashes."""
        whole = self._open + hashes
        step = BLOCK_LEAVES * HASH_BYTES
        full = len(whole) - len(whole) % step
        for at in range(0, full, step):
            self._blocks += root_of(whole[at : at + step])
        self._open = whole[full:]

    @property
    def blocks(self) -> bytes:
        """The roots of all blocks, the last of which may be short."""
        return bytes(self._blocks) + (root_of(self._open) if self._open else b"")

    @property
    def root(self) -> bytes:
        """The root of what was added."""
        return root_of(self.blocks)


def path_within(level: bytes, index: int) -> list[bytes]:
    """The siblings of node `index` from this level up to the root over it, lowest first; IndexError for a node that is not there."""
    if not 0 <= index < len(level) // HASH_BYTES:
        raise IndexError(index)
    path = []
    while len(level) > HASH_BYTES:
        sibling = (index ^ 1) * HASH_BYTES
        if sibling < len(level):
            path.append(level[sibling : sibling + HASH_BYTES])
        level, index = _level_above(level), index >> 1
    return path


def inclusion_path(block: bytes, blocks: bytes, index: int) -> list[bytes]:
    """The proof for leaf `index` of a tree: `block` has the leaf hashes of its block, `blocks` the roots of all blocks."""
    return path_within(block, index % BLOCK_LEAVES) + path_within(blocks, index // BLOCK_LEAVES)


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that a tree of `size` leaves has if its leaf `index` has the hash `leaf` and `path` is right; None for a path of wrong length.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    here, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if here & 1 or here == last:
            found = _node(sibling, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = _node(found, sibling)
        here, last = here >> 1, last >> 1
    return found if last == 0 else None


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def _level_above(level: bytes) -> bytes:
    """The hashes of the parents; a node without sibling goes up as it is."""
    sha256, pair = hashlib.sha256, 2 * HASH_BYTES
    paired = len(level) - len(level) % pair
    parents = [sha256(_NODE + level[at : at + pair]).digest() for at in range(0, paired, pair)]
    return b"".join(parents) + level[paired:]
