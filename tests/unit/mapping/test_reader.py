"""Reading mapping files: every scalar is text, lines are known, the example of the interface document is understood."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from migrate.errors import InputError
from migrate.mapping.checking import check_mapping
from migrate.mapping.findings import MappingErrors
from migrate.mapping.model import Amount
from migrate.mapping.reader import parse_mapping, read_mapping

TARGET = "targets:\n  - table: t\n    key: [a]\n    fields:\n"


def parse(fields: str, rest: str = "") -> object:
    """A mapping with these fields."""
    return parse_mapping(f"mapping: m\nsource: {{table: s, key: [k]}}\n{TARGET}{fields}{rest}", Path("m.yaml"))


def test_every_scalar_is_text() -> None:
    """`01`, `no`, `1e3`, `null` and a date are what they look like."""
    values = ("01", "no", "1e3", "2025-01-01", "null", "~", "0x1F", "1_000", "true", ".inf", "1:30")
    fields = "".join(f"      f{number}: {{value: {value}}}\n" for number, value in enumerate(values))
    mapping = parse_mapping(f"mapping: m\nsource: {{table: s, key: k}}\n{TARGET}      a: k\n{fields}", Path("m.yaml"))
    assert tuple(mapping.targets[0].fields[f"f{number}"].value for number in range(len(values))) == values


def test_lines_are_known_for_every_path() -> None:
    """A path that the file does not have is told by the nearest part that it has."""
    mapping = parse_mapping(
        f"mapping: m\nsource: {{table: s, key: [k]}}\n{TARGET}      a: k\n      b:\n        from: x\n", Path("m.yaml")
    )
    assert mapping.line_of("targets[0].fields.a") == 7
    assert mapping.line_of("targets[0].fields.b.from") == 9
    assert mapping.line_of("targets[0].fields.b.type") == 8
    assert mapping.line_of("targets[0].fields.zz") == 6
    assert mapping.line_of("nowhere") == 1


def test_limits_durations_and_shares_are_read() -> None:
    """A count, a share as an exact decimal, a duration in seconds."""
    text = (
        "mapping: m\nsource: {table: s, key: k, changes: {column: c, overlap: 90s}}\n"
        f'{TARGET}      a: k\nlimits: {{rejects: "0.5%", warnings: 100, first_batches: 5}}\n'
    )
    mapping = parse_mapping(text, Path("m.yaml"))
    assert mapping.limits.rejects == Amount(share=Decimal("0.005"))
    assert mapping.limits.warnings == Amount(count=100)
    assert mapping.limits.first_batches == 5
    assert mapping.source.changes is not None
    assert mapping.source.changes.overlap == 90


def test_variables_stay_unexpanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping file is the same on every machine: `${NAME}` is for whoever opens the database."""
    monkeypatch.setenv("SECRET_URL", "postgresql://user:password@host/db")
    mapping = parse_mapping(
        f'mapping: m\nsource: {{url: "${{SECRET_URL}}", table: s}}\n{TARGET}      a: k\n', Path("m.yaml")
    )
    assert mapping.source.url == "${SECRET_URL}"
    assert mapping.source_spec("sqlite:///x.db").url == "sqlite:///x.db"
    assert "password" not in repr(mapping)


def test_a_byte_order_mark_and_windows_lines_are_no_mistakes(tmp_path: Path) -> None:
    """Editors on Windows add both."""
    path = tmp_path / "m.yaml"
    path.write_bytes(
        b"\xef\xbb\xbf" + f"mapping: m\nsource: {{table: s}}\n{TARGET}      a: k\n".replace("\n", "\r\n").encode()
    )
    assert read_mapping(path).name == "m"


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (b"mapping: \xff\xfe", "not UTF-8")])
def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    """Missing, or in another encoding: exit 2 and what to do."""
    path = tmp_path / "m.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_mapping(path)
    assert caught.value.next_step


def test_merge_keys_are_plain_keys() -> None:
    """`<<` has no meaning in the failsafe schema, so it is an unknown key."""
    with pytest.raises(MappingErrors, match="unknown key `<<`"):
        parse("      a: {<<: {from: k}}\n")


def test_aliases_are_fine_unless_they_point_around_themselves() -> None:
    """An anchor saves writing the same field twice."""
    mapping = parse_mapping(
        f"mapping: m\nsource: {{table: s}}\n{TARGET}      a: &f {{from: k, clean: trim}}\n      b: *f\n", Path("m.yaml")
    )
    assert mapping.targets[0].fields["a"] == mapping.targets[0].fields["b"]


def test_offline_checks_need_no_schema() -> None:
    """Without schemas, what needs none is still found."""
    mapping = parse_mapping(
        f"mapping: m\nsource: {{table: s, where: 'now() > x'}}\n{TARGET}      a: {{sql: 'lenght(k)'}}\n", Path("m.yaml")
    )
    assert [finding.path for finding in check_mapping(mapping, None, None)] == [
        "source.where",
        "targets[0].fields.a.sql",
    ]
