"""Ed25519 keys in PEM files, as OpenSSL reads and writes them: the private one for its owner alone, the public one for everybody.

A private key never enters a message, and is not read from a file that others can read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from migrate.errors import EnvironmentFault, InputError, StateError

Key = TypeVar("Key", Ed25519PrivateKey, Ed25519PublicKey)

PRIVATE_MODE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def generate_key(path: Path) -> Path:
    """Make a key pair: `path` (mode 0600) and `path`.pub; the latter is returned.

    StateError when one of them is there: keys are never replaced. InputError for a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", next_step="name a file for the key")
    public_path = path.with_name(path.name + ".pub")
    for each in (path, public_path):
        if each.exists():
            raise StateError(f"{each} is there already", next_step="choose another file: keys are never replaced")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, private)
    with _writing(public_path):
        public_path.write_bytes(public_pem(key.public_key()))
    return public_path


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a file. InputError for a file that has none, StateError for one that others than its owner may read."""
    with _reading(path):
        if path.suffix == ".pub" and path.stat().st_mode & _OTHERS:
            raise InputError(
                f"{path} is the public half of a pair of keys", next_step="sign with the private one: KEY without .pub"
            )
    return _ed25519(
        path,
        lambda: serialization.load_pem_private_key(read_private(path), None),
        Ed25519PrivateKey,  # type: ignore[type-abstract]
        ("not a private key without password in PEM", "migrate certificate keygen -o KEY"),
    )


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key of a PEM file; InputError for a file that has none."""
    with _reading(path):
        content = path.read_bytes()
    if b"PRIVATE KEY-----" in content:
        raise InputError(
            f"{path} is a private key", next_step="give KEY.pub, which `keygen` wrote beside it, and nobody this file"
        )
    return _ed25519(
        path,
        lambda: serialization.load_pem_public_key(content),
        Ed25519PublicKey,  # type: ignore[type-abstract]
        ("not a public key in PEM", "give the file KEY.pub that `keygen` wrote"),
    )


def _ed25519(path: Path, load: Callable[[], object], kind: type[Key], told: tuple[str, str]) -> Key:
    """What `load` finds in the file; InputError, with what is wrong and what to do, where it is no key, or one of another kind."""
    wrong, next_step = told
    try:
        key = load()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(wrong, where=str(path), next_step=next_step) from error
    if not isinstance(key, kind):
        raise InputError("not an Ed25519 key", where=str(path), next_step=next_step)
    return key


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The public key as a PEM file has it."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's 32 bytes, hex: what people compare over the telephone."""
    return hashlib.sha256(public_bytes(key)).hexdigest()


def holds(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """True when the owner of the key signed the content."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that nobody but its owner may read, from its first byte on."""
    with _writing(path), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE), "wb") as file:
        file.write(content)


def read_private(path: Path) -> bytes:
    """The content of a file that is its owner's alone; InputError where there is none, StateError where others may read it."""
    with _reading(path):
        mode = path.stat().st_mode
        if mode & _OTHERS:
            raise StateError(
                f"others than its owner may use {path} (mode {stat.S_IMODE(mode):04o})",
                next_step=f"chmod 600 {path}, and ask yourself who has read it",
            )
        return path.read_bytes()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", next_step="check the name, and that you may read it"
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written: {error.strerror}", where=str(path), next_step="choose another file"
        ) from error
