"""A first mapping from two schemas: sure where names are known, marked where they are not, and never silently incomplete."""

from __future__ import annotations

from pathlib import Path

from migrate.mapping.checking import check_mapping
from migrate.mapping.draft import FILL_IN, Draft, draft_mapping
from migrate.mapping.model import Mapping
from migrate.mapping.reader import parse_mapping
from migrate.values import LogicalType, TableShape
from tests.unit.mapping.harness import INTEGER, MONEY, column, table

DRAFT = Draft("first", "${OLD_URL}", "${NEW_URL}")


def drafted(source: TableShape, target: TableShape) -> tuple[str, Mapping]:
    """The text, and the mapping that it is."""
    text = draft_mapping(source, target, DRAFT)
    return text, parse_mapping(text, Path("first.yaml"))


LEGACY = table(
    "fpxx",
    *(
        column(name)
        for name in ("fpdm", "fphm", "kprq", "xsf_nsrsbh", "xsf_mc", "je", "se", "jshj", "zt", "kpr", "gxsj")
    ),
    key=["fpdm", "fphm"],
)
INVOICE = table(
    "invoice",
    column("key", LogicalType("text", length=100)),
    column("code"),
    column("no"),
    column("issue_date", "date"),
    column("seller_tax_id"),
    column("seller_name"),
    column("net", MONEY),
    column("gross", MONEY),
    column("status", nullable=False),
    column("is_blue", "boolean", nullable=False),
    column("source_system", nullable=False),
    column("risk"),
    key=["key"],
)


def test_pinyin_abbreviations_find_their_columns() -> None:
    """fpdm is the code, je the net amount, kprq the day of issue."""
    _, mapping = drafted(LEGACY, INVOICE)
    sources = {name: spec.from_ for name, spec in mapping.targets[0].fields.items()}
    assert sources["code"] == ("fpdm",)
    assert sources["no"] == ("fphm",)
    assert sources["issue_date"] == ("kprq",)
    assert sources["seller_tax_id"] == ("xsf_nsrsbh",)
    assert sources["net"] == ("je",)
    assert sources["gross"] == ("jshj",)
    assert mapping.targets[0].fields["net"].clean == ("money",)
    assert mapping.targets[0].fields["source_system"].value == "first"
    assert mapping.targets[0].scope == "source_system = 'first'"


def test_what_must_be_filled_in_is_reported_by_check_and_nothing_else() -> None:
    """The draft is a valid file; check names exactly the required columns that nothing was found for."""
    text, mapping = drafted(LEGACY, INVOICE)
    found = check_mapping(mapping, LEGACY, {"invoice": INVOICE})
    assert [finding.path for finding in found] == ["targets[0].fields.key.from", "targets[0].fields.is_blue.from"]
    assert all(FILL_IN in finding.message for finding in found)
    assert "# risk:" in text
    assert "unsure: are these the target's codes?" in text
    assert "Columns of the source that no field uses: se, kpr, gxsj" in text


def test_similar_names_are_marked_as_unsure() -> None:
    """A guess by spelling is never passed off as knowledge."""
    old = table("kunden", column("kundennummer", INTEGER), column("strasse_und_nr"), key=["kundennummer"])
    new = table("customer", column("kundennr", INTEGER), column("strasse_nr"), key=["kundennr"])
    text, mapping = drafted(old, new)
    assert mapping.targets[0].fields["strasse_nr"].from_ == ("strasse_und_nr",)
    assert "# unsure: a similar name" in text
    assert check_mapping(mapping, old, {"customer": new}) == []


def test_strange_names_and_types_give_a_valid_file() -> None:
    """Quotes, colons, Chinese names, floats, generated columns and tables without keys."""
    old = table("a: b", column("发票代码"), column('q"uote'), column("menge", "float"), column("tag: x", "timestamp"))
    new = table(
        "t",
        column("发票代码", nullable=False),
        column('q"uote'),
        column("menge", MONEY),
        column("tag: x", "date"),
        column("made", INTEGER, default_kind="generated"),
    )
    text, mapping = drafted(old, new)
    assert mapping.targets[0].fields["发票代码"].from_ == ("发票代码",)
    assert mapping.targets[0].fields["menge"].sql == 'cast(float_text("menge") as decimal(18,2))'
    assert "made" not in mapping.targets[0].fields
    assert mapping.source.key == (FILL_IN,)
    assert "unsure: timestamp into date" in text


def test_the_same_schemas_give_the_same_text() -> None:
    """A draft can be compared with an earlier one."""
    assert draft_mapping(LEGACY, INVOICE, DRAFT) == draft_mapping(LEGACY, INVOICE, DRAFT)


def test_a_key_that_the_database_could_number_is_mapped_all_the_same() -> None:
    """Without its key a mapping is not valid; any other number that the database gives is left to it."""
    new = table(
        "paid",
        column("id", INTEGER, default_kind="identity"),
        column("seq", INTEGER, default_kind="identity"),
        key=["id"],
    )
    for old_name, source in (("id", ("id",)), ("other_thing", (FILL_IN,))):
        old = table("bill", column(old_name, INTEGER), column("seq", INTEGER), key=[old_name])
        text, mapping = drafted(old, new)
        assert mapping.targets[0].fields["id"].from_ == source
        assert "seq" not in mapping.targets[0].fields
        assert "# seq:   # identity by the database" in text
        errors = [each for each in check_mapping(mapping, old, {"paid": new}) if each.level == "error"]
        assert bool(errors) == (source == (FILL_IN,))
