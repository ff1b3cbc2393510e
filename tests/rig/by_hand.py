"""What an expert would write by hand for each pair of databases: the mapping of legacy_vat.yaml as SQL, and the fastest plain pipe.

A yardstick has no checks, no undo, no ledger and no way to go on after a kill; it moves the same rows into the same table.
"""

import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.engine import make_url

from tests.databases import PostgresServer

COLUMNS: Final = (
    "key", "direction", "owner_tax_id", "type_code", "digital_no", "code", "no", "issue_date", "seller_tax_id", "seller_name",
    "buyer_tax_id", "buyer_name", "net", "tax", "gross", "is_blue", "status", "version", "source_system",
)  # fmt: skip
_FETCH_ROWS: Final = 10_000

_KEY: Final = (
    "case when length(fphm) = 20 then 'O-' || xsf_nsrsbh || '-SD-' || fphm"
    " else 'O-' || xsf_nsrsbh || '-SK-' || fpdm || '-' || fphm end"
)
_KIND: Final = "case fplx when 's' then '01' when 'c' then '04' when 'p' then '10' when 'b' then '08' when 'qs' then '81' else '82' end"
_STATUS: Final = "case zt when '0' then '01' when '2' then '02' when '3' then '03' when '4' then '04' else '99' end"
_FROM: Final = "from fpxx where zt is null or zt <> '9'"


def mapped_fields(dialect: str) -> list[str]:
    """The SELECT expressions of `COLUMNS` in the source's SQL; MariaDB's with `||` as concatenation."""
    day, amount, digits = _PARTS[dialect]
    blue = (
        f"coalesce({amount('jshj')}, 0) >= 0"
        if dialect != "sqlite"
        else "coalesce(substr(trim(jshj), 1, 1), '') <> '-'"
    )
    return [
        _KEY, "'O'", "xsf_nsrsbh", _KIND, "case when length(fphm) = 20 then fphm end",
        "case when fpdm in ('', ' ', '0') then null else fpdm end", "case when length(fphm) = 8 then fphm end",
        f"case when kprq in ('', ' ', '0') then null else {day} end", "xsf_nsrsbh", "xsf_mc",
        "case when gmf_nsrsbh in ('', ' ', '0', '--') then null else gmf_nsrsbh end", "gmf_mc",
        amount("je"), amount("se"), amount("jshj"), blue, _STATUS, f"coalesce({digits}, 0)", "'legacy_vat'",
    ]  # fmt: skip


def _postgres_amount(name: str) -> str:
    return f"nullif(trim({name}), '')::numeric(18,2)"


def _text_amount(name: str) -> str:
    return f"nullif(trim({name}), '')"


def _mariadb_amount(name: str) -> str:
    return f"cast(nullif(trim({name}), '') as decimal(18,2))"


_PLAIN_DIGITS: Final = "nullif(replace(replace(replace(trim(gxsj), '-', ''), ' ', ''), ':', ''), '')"
_PARTS: Final[dict[str, tuple[str, Callable[[str], str], str]]] = {
    "postgresql": (
        "to_date(kprq, 'YYYYMMDD')",
        _postgres_amount,
        "nullif(translate(trim(gxsj), '- :', ''), '')::bigint",
    ),
    "sqlite": (
        "substr(kprq, 1, 4) || '-' || substr(kprq, 5, 2) || '-' || substr(kprq, 7, 2)",
        _text_amount,
        f"cast({_PLAIN_DIGITS} as integer)",
    ),
    "mariadb": ("str_to_date(kprq, '%Y%m%d')", _mariadb_amount, f"cast({_PLAIN_DIGITS} as signed)"),
}


def by_pipe(server: PostgresServer, source: str, target: str) -> None:
    """PostgreSQL → PostgreSQL: psql's COPY of the mapped columns into psql's COPY."""
    reading = f"copy (select {', '.join(mapped_fields('postgresql'))} {_FROM}) to stdout"
    _pipe(_psql(server, source, reading), _psql(server, target, _copy_in()))


