"""Several source units that claim one key or one unique value: verification expects the one that the mapping's rules let in, and no other."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from migrate.engine.plan import Plan
from migrate.verify.replay import Replay
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


TWO_TARGETS = """
mapping: both
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], fields: {k: k, u: u}}
  - {table: w, key: [l], fields: {l: l, n: id}}
"""


def two_targets(database_url: str, tmp_path: Path, *units: tuple[int, str, str, str]) -> tuple[Plan, Database]:
    """A source of (id, k, u, l), run into two tables: `t` by k, with the unique value u, and `w` by l."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text, u text, l text)")
    source.insert("src", [dict(zip(("id", "k", "u", "l"), unit, strict=True)) for unit in units])
    target.run(
        "CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, u varchar(20) UNIQUE)",
        "CREATE TABLE w (l varchar(20) NOT NULL PRIMARY KEY, n bigint)",
    )
    plan = plan_of(tmp_path, TWO_TARGETS, source.url, target.url)
    run_scheduled(plan)
    return plan, target


def test_the_content_of_a_loser_in_the_place_of_the_winner_is_changed(database_url: str, tmp_path: Path) -> None:
    """The winner's row is there with other content, and not missing; that it is the loser's is said."""
    plan, target = two_targets(database_url, tmp_path, (1, "a", "A", "x"), (2, "a", "B", "y"), (3, "c", "C", "z"))
    assert verified(plan)[0].verdict == "EQUAL"
    target.run("UPDATE t SET u = 'B' WHERE k = 'a'")
    found, kinds = verified(plan)
    assert kinds == {"a": "changed"}, found.to_json()
    (difference,) = found.targets["t"].differences
    assert difference.columns["u"].to_json() == {"expected": "A", "actual": "B"}
    assert difference.note is not None
    assert difference.note.name == "loser_stands"
    assert found.rejects is not None
    assert (found.rejects.derived, found.rejects.differ) == (1, 0)


def test_a_winner_that_loses_elsewhere_frees_its_key(database_url: str, tmp_path: Path) -> None:
    """The second unit loses its key in one target, so that the third one has the key in the other: compared with that, and no other."""
    units = ((1, "a", "A", "x"), (2, "b", "B", "x"), (3, "b", "C", "z"))
    plan, target = two_targets(database_url, tmp_path, *units)
    found, _ = verified(plan)
    assert (found.verdict, found.targets["t"].source_rows) == ("EQUAL", 2), found.to_json()
    target.run("UPDATE t SET u = 'D' WHERE k = 'b'")
    found, kinds = verified(plan)
    assert kinds == {"b": "changed"}, found.to_json()
    assert found.targets["t"].differences[0].columns["u"].to_json() == {"expected": "C", "actual": "D"}
    target.run("UPDATE t SET u = 'B' WHERE k = 'b'")
    found, kinds = verified(plan)
    assert kinds == {"b": "changed"}, found.to_json()
    target.run("DELETE FROM t WHERE k = 'b'")
    assert verified(plan)[1] == {"b": "missing"}


def test_a_unique_value_that_was_altered_excuses_nobody(database_url: str, tmp_path: Path) -> None:
    """A row that got another one's unique value by hand does not explain that the other one is gone."""
    plan, target = two_targets(database_url, tmp_path, (1, "a", "A", "x"), (2, "b", "B", "y"))
    target.run("DELETE FROM t WHERE k = 'b'", "UPDATE t SET u = 'B' WHERE k = 'a'")
    found, kinds = verified(plan)
    assert kinds == {"a": "changed", "b": "missing"}, found.to_json()


def test_who_lost_a_unique_value_stays_refused_when_the_winner_is_gone(database_url: str, tmp_path: Path) -> None:
    """Only the row of the winner is missing; the other unit never had a right to the value, nor to its row in the other target."""
    plan, target = two_targets(database_url, tmp_path, (1, "a", "A", "x"), (2, "b", "A", "y"))
    assert verified(plan)[0].verdict == "EQUAL"
    target.run("DELETE FROM t")
    found, kinds = verified(plan)
    assert kinds == {"a": "missing"}, found.to_json()
    target.run("INSERT INTO w VALUES ('y', 2)")
    assert verified(plan)[1] == {"a": "missing", "y": "extra"}


