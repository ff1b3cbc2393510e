"""`migrate certificate`: what it writes, shows and refuses, and how it exits."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Migrate, steady
from tests.cli.warm import Done

ISSUE = ("certificate", "issue", "mapping.yaml", "-o", "bills.cert", "--signing-key", "signing.key")
CHECK = ("certificate", "check", "bills.cert", "--trust", "signing.key.pub")


@pytest.fixture
def done(migrate: Migrate, project: Path) -> Path:
    """The project after a run, with a pair of keys."""
    assert migrate("run", "mapping.yaml").code == 0
    assert migrate("certificate", "keygen", "-o", "signing.key").code == 0
    return project


def change(folder: Path, statement: str) -> None:
    """Do a statement to the target behind the toolkit's back."""
    with contextlib.closing(sqlite3.connect(folder / "new.db")) as connection:
        connection.execute(statement)
        connection.commit()


def plain(done: Done) -> str:
    """What it shows, without what differs from time to time."""
    return re.sub(r"\b[0-9a-f]{16}\b", "HASH", re.sub(r"\S{43}=", "ROOT", steady(done.out)))


STATED = """\
bills  EQUAL  RUN
sqlite:///old.db · bill → sqlite:///new.db

table  rows  verdict
paid      3  EQUAL

data root
  HASH  paid

checkpoint of the log (for the sign-off sheet)
  fapiao-migrate/ledger/HASH
  2
  ROOT
"""


def test_from_key_to_proof(migrate: Migrate, done: Path) -> None:
    """The whole way: each step exits 0 and says what it did; nothing stands on stderr."""
    issued = migrate(*ISSUE)
    assert (issued.code, issued.err) == (0, "")
    assert plain(issued) == STATED + (
        "\nthe certificate is in bills.cert; bills.cert.leaves and bills.cert.secret are needed for proofs, and"
        "\nare as confidential as the table\n"
    )
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in done.iterdir() if "cert" in path.name or "key" in path.name
    }
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        "bills.cert.leaves",
        "bills.cert.secret",
        "signing.key",
    }
    assert set(modes) == {"bills.cert", "bills.cert.leaves", "bills.cert.secret", "signing.key", "signing.key.pub"}
    for words, sentences in (
        (CHECK, "the certificate holds\n\n"),
        (
            (*CHECK, "--rehash", "mapping.yaml"),
            "the certificate holds\nmapping, log and rows are still those of the certificate\n\n",
        ),
    ):
        checked = migrate(*words)
        assert (checked.code, checked.err, plain(checked)) == (0, "", sentences + STATED)
    proof = migrate("certificate", "prove", "bills.cert", "--key", "no=1")
    assert (proof.code, proof.err) == (0, "")
    (done / "proof.json").write_text(proof.out, encoding="utf-8")
    shown = migrate("certificate", "check-proof", "proof.json", "--trust", "signing.key.pub")
    row = """\
the proof holds: paid has this row

column   value
amount   1234.50
no       1
paid_on  2025-04-13
payer    北京样例科技有限公司

"""
    assert (shown.code, shown.err, plain(shown)) == (0, "", row + STATED)


def test_documents_say_the_same(migrate: Migrate, done: Path) -> None:
    """With --json each command writes one document; `reason` names what does not hold."""
    issued = json.loads(migrate(*ISSUE, "--json").out)
    assert issued["certificate"]["verdict"] == "EQUAL"
    assert [len(issued["checkpoint"]), issued["checkpoint"][1]] == [3, "2"]
    assert json.loads(migrate(*CHECK, "--json").out) == {**issued, "rehashed": False}
    (done / "proof.json").write_text(
        migrate("certificate", "prove", "bills.cert", "--key", "no=1").out, encoding="utf-8"
    )
    check_proof = ("certificate", "check-proof", "proof.json", "--trust", "signing.key.pub", "--json")
    assert json.loads(migrate(*check_proof, "--key", "no=1").out)["row"]["amount"] == "1234.50"
    refused = migrate(*check_proof, "--key", "no=2")
    assert (refused.code, json.loads(refused.out)["error"]["reason"]) == (1, "key")


@pytest.mark.parametrize(
    ("statement", "code", "verdict"),
    [
        ("UPDATE paid SET amount = '1.00' WHERE no = 1", 1, "DIFFERENT"),
        ("UPDATE paid SET amount = 'much' WHERE no = 1", 6, "NOT_VERIFIED"),
    ],
)
def test_only_an_equal_target_gets_a_certificate(
    migrate: Migrate, done: Path, statement: str, code: int, verdict: str
) -> None:
    """Else it exits as `verify` does, shows what that found, and writes neither a file nor an entry of the log."""
    change(done, statement)
    log = json.loads(migrate("ledger", "verify", "mapping.yaml", "--json").out)
    refused = migrate(*ISSUE, "--json")
    assert (refused.code, json.loads(refused.out)["verdict"]) == (code, verdict)
    assert refused.err == "no certificate: only a target that is equal gets one\n"
    assert not list(done.glob("*.cert*"))
    assert not list(done.glob(".certificate*"))
    assert json.loads(migrate("ledger", "verify", "mapping.yaml", "--json").out) == log


def test_what_is_altered_afterwards_is_found(migrate: Migrate, done: Path) -> None:
    """Rows: exit 1 with --rehash. The certificate itself: exit 1 at once."""
    assert migrate(*ISSUE).code == 0
    change(done, "UPDATE paid SET amount = '1.00' WHERE no = 1")
    assert migrate(*CHECK).code == 0
    found = migrate(*CHECK, "--rehash", "mapping.yaml")
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("error: rows were altered since: their root is another one\n  where: paid\n")
    text = (done / "bills.cert").read_text(encoding="utf-8")
    (done / "bills.cert").write_text(text.replace('"rows":3', '"rows":4'), encoding="utf-8")
    found = migrate(*CHECK)
    assert (found.code, found.out) == (1, "")
    assert "the certificate was altered" in found.err


