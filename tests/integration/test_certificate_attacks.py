"""Every way to tamper with a certified migration is refused, each with a reason of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate.certificate.document import sign_statement
from migrate.certificate.issue import issue
from migrate.certificate.kept import read_kept_checkpoint
from migrate.certificate.prove import check_proof
from migrate.engine.options import RunOptions
from migrate.engine.steer import ledger_verify
from migrate.errors import InputError, NotProven, StateError
from migrate.ledger.log import LogVerdict, seal_hash
from migrate.signing.keys import read_private_key
from migrate.verify.verify import VerifyOptions
from tests.integration.certified import Certified, certified, reason


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """Made once; tests only copy it."""
    return certified(tmp_path_factory.mktemp("certified"))


@pytest.fixture
def here(untouched: Certified, tmp_path: Path) -> Certified:
    """A copy for one attack."""
    return untouched.copy(tmp_path)


def test_what_nobody_touched_holds(here: Certified) -> None:
    """Both certificates hold by themselves, against log and rows, and so does a proof from each."""
    for name in ("old.cert", "new.cert"):
        here.check(name)
        here.rehash(name)
        here.write(here.proof("1500", name), "proof.json")
        proven = check_proof(here.path("proof.json"), here.path("signing.key.pub"), {"k": "1500"})
        assert proven.row == {"k": "1500", "name": "买方 6; ", "amount": "4.70"}
    stated = here.read("new.cert")["certificate"]
    total = sum(int(f"{n % 17}{n % 90 + 10}") for n in range(2_100))
    assert stated["totals"] == [
        {"table": "dst", "by": {}, "rows": 2_100, "sum": {"amount": f"{total // 100}.{total % 100:02}"}}
    ]
    assert stated["tables"]["dst"]["rows"] == 2_100


# ---------------------------------------------------------------- the document


def state(name: str, value: object) -> Callable[[Any], None]:
    """Change what a certificate states."""
    return lambda envelope: envelope["certificate"].__setitem__(name, value)


def in_log(name: str, member: str, value: object) -> Callable[[Any], None]:
    """Change its part of the log."""
    return lambda envelope: envelope["log"][name].__setitem__(member, value)


DOCUMENT: dict[str, tuple[Callable[[Any], None], str]] = {
    "another verdict": (state("verdict", "EQUAL_WITH_DECLARED_RULES"), "signature"),
    "another table": (state("tables", {}), "signature"),
    "one row more": (lambda e: e["certificate"]["tables"]["dst"].__setitem__("rows", 2_101), "signature"),
    "another data root": (lambda e: e["certificate"]["tables"]["dst"].__setitem__("data_root", "0" * 64), "signature"),
    "a member more": (state("note", "more"), "signature"),
    "another signature": (lambda e: e["signature"].__setitem__("ed25519", "AAAA"), "signature"),
    "the name of another key": (lambda e: e["signature"].__setitem__("key", "0" * 64), "signer"),
    "something beside it": (lambda e: e.__setitem__("verdict", "EQUAL"), "form"),
    "no log": (lambda e: e.pop("log"), "form"),
    "an amount as a float": (state("rows", 1.5), "form"),
    "another time of the entry": (in_log("event", "at_ms", 1), "log-entry"),
    "another mapping of the entry": (in_log("event", "mapping", "other"), "log-entry"),
    "another place of the seal": (in_log("seal", "seal_no", 1), "log-entry"),
    "another path to the checkpoint": (lambda e: e["log"]["path"].__setitem__(0, "0" * 64), "log-path"),
    "a path that is too short": (lambda e: e["log"]["path"].pop(), "log-path"),
    "another size of the log": (
        lambda e: e["log"].__setitem__("checkpoint", e["log"]["checkpoint"].replace("\n3\n", "\n4\n")),
        "checkpoint",
    ),
}


@pytest.mark.parametrize(("change", "expected"), DOCUMENT.values(), ids=DOCUMENT.keys())
def test_an_altered_document_is_refused(here: Certified, change: Callable[[Any], None], expected: str) -> None:
    """Whatever of the file is changed, it holds no more."""
    here.alter(change)
    assert reason(here.check) == expected


def test_a_member_that_is_there_twice_is_refused(here: Certified) -> None:
    """Readers differ in which of the two they take, so neither is taken."""
    text = here.path("new.cert").read_text(encoding="utf-8")
    here.path("new.cert").write_text(
        text.replace('"verdict":', '"verdict":"DIFFERENT","verdict":', 1), encoding="utf-8"
    )
    assert reason(here.check) == "form"


def test_another_signer_is_refused(here: Certified) -> None:
    """Who signs with a key of his own is found out, also when he says that it is the trusted one."""
    here.certify("forged.cert", "other.key")
    here.check("forged.cert", "other.key.pub")
    assert reason(lambda: here.check("forged.cert")) == "signer"
    trusted = here.read("new.cert")["signature"]["key"]
    here.alter(lambda envelope: envelope["signature"].__setitem__("key", trusted), "forged.cert")
    assert reason(lambda: here.check("forged.cert")) == "signature"


def test_a_statement_that_was_never_entered_into_the_log_is_refused(here: Certified) -> None:
    """Even who has the key cannot change a statement afterwards: the log has another digest."""
    key = read_private_key(here.path("signing.key"))

    def resign(envelope: Any) -> None:
        envelope["certificate"]["verified_at"] = "2020-01-01T00:00:00+00:00"
        envelope["signature"] = sign_statement(envelope["certificate"], key)

    here.alter(resign)
    assert reason(here.check) == "log-entry"


def test_an_older_checkpoint_is_refused(here: Certified) -> None:
    """A checkpoint from before the certificate, signed as it is, does not have its entry."""
    older = here.read("old.cert")["log"]["checkpoint"]
    here.alter(lambda envelope: envelope["log"].__setitem__("checkpoint", older))
    assert reason(here.check) == "checkpoint-old"


# ---------------------------------------------------------------- data, mapping and log


ROWS: dict[str, str] = {
    "a cell": "UPDATE dst SET amount = '9.99' WHERE k = 7",
    "amounts exchanged": "UPDATE dst SET amount = CASE k WHEN 1 THEN '2.12' ELSE '1.11' END WHERE k IN (1, 2)",
    "a trailing blank": "UPDATE dst SET name = name || ' ' WHERE k = 7",
    "a row gone": "DELETE FROM dst WHERE k = 7",
    "a row more": "INSERT INTO dst VALUES (-1, 'x', '1.00')",
    "a row that cannot be read": "UPDATE dst SET amount = 'much' WHERE k = 7",
}


@pytest.mark.parametrize("statement", ROWS.values(), ids=ROWS.keys())
def test_altered_rows_are_found(here: Certified, statement: str) -> None:
    """Any row altered, lost or added since: the root is another one."""
    here.target.run(statement)
    here.check()
    assert reason(here.rehash) == "rows"


def test_what_was_altered_says_what_to_do(here: Certified) -> None:
    """Rows that were altered are no reason to ask the issuer: a verification says which; and a certified mapping is in the ledger."""
    here.target.run("DELETE FROM dst WHERE k = 5")
    with pytest.raises(NotProven, match="2099 rows, and 2100 were certified") as rows:
        here.rehash()
    assert "migrate verify" in (rows.value.next_step or "")
    here.path("mapping.yaml").write_text(here.path("mapping.yaml").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(NotProven, match="not the file that was certified") as mapping:
        here.rehash()
    assert "mapping_text" in (mapping.value.next_step or "")


def test_a_refusal_speaks_of_files_and_not_of_python(here: Certified) -> None:
    """A proof in place of a certificate, the reverse, other JSON and other files are told apart in words."""
    here.write(here.proof(), "proof.json")
    here.write({"log": []}, "other.json")
    here.path("other.bin").write_bytes(b"\xff\x00")
    trusted = here.path("signing.key.pub")
    for attempt, words in (
        (lambda: here.check("proof.json"), "this is the proof for a row"),
        (lambda: check_proof(here.path("new.cert"), trusted), "this is a certificate"),
        (lambda: here.proof(name="proof.json"), "this is a proof already"),
        (lambda: here.check("other.json"), "not a certificate: certificate is not in it"),
        (lambda: check_proof(here.path("other.json"), trusted), "not a proof: format is not in it"),
        (lambda: here.check("mapping.yaml"), "it is no JSON from line 1, column 1 on|line 2, column 1"),
        (lambda: here.check("other.bin"), "it is no text in UTF-8"),
    ):
        with pytest.raises(NotProven, match=words) as raised:
            attempt()
        assert raised.value.reason == "form"


def test_an_altered_mapping_is_found(here: Certified) -> None:
    """The mapping file must be the certified one, byte for byte."""
    with here.path("mapping.yaml").open("a") as file:
        file.write("# more\n")
    assert reason(here.rehash) == "mapping"


def test_another_type_of_a_column_is_found(here: Certified) -> None:
    """The same texts under another type are not the same rows."""
    here.target.run(
        "ALTER TABLE dst RENAME TO was",
        "CREATE TABLE dst (k integer PRIMARY KEY, name text, amount DECIMAL_TEXT(18,3))",
        "INSERT INTO dst SELECT * FROM was",
    )
    assert reason(here.rehash) == "contract"


def forge_chain(here: Certified, first: int) -> None:
    """Take the entries out of a seal, and hash all of the chain anew, so that it holds by itself."""
    previous = "0" * 64
    for row in here.target.rows("SELECT * FROM migrate_seal ORDER BY seal_no"):
        entries = "[]" if row["seal_no"] == first else row["entries"]
        before, previous = previous, seal_hash(previous, row["seal_no"], row["run"], entries)
        here.target.run(
            f"UPDATE migrate_seal SET entries = '{entries}', previous = '{before}', hash = '{previous}'"
            f" WHERE seal_no = {row['seal_no']}"
        )


LOG: dict[str, tuple[Callable[[Certified], None], str]] = {
    "a seal dropped": (lambda here: here.target.run("DELETE FROM migrate_seal WHERE seal_no = 2"), "log-dropped"),
    "two seals swapped": (
        lambda here: here.target.run(
            "UPDATE migrate_seal SET seal_no = 99 WHERE seal_no = 1",
            "UPDATE migrate_seal SET seal_no = 1 WHERE seal_no = 2",
            "UPDATE migrate_seal SET seal_no = 2 WHERE seal_no = 99",
        ),
        "log-changed",
    ),
    "the end cut off": (
        lambda here: here.target.run(
            "DELETE FROM migrate_seal WHERE seal_no = 3",
            "DELETE FROM migrate_event WHERE event_no = (SELECT max(event_no) FROM migrate_event)",
        ),
        "log-cut",
    ),
    "all of it cut off": (lambda here: here.target.run("DELETE FROM migrate_seal"), "log-cut"),
    "the ledger removed": (lambda here: here.target.run("DROP TABLE migrate_seal"), "log-cut"),
    "a chain forged anew": (lambda here: forge_chain(here, 1), "log-changed"),
    "a chain forged from its second seal on": (lambda here: forge_chain(here, 2), "log-changed"),
    "an entry dropped": (
        lambda here: here.target.run("DELETE FROM migrate_applied WHERE applied_seq = 1"),
        "log",
    ),
    "a seal without its number": (
        lambda here: here.target.run("UPDATE migrate_seal SET seal_no = 'x' WHERE seal_no = 2"),
        "log-cut",
    ),
    "bytes for an entry": (
        lambda here: here.target.run("UPDATE migrate_event SET detail = x'ff' WHERE event_no = 1"),
        "log",
    ),
    "an entry changed": (lambda here: here.target.run("UPDATE migrate_event SET at_ms = 1 WHERE event_no = 1"), "log"),
}


@pytest.mark.parametrize(("attack", "expected"), LOG.values(), ids=LOG.keys())
def test_an_altered_log_is_found(here: Certified, attack: Callable[[Certified], None], expected: str) -> None:
    """Seals or entries dropped, swapped, cut off or made anew: the checkpoint in the certificate tells."""
    attack(here)
    here.check()
    assert reason(here.rehash) == expected


# ---------------------------------------------------------------- checkpoints for `ledger verify`


def found(here: Certified, kept: str, trust: str | None = "signing.key.pub") -> LogVerdict:
    """What `ledger verify` finds with a kept checkpoint."""
    checkpoint = read_kept_checkpoint(here.path(kept), None if trust is None else here.path(trust))
    return ledger_verify(None, RunOptions(target=here.url("target")), checkpoint)


def keep(here: Certified) -> None:
    """Keep the checkpoint in all three forms."""
    note = here.read("new.cert")["log"]["checkpoint"]
    here.path("note.txt").write_text(note, encoding="utf-8")
    here.path("paper.txt").write_text("".join(f"{line}\n" for line in note.splitlines()[:3]), encoding="utf-8")


@pytest.mark.parametrize(
    ("kept", "trust"), [("new.cert", "signing.key.pub"), ("note.txt", "signing.key.pub"), ("paper.txt", None)]
)
def test_a_kept_checkpoint_finds_a_log_that_was_cut_off(here: Certified, kept: str, trust: str | None) -> None:
    """In each of its forms it holds for a log that only grew, and finds one whose end was cut off, which the chain alone does not."""
    keep(here)
    here.certify("newer.cert")
    assert found(here, kept, trust).findings == ()
    here.target.run(
        "DELETE FROM migrate_seal WHERE seal_no >= 3",
        "DELETE FROM migrate_event WHERE event_no >= (SELECT max(event_no) - 1 FROM migrate_event)",
    )
    assert ledger_verify(None, RunOptions(target=here.url("target"))).findings == ()
    assert [each.what for each in found(here, kept, trust).findings] == [
        "the end of the log was cut off: its last seal is 2, and was 3"
    ]


def test_a_log_that_was_removed_is_found_with_a_kept_checkpoint(here: Certified) -> None:
    """A database without a ledger is none of ours, unless somebody kept a checkpoint of it: then it is a finding."""
    here.target.run("DROP TABLE migrate_seal")
    with pytest.raises(StateError, match="no ledger"):
        ledger_verify(None, RunOptions(target=here.url("target")))
    assert [each.what for each in found(here, "new.cert").findings] == [
        "the log was removed: there is no ledger in this database"
    ]


def test_a_checkpoint_may_be_copied_as_people_copy(here: Certified) -> None:
    """Margins as the terminal shows them, line ends of another system, blank lines and a byte order mark say nothing; a wrong letter does."""
    keep(here)
    lines = here.path("paper.txt").read_text(encoding="utf-8").splitlines()
    here.path("copied.txt").write_bytes(b"\xef\xbb\xbf\r\n" + "".join(f"  {line} \r\n\r\n" for line in lines).encode())
    assert found(here, "copied.txt", None).findings == ()
    wrong = lines[2].replace(lines[2][5], "A" if lines[2][5] != "A" else "B", 1)
    here.path("copied.txt").write_text("\n".join([*lines[:2], wrong]), encoding="utf-8")
    assert [each.what for each in found(here, "copied.txt", None).findings] != []


def test_a_checkpoint_with_the_name_of_another_log_is_refused(here: Certified) -> None:
    """Whoever copied the three lines wrongly, or from two sheets, is told so, although size and root are right."""
    keep(here)
    paper = here.path("paper.txt")
    paper.write_text("another/log\n" + paper.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
    assert [each.what for each in found(here, "paper.txt", None).findings] == [
        "the checkpoint names another log, another/log, than it was made over"
    ]


def test_a_checkpoint_of_nobody_is_refused(here: Certified) -> None:
    """One that another key signed proves nothing; a signed one without a key to trust, and a file that is not there, are mistakes."""
    keep(here)
    for kept in ("new.cert", "note.txt"):
        assert reason(lambda kept=kept: found(here, kept, "other.key.pub")) in {"signer", "checkpoint-signer"}  # type: ignore[misc]
        with pytest.raises(InputError, match="is signed"):
            found(here, kept, None)
    assert reason(lambda: found(here, "mapping.yaml", None)) == "checkpoint"
    assert reason(lambda: found(here, "paper.txt")) == "checkpoint-signer"
    with pytest.raises(InputError, match="cannot be read"):
        found(here, "none", None)


# ---------------------------------------------------------------- what gets no certificate


def test_nothing_is_written_over(here: Certified) -> None:
    """A certificate, its leaves and its secret are never replaced."""
    for name in ("new.cert", "new.cert.leaves", "new.cert.secret"):
        for each in ("new.cert", "new.cert.leaves", "new.cert.secret"):
            here.path(each).unlink(missing_ok=True)
        here.path(name).write_text("mine")
        with pytest.raises(StateError, match="is there already"):
            here.certify("new.cert")
        assert here.path(name).read_text() == "mine"


def test_of_two_that_issue_at_once_one_is_refused(here: Certified) -> None:
    """The one that is later finds files that were not there when it began: it leaves them, whole, and nothing of its own."""
    options = VerifyOptions(source=here.url("source"), target=here.url("target"))
    made: list[dict[str, bytes]] = []

    def overtaken(_side: str, _rows: int) -> None:
        if not made:
            made.append({})
            here.certify("same.cert")
            made[0] = {path.name: path.read_bytes() for path in here.folder.glob("same.cert*")}

    with pytest.raises(StateError, match="is there already"):
        issue(here.path("mapping.yaml"), here.path("same.cert"), here.path("signing.key"), options, overtaken)
    assert set(made[0]) == {"same.cert", "same.cert.leaves", "same.cert.secret"}
    assert {path.name: path.read_bytes() for path in here.folder.glob("same.cert*")} == made[0]
    assert list(here.folder.glob(".certificate*")) == []
    here.check("same.cert")


def test_a_log_that_does_not_hold_is_not_signed(here: Certified) -> None:
    """A checkpoint over it would make it look sound."""
    here.target.run("UPDATE migrate_applied SET rows_read = rows_read + 1 WHERE applied_seq = 1")
    assert reason(lambda: here.certify("more.cert")) == "log"
    assert list(here.folder.glob("more*")) == list(here.folder.glob(".certificate*")) == []
