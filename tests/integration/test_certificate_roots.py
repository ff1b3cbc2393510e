"""The same data has the same data root: on any database, in any batches, however columns are ordered and texts are sorted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from migrate.certificate.check import rehash
from migrate.certificate.issue import Issued, issue
from migrate.engine.options import RunOptions
from migrate.signing.keys import generate_key
from migrate.verify.verify import VerifyOptions
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: roots
source: {table: src, key: [id]}
targets: [{table: dst, key: [k], fields: {k: k, amount: amount, note: note, day: day}}]
"""
TARGETS = {
    "sqlite": [
        "CREATE TABLE dst (k text PRIMARY KEY NOT NULL, amount DECIMAL_TEXT(18,2), note text, day date)",
        "CREATE TABLE dst (day date, note text COLLATE NOCASE, amount DECIMAL_TEXT(18,2), k text COLLATE NOCASE PRIMARY KEY NOT NULL)",
    ],
    "postgresql": [
        'CREATE TABLE dst (k text COLLATE "C" PRIMARY KEY, amount numeric(18,2), note text, day date)',
        "CREATE TABLE dst (note text, day date, k varchar(40) PRIMARY KEY, amount numeric(18,2))",
    ],
    "mariadb": [
        "CREATE TABLE dst (k varchar(40) PRIMARY KEY, amount decimal(18,2), note text, day date) CHARSET utf8mb4 COLLATE utf8mb4_bin",
        "CREATE TABLE dst (day date, amount decimal(18,2), k varchar(40) PRIMARY KEY, note text) CHARSET utf8mb4 COLLATE utf8mb4_german2_ci",
    ],
}
KEYS = ["10", "9", "b", "C", "ä", "发票", "票", "😀", "_", "-1", "a;S1:b"]


def certified(source: Database, url: str, ddl: str, batch_rows: int, folder: Path) -> Issued:
    """Migrate into a new target and certify it; a rehash afterwards must agree."""
    folder.mkdir()
    Database(url).run(ddl)
    run_scheduled(plan_of(folder, MAPPING, source.url, url, batch_rows), lambda ranges: list(reversed(ranges)))
    generate_key(folder / "key")
    options = VerifyOptions(source=source.url, target=url)
    issued = issue(folder / "mapping.yaml", folder / "cert", folder / "key", options)
    assert issued.certificate is not None, issued.verification.to_json()
    rehash(issued.certificate, folder / "mapping.yaml", RunOptions(source=source.url, target=url))
    return issued


def test_the_same_data_has_the_same_root(
    database_kind: str, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """Each kind of database agrees with a plain SQLite file, in two orders of columns, two collations and two sizes of batches."""
    source = Database(f"sqlite:///{tmp_path / 'source.db'}")
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text, amount DECIMAL_TEXT(18,2), note text, day date)")
    source.insert(
        "src",
        [
            {
                "id": n,
                "k": key,
                "amount": f"{n - 5}.{n}0",
                "note": None if n % 3 == 0 else f"{key} ",
                "day": f"2025-04-{n + 1:02}",
            }
            for n, key in enumerate(KEYS)
        ],
    )
    plain = certified(source, f"sqlite:///{tmp_path / 'plain.db'}", TARGETS["sqlite"][0], 1000, tmp_path / "plain")
    tables = [plain.certificate.statement["tables"]["dst"]]  # type: ignore[union-attr]
    for number, (ddl, batch_rows) in enumerate(zip(TARGETS[database_kind], (2, 5), strict=True)):
        made = certified(source, new_database(database_kind), ddl, batch_rows, tmp_path / str(number))
        tables.append(made.certificate.statement["tables"]["dst"])  # type: ignore[union-attr]
    assert {table["rows"] for table in tables} == {len(KEYS)}
    assert len({table["contract_sha256"] for table in tables}) == 1
    assert len({table["data_root"] for table in tables}) == 1
    assert len({table["proof_root"] for table in tables}) == len(tables), "each has a secret of its own"
