"""`migrate ledger prune` as its user sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.conftest import Migrate, steady

HELD = r"of undo records (of run RUN of bills )?\(chunks: 1, rows: 3\)"


def test_it_says_what_it_drops(migrate: Migrate, project: Path) -> None:
    """A dry run writes nothing; without --yes and a terminal it is exit 2; then the records are gone, and said so."""
    migrate("run", "mapping.yaml")
    before = (project / "new.db").read_bytes()
    looked = migrate("ledger", "prune", "mapping.yaml", "--dry-run")
    assert (looked.code, looked.err) == (0, "")
    assert re.fullmatch(rf"run RUN of bills holds [0-9.]+ KiB {HELD}\n", steady(looked.out))
    asked = migrate("ledger", "prune", "mapping.yaml")
    assert (asked.code, asked.out, "give --yes" in asked.err) == (2, "", True)
    assert (project / "new.db").read_bytes() == before
    done = migrate("ledger", "prune", "mapping.yaml", "--yes", "--json")
    document = json.loads(done.out)
    assert (done.code, document["chunks"], document["records"], document["dropped"]) == (0, 1, 3, True)
    again = migrate("ledger", "prune", "mapping.yaml", "--yes")
    assert (again.code, steady(again.out)) == (0, "run RUN of bills has no undo records\n")
    assert "prune" in migrate("ledger", "show", "mapping.yaml").out
    assert migrate("ledger", "verify", "mapping.yaml").code == 0
    refused = migrate("rollback", "mapping.yaml", "--yes")
    assert (refused.code, "were pruned" in refused.err) == (4, True)
