"""What the command line loads before it knows which command it is."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("library", ["pyarrow", "duckdb", "polars", "sqlalchemy", "cryptography"])
def test_no_command_loads_a_large_library_before_it_needs_it(library: str) -> None:
    """Arrow reads the choice of its allocator when it is loaded, which `main` makes; loaded earlier, a run takes 100 MB more. Help is quick, too."""
    asked = f"import sys, migrate.cli; print({library!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_a_run_does_without_cryptography() -> None:
    """Only certificates and checkpoints need it; a run has to keep its memory for rows."""
    asked = "import sys, migrate.engine.run; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
