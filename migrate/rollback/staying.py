"""Rows that stay as they are when a batch goes back: why, what was there before, what is there now; as a value, as JSON, as findings of the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from migrate.errors import RowsChanged
from migrate.stores.typed_keys import key_text, load_key

Kind = Literal["changed", "deleted", "held"]
"""Somebody changed the row, deleted it, or rows of others point at it."""

CHANGED: Final = "changed since"
DELETED: Final = "deleted since"
HELD: Final = "held fast"
SHOWN: Final = 20
"""Rows that a refusal names in its text; all of them are in its `rows`."""
RULE: Final = "ROLLBACK"
STAYS: Final = "not taken back: "
"""What the findings about rows that stay have in common."""

_KINDS: Final[dict[str, Kind]] = {DELETED: "deleted", HELD: "held"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A row that stays as it is: why, what was recorded of it before the run's change (None: it was not there), and what is there now."""

    target: str
    key: str
    why: str
    before: dict[str, Any] | None
    found: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The key as people read it."""
        return key_text(load_key(self.key))

    @property
    def kind(self) -> Kind:
        """In a word, by how `why` begins."""
        return next((kind for begins, kind in _KINDS.items() if self.why.startswith(begins)), "changed")

    @property
    def detail(self) -> str:
        """What `why` says beyond its kind."""
        return self.why.removeprefix({"changed": CHANGED, "deleted": DELETED, "held": HELD}[self.kind])

    def to_json(self) -> dict[str, Any]:
        """As it goes into JSON documents."""
        return {
            "target": self.target,
            "key": self.key,
            "kind": self.kind,
            "why": self.why,
            "before": _plain(self.before),
            "found": _plain(self.found),
        }


_LOOK: Final = "nothing of this batch was touched; look at these rows, then roll back again, or leave them as they are: --changed skip"


def refusal(run: str, what: str, rows: Sequence[Standing], *, next_step: str = _LOOK) -> RowsChanged:
    """Why `what`, a batch or all of the run, is not taken back, with the names of the rows."""
    shown = "".join(f"\n  {row.target} {row.name}: {row.why}" for row in rows[:SHOWN])
    more = f"\n  … and {len(rows) - SHOWN} more (--json names all)" if len(rows) > SHOWN else ""
    return RowsChanged(
        f"{what} is not taken back, rows of it stand in the way: {_counted(rows)}{shown}{more}",
        [row.to_json() for row in rows],
        where=f"run {run}",
        next_step=next_step,
    )


def findings(rows: Sequence[Standing]) -> pa.Table:
    """The rows as `migrate_finding` has them."""
    names = ("level", "unit_key", "target", "field", "rule", "reason", "value")
    entries = [
        {
            "level": "warn",
            "unit_key": row.key,
            "target": row.target,
            "field": None,
            "rule": RULE,
            "reason": f"{STAYS}{row.why}",
            "value": json.dumps({"before": _plain(row.before), "found": _plain(row.found)}, ensure_ascii=False),
        }
        for row in rows
    ]
    return pa.Table.from_pylist(entries, pa.schema([(name, pa.string()) for name in names]))


def _counted(rows: Sequence[Standing]) -> str:
    """`2 changed since, 1 deleted since`."""
    words = {"changed": CHANGED, "deleted": DELETED, "held": HELD}
    found = Counter[str](row.kind for row in rows)
    return ", ".join(f"{found[kind]} {word}" for kind, word in words.items() if found[kind])


def _plain(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A row for JSON: numbers of any size and times as text."""
    if row is None:
        return None
    return {
        name: value
        if value is None or isinstance(value, str | bool | int)
        else value.hex()
        if isinstance(value, bytes)
        else str(value)
        for name, value in row.items()
    }
