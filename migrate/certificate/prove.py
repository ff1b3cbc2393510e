"""`certificate prove` and `check-proof`: that one row is among those of a certificate, to somebody who sees no other row and no database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from migrate.certificate.collect import LEAVES, SECRET
from migrate.certificate.document import PROOF, Certificate, check_envelope, is_proof, not_of_form, read_certificate
from migrate.certificate.hiding import hidden_key, salt_of, salted_row
from migrate.certificate.issue import beside
from migrate.certificate.leaves import TableLeaves
from migrate.certificate.rows import fields_of, key_encoding
from migrate.checksum.contract import Contract
from migrate.checksum.merkle import HASH_BYTES, inclusion_path, leaf_hash, root_by_path, root_of
from migrate.errors import InputError, NotProven
from migrate.signing.keys import read_private, read_public_key

FORMAT: Final = f"{PROOF}1"

_MEMBERS: Final = frozenset(
    ("format", "table", "key", "row", "salt", "hidden_key", "leaf", "index", "path", "certificate")
)


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof that holds: the table, the key and all columns of the row as canonical texts, and the certificate it is of."""

    certificate: Certificate
    table: str
    key: Mapping[str, str | None]
    row: Mapping[str, str | None]

    def to_json(self) -> dict[str, Any]:
        """What `check-proof --json` shows."""
        return {"table": self.table, "key": dict(self.key), "row": dict(self.row), **self.certificate.to_json()}


def prove(file: Path, key: Mapping[str, str], table: str | None = None) -> dict[str, Any]:
    """The proof for the row with this key, from FILE, FILE.leaves and FILE.secret.

    Raises InputError for a key that no table has, StateError for a secret that others may read, NotProven for a row that is not there (`absent`) or
    files that do not belong together (`secret`, `leaves`).
    """
    envelope = read_certificate(file)
    if is_proof(envelope):
        raise NotProven(
            "form", "this is a proof already, no certificate", where=str(file), next_step="name the certificate"
        )
    name, contract = _table_of(envelope, key, table, file)
    stated = envelope["certificate"]["tables"][name]
    encoded = key_encoding(contract, key)
    secret = _secret(beside(file, SECRET), envelope["certificate"]["secret_sha256"])
    leaves = TableLeaves(beside(file, LEAVES), name)
    roots = leaves.roots()
    if leaves.rows != stated["rows"] or root_of(roots).hex() != stated["proof_root"]:
        raise NotProven(
            "leaves", "the leaves are not those of the certificate: their root is another one", where=str(file)
        )
    hidden = hidden_key(secret, encoded)
    index = leaves.find(hidden)
    if index is None:
        raise NotProven(
            "absent",
            "no row with this key is in the certificate",
            where=name,
            next_step="check the key, letter by letter",
        )
    row, salt = leaves.row(index), salt_of(secret, encoded)
    content = hidden + salted_row(salt, row)
    proof = {
        "format": FORMAT,
        "table": name,
        "key": {column: fields_of(contract, row)[column] for column in contract.key},
        "row": row.decode(),
        "salt": salt.hex(),
        "hidden_key": hidden.hex(),
        "leaf": leaf_hash(content).hex(),
        "index": index,
        "path": [each.hex() for each in inclusion_path(leaves.block_of(index), roots, index)],
        "certificate": envelope,
    }
    _require_whole(proof, contract, stated)
    return proof


def check_proof(file: Path, trusted: Path, key: Mapping[str, str] | None = None) -> Proven:
    """What a proof proves, if it holds; NotProven with a reason of its own for each thing that does not.

    With `key`, only a proof for the row with that key will do.
    """
    trusted_key = read_public_key(trusted)
    proof = read_certificate(file)
    if not is_proof(proof) and isinstance(proof, dict) and "signature" in proof:
        raise NotProven("form", "this is a certificate, no proof for a row", next_step="migrate certificate check")
    try:
        if proof["format"] != FORMAT:
            raise NotProven("form", f"not a proof of a version that is known here: {proof['format']}")
        if set(proof) != _MEMBERS:
            # Nobody signed what else may be written there, and people would read it as proven.
            raise NotProven("form", "not a proof: there is more or less in it than in one")
        certificate = check_envelope(proof["certificate"], trusted_key)
        stated = certificate.statement["tables"][proof["table"]]
        contract = certificate.contract(proof["table"])
        row = _require_whole(proof, contract, stated)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_of_form("proof", error) from error
    if key is not None and not _is_row_of(contract, row, key):
        raise NotProven("key", f"a proof for another row: {_shown(proof['key'])}")
    return Proven(certificate, proof["table"], proof["key"], row)


def _require_whole(proof: Mapping[str, Any], contract: Contract, stated: Mapping[str, Any]) -> dict[str, str | None]:
    """The fields of the row, if leaf and path lead from it to the proof root that is stated."""
    row = proof["row"].encode()
    try:
        fields = fields_of(contract, row)
    except ValueError as error:
        raise NotProven("row", f"the row was altered: {error}") from error
    if proof["key"] != {column: fields[column] for column in contract.key}:
        raise NotProven("key", f"the row has another key than the proof says: {_shown(proof['key'])}")
    content = _hash(proof["hidden_key"]) + salted_row(_hash(proof["salt"]), row)
    leaf = _hash(proof["leaf"])
    root = root_by_path(leaf, proof["index"], stated["rows"], [_hash(each) for each in proof["path"]])
    if root is None:
        raise NotProven("depth", "the path does not begin at a leaf: its length is not that of the place in the tree")
    if leaf_hash(content) != leaf:
        raise NotProven("row", "the row was altered: it does not have the hash of its leaf")
    if root.hex() != stated["proof_root"]:
        raise NotProven("node", "a hash of the path was altered: it does not lead to the root of the certificate")
    return fields


def _table_of(envelope: Any, key: Mapping[str, str], table: str | None, file: Path) -> tuple[str, Contract]:
    """The table whose key has these columns."""
    try:
        tables = envelope["certificate"]["tables"].items()
        contracts = {name: Contract.from_json(each["contract"]) for name, each in tables}
    except (KeyError, TypeError, AttributeError) as error:
        raise NotProven("form", "not a certificate", where=str(file)) from error
    found = [name for name, each in contracts.items() if set(each.key) == set(key) and table in {None, name}]
    if len(found) != 1:
        known = "; ".join(f"{name}: {', '.join(each.key)}" for name, each in contracts.items())
        raise InputError(
            "several tables have this key" if found else "no table of the certificate has a key of these columns",
            where=", ".join(key),
            next_step=f"give all columns of one key, and --table where several have it ({known})",
        )
    return found[0], contracts[found[0]]


def _secret(path: Path, digest: str) -> bytes:
    try:
        secret = bytes.fromhex(read_private(path).decode())
    except ValueError:
        secret = b""
    if hashlib.sha256(secret).hexdigest() != digest:
        raise NotProven(
            "secret", f"{path} is not the secret of this certificate", next_step="find the one that was written with it"
        )
    return secret


def _is_row_of(contract: Contract, row: Mapping[str, str | None], key: Mapping[str, str]) -> bool:
    keys = Contract(contract.key_columns, contract.key)
    return set(key) == set(contract.key) and fields_of(keys, key_encoding(contract, key)) == {
        name: row[name] for name in contract.key
    }


def _hash(text: str) -> bytes:
    content = bytes.fromhex(text)
    if len(content) != HASH_BYTES:
        raise ValueError(f"{text[:80]} is no hash")
    return content


def _shown(key: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items()) if isinstance(key, dict) else repr(key)
