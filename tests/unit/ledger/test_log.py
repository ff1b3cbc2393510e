"""The sealed log: whoever changes or removes what was sealed is found out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrate.errors import DataError, TransientFault
from migrate.ledger.connection import Ledger
from migrate.ledger.log import LogVerdict, add_event, read_events, seal, verify_log
from migrate.ledger.runs import all_runs, read_entries
from migrate.ledger.undo_check import PRUNED
from migrate.stores.opening import open_target
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: log
source: {table: src, key: [id]}
targets: [{table: dst, key: [k], fields: {k: k, c: c}}]
"""


class Sealed:
    """The ledger of a run of three batches, sealed three times: a copy of what `prepared` made."""

    def __init__(self, place: Path) -> None:
        self.database = Database(f"sqlite:///{place / 'target'}.db")
        self.store = open_target(self.database.url)
        self.ledger = Ledger(self.store)
        (self.run,) = (each.run for each in all_runs(self.ledger))

    def verdict(self) -> LogVerdict:
        """What is found now."""
        return verify_log(self.ledger)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source and target after the run, and after two seals more; nobody writes here any more."""
    place = tmp_path_factory.mktemp("sealed")
    source, database = (Database(f"sqlite:///{place / name}.db") for name in ("source", "target"))
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k integer, c text)")
    source.insert("src", [{"id": n, "k": n % 5, "c": str(n // 5)} for n in range(9)])
    database.run("CREATE TABLE dst (k integer PRIMARY KEY, c text)")
    run_scheduled(plan_of(place, MAPPING, source.url, database.url, 3))
    made = Sealed(place)
    for number in range(2):
        add_event(made.ledger, "log", made.run, "note", {"number": number})
        assert seal(made.ledger, made.run) == 1
    made.store.close()
    return place


@pytest.fixture
def sealed(prepared: Path, tmp_path: Path) -> Iterator[Sealed]:
    """Fresh for each test."""
    made = Sealed(shutil.copytree(prepared, tmp_path / "sealed"))
    yield made
    made.store.close()


def test_an_untouched_log_holds(sealed: Sealed) -> None:
    """Nothing is found, everything is sealed, and sealing again adds nothing."""
    verdict = sealed.verdict()
    assert (verdict.seals, verdict.unsealed, verdict.findings) == (3, 0, ())
    events = len(read_events(sealed.ledger, sealed.run))
    (batches,) = sealed.database.rows("SELECT count(*) AS n FROM migrate_applied")
    assert verdict.entries == events + batches["n"]
    assert seal(sealed.ledger, sealed.run) == 0


def test_what_is_new_waits_for_the_next_seal(sealed: Sealed) -> None:
    """An event is unsealed until it is sealed, once."""
    add_event(sealed.ledger, "log", sealed.run, "note", {})
    assert sealed.verdict().unsealed == 1
    assert seal(sealed.ledger, sealed.run) == 1
    assert (sealed.verdict().unsealed, sealed.verdict().seals) == (0, 4)


TAMPERING: dict[str, tuple[str, str]] = {
    "a count of a batch": ("UPDATE migrate_applied SET rows_rejected = rows_rejected + 1 WHERE range_no = 1", "batch"),
    "digests of a batch": ("UPDATE migrate_applied SET digests = '{}' WHERE range_no = 1", "batch"),
    "a batch removed": ("DELETE FROM migrate_applied WHERE range_no = 1", "was removed"),
    "a batch renumbered": ("UPDATE migrate_applied SET applied_seq = 99 WHERE range_no = 1", "was removed"),
    "an event": ("UPDATE migrate_event SET detail = '{}' WHERE kind = 'begin'", "was changed"),
    "an event removed": ("DELETE FROM migrate_event WHERE kind = 'begin'", "was removed"),
    "an undo payload": ("UPDATE migrate_undo SET payload = x'00' WHERE range_no = 1", "undo chunk"),
    "the tokens of an undo chunk": ("UPDATE migrate_undo SET high_unit = low_unit WHERE range_no = 1", "undo chunk"),
    "the filter of an undo chunk": (
        "UPDATE migrate_undo SET key_filter = zeroblob(8) WHERE range_no = 1",
        "undo chunk",
    ),
    "the target of an undo chunk": ("UPDATE migrate_undo SET target = 'other' WHERE range_no = 1", "undo chunk"),
    "a digest of an undo chunk": ("UPDATE migrate_undo SET sha256 = 'ff' WHERE range_no = 1", "undo"),
    "an undo chunk removed": ("DELETE FROM migrate_undo WHERE range_no = 1", "undo of batch"),
    "an undo chunk of nobody": ("UPDATE migrate_undo SET range_no = 77 WHERE range_no = 1", "undo of batch"),
    "the list of a seal": ("UPDATE migrate_seal SET entries = '[]' WHERE seal_no = 2", "does not fit its content"),
    "a broken list": ("UPDATE migrate_seal SET entries = 'no JSON' WHERE seal_no = 2", "does not fit its content"),
    "a broken entry": ("UPDATE migrate_applied SET undo = 'no JSON' WHERE range_no = 1", "was changed"),
    "the hash of a seal": (
        "UPDATE migrate_seal SET hash = (SELECT hash FROM migrate_seal WHERE seal_no = 1) WHERE seal_no = 2",
        "does not",
    ),
    "a seal in the middle": ("DELETE FROM migrate_seal WHERE seal_no = 2", "seal 2 is missing"),
    "the first seal": ("DELETE FROM migrate_seal WHERE seal_no = 1", "seal 1 is missing"),
    "bytes for a text of an event": ("UPDATE migrate_event SET detail = x'ff' WHERE kind = 'begin'", "was changed"),
    "a text for a count": ("UPDATE migrate_applied SET rows_read = 'three' WHERE range_no = 1", "was changed"),
    "a text for a range": ("UPDATE migrate_applied SET range_no = 'one' WHERE range_no = 1", "was changed"),
    "a number for a list": ("UPDATE migrate_applied SET undo = 7 WHERE range_no = 1", "was changed"),
    "a text for an undo payload": ("UPDATE migrate_undo SET payload = 'text' WHERE range_no = 1", "undo chunk"),
    "a number for an undo payload": ("UPDATE migrate_undo SET payload = 7 WHERE range_no = 1", "undo chunk"),
    "another list in a seal": ("UPDATE migrate_seal SET entries = '[1]' WHERE seal_no = 2", "cannot be read"),
    "bytes for the list of a seal": ("UPDATE migrate_seal SET entries = x'ff' WHERE seal_no = 2", "cannot be read"),
    "a list without end": (
        "UPDATE migrate_seal SET entries = replace(hex(zeroblob(100000)), '0', '[') WHERE seal_no = 2",
        "cannot be read",
    ),
    "a text for the number of a seal": ("UPDATE migrate_seal SET seal_no = 'x' WHERE seal_no = 2", "seal 2 is missing"),
    "the run itself": ("DELETE FROM migrate_run", "was removed"),
}


@pytest.mark.parametrize(("statement", "finding"), TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_is_found(sealed: Sealed, statement: str, finding: str) -> None:
    """Each change of what was sealed, and each removal but that of the newest seals, is a finding that says what."""
    sealed.database.run(statement)
    assert any(finding in each.what for each in sealed.verdict().findings)


def test_bytes_that_are_no_text_are_told(sealed: Sealed) -> None:
    """SQLite keeps them in a column of texts, and no driver can read them: an error of the data, not of the toolkit."""
    sealed.database.run("UPDATE migrate_event SET detail = CAST(x'ff' AS text) WHERE kind = 'begin'")
    with pytest.raises(DataError, match="bytes that are no text"):
        sealed.verdict()


def test_a_forged_seal_does_not_fit_the_next(sealed: Sealed) -> None:
    """Who writes a seal anew, with a hash that fits its content, is found by the seal after it, which hashed the old one."""
    (seal_two,) = sealed.database.rows("SELECT previous, seal_no, run, entries FROM migrate_seal WHERE seal_no = 2")
    parts = [seal_two["previous"], 2, seal_two["run"], "[]"]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    forged = hashlib.sha256(text.encode()).hexdigest()
    sealed.database.run(f"UPDATE migrate_seal SET entries = '[]', hash = '{forged}' WHERE seal_no = 2")
    assert [(each.seal_no, each.what) for each in sealed.verdict().findings] == [
        (3, "does not continue the seal before it")
    ]


@pytest.mark.parametrize("change", ["undo = 'no JSON'", "digests = '{}'", 'targets = \'{"dst": {"more": 1}}\''])
def test_an_entry_that_was_made_unreadable_is_refused_by_name(sealed: Sealed, change: str) -> None:
    """Who adds up the batches of a run meets the changed one as an error that names it and says where to look."""
    sealed.database.run(f"UPDATE migrate_applied SET {change} WHERE range_no = 1")
    with pytest.raises(DataError, match=r"batch 1/1 of run .* cannot be read"):
        read_entries(sealed.ledger, sealed.run)


def test_who_never_gets_a_place_in_the_chain_says_so(sealed: Sealed) -> None:
    """A seal that others forestall each time is an error, and not a run that was sealed."""
    add_event(sealed.ledger, "log", sealed.run, "note", {})
    sealed.database.run(
        "CREATE TRIGGER forestall BEFORE INSERT ON migrate_seal BEGIN"
        " SELECT RAISE(ABORT, 'UNIQUE constraint failed: migrate_seal.seal_no'); END"
    )
    with pytest.raises(TransientFault, match="could not seal"):
        seal(sealed.ledger, sealed.run)
    assert sealed.verdict().unsealed == 1


def test_a_pruned_payload_is_no_finding(sealed: Sealed) -> None:
    """After sign-off payloads may go: the chain still holds without them, if an event says that they went."""
    sealed.database.run("UPDATE migrate_undo SET payload = NULL")
    assert all("was emptied, and no event says so" in each.what for each in sealed.verdict().findings)
    assert len(sealed.verdict().findings) > 0
    add_event(sealed.ledger, "log", sealed.run, PRUNED, {"chunks": 1})
    assert sealed.verdict().findings == ()
