"""Tables with a column of every type that PostgreSQL and MariaDB can encode by themselves, and hostile values for each, as the databases read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pymysql
from hypothesis import strategies as st
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.property.checksum_rows import LONG, NASTY

Value = str | bytes | None
Types = dict[str, tuple[str, st.SearchStrategy[Value]]]
"""Per column its declaration, and values for it."""

_DAYS = ["0001-01-01", "0999-12-31", "1582-10-10", "1900-02-28", "1986-05-04", "2000-02-29", "2025-04-01", "9999-12-31"]
_CLOCKS = ["00:00:00", "23:59:59.999999", "08:30:00.05", "12:00:00.000001"]
_DECIMALS = ["0", "-0", "-0.00", "1.5", "-0.01", "9999999999999999.99", "-9999999999999999.99", "100", "0.1"]


def _integers(low: int, high: int) -> st.SearchStrategy[Value]:
    return (st.sampled_from([low, high, 0, -1 if low < 0 else 1]) | st.integers(low, high)).map(str)


def _texts(*more: str, nul: bool, longest: int | None = None) -> st.SearchStrategy[Value]:
    categories = {"exclude_categories": ["Cs"]}
    plain = st.text(st.characters(**categories), max_size=12)  # type: ignore[arg-type]
    found = st.sampled_from([*NASTY, *more, "a  ", "  ", "\t", "'\\", "%s", "a;S1:b"]) | plain
    kept = found if nul else found.map(lambda text: text.replace("\x00", ""))
    return kept if longest is None else kept.map(lambda text: text[:longest])


def _moments(days: Sequence[str], clocks: Sequence[str] = _CLOCKS) -> st.SearchStrategy[str]:
    listed = st.builds(lambda day, clock: f"{day} {clock}", st.sampled_from(days), st.sampled_from(clocks))
    return listed | st.datetimes().map(lambda moment: moment.isoformat(" ", "microseconds"))


def _cents(digits: int) -> st.SearchStrategy[Value]:
    largest = 10**digits - 1
    return st.integers(-largest, largest).map(
        lambda units: f"{'-' * (units < 0)}{abs(units) // 100}.{abs(units) % 100:02}"
    )


_floats = st.floats(allow_nan=False, allow_infinity=False).map(repr)
_uuids: st.SearchStrategy[Value] = st.uuids().map(str) | st.uuids().map(lambda found: str(found).upper())
_days: st.SearchStrategy[Value] = st.sampled_from(_DAYS) | st.dates().map(str)
_clocks: st.SearchStrategy[Value] = st.sampled_from(_CLOCKS) | st.times().map(
    lambda clock: clock.isoformat("microseconds")
)

POSTGRES: Types = {
    "i2": ("smallint", _integers(-(2**15), 2**15 - 1)),
    "i4": ("integer", _integers(-(2**31), 2**31 - 1)),
    "金额": ("bigint", _integers(-(2**63), 2**63 - 1)),
    "money": ("numeric(18,2)", st.sampled_from([*_DECIMALS, "NaN"]) | _cents(18)),
    "huge": ("numeric(60,20)", st.sampled_from([*_DECIMALS, "1" * 40, "-0." + "0" * 19 + "1"])),
    "plain": ("numeric", st.sampled_from([*_DECIMALS, "NaN", "Infinity", "-Infinity", "1.500", "0.000", "1e40", "1e-40", "1" * 300])),
    "f4": ("real", st.sampled_from(["0", "-0", "NaN", "Infinity", "-Infinity", "1.1", "3.4e38", "1e-45"])),
    "f8": ("double precision", st.sampled_from(["-0", "NaN", "-Infinity", "5e-324"]) | _floats),
    "flag": ("boolean", st.sampled_from(["t", "f"])),
    "day": ("date", _days | st.sampled_from(["infinity", "-infinity", "0001-01-01 BC", "10000-01-01"])),
    "clock": ("time", _clocks | st.just("24:00:00")),
    "Moment": ("timestamp", _moments(_DAYS) | st.sampled_from(["infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 00:00:00"])),
    "second": ("timestamp(0)", _moments(_DAYS, ["00:00:00", "23:59:58"])),
    "instant": (
        "timestamptz",
        _moments(_DAYS).map(lambda text: f"{text!s}+08") | st.sampled_from(["infinity", "0001-01-01 00:00:00+08", "10000-01-01 00:00:00+00", "9999-12-31 23:59:59.999999-01"]),
    ),
    "words": ("text", _texts(*LONG, nul=False)),
    "short": ("varchar(12)", _texts(nul=False, longest=12)),
    "fixed": ("char(12)", _texts(nul=False, longest=12)),
    "folded": ('text COLLATE "pg_unicode_fast"', _texts(nul=False)),
    "state": ("mood", st.sampled_from(["正常", "红冲 ", ""])),
    "raw": ("bytea", st.binary(max_size=40) | st.sampled_from([b"", b"\x00" * 100_000])),
    "uuid": ("uuid", _uuids),
    "amount": ("cents", _cents(10)),
}  # fmt: skip
"""`pg_unicode_fast` is of PostgreSQL 18, which the tests run on."""

_MARIA_DAYS = st.sampled_from(["0000-00-00", "2024-00-10", "2024-05-00", "0000-01-01", "2024-02-31"])
_EPOCH = ["1970-01-02", "2000-02-29", "2025-04-01", "2037-12-31"]

MARIADB: Types = {
    "i1": ("tinyint", _integers(-128, 127)),
    "u8": ("bigint unsigned", _integers(0, 2**64 - 1)),
    "金额": ("bigint", _integers(-(2**63), 2**63 - 1)),
    "filled": ("int(8) unsigned zerofill", _integers(0, 2**32 - 1)),
    "bits": ("bit(20)", st.integers(0, 2**20 - 1).map(lambda bits: bits.to_bytes(3, "big"))),
    "year": ("year", st.sampled_from(["0", "1901", "2026", "2155"])),
    "money": ("decimal(18,2)", st.sampled_from(_DECIMALS) | _cents(18)),
    "huge": ("decimal(60,20)", st.sampled_from([*_DECIMALS, "1" * 40, "-0." + "0" * 19 + "1"])),
    "flag": ("tinyint(1)", st.sampled_from(["0", "1", "2", "-1"])),
    "day": ("date", _days | _MARIA_DAYS),
    "clock": ("time(6)", _clocks | st.sampled_from(["24:00:00", "-00:00:01", "838:59:59", "-00:00:00"])),
    "Moment": ("datetime(6)", _moments(_DAYS) | _MARIA_DAYS),
    "second": ("datetime", _moments(_DAYS, ["00:00:00", "23:59:58"])),
    "instant": ("timestamp(6) NULL", _moments(_EPOCH).filter(lambda text: "1971" < str(text) < "2038") | st.just("0000-00-00 00:00:00")),
    "words": ("longtext COLLATE utf8mb4_unicode_ci", _texts(*LONG, nul=True)),
    "short": ("varchar(12) COLLATE utf8mb4_general_ci", _texts(nul=True, longest=12)),
    "fixed": ("char(12) COLLATE utf8mb4_bin", _texts(nul=True, longest=12)),
    "three": ("varchar(12) CHARACTER SET utf8mb3", st.sampled_from(["发票", "a ", "", "é"])),
    "latin": ("varchar(12) CHARACTER SET latin1", st.sampled_from(["é", "ÿ ", "", "€", "a"])),
    "state": ("enum('正常','红冲','')", st.sampled_from(["正常", "红冲", ""])),
    "raw": ("longblob", st.binary(max_size=40) | st.sampled_from([b"", b"\x00" * 100_000])),
    "padded": ("binary(4)", st.binary(max_size=4)),
    "uuid": ("uuid", _uuids),
}  # fmt: skip
TYPES = {"postgresql": POSTGRES, "mariadb": MARIADB}


@dataclass(frozen=True)
class Table:
    """A table of a fresh database, and an administrator's way to it that checks nothing."""

    url: str
    kind: str
    run: Callable[..., None]

    @property
    def types(self) -> Types:
        """Its columns."""
        return TYPES[self.kind]

    def fill(self, rows: Sequence[dict[str, Value]]) -> None:
        """Put these rows in the place of all others."""
        self.run("DELETE FROM every")
        names = ", ".join(_quoted(self.kind, name) for name in self.types)
        places = ", ".join(["%s"] * len(self.types))
        for row in rows:
            self.run(f"INSERT INTO every ({names}) VALUES ({places})", [row[name] for name in self.types])

    def rows(self, *, most: int = 6) -> st.SearchStrategy[list[dict[str, Value]]]:
        """Rows of hostile values; one in a few is NULL."""
        row = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in self.types.items()})
        return st.lists(row, min_size=1, max_size=most)


