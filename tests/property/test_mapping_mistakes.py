"""Mistakes planted in the example mapping: one report of `migrate check` names them all, with their lines, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.cli import main as fixtures
from migrate.cli import main
from migrate.invoice.schema import METADATA

ROOT = Path(__file__).parents[2]
FIELDS = "targets[0].fields"
NAM = f"{FIELDS}.buyer_name.sql"

Mistake = tuple[str, str, tuple[str, ...]]
"""Text of the file, what is written instead, and the paths that a report has to name."""

MISTAKES: tuple[Mistake, ...] = (
    ("mapping: legacy_vat", "mapping: 1st", ("mapping",)),
    ("version: 1", "version: one", ("version",)),
    ("key: [fpdm, fphm]", "key: {a: b}", ("source.key",)),
    ("key: [fpdm, fphm]", "key: [fpdm, fpmh]", ("source.key",)),
    ("zt is null or zt <> '9'", "now() > zt", ("source.where",)),
    ("zt is null or zt <> '9'", "zz is null or zt <> '9'", ("source.where",)),
    ("Asia/Shanghai", "Asia/Shangai", ("source.timezone",)),
    ("overlap: 4d", "overlap: 4 days", ("source.changes.overlap",)),
    ("key: legacy}", "keys: legacy}", ("lookups.kinds.key", "lookups.kinds.keys")),
    ("key: legacy}", "key: legacy, source_table: fpxx}", ("lookups.kinds",)),
    ("on_conflict: fail", "on_conflict: replace", ("targets[0].on_conflict",)),
    ("source_system = 'legacy_vat'", "sourcesystem = 'legacy_vat'", ("targets[0].scope",)),
    ("    key: [key]", "    key: {key: key}", ("targets[0].key",)),
    ("owner_tax_id:  xsf_nsrsbh", "owner_tax_id:  xsf_nsrsb", (f"{FIELDS}.owner_tax_id.from",)),
    ("{value: O}", "{valu: O}", (f"{FIELDS}.direction.valu",)),
    ("take: code", "taek: code", (f"{FIELDS}.type_code.taek",)),
    ("{from: fplx, ", "{frm: fplx, ", (f"{FIELDS}.type_code.frm",)),
    ("seller_name:   xsf_mc", "seller_name:   [xsf_mc]", (f"{FIELDS}.seller_name",)),
    ("{from: gmf_nsrsbh,", "{from: gmf_nsrsbh, sql: gmf_mc,", (f"{FIELDS}.buyer_tax_id",)),
    ("buyer_name:    gmf_mc", "buyer_name:    {frm: gmf_mc, sql: nam}", (f"{FIELDS}.buyer_name.frm", NAM)),
    ('{from: je, nulls: ["", " "]', "{from: je, nulls: {a: b}", (f"{FIELDS}.net.nulls",)),
    ("{from: se,", "{from: see,", (f"{FIELDS}.tax.from",)),
    ("{from: jshj,", "{frm: gross, sql: nam, from: jshj,", (f"{FIELDS}.gross", f"{FIELDS}.gross.frm")),
    ("money(jshj), 0) >= 0", "money(jshj), 0) >= random()", (f"{FIELDS}.is_blue.sql",)),
    ("length(fphm) = 8 then", "length(fphm = 8 then", (f"{FIELDS}.no.sql",)),
    ("{value: legacy_vat}", "{value: {a: b}}", (f"{FIELDS}.source_system.value",)),
    ('default: "99"}', 'default: ["99"]}', (f"{FIELDS}.status.default",)),
    ("    fields:", "    fields:\n      nix: xsf_mc", (f"{FIELDS}.nix",)),
    ("or gross = net + tax", "or gros = net + tax", ("checks[1].assert",)),
    ("status <> '99'", "tax + net", ("checks[2].assert",)),
    ("level: warn", "level: wran", ("checks[2].level",)),
    ("{id: ID01, target", "{target", ("checks[0].id",)),
    ("status: status}", "status: {a: b}}", ("totals[0].by.status",)),
    ("sum: [net, tax, gross]", "sum: [net, tx]", ("totals[0].sum",)),
    ("sum: [net, tax, gross]", "sum: {net: tax}", ("totals[0].sum",)),
    ('rejects: "0.5%"', "rejects: half", ("limits.rejects",)),
)
NO_TABLE = (("table: fpxx", "tabel: fpxx", ("source.tabel",)), ("table: fpxx", "table: [fpxx]", ("source.table",)))
"""Without a source that can be read, only what needs no schema can be seen."""

NEED_SCHEMA = frozenset({"xsf_nsrsb", "see", "zz", "nix", "fpmh", "tax + net"})
"""What mistakes have in them that only the source's columns and types show."""

