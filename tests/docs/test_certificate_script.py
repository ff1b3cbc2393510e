"""The script of docs/how-to/certificate.md checks certificates and proofs with nothing of the toolkit, and refuses what the toolkit refuses."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import ROOT, File, steps
from tests.integration.certified import Certified, certified

PAGE = (ROOT / "docs" / "how-to" / "certificate.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """A certified migration, with the script beside it."""
    made = certified(tmp_path_factory.mktemp("certified"))
    (script,) = (step for step in steps(PAGE) if isinstance(step, File))
    made.path("script.py").write_text(script.content, encoding="utf-8")
    made.write(made.proof(), "proof.json")
    return made


def script(here: Certified, file: str, key: str = "signing.key.pub") -> tuple[int, str]:
    """Exit code and output of the script, in a Python that does not see this checkout."""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error::DeprecationWarning", "script.py", file, key],
        cwd=here.folder,
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_script_needs_python_and_one_library(here: Certified) -> None:
    """It imports the standard library and `cryptography`, and fits on two pages."""
    text = here.path("script.py").read_text(encoding="utf-8")
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}
    assert len(text.splitlines()) <= 120


def test_what_holds_is_confirmed(here: Certified) -> None:
    """A certificate and a proof, with what they state."""
    code, shown = script(here, "new.cert")
    assert (code, "the certificate holds: certified EQUAL" in shown, "dst: 2100 rows" in shown) == (0, True, True)
    code, shown = script(here, "proof.json")
    assert (code, "the proof holds: dst had this row:\n  amount: 7.17\n  k: 7\n" in shown) == (0, True), shown


ATTACKS: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "statement": ("new.cert", lambda e: e["certificate"].update(verdict="X"), "the statement is not signed"),
    "entry": ("new.cert", lambda e: e["log"]["event"].update(at_ms=1), "the seal does not list the entry"),
    "seal": ("new.cert", lambda e: e["log"]["seal"].update(previous="0" * 64), "the seal was altered"),
    "path of the log": ("new.cert", lambda e: e["log"].update(path=["0" * 64]), "the log lacks the seal"),
    "size of the log": (
        "new.cert",
        lambda e: e["log"].update(checkpoint=e["log"]["checkpoint"].replace("\n3\n", "\n4\n")),
        "the checkpoint was altered",
    ),
    "no log": ("new.cert", lambda e: e.pop("log"), "not a certificate or proof"),
    "row": ("proof.json", lambda p: p.update(row=p["row"].replace("7.17", "9.17")), "the row or its path was altered"),
    "key": ("proof.json", lambda p: p.update(key={"k": "8"}), "the key is not that of the row"),
    "node": ("proof.json", lambda p: p["path"].reverse(), "the row or its path was altered"),
    "depth": ("proof.json", lambda p: p["path"].pop(), "too short"),
    "place": ("proof.json", lambda p: p.update(index=2_100), "outside of the tree"),
    "certificate in a proof": (
        "proof.json",
        lambda p: p["certificate"]["certificate"].update(verdict="X"),
        "the statement is not signed",
    ),
}


@pytest.mark.parametrize(("file", "attack", "complaint"), ATTACKS.values(), ids=ATTACKS.keys())
def test_what_was_altered_is_refused(
    here: Certified, file: str, attack: Callable[[Any], object], complaint: str
) -> None:
    """Exit 1, and the sentence says which part it was."""
    content = here.read(file)
    attack(content)
    here.write(content, "altered.json")
    code, shown = script(here, "altered.json")
    assert (code, shown.startswith("DOES NOT HOLD: "), complaint in shown) == (1, True, True), shown


def test_another_signer_is_refused(here: Certified, tmp_path: Path) -> None:
    """Under a key that one does not trust nothing holds; a member that is there twice hides nothing."""
    assert script(here, "new.cert", "other.key.pub")[0] == 1
    text = json.dumps(here.read("new.cert")).replace('"verdict":', '"verdict": "X", "verdict":')
    (tmp_path / "twice.json").write_text(text)
    code, shown = script(here, str(tmp_path / "twice.json"))
    assert (code, "a member is there twice" in shown) == (1, True)
