"""Small tables full of conflicts, as values: source units that want the same keys, rows that are there already, red and blue.

`Case` is what a test draws; it knows its tables, its mapping and its rows. `expected` applies its units one by one in source order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from tests.rig.database import Database

Mode = Literal["fail", "keep", "update", "newer"]
MODES: tuple[Mode, ...] = ("fail", "keep", "update", "newer")
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Units and existing rows over a table `head` and, where `child` says so, a table `line` that points at it.

    `unique`: head.u is unique. `linked`: head.up must be a key of head. `key` stays unique in both.
    """

    mode: Mode
    unique: bool
    linked: bool
    child: bool
    heads: list[Row]
    lines: list[Row]
    units: list[Row]
    batch_rows: int

    def prepare(self, source: Database, target: Database) -> None:
        """Create and fill all tables."""
        text = "varchar(20)"
        source.run(
            f"CREATE TABLE src (id integer primary key, k integer, u integer, v integer, c {text}, up integer, l integer)"
        )
        source.insert("src", self.units)
        unique = "unique" if self.unique else ""
        linked = ", FOREIGN KEY (up) REFERENCES head (k)" if self.linked else ""
        target.run(
            f"CREATE TABLE head (k integer NOT NULL PRIMARY KEY, u integer {unique}, v integer, c {text}, up integer,"
            f" extra integer DEFAULT 7, free {text}{linked})",
            f"CREATE TABLE line (l integer NOT NULL PRIMARY KEY, k integer NOT NULL, c {text}, FOREIGN KEY (k) REFERENCES head (k))",
        )
        for row in self.heads:
            target.insert("head", [row])
        target.insert("line", self.lines)

    @property
    def mapping(self) -> str:
        """The mapping, as YAML."""
        policy = "{newer: v}" if self.mode == "newer" else self.mode
        line = f"""
  - table: line
    key: [l]
    on_conflict: {"update" if self.mode == "newer" else self.mode}
    fields: {{l: l, k: k, c: c}}"""
        return f"""
mapping: claims
source: {{table: src, key: [id]}}
targets:
  - table: head
    key: [k]
    on_conflict: {policy}
    fields: {{k: k, u: u, v: v, c: c, up: up}}{line if self.child else ""}
"""


@st.composite
def cases(draw: st.DrawFn, batch_rows: int = 4) -> Case:
    """Any case."""
    mode: Mode = draw(st.sampled_from(MODES))
    unique, linked, child = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    number = st.integers(1, 4)
    keys = draw(st.lists(number, unique=True, max_size=3))
    heads: list[Row] = []
    for key in sorted(keys):
        u = draw(st.none() | number)
        taken = {row["u"] for row in heads}
        up = draw(st.sampled_from([None, key, *(row["k"] for row in heads)]))
        heads.append(
            {
                "k": key,
                "u": None if u in taken else u,
                "v": draw(st.none() | number),
                "c": draw(st.sampled_from("ab")),
                "up": up if linked else None,
                "extra": draw(st.sampled_from([7, 8])),
            }
        )
    lines: list[Row] = []
    if child and keys:
        lines = [
            {"l": line, "k": draw(st.sampled_from(keys)), "c": draw(st.sampled_from("ab"))}
            for line in draw(st.lists(number, unique=True, max_size=2))
        ]
    units = [_unit(draw, each, linked=linked) for each in range(draw(st.integers(1, 9)))]
    if linked and (unique or child):
        units = [_uncontended(unit) for unit in units]
    return Case(mode, unique, linked, child, heads, lines, units, draw(st.integers(1, batch_rows)))


def _unit(draw: st.DrawFn, number: int, *, linked: bool) -> Row:
    key = draw(st.integers(1, 4))
    return {
        "id": number,
        "k": key,
        "u": draw(st.none() | st.integers(1, 4)),
        "v": draw(st.none() | st.integers(1, 4)),
        "c": draw(st.sampled_from("ab")),
        # Parents lie below their children, so that no cycle arises; 9 is nobody.
        "up": draw(st.sampled_from([None, 9, *range(1, key + 1)])) if linked else None,
        "l": draw(st.integers(1, 4)),
    }


def _uncontended(unit: Row) -> Row:
    """A unit that points at another one gets keys that nobody else wants.

    A unit that needs the row of one unit, while a second row of that one needs a key of the first, can end in two ways, each of which is
    consistent: see docs/limits.md.
    """
    if unit["up"] in {None, unit["k"]}:
        return unit
    return {**unit, "k": 10 + unit["id"], "u": None, "l": 10 + unit["id"]}