@contextmanager
def every_type(kind: str, url: str) -> Iterator[Table]:
    """The table `every`, empty, in the database at `url`."""
    with _connected(kind, url) as run:
        if kind == "postgresql":
            run("CREATE TYPE mood AS ENUM ('正常', '红冲 ', '')")
            run("CREATE DOMAIN cents AS numeric(12,2)")
        columns = ", ".join(f"{_quoted(kind, name)} {declared}" for name, (declared, _) in TYPES[kind].items())
        run(f"CREATE TABLE every ({columns})")
        yield Table(url, kind, run)


@contextmanager
def _connected(kind: str, url: str) -> Iterator[Callable[..., None]]:
    place = make_url(url)
    if kind == "postgresql":
        target = place.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(target, autocommit=True) as connection:
            yield lambda statement, values=None: _run_postgres(connection, statement, values)
        return
    options: dict[str, Any] = {"user": place.username, "password": place.password or "", "database": place.database}
    options |= {"host": place.host or "localhost", "port": place.port or 3306, **place.query}
    mode = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'"
    with closing(pymysql.connect(**options, autocommit=True, init_command=mode)) as maria:
        yield lambda statement, values=None: _run_mariadb(maria, statement, values)


def _run_postgres(connection: psycopg.Connection[Any], statement: str, values: Sequence[Value] | None) -> None:
    connection.execute(sql.SQL(statement), values)


def _run_mariadb(connection: Any, statement: str, values: Sequence[Value] | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _quoted(kind: str, name: str) -> str:
    return f'"{name}"' if kind == "postgresql" else f"`{name}`"
