"""CRE/1 as SQL on real databases: byte for byte what the reference evaluator says of the rows that the reader brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.checksum.contract import Contract, encodable
from migrate.checksum.encoding import NotEncodable, encode_row
from migrate.checksum.sql_form import SqlForm, sql_form
from migrate.checksum.sql_scan import bucket_sums
from migrate.checksum.vectorised import key_digests, row_digests
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, SqlReader
from migrate.values import SourceSpec
from migrate.verify.buckets import BucketSums, Sorting
from tests.integration.sql_tables import Table, Value, every_type
from tests.rig.database import Database

NONCE = "5eed" * 8


@pytest.fixture(params=["postgresql", "mariadb"])
def table(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Iterator[Table]:
    """The table with every type, on each database that encodes by itself."""
    kind = str(request.param)
    with every_type(kind, new_database(kind)) as made:
        yield made


def read_with_form(table: Table, key: tuple[str, ...]) -> tuple[Contract, SqlForm, pa.Table, list[bytes | None]]:
    """The contract over all columns, its form, the rows as the reader brings them, and beside each its encoding by SQL."""
    source = open_source(SourceSpec(table.url, table="every"))
    columns = tuple((name, source.shape.column(name).type) for name in table.types)
    assert all(encodable(logical) for _, logical in columns)
    contract = Contract(columns, key)
    with closing(source.reader()) as reader:
        assert isinstance(reader, SqlReader)
        form = sql_form(contract, reader.stored())
        assert isinstance(form, SqlForm), form
        found = list(reader.beside(form.row_bytes, tuple(table.types), reader.stored().sql, ""))
    rows = pa.Table.from_batches([batch for _, batch in found])
    return contract, form, rows, [each for encoded, _ in found for each in encoded.to_pylist()]


def reference(contract: Contract, rows: pa.Table) -> list[bytes | None]:
    """What the definition says; None for a row that could not be read or has no encoding."""
    expected: list[bytes | None] = []
    for place in range(rows.num_rows):
        row = rows.slice(place, 1)
        try:
            values = {name: row[name][0].as_py() for name, _ in contract.columns}
            expected.append(None if row[ANOMALY][0].is_valid else encode_row(contract, values))
        except (NotEncodable, ValueError, OverflowError):
            # Python has no day of the year 0 either.
            expected.append(None)
    return expected


@settings(max_examples=30)
@given(st.data())
def test_sql_is_the_reference(table: Table, data: st.DataObject) -> None:
    """Every field of hostile values is encoded alike, and a row that one of both cannot encode has no encoding by the other either."""
    table.fill(data.draw(table.rows()))
    contract, _, rows, encoded = read_with_form(table, ("金额",))
    assert encoded == reference(contract, rows)


@settings(max_examples=30)
@given(st.data())
def test_each_hostile_value_by_itself(table: Table, data: st.DataObject) -> None:
    """As above, with a single value in a row, so that a poisoned one hides no other."""
    nothing: dict[str, Value] = dict.fromkeys(table.types)
    table.fill([{**nothing, name: data.draw(values)} for name, (_, values) in table.types.items()])
    contract, _, rows, encoded = read_with_form(table, ())
    assert encoded == reference(contract, rows)


def test_buckets_by_sql_are_those_of_the_rows(table: Table) -> None:
    """Counts and exact sums per bucket, and the number of poisoned rows, are those that the streamed rows add up to."""
    nothing: dict[str, Value] = dict.fromkeys(table.types)
    poison = {"postgresql": "infinity", "mariadb": "0000-00-00"}[table.kind]
    rows = [{**nothing, "金额": str(number), "words": "发票" * (number % 7)} for number in range(300)]
    table.fill([*rows, *rows[:5], {**nothing, "金额": "300", "day": poison}, {**nothing, "day": poison}])
    for key, bits in ((("金额",), 12), (("金额",), 16), ((), 12)):
        contract, form, read, _ = read_with_form(table, key)
        streamed, summed = BucketSums(Sorting("digest", bits)), BucketSums(Sorting("digest", bits))
        fit = read.filter(pc.is_null(read[ANOMALY]))
        streamed.add(key_digests(fit, contract), row_digests(fit, contract, NONCE))
        with closing(open_source(SourceSpec(table.url, table="every")).reader()) as reader:
            assert isinstance(reader, SqlReader)
            summed.add_sums(reader.ask(bucket_sums(form, reader.stored(), NONCE, bits)))
        assert (summed.count, summed.poison) == (307, 2)
        assert list(streamed.differing(summed)) == []
        assert (streamed.count, streamed.poison) == (305, 0)


def test_a_zero_date_is_not_null(mariadb_url: str) -> None:
    """MariaDB finds 0000-00-00 by IS NULL in a column that is NOT NULL; the form does not take it for NULL."""
    database = Database(mariadb_url)
    database.run(
        "SET SESSION sql_mode = ''",
        "CREATE TABLE zero (no int PRIMARY KEY, day date NOT NULL, moment datetime NOT NULL)",
        "INSERT INTO zero VALUES (1, '0000-00-00', '2025-04-01'), (2, '2025-04-01', '0000-00-00'), (3, '2025-04-01', '2025-04-01')",
    )
    source = open_source(SourceSpec(mariadb_url, table="zero"))
    contract = Contract(tuple((each.name, each.type) for each in source.shape.columns), ("no",))
    with closing(source.reader()) as reader:
        assert isinstance(reader, SqlReader)
        form = sql_form(contract, reader.stored())
        assert isinstance(form, SqlForm)
        assert len(reader.ask("SELECT no FROM zero WHERE day IS NULL")) == 1
        found = reader.ask(f"SELECT {form.row} IS NULL FROM zero AS s ORDER BY no")
    assert [bool(poison) for (poison,) in found] == [True, True, False]
