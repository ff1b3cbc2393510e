"""What hides the rows of a proof tree from whoever sees the proof of another row: HMAC-SHA256 under the secret of a certificate.

Without it, a neighbour's leaf could be found by trying amounts and names. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

SECRET_BYTES: Final = 32


def hidden_key(secret: bytes, key: bytes) -> bytes:
    """K', by which leaves are sorted and found: 32 bytes for the encoding of a key."""
    return hmac.digest(secret, key, "sha256")


def salt_of(secret: bytes, key: bytes) -> bytes:
    """The salt of the row with this key: HMAC of the key digest. It is given away with the proof of its row, and tells nothing about others."""
    return hmac.digest(secret, hashlib.sha256(key).digest(), "sha256")


def salted_row(salt: bytes, row: bytes) -> bytes:
    """The digest of a row encoding behind its salt."""
    return hashlib.sha256(salt + row).digest()
