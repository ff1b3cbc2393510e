"""Signed notes (C2SP signed-note) with a checkpoint of a log as text (C2SP tlog-checkpoint): origin, size and root, one a line.

The three lines can be printed and compared by people; the signature below them can be checked by every tool that knows the format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from migrate.checksum.merkle import HASH_BYTES
from migrate.errors import NotProven
from migrate.signing.keys import holds, public_bytes

_ED25519: Final = b"\x01"
"""The signature type of the format."""
_ID_BYTES: Final = 4
_CHECKPOINT = re.compile(r"([^\s+]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n")
_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log as it stood: `origin` names the log, `size` counts its entries, `root` is the root of the tree over them (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The checkpoint as a note that the key signed; the key goes by the name of the log's origin."""
    text = str(checkpoint)
    signed = _key_hash(checkpoint.origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n— {checkpoint.origin} {base64.b64encode(signed).decode()}\n"


def open_checkpoint(note: str, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint of a note that the owner of the key signed; NotProven (`checkpoint`) for every other note."""
    text, separator, signatures = note.partition("\n\n")
    checkpoint = read_checkpoint(f"{text}\n" if separator else text)
    expected = _key_hash(checkpoint.origin, key)
    for line in signatures.splitlines():
        matched = _SIGNATURE.fullmatch(line)
        signed = b"" if matched is None else _bytes(matched[2])
        if matched is not None and matched[1] == checkpoint.origin and signed[:_ID_BYTES] == expected:
            if holds(key, signed[_ID_BYTES:], str(checkpoint).encode()):
                return checkpoint
            raise NotProven("checkpoint", "the checkpoint of the log was altered: its signature does not fit its lines")
    raise NotProven("checkpoint-signer", "the checkpoint of the log is not signed with the key that you trust")


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that three lines state, whoever wrote them; NotProven (`checkpoint`) for other text."""
    matched = _CHECKPOINT.fullmatch(text)
    root = b"" if matched is None else _bytes(matched[3])
    if matched is None or len(root) != HASH_BYTES:
        raise NotProven(
            "checkpoint",
            "not a checkpoint: expected the three lines origin, size and root (base64)",
            next_step="compare it with the certificate or the sheet, letter by letter",
        )
    return Checkpoint(matched[1], int(matched[2]), root)


def _key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_bytes(key)).digest()[:_ID_BYTES]


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
