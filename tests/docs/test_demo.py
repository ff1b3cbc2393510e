"""The demonstration of `make demo` tells its story to the end, and fails when the numbers do not add up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

SMALLER = {
    "ROWS=60000": "ROWS=4000",
    "BATCH_ROWS=1500": "BATCH_ROWS=100",
    "--rows-per-second 4000": "--rows-per-second 100",
}
LOSE_A_ROW = "python -c \"import sqlite3; d = sqlite3.connect('$FOLDER/new.db'); d.execute('delete from invoice where rowid = 9'); d.commit()\"\n"
COUNT = "python - $FOLDER <<"
VERIFY = "show migrate verify $MAPPING"
SECONDS = 240


def demonstrate(folder: Path, inserted: str = "", before: str = COUNT) -> subprocess.CompletedProcess[str]:
    """Run the script in a checkout of its own, with fewer rows, and with a line put before one of its steps."""
    script = (ROOT / "docs" / "demo.sh").read_text(encoding="utf-8")
    for old, new in {**SMALLER, before: inserted + before}.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    shutil.copytree(ROOT / "mappings", folder / "mappings")
    (folder / "docs").mkdir()
    (folder / "docs" / "demo.sh").write_text(script, encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "docs/demo.sh"],
        cwd=folder,
        env={"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.timeout(SECONDS + 30)
def test_the_demonstration_kills_resumes_and_adds_up(tmp_path: Path) -> None:
    """A run that was killed is shown as interrupted, goes on, and ends with the rows of an undisturbed one."""
    done = demonstrate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    story = [
        "kill -9, when ",
        "  interrupted  ",
        "  complete  ",
        "legacy_vat  EQUAL  ",
        "control totals agree",
        "legacy_vat  DIFFERENT  ",
        "changed · cut off  invoice  key=",
        "missing  invoice  key=",
        "the certificate is in build/demo/vat.cert",
        "the proof holds: invoice has this row",
        "error: rows were altered since",
        "read = mapped + filtered + rejected",
        "the chain holds",
    ]
    places = [done.stdout.find(line) for line in story]
    assert places == sorted(places), done.stdout
    assert -1 not in places, done.stdout
    assert "WRONG" not in done.stdout
    assert not (tmp_path / "build" / "demo").exists()


@pytest.mark.timeout(SECONDS + 30)
def test_the_demonstration_fails_when_a_row_is_lost(tmp_path: Path) -> None:
    """One row too few when it counts ends it with exit 1, and names the line that does not hold."""
    done = demonstrate(tmp_path, LOSE_A_ROW)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "demo: the counts do not add up" in done.stderr
    assert [line.split("  ")[1] for line in done.stdout.splitlines() if line.endswith("WRONG")] != []
    assert not (tmp_path / "build" / "demo").exists()


@pytest.mark.timeout(SECONDS + 30)
def test_the_demonstration_fails_when_the_verification_does(tmp_path: Path) -> None:
    """One row too few when it verifies ends it there with exit 1, after the verifier has named the row."""
    done = demonstrate(tmp_path, LOSE_A_ROW, before=VERIFY)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "demo: the target is not what the mapping makes of the source" in done.stderr
    assert "  missing  invoice  key=" in done.stdout
    assert "Do the counts add up?" not in done.stdout
