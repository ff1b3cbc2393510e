"""`migrate check` reports every mistake of every file at once, with its line, and writes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.conftest import MAPPING, Migrate


def test_a_sound_mapping_is_in_order(migrate: Migrate, project: Path) -> None:
    """Exit 0 and one line per file; nothing is created."""
    before = sorted(path.name for path in project.iterdir())
    done = migrate("check", "mapping.yaml")
    assert (done.code, done.out, done.err) == (0, "mapping.yaml: bills is in order\n", "")
    assert sorted(path.name for path in project.iterdir()) == before


def test_offline_needs_no_database(migrate: Migrate, tmp_path: Path) -> None:
    """With `--offline` no database has to be there, and the result says that none was looked at."""
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    done = migrate("check", "mapping.yaml", "--offline")
    assert (done.code, done.err) == (0, "")
    assert done.out == "mapping.yaml: bills is in order by itself (databases not looked at)\n"
    assert not (tmp_path / "new.db").exists()


def test_all_mistakes_of_all_files_at_once(migrate: Migrate, project: Path) -> None:
    """Two files with mistakes: each is told with file, line, path and the nearest right name; exit 2."""
    one = MAPPING.replace("bills", "one").replace("payer: name", "payer: nmae").replace("key: [no]", "key: [on]")
    two = MAPPING.replace("bills", "two").replace("clean: money", "clene: money")
    for name, text in (("one.yaml", one), ("two.yaml", two)):
        (project / name).write_text(text, encoding="utf-8")
    done = migrate("check", "one.yaml", "two.yaml", "mapping.yaml")
    assert (done.code, done.err) == (2, "")
    assert done.out.splitlines() == [
        "one.yaml:10 targets[0].key: key column `on` is no field",
        "one.yaml:13 targets[0].fields.payer.from: unknown source column `nmae` (did you mean `name`?)",
        "two.yaml:14 targets[0].fields.amount.clene: unknown key `clene` (did you mean `clean`?)",
        "mapping.yaml: bills is in order",
    ]


def test_one_kind_of_mistake_does_not_hide_another(migrate: Migrate, project: Path) -> None:
    """Repeated and unknown keys, two checks of one id, a bad function, a missing column, a missing file: one report, from check and plan."""
    wrong = (
        MAPPING.replace("bills", "wrong")
        .replace("  table: bill\n", "  table: bill\n  table: bill\n  tabel: bill\n")
        .replace("payer: name", 'payer: {sql: "name || random()"}')
        .replace("from: paid,", "from: piad,")
    )
    wrong += '  - {id: POS, target: paid, assert: "amount >= 0"}\n'
    (project / "wrong.yaml").write_text(wrong, encoding="utf-8")
    done = migrate("check", "wrong.yaml", "nix.yaml", "mapping.yaml")
    assert (done.code, done.err) == (2, "")
    assert [re.sub(r" \((did|known|Give).*", "", line) for line in done.out.splitlines()] == [
        "wrong.yaml:5 source.table: duplicate key `table`, first on line 4",
        "wrong.yaml:6 source.tabel: unknown key `tabel`",
        "wrong.yaml:15 targets[0].fields.payer.sql: function random() is not allowed: it is different every time",
        "wrong.yaml:17 targets[0].fields.paid_on.from: unknown source column `piad`",
        "wrong.yaml:20 checks[1].id: `POS` is used twice, first in checks[0]",
        "nix.yaml:1 (file): The mapping file cannot be read: No such file or directory.",
        "mapping.yaml: bills is in order",
    ]
    planned = migrate("plan", "wrong.yaml", "nix.yaml", "mapping.yaml")
    assert planned.code == 2
    for line in done.out.splitlines()[:-1]:
        assert line.split(": ", 1)[1] in planned.err


def test_mistakes_come_before_a_database_that_is_not_there(migrate: Migrate, project: Path) -> None:
    """A file's own mistakes are told, and that its databases could not be looked at; without mistakes the database is the error."""
    (project / "wrong.yaml").write_text(MAPPING.replace("clean: money", "clene: money"), encoding="utf-8")
    done = migrate("check", "wrong.yaml", "--source", "sqlite:///nix.db")
    assert (done.code, done.err) == (2, "")
    first, second = sorted(done.out.splitlines(), key=lambda line: "clene" not in line)
    assert "unknown key `clene`" in first
    assert second.startswith("warning: wrong.yaml:1 (file): not looked at in its databases: ")
    alone = migrate("check", "mapping.yaml", "--source", "sqlite:///nix.db")
    assert (alone.code, alone.out) == (2, "")


def test_one_name_in_two_files_is_a_mistake(migrate: Migrate, project: Path) -> None:
    """The name is the identity in the ledger, so two files cannot share it."""
    (project / "again.yaml").write_text(MAPPING, encoding="utf-8")
    done = migrate("check", "mapping.yaml", "again.yaml", "--offline")
    assert done.code == 2
    assert done.out.splitlines()[0] == (
        "again.yaml:1 mapping: `bills` is also the name of mapping.yaml, and a name is an identity in the ledger"
        " (give each a name of its own)"
    )


def test_findings_are_json(migrate: Migrate, project: Path) -> None:
    """With `--json` the findings are one document with file, line, path, message and suggestion."""
    wrong = MAPPING.replace("bills", "bad").replace("table: bill", "tabel: bill")
    (project / "bad.yaml").write_text(wrong, encoding="utf-8")
    done = migrate("check", "bad.yaml", "mapping.yaml", "--json")
    document = json.loads(done.out)
    assert (done.code, document["mappings"]) == (2, ["bills"])
    assert {"file": "bad.yaml", "line": 4, "level": "error"}.items() <= document["findings"][0].items()


def test_a_missing_file_and_a_missing_database(migrate: Migrate, project: Path) -> None:
    """A mapping file that is not there is exit 2; a source database that is not there is not created."""
    assert migrate("check", "nix.yaml").code == 2
    done = migrate("check", "mapping.yaml", "--source", "sqlite:///nix.db")
    assert done.code in (2, 3)
    assert "nix.db" in done.err
    assert not (project / "nix.db").exists()


def test_chinese_says_the_same(migrate: Migrate, project: Path) -> None:
    """The result is told in the user's language."""
    assert project.exists()
    assert migrate("check", "mapping.yaml", "--lang", "zh").out == "mapping.yaml：bills 检查通过\n"
