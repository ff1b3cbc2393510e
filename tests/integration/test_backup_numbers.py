"""Numbers that the database draws by itself are backed up and put back like everything else."""

from __future__ import annotations

from pathlib import Path

from tests.rig.back import table_digests
from tests.rig.database import Database
from tests.rig.kept import checked, created, restored
from tests.rig.schedule import plan_of

NUMBERED = """
mapping: numbered
source: {table: src, key: [id]}
targets:
  - {table: numbered, key: [k], on_conflict: update, fields: {k: k, c: c}}
"""


def test_numbers_that_the_database_gave_come_back(tmp_path: Path, database_url: str) -> None:
    """A number that the database draws is no field of the mapping, and yet the same after a restore, of rows overwritten and brought back."""
    source, target = Database(f"sqlite:///{tmp_path / 'numbers.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k varchar(9), c varchar(9))")
    number = {
        "sqlite": "integer PRIMARY KEY",
        "postgresql": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "mariadb": "bigint AUTO_INCREMENT PRIMARY KEY",
    }[target.kind]
    target.run(f"CREATE TABLE numbered (id {number}, k varchar(9) NOT NULL UNIQUE, c varchar(9))")
    target.insert("numbered", [{"k": k, "c": "old"} for k in ("a", "b", "c")])
    plan_of(tmp_path, NUMBERED, source.url, database_url)
    before = table_digests(target, "numbered")
    created(tmp_path, database_url)
    checked(tmp_path, database_url)
    target.run("UPDATE numbered SET c = 'new' WHERE k = 'a'", "DELETE FROM numbered WHERE k = 'b'")
    restored(tmp_path, database_url)
    assert table_digests(target, "numbered") == before
