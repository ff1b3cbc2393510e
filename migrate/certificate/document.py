"""The certificate as a document: what it states, how it is signed, and whether one that somebody shows holds.

Checking needs the file and the public key that one trusts, nothing else: a forger signs his own certificate with his own key.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from migrate.checksum.contract import Contract
from migrate.checksum.merkle import leaf_hash, root_by_path
from migrate.errors import InputError, MigrateError, NotProven
from migrate.ledger.checkpoint import Sealed, event_finding
from migrate.signing.canonical import canonical_digest, canonical_json, parse_strictly
from migrate.signing.keys import holds, key_id
from migrate.signing.note import Checkpoint, open_checkpoint, sign_checkpoint

FORMAT: Final = "fapiao-migrate certificate 1"
PROOF: Final = "fapiao-migrate proof "
"""How the format of every proof begins."""
LOGGED: Final = "certificate"
"""Kind of the event by which the log knows a certificate, and the member of its detail with the certificate's digest."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose signature and log entry were checked. `envelope` is the whole file, `statement` what was signed."""

    envelope: Mapping[str, Any]
    statement: Mapping[str, Any]
    checkpoint: Checkpoint

    def contract(self, table: str) -> Contract:
        """The contract of a table of the certificate."""
        return Contract.from_json(self.statement["tables"][table]["contract"])

    def to_json(self) -> dict[str, Any]:
        """What `check --json` shows."""
        return {"certificate": dict(self.statement), "checkpoint": str(self.checkpoint).splitlines()}


def sign_statement(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, str]:
    """The member `signature` of a certificate with this statement."""
    signature = base64.b64encode(key.sign(_signed_bytes(statement))).decode()
    return {"key": key_id(key.public_key()), "ed25519": signature}


def assemble(statement: Mapping[str, Any], logged: tuple[Checkpoint, Sealed], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The whole file: statement, signature, and its place in the log under a signed checkpoint."""
    checkpoint, sealed = logged
    log = {**asdict(sealed), "checkpoint": sign_checkpoint(checkpoint, key)}
    return {"certificate": dict(statement), "signature": sign_statement(statement, key), "log": log}


def read_certificate(path: Path) -> Any:
    """The content of a certificate file, unchecked. InputError for a file that cannot be read, NotProven (`form`) for what is no JSON."""
    try:
        return parse_strictly(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", next_step="check the name of the file") from error
    except ValueError as error:
        raise NotProven(
            "form",
            f"not a file of this toolkit: {_in_words(error)}",
            where=str(path),
            next_step="give the file that `certificate issue` or `certificate prove` wrote",
        ) from error


def check_envelope(envelope: Any, key: Ed25519PublicKey) -> Certificate:
    """The certificate, if the owner of the key signed all of it; NotProven with a reason of its own for each thing that does not hold."""
    if is_proof(envelope):
        raise NotProven(
            "form", "this is the proof for a row, no certificate", next_step="migrate certificate check-proof"
        )
    try:
        return _checked(envelope, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_of_form("certificate", error) from error
    except MigrateError as error:
        if isinstance(error, NotProven):
            raise
        raise NotProven("form", f"not a certificate: {error.message}") from error


def is_proof(content: Any) -> bool:
    """Whether a file says that it is the proof for a row, of whatever version."""
    return isinstance(content, dict) and str(content.get("format")).startswith(PROOF)


def not_of_form(what: str, error: Exception) -> NotProven:
    """The refusal of what is no certificate or proof, in words and not in those of Python."""
    return NotProven("form", f"not a {what}: {_in_words(error)}")


def _in_words(error: Exception) -> str:
    match error:
        case KeyError():
            return f"{str(error.args[0])[:80]} is not in it"
        case UnicodeDecodeError():
            return "it is no text in UTF-8"
        case json.JSONDecodeError():
            return f"it is no JSON from line {error.lineno}, column {error.colno} on"
        case ValueError():
            return str(error)
        case _:
            return "a part of it is of another kind than it should be"


def _checked(envelope: Any, key: Ed25519PublicKey) -> Certificate:
    statement, signature, log = envelope["certificate"], envelope["signature"], envelope["log"]
    if set(envelope) != {"certificate", "signature", "log"}:
        raise NotProven("form", "not a certificate: there is more in it than statement, signature and log")
    if signature["key"] != key_id(key):
        raise NotProven(
            "signer",
            f"signed with another key ({str(signature['key'])[:16]}…) than the one that you trust ({key_id(key)[:16]}…)",
        )
    if not holds(key, _decoded(signature["ed25519"]), _signed_bytes(statement)):
        raise NotProven("signature", "the certificate was altered: its signature does not fit what it states")
    if statement["format"] != FORMAT:
        raise NotProven("form", f"not a certificate of a version that is known here: {statement['format']}")
    for table in statement["tables"].values():
        Contract.from_json(table["contract"])
    return Certificate(envelope, statement, _check_log(statement, log, key))


def _check_log(statement: Mapping[str, Any], log: Mapping[str, Any], key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint that the log had when the certificate was entered into it."""
    sealed = Sealed(log["event"], log["seal"], tuple(log["path"]))
    if json.loads(sealed.event["detail"])[LOGGED] != canonical_digest(statement):
        raise NotProven("log-entry", "the entry of the log is that of another certificate")
    finding = event_finding(sealed)
    if finding is not None:
        raise NotProven("log-entry", f"the entry of the log does not hold: {finding}")
    checkpoint = open_checkpoint(log["checkpoint"], key)
    number = sealed.seal["seal_no"]
    if number > checkpoint.size:
        raise NotProven(
            "checkpoint-old",
            f"the checkpoint is older than the certificate: seal {number} is not among its {checkpoint.size}",
        )
    leaf = leaf_hash(sealed.seal["hash"].encode())
    path = [bytes.fromhex(each) for each in sealed.path]
    if root_by_path(leaf, number - 1, checkpoint.size, path) != checkpoint.root:
        raise NotProven(
            "log-path", f"seal {number}, which has the certificate's entry, is not in the log of the checkpoint"
        )
    return checkpoint


def _signed_bytes(statement: Mapping[str, Any]) -> bytes:
    # The first line keeps a signature over a certificate from ever being one over something else.
    return f"{FORMAT}\n{canonical_json(statement)}".encode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
