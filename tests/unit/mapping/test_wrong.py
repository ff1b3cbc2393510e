"""Each way to write a mapping wrong has a file in wrong/ and the report that it must give beside it.

`python -m tests.unit.mapping.test_wrong` writes the reports anew, for a person to read before they are kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migrate.errors import InputError
from migrate.mapping.checking import check_mapping
from migrate.mapping.compile import compile_mapping
from migrate.mapping.findings import Finding, MappingErrors
from migrate.mapping.reader import read_mapping
from tests.unit.mapping.shapes import INVOICE, SOURCE, STATES, TOTALS

FOLDER = Path(__file__).parent / "wrong"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def report(name: str) -> str:
    """What is said about a case file, all of it, with paths as seen from its folder."""
    before = Path.cwd()
    os.chdir(FOLDER)
    try:
        return "".join(f"{finding}\n" for finding in findings(Path(f"{name}.yaml")))
    finally:
        os.chdir(before)


def findings(path: Path) -> list[Finding]:
    """The findings of reading, or else those of checking against the schemas."""
    try:
        mapping = read_mapping(path)
    except MappingErrors as error:
        return list(error.findings)
    targets = {"invoice": INVOICE, "totals": TOTALS}
    return check_mapping(mapping, SOURCE, targets, {"states": STATES})


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_mapping_is_reported_whole(name: str) -> None:
    """Every mistake of the file, each with line, path and the nearest right name, and nothing else."""
    wanted = FOLDER / f"{name}.txt"
    assert report(name) == wanted.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_what_check_finds_stops_compiling_too(name: str) -> None:
    """A mapping with errors is never compiled by accident, and one with warnings alone is."""
    path = FOLDER / f"{name}.yaml"
    found = findings(path)
    if any(finding.level == "error" for finding in found):
        return
    compile_mapping(read_mapping(path), SOURCE, {"invoice": INVOICE, "totals": TOTALS}, {"states": STATES})


def test_all_mistakes_are_in_one_error() -> None:
    """The error's message names every finding and says how many there are; it asks for exit code 2."""
    with pytest.raises(MappingErrors) as caught:
        read_mapping(FOLDER / "wrong_types.yaml")
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 2
    assert str(caught.value).count("\n") == len(caught.value.findings) > 1


if __name__ == "__main__":
    for case in CASES:
        (FOLDER / f"{case}.txt").write_text(report(case), encoding="utf-8")
