"""Files are one relation: every row in its place, any range at once, nothing guessed."""

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.errors import EnvironmentFault, InputError
from migrate.stores.files import FilesReader, FilesSource, open_source
from migrate.stores.port import ANOMALY, ROW_NUMBER
from migrate.values import Key, KeyRange, SourceSpec

HEADER = "发票号码,b,c\n"
BY_NUMBER = (ROW_NUMBER,)


def source(
    files: Path | str,
    key: tuple[str, ...] = (),
    form: str | None = None,
    options: dict[str, str] | None = None,
) -> FilesSource:
    """The files as a source."""
    given = tuple((options or {}).items())
    return open_source(SourceSpec(None, files=str(files), format=form, options=given, key=key))


def rows(opened: FilesSource, columns: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """All rows in order."""
    order = opened.shape.unique_keys[0].columns
    everything = KeyRange(0, order, None, None)
    return [row for batch in opened.reader().read(everything, order, 1 << 20, columns) for row in batch.to_pylist()]


def walk(reader: FilesReader, order: tuple[str, ...], size: int) -> list[list[dict[str, Any]]]:
    """The rows of consecutive ranges of about `size` rows."""
    parts, after = [], None
    while True:
        upto = reader.border(order, after, size)
        found = reader.read(KeyRange(0, order, after, upto), order, 1 << 20)
        parts.append([row for batch in found for row in batch.to_pylist()])
        if upto is None:
            return parts
        after = upto


@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {}),
        ("utf-8-sig", {"encoding": "utf-8"}),
        ("gb18030", {}),
        ("gb18030", {"encoding": "GB18030"}),
        ("utf-16", {"encoding": "utf-16"}),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, options: dict[str, str]) -> None:
    """UTF-8 with and without a mark and GB18030 are told apart by their bytes, others are declared; U+20BB7 survives."""
    path = tmp_path / "x.csv"
    path.write_bytes((HEADER + "北京,𠮷,1\n").encode(encoding))
    [row] = rows(source(path, options=options))
    assert row == {"发票号码": "北京", "b": "𠮷", "c": "1", ROW_NUMBER: 1, ANOMALY: None}


def test_values_are_text_as_written(tmp_path: Path) -> None:
    r"""Quotes enclose newlines, commas and quotes; numbers keep their zeros; NULL, \N and nothing are what they are."""
    path = tmp_path / "x.csv"
    path.write_bytes((HEADER + '"a\nb","1,5","q""x"\r\n007,NULL,\\N\n,"",1e3\n').encode())
    assert [[row["发票号码"], row["b"], row["c"]] for row in rows(source(path))] == [
        ["a\nb", "1,5", 'q"x'],
        ["007", "NULL", "\\N"],
        ["", "", "1e3"],
    ]


def test_rows_that_cannot_be_taken_apart_stay_in_their_place(tmp_path: Path) -> None:
    """A row with too few or too many fields is an anomaly with its text, at the beginning, between others and at the end."""
    path = tmp_path / "x.csv"
    path.write_text(HEADER + 'short\n1,2,3\n1,"x\ny",3,4\nshort\n4,5,6\nlast,"z\nz"\n')
    found = rows(source(path))
    assert [row[ROW_NUMBER] for row in found] == [1, 2, 3, 4, 5, 6]
    assert [row["c"] for row in found] == [None, "3", None, None, "6", None]
    assert found[0][ANOMALY] == "row has 1 fields instead of 3: short"
    assert found[2][ANOMALY] == 'row has 4 fields instead of 3: 1,"x\ny",3,4'
    assert found[5][ANOMALY] == 'row has 2 fields instead of 3: last,"z\nz"'


