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


SAMPLED = """\
mapping read rejected verdict as before run verify rollback look again
bills 2 1 EQUAL yes N s N s N s N s

bills: a sample, 2 of 6 source rows, in 2 key ranges spread over all; the rest was not looked at
 at full size: too few rows for an estimate, which takes 16,000 of them

rehearsed: it was run, verified and taken back, and the copy is as it was; the target's log has it
"""


def test_a_sample_is_called_a_sample(migrate: Migrate, project: Path) -> None:
    """How much of the source it was, and that two rows tell nothing of the time that all take; a size that is none is a usage error."""
    assert project.exists()
    done = migrate("rehearse", "mapping.yaml", "--sample", "2", COLUMNS="200")
    assert (done.code, re.sub(" +", " ", steady(done.out))) == (0, SAMPLED)
    (evidence,) = json.loads(migrate("rehearse", "mapping.yaml", "--sample", "40%", "--json").out)["rehearsals"]
    assert (evidence["whole"], evidence["sample"]["of"], evidence["at_full_size"]["rows"]) == (False, 6, 6)
    (whole,) = json.loads(migrate("rehearse", "mapping.yaml", "--json").out)["rehearsals"]
    assert (whole["whole"], whole["sample"], whole["at_full_size"]["seconds"]) == (True, None, whole["seconds"])
    for wrong in ("0", "0%", "-5", "101%", "some", "1.5", "５"):
        refused = migrate("rehearse", "mapping.yaml", "--sample", wrong)
        assert (refused.code, "Traceback" in refused.err) == (2, False), wrong
