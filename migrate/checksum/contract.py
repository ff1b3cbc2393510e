"""The contract of a comparison: which columns, brought to which logical types, identified by which key.

Pure. It never looks at rows; two sides that are digested under contracts with different hashes must not be compared.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from migrate.errors import InputError
from migrate.values import Kind, LogicalType

ENCODING = "CRE/1"
"""Version of the row encoding. Any change of a single byte of any encoding is a new version."""


def encodable(logical: LogicalType) -> bool:
    """True if values of this type have a CRE/1 encoding; a column of another type cannot be compared."""
    return logical.kind != "unsupported" and (logical.scale is None or logical.scale >= 0)


@dataclass(frozen=True)
class Contract:
    """Columns with their logical types, and the key, in the form on which both sides agree.

    `columns` may be given in any order and are kept in code-point order of their names, the order in which a row is
    encoded. Of a type only that is kept which decides the encoding: kind, precision and scale of a decimal, and whether
    trailing spaces are padding. So contracts are equal exactly if their hashes are. `key` keeps its order, which decides
    nothing; it is empty for a table without a key.

    Raises InputError for no columns, a name given twice, a key column that is not there, or a type that has no encoding.
    """

    columns: tuple[tuple[str, LogicalType], ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns = tuple(sorted(((name, _essence(logical)) for name, logical in self.columns), key=lambda c: c[0]))
        names = [name for name, _ in columns]
        where = f"columns {', '.join(names) or '(none)'}; key {', '.join(self.key) or '(none)'}"
        if not names or len(set(names)) != len(names) or len(set(self.key)) != len(self.key):
            raise InputError(
                "a contract needs at least one column, and each name once",
                where=where,
                next_step="list each column once",
            )
        if not set(self.key) <= set(names):
            raise InputError("a key column is not among the columns", where=where, next_step="add it to the columns")
        if refused := [name for name, logical in columns if not encodable(logical)]:
            raise InputError(
                "columns whose type cannot be compared",
                where=", ".join(refused),
                next_step="leave them out of the contract; the verdict is then NOT_VERIFIED and names them",
            )
        object.__setattr__(self, "columns", columns)

    @cached_property
    def key_columns(self) -> tuple[tuple[str, LogicalType], ...]:
        """The columns over which the key digest is taken, in code-point order: without a key, all of them."""
        return tuple(column for column in self.columns if column[0] in self.key) or self.columns

    @cached_property
    def json(self) -> str:
        """The one canonical JSON text of this contract: keys sorted, no spaces, ASCII."""
        document = {
            "encoding": ENCODING,
            "columns": [{"name": name, **_type_members(logical)} for name, logical in self.columns],
            "key": sorted(self.key),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of `json`, hex; it stands in reports, ledgers and certificates."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """The contract that `json` wrote; InputError for anything else."""
        try:
            document = json.loads(text)
            if document["encoding"] != ENCODING:
                raise InputError(
                    f"a contract of encoding {document['encoding']}", next_step=f"this version computes {ENCODING} only"
                )
            columns = tuple((str(member["name"]), _type_from(member)) for member in document["columns"])
            return cls(columns, tuple(document["key"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"not a contract: {error!r}", where=text[:80], next_step="give the JSON text of a contract, unchanged"
            ) from error


def _essence(logical: LogicalType) -> LogicalType:
    """The type without the facts that do not change any encoding (lengths, ranges, charsets)."""
    if logical.kind == "decimal":
        return LogicalType("decimal", precision=logical.precision, scale=logical.scale)
    return LogicalType(logical.kind, keeps_spaces=logical.keeps_spaces or logical.kind != "text")


def _type_members(logical: LogicalType) -> dict[str, object]:
    members: dict[str, object] = {"kind": logical.kind}
    if logical.precision is not None:
        members["precision"] = logical.precision
    if logical.scale is not None:
        members["scale"] = logical.scale
    if not logical.keeps_spaces:
        members["padded"] = True
    return members


def _type_from(member: dict[str, Any]) -> LogicalType:
    kind = member["kind"]
    if kind not in get_args(Kind):
        raise ValueError(f"unknown kind {kind!r}")
    return LogicalType(
        kind,
        precision=member.get("precision"),
        scale=member.get("scale"),
        keeps_spaces=not member.get("padded", False),
    )
