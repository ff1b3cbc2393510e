"""Signing keys: for their owner alone, never replaced, and in the form that OpenSSL reads."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from migrate.errors import EnvironmentFault, InputError, StateError
from migrate.signing.keys import generate_key, holds, key_id, read_private_key, read_public_key


def test_a_pair_signs_and_checks(tmp_path: Path) -> None:
    """The private key is its owner's alone, and what it signs the public one confirms, and nothing else."""
    public_path = generate_key(tmp_path / "a.key")
    assert public_path == tmp_path / "a.key.pub"
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    private, public = read_private_key(tmp_path / "a.key"), read_public_key(public_path)
    signature = private.sign(b"text")
    assert holds(public, signature, b"text")
    assert not holds(public, signature, b"Text")
    assert not holds(public, b"", b"text")
    assert key_id(private.public_key()) == key_id(public)


@pytest.mark.parametrize("ending", ["", ".pub"])
def test_a_key_is_never_replaced(tmp_path: Path, ending: str) -> None:
    """Neither half is written over, and nothing is written when one is there."""
    (tmp_path / f"a.key{ending}").write_text("mine")
    with pytest.raises(StateError, match="is there already"):
        generate_key(tmp_path / "a.key")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Group or others with any right to the file: exit 4, with the mode in the message."""
    generate_key(tmp_path / "a.key")
    (tmp_path / "a.key").chmod(mode)
    with pytest.raises(StateError, match=f"0{mode:o}"):
        read_private_key(tmp_path / "a.key")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    """No file, other content, the wrong half and a key of another kind are mistakes of the user."""
    generate_key(tmp_path / "a.key")
    (tmp_path / "text").write_text("text")
    (tmp_path / "text").chmod(0o600)
    other = ec.generate_private_key(ec.SECP256R1())
    private = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ec").write_bytes(private)
    (tmp_path / "ec").chmod(0o600)
    pem, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "ec.pub").write_bytes(other.public_key().public_bytes(pem, form))
    for name in ("none", "text", "ec"):
        with pytest.raises(InputError):
            read_private_key(tmp_path / name)
    for name in ("none", "text", "a.key", "ec.pub"):
        with pytest.raises(InputError):
            read_public_key(tmp_path / name)
    with pytest.raises(EnvironmentFault):
        generate_key(tmp_path / "no folder" / "a.key")
