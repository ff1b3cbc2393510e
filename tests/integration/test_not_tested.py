"""A database that cannot be had is never passed over in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CONFTEST = """
from tests import conftest
from tests.conftest import *  # its hooks and fixtures

def unavailable(kind):
    raise conftest.UnavailableError(f"no {kind} on this machine")

conftest.server_of_kind = unavailable
"""

TESTS = """
def test_one(database_url):
    assert database_url.startswith("sqlite:")

def test_two(mariadb_server):
    raise AssertionError("not reached")
"""


def session(folder: Path, *options: str, ci: bool) -> subprocess.CompletedProcess[str]:
    """A session of pytest on a machine that has SQLite only."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(TESTS)
    environment = {name: value for name, value in os.environ.items() if name != "CI" and "PYTEST" not in name}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    command += ["-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
@pytest.mark.parametrize(("ci", "code"), [(False, 0), (True, 1)], ids=["at a desk", "in CI"])
def test_missing_databases_are_named_and_fail_ci(options: tuple[str, ...], ci: bool, code: int, tmp_path: Path) -> None:
    """The summary names each database that was left out and counts its tests; in CI the session fails."""
    done = session(tmp_path, *options, ci=ci)
    assert done.returncode == code, done.stdout + done.stderr
    assert "1 passed, 3 skipped" in done.stdout
    assert "not tested: postgresql: no postgresql on this machine (1 tests skipped)" in done.stdout
    assert "not tested: mariadb: no mariadb on this machine (2 tests skipped)" in done.stdout
