"""Is the SQL form of a table's rows that of the reference evaluator? Proven on rows of this very table, read without loss beside their form.

About a thousand rows from everywhere, and rows made of the extremes of every column: least, greatest, longest, NULL. One byte of difference
refutes it. Nothing here is remembered: another connection, another proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import NotEncodable, encode_row
from migrate.checksum.sql_form import SqlForm, StoredRelation
from migrate.checksum.sql_scan import extremes, has_length, lengths, longest, spread
from migrate.stores.port import ANOMALY, SqlReader

SAMPLE_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Proof:
    """How many rows were encoded both ways, and what the first that differs is like (None: none does)."""

    rows: int
    differs: str | None = None


def proven_on_sample(reader: SqlReader, relation: StoredRelation, contract: Contract, form: SqlForm) -> Proof:
    """Rows from everywhere in the relation (of this reader, or a part of it), or all of a small one. Raises what the store raises when the database refuses the statement."""
    proof = _proven(reader, contract, form, relation.sql, spread(relation, SAMPLE_ROWS))
    if proof.differs is None and proof.rows < SAMPLE_ROWS:
        # An estimate that is far too high leaves few rows, or none.
        proof = _proven(reader, contract, form, relation.sql, f"LIMIT {SAMPLE_ROWS}")
    return proof


def proven_on_extremes(reader: SqlReader, relation: StoredRelation, contract: Contract, form: SqlForm) -> Proof:
    """Rows of least, greatest, longest values and of NULLs: two scans of the table, without the rows. Raises as the other."""
    names = tuple(name for name, _ in contract.columns)
    texts = tuple(name for name in names if has_length(relation.column(name)))
    origins = extremes(relation, names)
    if texts:
        (found,) = reader.ask(lengths(relation, texts))
        known = {name: int(length) for name, length in zip(texts, found, strict=True) if length is not None}
        origins.append(longest(relation, names, known))
    rows = 0
    for origin in origins:
        proof = _proven(reader, contract, form, origin, "")
        if proof.differs is not None:
            return proof
        rows += proof.rows
    return Proof(rows)


def _proven(reader: SqlReader, contract: Contract, form: SqlForm, origin: str, tail: str) -> Proof:
    names = tuple(name for name, _ in contract.columns)
    rows, differs = 0, None
    for encoded, batch in reader.beside(form.row_bytes, names, origin, tail):
        # A result is read to its end: the connection is free only then.
        differs = differs or first_difference(contract, encoded, batch)
        rows += batch.num_rows
    return Proof(rows, differs)


def first_difference(contract: Contract, encoded: pa.Array, batch: pa.RecordBatch) -> str | None:
    """The columns of the first row whose encoding by SQL (binary; null: poison) is not that of the reference evaluator; None where all are."""
    for place, by_sql in enumerate(encoded.to_pylist()):
        row = batch.slice(place, 1)
        reference = None if row.column(ANOMALY)[0].is_valid else _reference(contract, row)
        if by_sql != reference:
            return _shown(by_sql, reference)
    return None


def _reference(contract: Contract, row: pa.RecordBatch) -> bytes | None:
    try:
        return encode_row(contract, {name: row.column(name)[0].as_py() for name, _ in contract.columns})
    except (NotEncodable, ValueError, OverflowError):
        # Python has no such day either.
        return None


def _shown(by_sql: bytes | None, reference: bytes | None) -> str:
    """Where they part, without a value of the row: reports go further than the data may."""
    if by_sql is None or reference is None:
        side = "SQL" if by_sql is None else "the reference evaluator"
        return f"a row has no encoding by {side} only"
    same = next(
        (at for at, (one, other) in enumerate(zip(by_sql, reference, strict=False)) if one != other),
        min(len(by_sql), len(reference)),
    )
    return f"the encoding of a row differs at byte {same}"
