"""`migrate rehearse` as its user sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.conftest import Migrate, steady

SHOWN = """\
mapping read rejected verdict as before run verify rollback look again
bills 6 2 EQUAL yes N s N s N s N s

rehearsed: it was run, verified and taken back, and the copy is as it was; the target's log has it
"""


NARROW = """\
bills
  read         6
  rejected     2
  verdict      EQUAL
  as before    yes
  run          N s
  verify       N s
  rollback     N s
  look again   N s

rehearsed: it was run, verified and taken back, and the
copy is as it was; the target's log has it
"""


def test_a_narrow_page_has_a_line_for_each_figure(migrate: Migrate, project: Path) -> None:
    """No word and no number is broken where the table is too wide."""
    assert project.exists()
    done = migrate("rehearse", "mapping.yaml", COLUMNS="55")
    lines = [line.split() for line in steady(done.out).splitlines()]
    assert lines == [line.split() for line in NARROW.splitlines()]


def test_a_rehearsal_is_shown_and_kept(migrate: Migrate, project: Path) -> None:
    """Exit 0, a line per mapping; the document is the evidence; the target has no row of it, and the folder no copy."""
    done = migrate("rehearse", "mapping.yaml")
    assert (done.code, re.sub(" +", " ", steady(done.out))) == (0, SHOWN)
    assert "rehearsal: rollback" in done.err
    found = migrate("rehearse", "mapping.yaml", "--json")
    (evidence,) = json.loads(found.out)["rehearsals"]
    assert (evidence["mapping"], evidence["verdict"], evidence["restored"]) == ("bills", "EQUAL", True)
    assert evidence["rows"]["read"] == 6
    assert set(evidence["seconds"]) == {"run", "verify", "rollback", "verify_again"}
    assert migrate("ledger", "verify", "mapping.yaml").code == 0
    assert [path.name for path in project.iterdir() if "rehearsal" in path.name] == []
    assert migrate("rehearse", "mapping.yaml", "--on", "sqlite:///new.db").code == 2
