"""What a source may be asked to compute: forms that mean the same everywhere, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from migrate.mapping.model import FieldSpec
from migrate.values import Column, LogicalType, TableShape
from migrate.verify.source_forms import (
    Comparison,
    DateForm,
    Junction,
    NoForm,
    NumberForm,
    TextForm,
    UnsureColumn,
    condition_form,
    group_form,
    number_form,
)

TEXT, DAY = Column("said", LogicalType("text")), Column("day", LogicalType("date"))
PADDED = Column("padded", LogicalType("text", length=4, keeps_spaces=False))
COUNT, RATE = Column("count", LogicalType("integer")), Column("rate", LogicalType("float"), declared="double precision")
SOURCE = TableShape("src", (TEXT, DAY, PADDED, COUNT, RATE))
TARGET = TableShape("dst", (Column("t", LogicalType("text")), Column("d", LogicalType("date"))))


def fields(**given: Any) -> dict[str, FieldSpec]:
    """The fields of a target."""
    return {name: FieldSpec.model_validate(spec) for name, spec in given.items()}


@pytest.mark.parametrize("spec", ["said", "count", {"from": "said", "clean": "money", "nulls": ["", " "], "type": "decimal(18,2)"}, {"sql": "cast(said as decimal(9,2))"}, {"sql": "money(said)"}])  # fmt: skip
def test_numbers_that_are_copied_are_asked_for(spec: Any) -> None:
    """A column, also through steps that leave a plain number as it is."""
    assert isinstance(number_form("n", fields(n=spec), SOURCE), NumberForm)


@pytest.mark.parametrize("spec", ["rate", "padded", {"sql": "coalesce(count, 0)"}, {"from": "said", "default": "0"}, {"from": "said", "clean": "digits"}, {"from": "said", "values": {"a": "1"}}, {"sql": "count * 2"}, {"value": "1"}])  # fmt: skip
def test_numbers_that_are_made_are_not(spec: Any) -> None:
    """Floats, padded texts, defaults, codes and arithmetic."""
    with pytest.raises(NoForm):
        number_form("n", fields(n=spec), SOURCE)


def test_a_copy_that_cannot_be_asked_about_says_what_its_column_is() -> None:
    """A float or a padded text is copied all the same: the column is in the way, and not what the mapping does; arithmetic is of the mapping."""
    for name, why in (
        ("rate", "rate is of type double precision, of whose values"),
        ("padded", "padded has no declared type"),
    ):
        with pytest.raises(UnsureColumn) as unsure:
            number_form("n", fields(n=name), SOURCE)
        assert unsure.value.why.text().startswith(why)
    with pytest.raises(NoForm) as made:
        number_form("n", fields(n={"sql": "count * 2"}), SOURCE)
    assert not isinstance(made.value, UnsureColumn)


def test_groups_are_copies_or_parts_of_dates() -> None:
    """Texts with their codes, and months; a lookup, a format or another function has no form."""
    given = fields(t={"from": "said", "values": {"a": "1"}, "default": "9"}, d="day")
    assert group_form("t", given, TARGET, SOURCE) == TextForm(TEXT, (), (("a", "1"),), "9")
    assert group_form("strftime(d, '%Y-%m')", given, TARGET, SOURCE) == DateForm(DAY, "%Y-%m")
    for text in ("strftime(d, '%d')", "upper(t)", "strftime(t, '%Y')", "'x'"):
        with pytest.raises(NoForm):
            group_form(text, given, TARGET, SOURCE)
    with pytest.raises(NoForm):
        group_form("t", fields(t={"from": "said", "clean": "trim"}), TARGET, SOURCE)


def test_conditions_compare_columns_with_constants() -> None:
    """Texts by equality, integers by size, with three values; all else has no form."""
    found = condition_form("(said is null or said <> '9') and count >= -1 or not said in ('a')", SOURCE)
    assert isinstance(found, Junction)
    assert condition_form("coalesce(said, '') = 'x'", SOURCE) == Comparison(TEXT, "=", ("x",), "")
    for text in ("said < 'x'", "padded = 'x'", "rate = 1", "length(said) = 1", "count = 1.5", "said like 'x%'", "trim(said) = 'x'"):  # fmt: skip
        with pytest.raises(NoForm):
            condition_form(text, SOURCE)