Found = tuple[int, set[tuple[int, str]]]
"""Exit code, and lines with paths of all findings."""


@dataclass(frozen=True)
class Bench:
    """A folder with both databases, the mapping file and the lookup that it names."""

    folder: Path

    def write(self, mistakes: Sequence[Mistake]) -> set[tuple[int, str]]:
        """Write the example with these mistakes; line and path of each place that a report has to name."""
        text = (ROOT / "tests" / "benchmarks" / "legacy_vat.yaml").read_text(encoding="utf-8")
        text = text.replace("../../mappings/codes/", "")
        for old, new, _ in mistakes:
            assert old in text
            text = text.replace(old, new, 1)
        (self.folder / "mapping.yaml").write_text(text, encoding="utf-8")
        return {
            (text[: text.index(new) + len(new)].count("\n") + 1, path) for _, new, paths in mistakes for path in paths
        }

    def check(self) -> Found:
        """What `migrate check` says of the file."""
        old, new = (f"sqlite:///{self.folder / name}" for name in ("old.db", "new.db"))
        words = ["check", str(self.folder / "mapping.yaml"), "--source", old, "--target", new, "--json"]
        interval = sys.getswitchinterval()
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        try:
            with contextlib.redirect_stdout(out):
                code = main(words)
        finally:
            sys.setswitchinterval(interval)
        out.seek(0)
        return code, {(each["line"], each["path"]) for each in json.load(out)["findings"]}

    def content(self) -> dict[str, bytes]:
        """Every file of the folder."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The old database with a few invoices, the new one without any."""
    folder = tmp_path_factory.mktemp("mistakes")
    done = CliRunner().invoke(fixtures, ["legacy", "--out", f"sqlite:///{folder / 'old.db'}", "--rows", "20"])
    assert done.exit_code == 0, done.output
    engine = sa.create_engine(f"sqlite:///{folder / 'new.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    shutil.copy(ROOT / "mappings" / "codes" / "invoice-types.csv", folder)
    return Bench(folder)


def test_the_example_has_no_mistake(bench: Bench) -> None:
    """Else the others would prove nothing."""
    bench.write(())
    assert bench.check() == (0, set())


@pytest.mark.parametrize("mistake", [*MISTAKES, *NO_TABLE], ids=lambda each: each[1])
def test_each_mistake_by_itself(mistake: Mistake, bench: Bench) -> None:
    """One mistake is one mistake: nothing that depends on the part that is wrong is called wrong as well."""
    wanted = bench.write([mistake])
    assert bench.check() == (2, wanted)


@settings(max_examples=25)
@given(mistakes=st.lists(st.sampled_from(MISTAKES), min_size=2, unique_by=lambda each: each[0]))
def test_mistakes_of_all_kinds_are_in_one_report(mistakes: list[Mistake], bench: Bench) -> None:
    """However many there are, and of whatever kinds: each is told with its line and path, no other is invented, nothing is written."""
    wanted = bench.write(mistakes)
    before = bench.content()
    assert bench.check() == (2, wanted)
    assert bench.content() == before


@settings(max_examples=10)
@given(
    mistakes=st.lists(st.sampled_from(MISTAKES), min_size=1, unique_by=lambda each: each[0]),
    no_table=st.sampled_from(NO_TABLE),
)
def test_without_a_source_the_rest_is_told(mistakes: list[Mistake], no_table: Mistake, bench: Bench) -> None:
    """A source that cannot be meant hides only what its columns would show."""
    shown = [each for each in mistakes if not any(word in each[1] for word in NEED_SCHEMA)]
    bench.write([*mistakes, no_table])
    wanted = {path for _, _, paths in [*shown, no_table] for path in paths if path != NAM}
    code, found = bench.check()
    assert (code, {path for _, path in found}) == (2, wanted)
