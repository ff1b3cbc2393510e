"""The mappings in mappings/ fit the legacy database and the canonical tables, and treat planted defects as the rules say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from fixtures.cli import main as fixtures
from migrate.invoice.schema import METADATA
from migrate.mapping.checking import check_mapping
from migrate.mapping.compile import compile_mapping
from migrate.mapping.lookups import load_file_lookup
from migrate.mapping.mapped import Mapped
from migrate.mapping.program import Program
from migrate.mapping.reader import read_mapping
from migrate.mapping.transformer import Transformer
from migrate.stores.opening import open_source, open_target
from migrate.values import KeyRange
from tests.unit.mapping.harness import assert_complete

FOLDER = Path(__file__).parents[3] / "mappings"
NAMES = ("legacy_vat", "legacy_vat_lines", "legacy_vat_red_links")


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, dict[str, Any]]:
    """A legacy database with defects, an empty new one, and the manifest of the defects."""
    folder = tmp_path_factory.mktemp("legacy")
    old, new = f"sqlite:///{folder / 'old.db'}", f"sqlite:///{folder / 'new.db'}"
    manifest = folder / "manifest.json"
    done = CliRunner().invoke(
        fixtures,
        ["legacy", "--out", old, "--rows", "4000", "--dirty", "8%", "--seed", "7", "--manifest", str(manifest)],
    )
    assert done.exit_code == 0, done.output
    engine = sa.create_engine(new)
    METADATA.create_all(engine)
    engine.dispose()
    return old, new, json.loads(manifest.read_text(encoding="utf-8"))


def apply(name: str, old: str, new: str) -> tuple[Program, Mapped]:
    """Read everything with the store, and map it."""
    mapping = read_mapping(FOLDER / f"{name}.yaml")
    source, target = open_source(mapping.source_spec(old)), open_target(new, None)
    try:
        shapes = {each.table: shape for each in mapping.targets if (shape := target.describe(each.table)) is not None}
        assert check_mapping(mapping, source.shape, shapes) == []
        program = compile_mapping(mapping, source.shape, shapes)
        reader = source.reader()
        try:
            whole = KeyRange(0, program.order, None, None)
            chunk = pa.Table.from_batches(list(reader.read(whole, program.order, 1 << 30, program.source_columns)))
        finally:
            reader.close()
    finally:
        target.close()
    lookups = {lookup: load_file_lookup(mapping, lookup) for lookup in mapping.lookups}
    with Transformer(program, lookups) as transformer:
        mapped = transformer.apply(chunk)
    assert_complete(mapped, program)
    return program, mapped


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_made_mapping_fits_both_schemas_and_maps(name: str, databases: tuple[str, str, dict[str, Any]]) -> None:
    """No finding in the check, and all but few of the rows come through."""
    program, mapped = apply(name, *databases[:2])
    rows = mapped.rows[program.targets[0].table].num_rows
    assert rows > 0.9 * mapped.units.num_rows > 0


def test_planted_defects_of_headers_end_as_the_example_mapping_says(databases: tuple[str, str, dict[str, Any]]) -> None:
    """What the interface's example rejects is rejected, what it maps is mapped, perhaps with a finding; kinds of the rules that it lacks are warned."""
    old, new, manifest = databases
    _, mapped = apply("legacy_vat", old, new)
    rejected, warned = set(mapped.rejects["_unit"].to_pylist()), set(mapped.findings["_unit"].to_pylist())
    state = {
        (unit["fpdm"], unit["fphm"]): "rejected"
        if unit["_unit"] in rejected
        else "warned"
        if unit["_unit"] in warned
        else "mapped"
        for unit in mapped.units.to_pylist()
    }
    seen: Counter[str] = Counter()
    for defect in manifest["defects"]:
        key = (defect["invoice"]["fpdm"], defect["invoice"]["fphm"])
        found, wanted = state.get(key, "filtered"), defect["example_mapping"]
        seen[defect["kind"]] += 1
        if defect["kind"] == "duplicate_conflict":
            # Both copies are mapped; which of them stands is decided in the target.
            assert found in ("mapped", "warned")
        else:
            assert found == wanted or (wanted == "mapped" and found == "warned"), defect
    assert len(seen) > 40


def test_warnings_have_the_rules_of_their_defects(databases: tuple[str, str, dict[str, Any]]) -> None:
    """A number that is code and number in one, a year that does not fit, a code of another type, a cut tax id, an open status."""
    old, new, manifest = databases
    _, mapped = apply("legacy_vat", old, new)
    keys = {unit["_unit"]: (unit["fpdm"], unit["fphm"]) for unit in mapped.units.to_pylist()}
    found: dict[tuple[str, str], set[str]] = {}
    for finding in mapped.findings.to_pylist():
        found.setdefault(keys[finding["_unit"]], set()).add(finding["rule"])
    for defect in manifest["defects"]:
        if defect["rule"] in ("ID04", "ID05", "ID06", "TX01", "ST02"):
            key = (defect["invoice"]["fpdm"], defect["invoice"]["fphm"])
            assert defect["rule"] in found[key], defect


def test_lines_without_a_header_are_rejected_and_not_missing(
    databases: tuple[str, str, dict[str, Any]], tmp_path: Path
) -> None:
    """The left join keeps orphans in sight."""
    copy = tmp_path / "old.db"
    copy.write_bytes(Path(databases[0].removeprefix("sqlite:///")).read_bytes())
    engine = sa.create_engine(f"sqlite:///{copy}")
    with engine.begin() as connection:
        connection.execute(sa.text("insert into fpmx (fpdm, fphm, xh) values ('999', '999', 1)"))
    engine.dispose()
    _, mapped = apply("legacy_vat_lines", f"sqlite:///{copy}", databases[1])
    orphan = [unit["_unit"] for unit in mapped.units.to_pylist() if unit["fpdm"] == "999"]
    assert orphan
    assert orphan[0] in mapped.rejects["_unit"].to_pylist()


def test_red_invoices_get_the_key_that_their_blue_ones_have(databases: tuple[str, str, dict[str, Any]]) -> None:
    """Links point at keys that the mapping of the headers makes, but for those that were planted to point nowhere."""
    old, new, manifest = databases
    _, headers = apply("legacy_vat", old, new)
    _, links = apply("legacy_vat_red_links", old, new)
    known = set(headers.rows["invoice"]["key"].to_pylist())
    blue = [key for key in links.rows["red_link"]["blue_key"].to_pylist() if key is not None]
    planted = sum(defect["kind"] == "red_blue_unknown" for defect in manifest["defects"])
    rejected = headers.rejects["_unit"].to_pylist()
    assert sum(key not in known for key in blue) <= planted + len(set(rejected))
    assert sum(key in known for key in blue) > 0.8 * len(blue)