def test_a_log_that_was_cut_off_is_found_with_a_checkpoint(migrate: Migrate, done: Path) -> None:
    """`ledger verify --checkpoint` says that the log only grew, or exits 1."""
    assert migrate(*ISSUE).code == 0
    words = ("ledger", "verify", "mapping.yaml", "--checkpoint", "bills.cert", "--trust", "signing.key.pub")
    assert "the log begins with the 2 seals of the checkpoint\n" in migrate(*words).out
    change(done, "DELETE FROM migrate_seal WHERE seal_no = 2")
    change(done, "DELETE FROM migrate_event WHERE kind = 'certificate'")
    assert migrate("ledger", "verify", "mapping.yaml").code == 0
    found = migrate(*words)
    assert (found.code, found.out) == (1, "seal 2: the end of the log was cut off: its last seal is 1, and was 2\n")
    alone = migrate("ledger", "verify", "mapping.yaml", "--trust", "signing.key.pub")
    assert (alone.code, alone.err.splitlines()[0]) == (2, "error: --trust belongs to --checkpoint")


def test_mistakes_are_told_before_anything_is_read(migrate: Migrate, done: Path) -> None:
    """Exit 2 for files and folders that are not there, 4 for files that are, keys that others may read, and mappings that never ran."""
    assert (
        migrate("certificate", "issue", "mapping.yaml", "-o", "no/bills.cert", "--signing-key", "signing.key").code == 2
    )
    assert migrate("certificate", "issue", "mapping.yaml", "-o", "bills.cert", "--signing-key", "no.key").code == 2
    assert migrate("certificate", "check", "bills.cert", "--trust", "signing.key.pub").code == 2
    assert migrate("certificate", "check", "signing.key.pub", "--trust", "signing.key.pub").code == 1
    assert migrate("certificate", "keygen", "-o", "signing.key").code == 4
    assert migrate(*ISSUE).code == 0
    assert migrate(*ISSUE).code == 4
    (done / "signing.key").chmod(0o644)
    again = ("certificate", "issue", "mapping.yaml", "-o", "more.cert", "--signing-key", "signing.key")
    refused = migrate(*again)
    assert (refused.code, "0644" in refused.err) == (4, True)
    (done / "signing.key").chmod(0o600)
    text = (done / "mapping.yaml").read_text(encoding="utf-8")
    (done / "mapping.yaml").write_text(text.replace("mapping: bills", "mapping: others"), encoding="utf-8")
    assert migrate(*again).code == 4


def test_no_folder_is_taken_for_a_file(migrate: Migrate, done: Path) -> None:
    """A folder in place of a key or certificate is a mistake, exit 2, and nothing is left in it."""
    (done / "folder").mkdir()
    for place in (".", "folder", ".."):
        made = migrate("certificate", "keygen", "-o", place)
        assert (made.code, "is a folder" in made.err) == (2, True)
        issued = migrate("certificate", "issue", "mapping.yaml", "-o", place, "--signing-key", "signing.key")
        assert (issued.code, "is a folder" in issued.err) == (2, True)
    assert list((done / "folder").iterdir()) == []


def test_the_halves_of_a_pair_of_keys_are_told_apart(migrate: Migrate, done: Path) -> None:
    """Signing with the public half, and trusting the private one, are mistakes that are called so."""
    assert migrate(*ISSUE).code == 0
    signing = migrate("certificate", "issue", "mapping.yaml", "-o", "more.cert", "--signing-key", "signing.key.pub")
    assert (signing.code, "is the public half" in signing.err) == (2, True)
    trusting = migrate("certificate", "check", "bills.cert", "--trust", "signing.key")
    assert (trusting.code, "is a private key" in trusting.err) == (2, True)
    assert (done / "signing.key").read_text(encoding="ascii").splitlines()[1] not in trusting.err


@pytest.mark.usefixtures("done")
def test_no_option_of_a_check_does_nothing(migrate: Migrate) -> None:
    """A database that is named for a check which looks at none is a mistake: who names one believes that it was read."""
    assert migrate(*ISSUE).code == 0
    for option, value in (("--target", "sqlite:///new.db"), ("--source", "sqlite:///old.db"), ("--ledger-schema", "x")):
        checked = migrate(*CHECK, option, value)
        assert (checked.code, checked.out) == (2, "")
        assert checked.err.startswith(f"error: {option}: without --rehash no database is looked at\n")


@pytest.mark.usefixtures("done")
def test_no_hash_is_broken_on_a_narrow_terminal(migrate: Migrate) -> None:
    """A root that is copied from the screen is whole."""
    root = json.loads(migrate(*ISSUE, "--json").out)["certificate"]["tables"]["paid"]["data_root"]
    for columns in ("80", "60", "40"):
        assert f"  {root}  paid\n" in migrate(*CHECK, COLUMNS=columns).out


@pytest.mark.usefixtures("done")
def test_it_speaks_chinese(migrate: Migrate) -> None:
    """In a Chinese locale the same is said in Chinese."""
    issued = migrate(*ISSUE, "--lang", "zh").out
    assert "证书已写入 bills.cert" in issued
    assert issued.startswith("bills  一致  ")
    assert migrate(*CHECK, "--lang", "zh").out.startswith("证书有效\n")
