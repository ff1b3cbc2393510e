"""Several source units that claim one key or one unique value: verification expects the one that the mapping's rules let in, and no other."""

from __future__ import annotations

from pathlib import Path

from migrate.engine.plan import Plan
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled


def verified(plan: Plan) -> tuple[Verification, dict[str, str]]:
    """The verification, and kind by key of the differences."""
    found = verify_plan(plan, VerifyOptions())
    listed = [each for target in found.targets.values() for each in target.differences]
    return found, {str(next(iter(each.key.values()))): each.kind for each in listed}


def test_a_claimant_is_not_excused_by_one_that_is_refused(database_url: str, tmp_path: Path) -> None:
    """The first unit of a key has no parent; the row of the second, deleted by hand, is missing, under each way to treat conflicts."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text, up text, v bigint)")
    source.insert(
        "src",
        [
            {"id": 1, "k": "a", "up": "nope", "v": 2},
            {"id": 2, "k": "a", "up": "p", "v": 1},
            {"id": 3, "k": "b", "up": "p", "v": 1},
        ],
    )
    target.run(
        "CREATE TABLE parent (p varchar(20) NOT NULL PRIMARY KEY)",
        "INSERT INTO parent VALUES ('p')",
        "CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, up varchar(20), v bigint NOT NULL,"
        " FOREIGN KEY (up) REFERENCES parent (p))",
    )
    for number, mode in enumerate(("fail", "{newer: v}")):
        mapping = f"""
mapping: claimants{number}
source: {{table: src, key: [id]}}
targets:
  - {{table: t, key: [k], on_conflict: {mode}, fields: {{k: k, up: up, v: v}}}}
"""
        plan = plan_of(tmp_path, mapping, source.url, target.url)
        run_scheduled(plan)
        found, _ = verified(plan)
        assert found.verdict == "EQUAL", found.to_json()
        target.run("DELETE FROM t WHERE k = 'a'")
        found, kinds = verified(plan)
        assert (found.verdict, kinds) == ("DIFFERENT", {"a": "missing"}), found.to_json()
        target.run("DELETE FROM t")


def test_a_unique_value_belongs_to_the_first_of_the_units_that_share_the_holders_key(
    database_url: str, tmp_path: Path
) -> None:
    """A unit that lost its unique value to the first claimant of another key is explained, although a later claimant of that key comes behind it."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text, u text)")
    units = ((1, "a", "U"), (2, "b", "U"), (3, "a", "W"), (4, "z", "Z"))
    source.insert("src", [{"id": number, "k": k, "u": u} for number, k, u in units])
    target.run("CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, u varchar(20) UNIQUE)")
    mapping = """
mapping: unique
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], fields: {k: k, u: u}}
"""
    plan = plan_of(tmp_path, mapping, source.url, target.url)
    run_scheduled(plan)
    found, _ = verified(plan)
    assert found.verdict == "EQUAL", found.to_json()