@settings(max_examples=30)
@given(data=st.data())
def test_damaged_rows_among_thousands(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Wherever damaged rows lie, every row has its number, also beyond the blocks that are taken apart at once."""
    damaged = data.draw(st.sets(st.integers(1, 5000), max_size=20))
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    long = "x" * 5000
    path.write_text("n,v\n" + "".join("bad\n" if n in damaged else f"{n},{long}\n" for n in range(1, 5001)))
    found = rows(source(path), ("n", ROW_NUMBER))
    assert [row[ROW_NUMBER] for row in found] == list(range(1, 5001))
    assert {row[ROW_NUMBER] for row in found if row[ANOMALY]} == damaged
    assert all(row["n"] == str(row[ROW_NUMBER]) for row in found if not row[ANOMALY])


def test_rows_longer_than_a_block(tmp_path: Path) -> None:
    """A value of many mebibytes is read whole, and the rows before and after it once."""
    path = tmp_path / "x.csv"
    sizes = [10] * 3000 + [20 << 20, 5 << 20] + [10] * 3000
    path.write_text("n,v\nbad\n" + "".join(f"{n},{'x' * size}\n" for n, size in enumerate(sizes)))
    found = rows(source(path))
    assert [len(row["v"]) for row in found[1:]] == sizes
    assert [row["n"] for row in found[1:]] == [str(n) for n in range(len(sizes))]
    assert [row[ROW_NUMBER] for row in found if row[ANOMALY]] == [1]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Without a declared encoding the file is refused as a whole, with one its rows are told, and only for the columns asked for."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n1,\xd5\xc5\n2,\xb1\xb1\xbe\xff\n3,x\xff,\n")
    with pytest.raises(InputError, match="neither UTF-8 nor GB18030"):
        source(path)
    opened = source(path, options={"encoding": "gbk"})
    found = rows(opened)
    assert [row["b"] for row in found] == ["张", None, None]
    assert found[1][ANOMALY] == "b: bytes that are no text in 北\\xBE\\xFF"
    assert found[2][ANOMALY] == "row has 3 fields instead of 2: 3,x\\xFF,"
    assert [row[ANOMALY] for row in rows(opened, ("a",))] == [None, None, found[2][ANOMALY]]


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        ("a;b\n1;2\n", {}, ("a", "b")),
        ("a\tb\tc,d\n", {}, ("a", "b", "c,d")),
        ("a|b,c\n", {"delimiter": "|"}, ("a", "b,c")),
    ],
)
def test_delimiters(tmp_path: Path, text: str, options: dict[str, str], names: tuple[str, ...]) -> None:
    """The delimiter is the candidate that stands most often in the header, or the declared one."""
    path = tmp_path / "x.csv"
    path.write_text(text)
    opened = source(path, options=options)
    assert opened.shape.names[:-1] == names


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no header"),
        ("a,,c\n", "column 2 '' has no name"),
        ("a,b,a\n", "column 3 'a' stands twice"),
        ("a,_row\n", "may not be called _row"),
    ],
)
def test_headers_that_cannot_be(tmp_path: Path, text: str, match: str) -> None:
    """Each column has one name of its own."""
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        source(path)


def test_several_files_are_one_relation(tmp_path: Path) -> None:
    """A folder or glob is read by name, numbers go on, hidden and other files do not count; the fingerprint names all and follows their bytes."""
    for name, text in (("b.csv", "3\n"), ("a.csv", "1\n2\n"), (".hidden.csv", "9\n"), ("notes.md", "9\n")):
        (tmp_path / name).write_text(f"n\n{text}")
    for files in (tmp_path, tmp_path / "*.csv"):
        assert [(row["n"], row[ROW_NUMBER]) for row in rows(source(files))] == [("1", 1), ("2", 2), ("3", 3)]
    first = source(tmp_path).fingerprint()
    assert [text.split()[0] for name, text in first.items() if name.startswith("file ")] == ["a.csv", "b.csv"]
    (tmp_path / "b.csv").write_text("n\n4\n")
    assert source(tmp_path).fingerprint() != first


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    """The error names the file and the column: missing, additional, in another place, of another type."""
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("a,b\n")
    for header, match in (
        ("a\n", "column b of 1.csv is missing"),
        ("a,b,c\n", "column c is not in"),
        ("b,a\n", "another place"),
    ):
        second.write_text(header)
        with pytest.raises(InputError, match=match) as caught:
            source(tmp_path)
        assert "2.csv" in str(caught.value)
    second.unlink()
    first.unlink()
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(InputError, match=r"column a is string, but int32 in 1\.parquet"):
        source(tmp_path)


def test_what_cannot_be_a_source(tmp_path: Path) -> None:
    """No file, an unknown format or option, a damaged file, a key that is no column."""
    (tmp_path / "x.dat").write_text("a\n1\n")
    (tmp_path / "x.parquet").write_text("no parquet at all")
    with pytest.raises(InputError, match="no files"):
        source(tmp_path / "*.csv")
    with pytest.raises(InputError, match="do not tell one format"):
        source(tmp_path / "x.dat")
    with pytest.raises(InputError, match="unknown format xml"):
        source(tmp_path / "x.dat", form="xml")
    with pytest.raises(InputError, match="no option quote"):
        source(tmp_path / "x.dat", form="csv", options={"quote": "'"})
    with pytest.raises(InputError, match="unknown encoding klingon"):
        source(tmp_path / "x.dat", form="csv", options={"encoding": "klingon"})
    with pytest.raises(InputError, match="not a parquet file"):
        source(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"no column b"):
        source(tmp_path / "x.dat", form="csv", key=("b",))


@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_columns_of_arrow_files_keep_their_values(tmp_path: Path, form: str) -> None:
    """Every Arrow type has the logical type that holds it; nanoseconds that microseconds cannot hold are anomalies, nested values JSON."""
    table = pa.table(
        {
            "u": pa.array([2**64 - 1, None], pa.uint64()),
            "i": pa.array([-5, 5], pa.int8()),
            "s": pa.array(["x", None]).dictionary_encode(),
            "d": pa.array([Decimal("1.50"), None], pa.decimal128(20, 2)),
            "w": pa.array([Decimal("1.5"), None], pa.decimal256(60, 1)),
            "t": pa.array([1_000, 1], pa.timestamp("ns")),
            "z": pa.array([0, 1], pa.timestamp("s", "Asia/Shanghai")),
            "l": [[1, 2], None],
            "f": pa.array([0.1, None], pa.float32()),
            "day": pa.array([date(2025, 1, 1), None]),
            "b": pa.array([b"\x00", None], pa.large_binary()),
            "n": pa.nulls(2),
        }
    )
    path = tmp_path / f"x.{form}"
    pq.write_table(table, path) if form == "parquet" else pyarrow.feather.write_feather(table, path)
    first, second = rows(source(path))
    assert first == {
        "u": Decimal(2**64 - 1), "i": -5, "s": "x", "d": Decimal("1.50"), "w": "1.5", "t": datetime(1970, 1, 1, 0, 0, 0, 1),  # noqa: DTZ001
        "z": datetime(1970, 1, 1, tzinfo=UTC), "l": "[1, 2]", "f": 0.10000000149011612, "day": date(2025, 1, 1), "b": b"\x00", "n": None,
        ROW_NUMBER: 1, ANOMALY: None,
    }  # fmt: skip
    assert second["t"] is None
    assert second[ANOMALY] == "t: 1 (timestamp[ns]) is no timestamp"


KEYS = st.lists(
    st.tuples(st.sampled_from([None, "", "a", "B", "é", "𠮷"]), st.one_of(st.none(), st.integers(-3, 3))),
    min_size=1,
    max_size=60,
)


@settings(max_examples=30)
@given(keys=KEYS, size=st.integers(1, 7))
def test_ranges_of_a_declared_key_partition_the_rows(
    tmp_path_factory: pytest.TempPathFactory, keys: list[Key], size: int
) -> None:
    """Rows come sorted by the key, NULLs first and text by code point; equal keys share a range; no row is lost or doubled."""
    path = tmp_path_factory.mktemp("keys") / "x.parquet"
    table = pa.table(
        {
            "k": pa.array([key[0] for key in keys], pa.string()),
            "n": pa.array([key[1] for key in keys], pa.int64()),
            "at": range(len(keys)),
        }
    )
    pq.write_table(table, path)
    opened = source(path, key=("k", "n"))
    parts = walk(opened.reader(), ("k", "n"), size)
    ranks = [
        [((row["k"] is not None, row["k"] or ""), (row["n"] is not None, row["n"] or 0)) for row in part]
        for part in parts
    ]
    assert sorted(row["at"] for part in parts for row in part) == list(range(len(keys)))
    flat = [rank for part in ranks for rank in part]
    assert flat == sorted(flat)
    assert all(not set(one) & set(other) for one, other in pairwise(ranks))
    picked = opened.reader().pick(("k", "n"), [keys[0], ("none", 0)], ("k", "n"), ("at",))
    assert sorted(picked["at"].to_pylist()) == [at for at, key in enumerate(keys) if key == keys[0]]


def test_ranges_by_number_and_lookups(tmp_path: Path) -> None:
    """Row numbers are borders, picks find them, a lookup has the columns asked for."""
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "".join(f"{n},v{n}\n" for n in range(1, 101)))
    reader = source(path).reader()
    assert [len(part) for part in walk(reader, BY_NUMBER, 30)] == [30, 30, 30, 10]
    assert reader.border(BY_NUMBER, (70,), 30) == (100,)
    assert reader.border(BY_NUMBER, (70,), 31) is None
    assert reader.pick(BY_NUMBER, [(7,), (100,), (101,)], BY_NUMBER)["a"].to_pylist() == ["7", "100"]
    assert reader.lookup(("b",)).column_names == ["b", ANOMALY]
    with pytest.raises(InputError, match="cannot be read in the order"):
        list(reader.read(KeyRange(0, ("a",), None, None), ("b",), 1000))


def test_chunks_are_bounded(tmp_path: Path) -> None:
    """Chunks have about the wanted size, whatever the batches in the temporary file are."""
    path = tmp_path / "x.csv"
    path.write_text("a\n" + "".join(f"{'x' * 1000}\n" for _ in range(2000)))
    chunks = list(source(path).reader().read(KeyRange(0, BY_NUMBER, None, None), BY_NUMBER, 100_000))
    assert sum(chunk.num_rows for chunk in chunks) == 2000
    assert all(chunk.num_rows <= 200 for chunk in chunks)


def test_temporary_files_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file has no name while it is in use, so that not even a killed process leaves one; a full or missing folder is told."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    opened = source(path, key=("a",))
    assert [row["a"] for row in rows(opened)] == ["1"]
    assert list(folder.iterdir()) == []
    opened.close()
    folder.rmdir()
    with pytest.raises(EnvironmentFault, match="temporary file"):
        source(path).reader()


def test_a_file_that_vanished_is_an_environment_fault(tmp_path: Path) -> None:
    """Between opening and reading."""
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    opened = source(path)
    path.unlink()
    with pytest.raises(EnvironmentFault):
        opened.reader()
