"""Every way to tamper with the proof for a row, or with the files that it is made from, is refused, each with a reason of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate.certificate.prove import Proven, check_proof, prove
from migrate.errors import InputError, NotProven, StateError
from migrate.signing.canonical import canonical_json
from tests.integration.certified import Certified, certified, reason


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """Made once; tests only copy it."""
    return certified(tmp_path_factory.mktemp("certified"))


@pytest.fixture
def here(untouched: Certified, tmp_path: Path) -> Certified:
    """A copy for one attack."""
    return untouched.copy(tmp_path)


def change(name: str, value: object) -> Callable[[Any], None]:
    """Change a member of a proof."""
    return lambda proof: proof.__setitem__(name, value)


def flipped(text: str) -> str:
    """Hex with another first digit."""
    return ("1" if text[0] == "0" else "0") + text[1:]


PROOFS: dict[str, tuple[Callable[[Any], None], str]] = {
    "an altered amount": (lambda p: p.__setitem__("row", p["row"].replace("D4:7.17", "D4:9.17")), "row"),
    "a row that is none": (change("row", "S1:a;"), "row"),
    "another salt": (lambda p: p.__setitem__("salt", flipped(p["salt"])), "row"),
    "another hidden key": (lambda p: p.__setitem__("hidden_key", flipped(p["hidden_key"])), "row"),
    "another key": (change("key", {"k": "8"}), "key"),
    "a key column less": (change("key", {}), "key"),
    "an altered node": (lambda p: p["path"].__setitem__(3, flipped(p["path"][3])), "node"),
    "two nodes exchanged": (lambda p: p["path"].reverse(), "node"),
    "another place": (lambda p: p.__setitem__("index", p["index"] ^ 1), "node"),
    "a place outside": (change("index", 2_100), "depth"),
    "a path too short": (lambda p: p["path"].pop(), "depth"),
    "a path too long": (lambda p: p["path"].append("0" * 64), "depth"),
    "a table that is not there": (change("table", "other"), "form"),
    "a hash that is none": (change("leaf", "00"), "form"),
    "a remark that nobody signed": (change("remark", "paid in full"), "form"),
    "another format": (change("format", "fapiao-migrate proof 2"), "form"),
    "an altered certificate in it": (
        lambda p: p["certificate"]["certificate"].__setitem__("verdict", "X"),
        "signature",
    ),
}


def proven(here: Certified, proof: Any, key: dict[str, str] | None = None) -> Proven:
    """Check a proof."""
    here.path("proof.json").write_text(json.dumps(proof), encoding="utf-8")
    return check_proof(here.path("proof.json"), here.path("signing.key.pub"), key)


@pytest.mark.parametrize(("attack", "expected"), PROOFS.values(), ids=PROOFS.keys())
def test_an_altered_proof_is_refused(here: Certified, attack: Callable[[Any], None], expected: str) -> None:
    """Whatever of it is changed, it proves nothing, and says which part it was."""
    proof = here.proof()
    proven(here, proof)
    before = canonical_json(proof)
    attack(proof)
    assert canonical_json(proof) != before
    assert reason(lambda: proven(here, proof)) == expected


def test_an_inner_node_is_no_row(here: Certified) -> None:
    """The node above two leaves, shown as if it were a leaf, is refused by the length of its path."""
    proof = here.proof()
    leaf, sibling = bytes.fromhex(proof["leaf"]), bytes.fromhex(proof["path"].pop(0))
    left, right = (sibling, leaf) if proof["index"] % 2 else (leaf, sibling)
    proof |= {"hidden_key": left.hex(), "leaf": right.hex(), "index": proof["index"] // 2}
    assert reason(lambda: proven(here, proof)) == "depth"


def test_a_proof_for_another_row_is_refused(here: Certified) -> None:
    """Who asks for one row is not content with the proof for another, and neither row of it can be put into the other's proof."""
    proof, other = here.proof("7"), here.proof("8")
    assert proven(here, proof, {"k": "7"}).row["k"] == "7"
    assert reason(lambda: proven(here, other, {"k": "7"})) == "key"
    assert reason(lambda: proven(here, other, {"k": "8", "name": "x"})) == "key"
    assert reason(lambda: proven(here, {**other, "key": proof["key"]})) == "key"
    assert reason(lambda: proven(here, {**other, "key": proof["key"], "row": proof["row"]})) == "row"
    assert reason(lambda: proven(here, {**other, "certificate": here.proof("8", "old.cert")["certificate"]})) == "node"


def test_a_proof_under_another_signer_is_refused(here: Certified) -> None:
    """A proof holds under the key that one trusts, or not at all."""
    here.certify("forged.cert", "other.key")
    assert reason(lambda: proven(here, here.proof(name="forged.cert"))) == "signer"


def test_a_proof_tells_nothing_about_other_rows(here: Certified) -> None:
    """No leaf beside it is the hash of what anybody can compute from a row, and the salts of two certificates differ."""
    proof, other = here.proof("7"), here.proof("7", "old.cert")
    assert proof["row"] == other["row"]
    assert {proof["salt"], proof["hidden_key"], proof["leaf"]}.isdisjoint(
        {other["salt"], other["hidden_key"], other["leaf"]}
    )
    assert "买方 8" not in json.dumps(proof, ensure_ascii=False).replace(proof["row"], "")


# ---------------------------------------------------------------- the files that proofs are made from


def test_no_proof_for_a_row_that_is_not_there(here: Certified) -> None:
    """A key that no row has is `absent`; one of other columns, or of no value of its type, is a mistake."""
    assert reason(lambda: here.proof("2100")) == "absent"
    with pytest.raises(InputError, match="no table of the certificate"):
        prove(here.path("new.cert"), {"name": "x"})
    with pytest.raises(InputError, match="is no integer"):
        here.proof("seven")


def test_the_secret_must_be_there_and_private_and_the_right_one(here: Certified) -> None:
    """Without it no proof; one that others may read is refused (exit 4); that of another certificate is `secret`."""
    secret = here.path("new.cert.secret")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert here.path("new.cert.leaves").stat().st_mode & 0o777 == 0o600
    secret.chmod(0o644)
    with pytest.raises(StateError, match="0644"):
        here.proof()
    secret.write_bytes(here.path("old.cert.secret").read_bytes())
    secret.chmod(0o600)
    assert reason(here.proof) == "secret"
    secret.write_bytes(b"\xff")
    assert reason(here.proof) == "secret"
    secret.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        here.proof()


def outcome(here: Certified) -> str:
    """The proof for a row as text, or why there is none."""
    try:
        return canonical_json(here.proof())
    except NotProven as error:
        return error.reason


def test_leaves_of_another_certificate_or_altered_ones_make_no_proof(here: Certified) -> None:
    """Whatever byte of them is changed, what would come out is refused, or is right all the same."""
    leaves = here.path("new.cert.leaves")
    content = leaves.read_bytes()
    good = outcome(here)
    for place in range(0, len(content), 997):
        leaves.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert outcome(here) in {good, "leaves", "row", "node", "absent", "depth"}, place
    leaves.write_bytes(here.path("old.cert.leaves").read_bytes())
    assert reason(here.proof) == "leaves"
    for cut in (0, 5, len(content) // 2, len(content) - 1):
        leaves.write_bytes(content[:cut])
        assert reason(here.proof) == "leaves"
