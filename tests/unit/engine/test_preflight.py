"""What planning finds in the shapes of source and target."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.engine.preflight import Preflight, in_key_order, preflight
from migrate.values import INT64_HIGH, INT64_LOW, Column, ForeignKey, LogicalType, TableShape, UniqueKey
from migrate.write.target import WriteTarget

INTEGER = LogicalType("integer", low=INT64_LOW, high=INT64_HIGH)
TEXT = LogicalType("text")
ID = Column("id", INTEGER, nullable=False)
NAME = Column("name", TEXT)
KEYED = TableShape("src", (ID, NAME), unique_keys=(UniqueKey("pk", ("id",), primary=True),))


def target(**facts: Any) -> WriteTarget:
    """A target `t` (id, name), keyed by id, whose shape has these facts besides."""
    facts = {"columns": (ID, NAME), "unique_keys": (UniqueKey("pk", ("id",), primary=True),), **facts}
    shape = TableShape("t", **facts)
    contract = Contract((("id", INTEGER), ("name", TEXT)), ("id",))
    return WriteTarget(shape, ("id", "name"), ("id",), "fail", None, None, False, contract)


def found(source: TableShape, order: tuple[str, ...], *targets: WriteTarget, resumable: bool = True) -> list[Preflight]:
    """The findings."""
    return preflight(source, order, targets, resumable=resumable)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """A keyed source and a plain keyed target give no finding."""
    assert found(KEYED, ("id",), target()) == []


def test_what_makes_writing_unsafe_is_an_error_and_comes_first() -> None:
    """Obstacles, a missing unique key and cascades refuse a run, each with what to do; remarks and hints follow."""
    cascade = ForeignKey("fk", ("name",), "p", ("id",), cascades=True)
    one = target(obstacles=("trigger x",), remarks=("lk is unique over expressions",), foreign_keys=(cascade,))
    other = target(unique_keys=(UniqueKey("u", ("name",)),))
    findings = found(KEYED, ("name",), one, other)
    assert [each.level for each in findings] == ["error", "error", "error", "warning", "warning", "info"]
    assert all(each.next_step for each in findings if each.level == "error")
    assert "trigger x" in findings[0].message
    assert "cascades" in findings[1].message
    assert "no unique key over (id)" in findings[2].message


def test_how_a_source_without_a_key_is_read_is_said() -> None:
    """By physical place: a broken run cannot be resumed. By a key that nothing makes unique: rows are told apart by content."""
    (place,) = found(KEYED, ("id",), target(), resumable=False)
    assert place.level == "warning"
    assert "cannot be resumed" in place.message
    double, nullable = found(KEYED, ("name",), target())
    assert "nothing in the database says that (name) is unique" in double.message
    assert "can be NULL" in nullable.message


def test_a_key_that_folds_or_may_be_null_is_said() -> None:
    """A target key under a folding collation, and one that may be NULL."""
    folding = Column("id", TEXT, nullable=True, collation="utf8mb4_general_ci")
    messages = [each.message for each in found(KEYED, ("id",), target(columns=(folding, NAME)))]
    assert any("holds different texts equal" in message for message in messages)
    assert any("units with NULL there are rejected" in message for message in messages)


def test_what_the_database_fills_is_said() -> None:
    """Columns that are not written and have no constant default are read back."""
    stamped = Column("at", LogicalType("timestamp"), default_kind="expression", default="now()")
    (finding,) = found(KEYED, ("id",), target(columns=(ID, NAME, stamped)))
    assert finding.level == "info"
    assert "(at) is filled by the database" in finding.message


@given(st.data())
def test_parents_come_before_children(data: st.DataObject) -> None:
    """For any acyclic foreign keys, given in any order, each table comes after all tables it points at; none is lost."""
    names = data.draw(st.permutations("abcdef"))
    ranks = sorted(names)
    parents = {name: data.draw(st.sets(st.sampled_from(ranks[: ranks.index(name)] or ["zz"]))) for name in names}
    tables = {
        name: TableShape(
            name,
            (ID,),
            foreign_keys=(
                *(ForeignKey(f"to {parent}", ("id",), parent, ("id",)) for parent in sorted(parents[name])),
                ForeignKey("self", ("id",), name, ("id",)),
            ),
        )
        for name in names
    }
    order = in_key_order(tables)
    assert sorted(order) == ranks
    for name, above in parents.items():
        assert all(order.index(parent) < order.index(name) for parent in above - {"zz"})


def test_cycles_keep_every_table() -> None:
    """Tables that point at each other stay in the order given, and what hangs on them comes after."""

    def pointing(name: str, parent: str) -> TableShape:
        return TableShape(name, (ID,), foreign_keys=(ForeignKey("fk", ("id",), parent, ("id",)),))

    tables = {"c": pointing("c", "b"), "a": pointing("a", "b"), "b": pointing("b", "a")}
    assert sorted(in_key_order(tables)) == ["a", "b", "c"]
    assert in_key_order({"a": pointing("a", "b"), "b": pointing("b", "a")}) == ["a", "b"]
