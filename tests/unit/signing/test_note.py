"""Signed checkpoints: the format of C2SP, and every alteration found."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrate.errors import NotProven
from migrate.signing.keys import public_bytes
from migrate.signing.note import Checkpoint, open_checkpoint, read_checkpoint, sign_checkpoint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
CHECKPOINT = Checkpoint("example.org/log", 7, hashlib.sha256(b"root").digest())
NOTE = sign_checkpoint(CHECKPOINT, KEY)


def test_a_note_has_three_lines_and_a_signature_below() -> None:
    """Origin, size and root; then a line with the key's name and base64 of the first bytes of its hash and the signature."""
    lines = NOTE.splitlines()
    assert lines[:4] == ["example.org/log", "7", base64.b64encode(CHECKPOINT.root).decode(), ""]
    dash, name, signed = lines[4].split(" ")
    assert (dash, name, len(lines), NOTE[-1]) == ("—", "example.org/log", 5, "\n")
    raw = base64.b64decode(signed)
    public = public_bytes(KEY.public_key())
    assert raw[:4] == hashlib.sha256(b"example.org/log\n\x01" + public).digest()[:4]
    KEY.public_key().verify(raw[4:], "".join(f"{line}\n" for line in lines[:3]).encode())
    assert open_checkpoint(NOTE, KEY.public_key()) == read_checkpoint("\n".join(lines[:3]) + "\n") == CHECKPOINT


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\n7\n", "\n8\n", "checkpoint"),
        ("\n7\n", "\n07\n", "checkpoint"),
        ("example.org/log\n7", "example.org/leg\n7", "checkpoint-signer"),
        ("— example.org/log", "— example.org/leg", "checkpoint-signer"),
        ("\n\n—", "\n—", "checkpoint"),
        ("=\n\n", "\n\n", "checkpoint"),
    ],
)
def test_an_altered_note_is_refused(old: str, new: str, reason: str) -> None:
    """Another size, origin, name, or form has a reason of its own."""
    assert NOTE.count(old) == 1
    with pytest.raises(NotProven) as raised:
        open_checkpoint(NOTE.replace(old, new), KEY.public_key())
    assert raised.value.reason == reason


def test_another_signer_is_refused_beside_others_is_not() -> None:
    """A note of somebody else proves nothing; a line of a witness beside the trusted one does no harm."""
    other = Ed25519PrivateKey.generate()
    with pytest.raises(NotProven) as raised:
        open_checkpoint(sign_checkpoint(CHECKPOINT, other), KEY.public_key())
    assert raised.value.reason == "checkpoint-signer"
    witness = sign_checkpoint(CHECKPOINT, other).splitlines()[-1]
    assert open_checkpoint(f"{NOTE}{witness}\n", KEY.public_key()) == CHECKPOINT