def by_attach(source: Path, target: Path) -> None:
    """SQLite → SQLite: one INSERT … SELECT over an attached file, in a process of its own."""
    statement = f"insert into invoice ({', '.join(COLUMNS)}) select {', '.join(mapped_fields('sqlite'))} {_FROM.replace('fpxx', 'old.fpxx')}"
    program = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('attach ? as old', sys.argv[2:3]); "
        "d.execute(sys.argv[3]); d.commit()"
    )
    subprocess.run([sys.executable, "-c", program, str(target), str(source), statement], check=True)


def from_sqlite(source: Path, target: str) -> None:
    """SQLite → PostgreSQL: SQLite writes lines of COPY's text format itself, Python only hands them on."""
    cells = [
        f"coalesce(replace({field}, '\\', '\\\\'), '\\N')"
        if name in {"seller_name", "buyer_name"}
        else f"coalesce({field}, '\\N')"
        for name, field in zip(COLUMNS, mapped_fields("sqlite"), strict=True)
    ]
    line = " || char(9) || ".join(cells)
    url = make_url(target)
    with (
        sqlite3.connect(f"file:{source}?mode=ro", uri=True) as old,
        psycopg.connect(host=str(url.query["host"]), user=url.username, dbname=url.database) as new,
        new.cursor().copy(_copy_in().encode()) as copy,
    ):
        lines = old.execute(f"select {line} || char(10) {_FROM}")
        while block := lines.fetchmany(_FETCH_ROWS):
            copy.write("".join(text for (text,) in block))
    old.close()


def from_mariadb(server: PostgresServer, source: str, target: str) -> None:
    """MariaDB → PostgreSQL: the client's unbuffered tab-separated output into psql's COPY."""
    query = f"select {', '.join(mapped_fields('mariadb'))} {_FROM}"
    reading = [*_mariadb(source), "--batch", "--skip-column-names", "--quick", f"--execute={query}"]
    _pipe(reading, _psql(server, target, f"{_copy_in()} with (null 'NULL')"))


def to_mariadb(server: PostgresServer, source: str, target: str) -> None:
    """PostgreSQL → MariaDB: psql's COPY of the mapped columns into LOAD DATA LOCAL."""
    fields = mapped_fields("postgresql")
    fields[COLUMNS.index("is_blue")] = f"({fields[COLUMNS.index('is_blue')]})::int"
    columns = ", ".join(f"`{name}`" for name in COLUMNS)
    load = f"load data local infile '/dev/stdin' into table invoice character set utf8mb4 ({columns})"
    reading = f"copy (select {', '.join(fields)} {_FROM}) to stdout"
    _pipe(_psql(server, source, reading), [*_mariadb(target), "--local-infile=1", f"--execute={load}"])


def _copy_in() -> str:
    return f"copy invoice ({', '.join(COLUMNS)}) from stdin"


def _psql(server: PostgresServer, url: str, statement: str) -> list[str]:
    database = str(make_url(url).database)
    return [str(server.programs / "psql"), "-h", str(server.folder), "-U", "postgres", "-d", database, "-qXc", statement]  # fmt: skip


def _mariadb(url: str) -> list[str]:
    place = make_url(url)
    return [
        "mariadb", "--no-defaults", f"--host={place.host}", f"--port={place.port}", f"--user={place.username}",
        f"--database={place.database}", "--default-character-set=utf8mb4",
        "--init-command=set sql_mode = 'PIPES_AS_CONCAT,STRICT_TRANS_TABLES'",
    ]  # fmt: skip


def _pipe(reading: list[str], writing: list[str]) -> None:
    command = f"set -o pipefail; {shlex.join(reading)} | {shlex.join(writing)}"
    subprocess.run(["bash", "-c", command], check=True)
