"""`migrate init` writes a first mapping that `check` understands, and never overwrites anything."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Migrate

WORDS = ("init", "--source", "sqlite:///old.db", "--table", "bill", "--target", "sqlite:///new.db", "--into", "paid")


def test_a_first_mapping_is_written_and_understood(migrate: Migrate, project: Path) -> None:
    """The fields that look alike are there, what is unsure is marked, and the file is a mapping without databases."""
    done = migrate(*WORDS, "-o", "first.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "the mapping is in first.yaml"
    text = (project / "first.yaml").read_text(encoding="utf-8")
    assert "mapping: bill\n" in text
    assert "# unsure" in text
    assert migrate("check", "first.yaml", "--offline").code == 0


def test_without_a_file_it_goes_to_stdout(migrate: Migrate, project: Path) -> None:
    """The same text on stdout, and within one JSON document with `--json`."""
    assert project.exists()
    plain, document = migrate(*WORDS).out, json.loads(migrate(*WORDS, "--json").out)
    assert document["text"] == plain
    assert (document["mapping"], document["file"]) == ("bill", None)


def test_an_existing_file_stays(migrate: Migrate, project: Path) -> None:
    """Work in a mapping is never overwritten: exit 2."""
    before = (project / "mapping.yaml").read_bytes()
    done = migrate(*WORDS, "-o", "mapping.yaml")
    assert (done.code, done.out) == (2, "")
    assert (project / "mapping.yaml").read_bytes() == before


def test_a_password_does_not_get_into_the_file(migrate: Migrate, project: Path) -> None:
    """A URL with a password becomes a variable, with a word about it; a variable stays as it is."""
    assert project.exists()
    url = "sqlite:///old.db?password=s3cret"
    done = migrate("init", "--source", url, *WORDS[3:])
    assert done.code == 0
    assert "s3cret" not in done.out + done.err
    assert '  url: "${SOURCE_URL}"' in done.out
    variable = migrate("init", "--source", "${OLD}", *WORDS[3:], OLD="sqlite:///old.db")
    assert '  url: "${OLD}"' in variable.out


def test_what_is_not_there_is_named(migrate: Migrate, project: Path) -> None:
    """A missing source table, a missing target table and half a source are input errors."""
    assert project.exists()
    for words, named in (
        ((*WORDS[:4], "bil", *WORDS[5:]), "bil"),
        ((*WORDS[:8], "paidd"), "paidd"),
        (("init", *WORDS[3:]), "--source URL --table T"),
    ):
        done = migrate(*words)
        assert (done.code, done.out) == (2, "")
        assert named in done.err


def test_a_target_file_that_is_not_there_is_told(migrate: Migrate, project: Path) -> None:
    """A mistyped SQLite file is not said to lack the table, and is not made."""
    done = migrate(
        "init", "--source", "sqlite:///old.db", "--table", "bill", "--target", "sqlite:///nwe.db", "--into", "paid"
    )
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no file nwe.db\n  where: target → url\n  next:  check the target URL (--target)\n"
    assert not (project / "nwe.db").exists()


def test_files_are_a_source_too(migrate: Migrate, project: Path) -> None:
    """A first mapping from a CSV export."""
    (project / "old.csv").write_text("no,name,amount\n1,a,2.50\n", encoding="utf-8")
    done = migrate("init", "--files", "old.csv", "--target", "sqlite:///new.db", "--into", "paid")
    assert done.code == 0, done.err
    assert 'files: "old.csv"' in done.out
    assert "no field uses: name\n" in done.out


def test_files_are_named_as_the_mapping_file_sees_them(migrate: Migrate, project: Path) -> None:
    """A mapping's paths are relative to its own folder, wherever the command was given."""
    for folder in ("exports", "mappings"):
        (project / folder).mkdir()
    (project / "exports" / "old.csv").write_text("no,payer,amount\n1,a,2.50\n", encoding="utf-8")
    words = ("init", "--files", "exports/old.csv", "--target", "sqlite:///new.db", "--into", "paid")
    done = migrate(*words, "-o", "mappings/first.yaml")
    assert done.code == 0, done.err
    assert 'files: "../exports/old.csv"' in (project / "mappings" / "first.yaml").read_text(encoding="utf-8")
    assert migrate("check", "mappings/first.yaml").code == 0