def test_the_rows_of_a_refused_unit_are_extra_wherever_they_stand(database_url: str, tmp_path: Path) -> None:
    """Written by half, also where nothing else differs; the totals of rows stay right."""
    plan, target = two_targets(database_url, tmp_path, (1, "a", "A", "x"), (2, "a", "B", "y"), (3, "c", "C", "z"))
    target.run("INSERT INTO w VALUES ('y', 2)")
    found, kinds = verified(plan)
    assert kinds == {"y": "extra"}, found.to_json()
    assert (found.targets["w"].source_rows, found.targets["w"].target_rows) == (2, 3)


def test_more_units_are_ordered_than_a_statement_can_name(tmp_path: Path, sqlite_url: str) -> None:
    """However many units claim what others claim, they are put into the source's own order."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(sqlite_url)
    source.run("CREATE TABLE src (a text, b integer, PRIMARY KEY (a, b))")
    keys = [(f"x{number:05}", number % 7) for number in range(20_000)]
    source.insert("src", [{"a": a, "b": b} for a, b in keys])
    target.run("CREATE TABLE t (a varchar(20) NOT NULL, b bigint NOT NULL, PRIMARY KEY (a, b))")
    mapping = """
mapping: many
source: {table: src, key: [a, b]}
targets:
  - {table: t, key: [a, b], fields: {a: a, b: b}}
"""
    with closing(Replay(plan_of(tmp_path, mapping, source.url, target.url))) as replay:
        for some in (keys, keys[5::2], keys[:3]):
            assert replay.in_source_order([*some[::-1], ("x", 0)]) == some


FAMILY = """
mapping: family
source: {table: src, key: [id]}
targets:
  - {table: head, key: [k], fields: {k: k, up: up}}
  - {table: line, key: [l], fields: {l: l, k: k}}
"""


def family(database_url: str, tmp_path: Path) -> tuple[Plan, Database]:
    """Units that write a head and a line that points at it; head b points at head a, and that of the last one at nothing."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text, up text, l text)")
    units = ((1, "a", None, "p"), (2, "b", "a", "q"), (3, "c", None, "r"), (4, "d", "nope", "s"))
    source.insert("src", [dict(zip(("id", "k", "up", "l"), unit, strict=True)) for unit in units])
    target.run(
        "CREATE TABLE head (k varchar(20) NOT NULL PRIMARY KEY, up varchar(20), FOREIGN KEY (up) REFERENCES head (k))",
        "CREATE TABLE line (l varchar(20) NOT NULL PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES head (k))",
    )
    plan = plan_of(tmp_path, FAMILY, source.url, target.url)
    run_scheduled(plan)
    found, _ = verified(plan)
    assert found.verdict == "EQUAL", found.to_json()
    return plan, target


def test_a_unit_that_is_gone_with_its_parent_is_missing(database_url: str, tmp_path: Path) -> None:
    """Neither of two lost rows excuses the other, whether one unit wrote both or two did; also where no ledger contradicts."""
    plan, target = family(database_url, tmp_path)
    target.run("DELETE FROM line WHERE l = 'r'", "DELETE FROM head WHERE k = 'c'")
    found, kinds = verified(plan)
    assert (found.verdict, kinds) == ("DIFFERENT", {"c": "missing", "r": "missing"}), found.to_json()
    assert found.rejects is not None
    assert (found.rejects.derived, found.rejects.differ) == (1, 0)
    target.run(
        "DELETE FROM line WHERE l <> 'r'",
        "UPDATE head SET up = NULL",
        "DELETE FROM head WHERE k IN ('a', 'b')",
        "DELETE FROM migrate_reject",
        "DELETE FROM migrate_lease",
        "DELETE FROM migrate_run",
    )
    found, kinds = verified(plan)
    assert kinds == dict.fromkeys("abcpqr", "missing"), found.to_json()


def test_a_row_whose_parent_is_spelt_otherwise_is_missing(mariadb_url: str, tmp_path: Path) -> None:
    """The parent is the row that the database finds under its collation: a lost child of it is not explained."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(mariadb_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, up text)", "INSERT INTO src VALUES (1, 'P'), (2, 'nope')")
    target.run(
        "CREATE TABLE parent (p varchar(20) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY)",
        "INSERT INTO parent VALUES ('p')",
        "CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, up varchar(20) COLLATE utf8mb4_general_ci, FOREIGN KEY (up) REFERENCES parent (p))",
    )
    mapping = """
mapping: spelt
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], fields: {k: id, up: up}}
"""
    plan = plan_of(tmp_path, mapping, source.url, target.url)
    run_scheduled(plan)
    assert verified(plan)[0].verdict == "EQUAL"
    target.run("DELETE FROM t")
    found, kinds = verified(plan)
    assert (found.verdict, kinds) == ("DIFFERENT", {"1": "missing"}), found.to_json()
