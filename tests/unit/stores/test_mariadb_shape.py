"""What MariaDB declares is described as it is: types, defaults, keys, and what changes rows by itself."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from migrate.stores.mariadb import open_source, open_target
from migrate.stores.urls import parse_url
from migrate.values import ForeignKey, LogicalType, SourceSpec, TableShape, UniqueKey

Describe = Callable[..., TableShape]


@pytest.fixture
def describe(mariadb_url: str) -> Describe:
    """Runs DDL, then describes the table `t` as a target."""

    def make(*statements: str) -> TableShape:
        engine = sa.create_engine(parse_url(mariadb_url), poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))
        target = open_target(mariadb_url)
        shape = target.describe("t")
        target.close()
        assert shape is not None
        return shape

    return make


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("TINYINT", LogicalType("integer", low=-128, high=127)),
        ("MEDIUMINT UNSIGNED", LogicalType("integer", low=0, high=2**24 - 1)),
        ("BIGINT UNSIGNED", LogicalType("integer", low=0, high=2**64 - 1)),
        ("BOOLEAN", LogicalType("boolean")),
        ("BIT(1)", LogicalType("boolean")),
        ("BIT(12)", LogicalType("integer", low=0, high=4095)),
        ("DECIMAL(18,2)", LogicalType("decimal", precision=18, scale=2)),
        ("DECIMAL(65,10)", LogicalType("decimal", precision=65, scale=10)),
        ("FLOAT", LogicalType("float", bits=32)),
        ("DOUBLE", LogicalType("float")),
        ("CHAR(5)", LogicalType("text", length=5, keeps_spaces=False)),
        ("VARCHAR(5) CHARACTER SET gbk", LogicalType("text", length=5, charset="gbk")),
        ("VARCHAR(5) CHARACTER SET utf8mb3", LogicalType("text", length=5, charset="utf8mb3")),
        ("VARCHAR(5) CHARACTER SET latin1", LogicalType("text", length=5, charset="cp1252")),
        ("TEXT", LogicalType("text", max_bytes=65535)),
        ("ENUM('a','bcd')", LogicalType("text", length=3)),
        ("SET('a','b')", LogicalType("unsupported")),
        ("JSON", LogicalType("json", max_bytes=2**32 - 1)),
        ("UUID", LogicalType("uuid")),
        ("VARBINARY(7)", LogicalType("bytes", length=7)),
        ("MEDIUMBLOB", LogicalType("bytes", length=2**24 - 1)),
        ("YEAR", LogicalType("integer", low=1901, high=2155)),
        ("TIME(3)", LogicalType("time", fraction=3)),
        ("DATETIME", LogicalType("timestamp", fraction=0, earliest="0001-01-01T00:00:00", latest="9999-12-31T23:59:59.999999")),
        ("POINT", LogicalType("unsupported")),
    ],
)  # fmt: skip
def test_types(describe: Describe, declared: str, expected: LogicalType) -> None:
    """Each declared type has the logical type that holds exactly its values."""
    assert describe(f"CREATE TABLE t (v {declared}) CHARACTER SET utf8mb4").column("v").type == expected


def test_defaults(describe: Describe) -> None:
    """NULL, literals (numbers and text, quotes in it too), expressions, numbers that count on, generated values."""
    shape = describe(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b INT NOT NULL, c INT DEFAULT 7, d VARCHAR(9) DEFAULT 'it''s', "
        "e VARCHAR(9) DEFAULT '', f DATETIME DEFAULT CURRENT_TIMESTAMP, g INT DEFAULT (1 + 1), h INT AS (c + 1) STORED, "
        "i BIT(3) DEFAULT b'101', j DECIMAL(5,2) DEFAULT 1.50, k VARCHAR(9) DEFAULT 'NULL')"
    )
    told = {column.name: (column.default_kind, column.default) for column in shape.columns}
    assert told == {
        "id": ("identity", None), "a": ("null", None), "b": ("null", None), "c": ("literal", "7"), "d": ("literal", "it's"),
        "e": ("literal", ""), "f": ("expression", "current_timestamp()"), "g": ("expression", "(1 + 1)"), "h": ("generated", None),
        "i": ("literal", "5"), "j": ("literal", "1.50"), "k": ("literal", "NULL"),
    }  # fmt: skip
    assert [column.name for column in shape.columns if not column.nullable] == ["id", "b"]


def test_keys_and_what_stands_in_the_way(describe: Describe) -> None:
    """Unique keys over whole columns, foreign keys with their cascades, children that cascade, triggers; prefixes are remarks."""
    shape = describe(
        "CREATE TABLE p (a INT, b INT, PRIMARY KEY (a, b))",
        "CREATE TABLE t (y INT, x INT, w VARCHAR(99), v INT, at TIMESTAMP DEFAULT 0 ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (x, y), "
        "UNIQUE uw (w(5)), UNIQUE uv (v, w), CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES p (a, b) ON DELETE CASCADE)",
        "CREATE TABLE c (v INT, w VARCHAR(99), CONSTRAINT up FOREIGN KEY (v, w) REFERENCES t (v, w) ON UPDATE SET NULL)",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1",
    )
    assert shape.unique_keys == (UniqueKey("PRIMARY", ("x", "y"), primary=True), UniqueKey("uv", ("v", "w")))
    assert shape.foreign_keys == (ForeignKey("fk", ("x", "y"), "p", ("a", "b"), cascades=True),)
    assert len(shape.obstacles) == 2
    assert shape.obstacles[0].startswith("trigger tr")
    assert "foreign key up" in shape.obstacles[1]
    assert [remark.split()[0] for remark in shape.remarks] == ["unique", "at"]


def test_a_table_without_transactions_or_a_view_is_an_obstacle(describe: Describe) -> None:
    """Only InnoDB takes a batch back."""
    assert "engine MyISAM" in describe("CREATE TABLE t (id INT) ENGINE=MyISAM").obstacles[0]
    assert describe("DROP TABLE t", "CREATE VIEW t AS SELECT 1 AS id").obstacles == ("t is a view",)


def test_names_of_any_kind(describe: Describe, mariadb_url: str) -> None:
    """Backticks, spaces, Chinese and SQL words are names; collations are told; another database's table is named with it."""
    shape = describe(
        "CREATE TABLE t (`发票 ``号`` %` VARCHAR(9) COLLATE utf8mb4_bin, `select` INT) CHARACTER SET utf8mb4"
    )
    assert shape.names == ("发票 `号` %", "select")
    assert shape.columns[0].collation == "utf8mb4_bin"
    database = parse_url(mariadb_url).database
    elsewhere = open_source(
        SourceSpec(parse_url(mariadb_url).set(database="mysql").render_as_string(), table=f"{database}.t")
    )
    assert elsewhere.shape.names == shape.names
    elsewhere.reader().close()
