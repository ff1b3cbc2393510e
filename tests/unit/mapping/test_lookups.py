"""Code lists in files, and the proof that keys are unique."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from migrate.errors import InputError
from migrate.mapping.findings import MappingErrors
from migrate.mapping.lookups import check_lookup, load_file_lookup, lookup_path
from migrate.mapping.model import Mapping
from migrate.mapping.reader import parse_mapping


def mapping(tmp_path: Path, content: bytes) -> Mapping:
    """A mapping beside a code list."""
    (tmp_path / "codes.csv").write_bytes(content)
    text = (
        "mapping: m\nsource: {table: s, key: k}\n"
        "lookups:\n  codes: {file: codes.csv, key: old}\n  far: {source_table: far, key: id}\n"
        "targets:\n  - {table: t, key: a, fields: {a: {from: k, lookup: codes, take: new}}}\n"
    )
    return parse_mapping(text, tmp_path / "m.yaml")


def test_every_value_of_a_code_list_is_text(tmp_path: Path) -> None:
    """Leading zeros, empty values, quotes, line breaks in quotes and a byte order mark are what they are."""
    content = b'\xef\xbb\xbfold,new,name\r\n01,1,"a, ""b"""\r\n,x,"two\nlines"\r\n'
    table = load_file_lookup(mapping(tmp_path, content), "codes")
    assert table.to_pydict() == {"old": ["01", ""], "new": ["1", "x"], "name": ['a, "b"', "two\nlines"]}
    assert all(kind == pa.string() for kind in table.schema.types)


def test_a_code_list_lies_beside_its_mapping(tmp_path: Path) -> None:
    """Relative to the mapping file, wherever the command is run."""
    assert lookup_path(mapping(tmp_path, b"old\n"), "codes") == tmp_path / "codes.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"old,new\n0,1\n0,2\n", "codes.csv:3 → (file): key '0' occurs twice, first on line 2"),
        (b"odl,new\n0,1\n", "codes.csv:1 → (file): has no column `old` (did you mean `odl`?)"),
        (b"old,new\n0\n", "codes.csv:2 → (file): has 1 values for 2 columns"),
        (b"", "codes.csv:1 → (file): is empty: a header is needed"),
        (b"old,new\n\xb7\xa2,1\n", "is not UTF-8 (byte 8)"),
        (b'old,new\n"0,1\n', "is not CSV"),
    ],
)
def test_a_wrong_code_list_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    """Duplicate keys name both lines; nothing is skipped or filled up."""
    with pytest.raises(MappingErrors) as caught:
        load_file_lookup(mapping(tmp_path, content), "codes")
    assert message in str(caught.value)


def test_a_key_that_is_not_unique_is_refused() -> None:
    """Two rows for one key would multiply rows; a key with a NULL finds nothing and is no duplicate."""
    check_lookup(pa.table({"a": ["x", None, None], "b": [1, 1, 1]}), ("a", "b"))
    with pytest.raises(InputError, match=r"not unique.*x, 1"):
        check_lookup(pa.table({"a": ["x", "y", "x"], "b": [1, 1, 1]}), ("a", "b"))
