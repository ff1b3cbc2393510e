"""Runs the real command in a process of its own (see `warm.py`), in an empty folder, and compares all that it says."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.warm import Done, Warm

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 120


Migrate = Callable[..., Done]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A plain terminal of 100 columns in an English locale, with nothing of the user's own."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "COLUMNS": "100",
            "PYTHONPATH": str(ROOT), **more}  # fmt: skip


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """The process that commands are forked from."""
    serving = Warm(ROOT, environment(tmp_path_factory.mktemp("warm")))
    try:
        yield serving
    finally:
        serving.close()


@pytest.fixture
def migrate(warm: Warm, tmp_path: Path) -> Migrate:
    """`migrate("schema", "show", …, LANG="zh_CN.UTF-8")` runs the command in `tmp_path`."""

    def run(*words: str, **variables: str) -> Done:
        return warm.run(words, tmp_path, environment(tmp_path, **variables), COMMAND_SECONDS)

    return run


MAPPING = """\
mapping: bills
source:
  url: sqlite:///old.db
  table: bill
  where: "state is null or state <> 'gone'"
target:
  url: sqlite:///new.db
targets:
  - table: paid
    key: [no]
    fields:
      no: no
      payer: name
      amount: {from: amount, clean: money}
      paid_on: {from: paid, nulls: [""], formats: ["%Y%m%d"]}
checks:
  - {id: POS, target: paid, assert: "amount >= 0", level: warn}
"""

OLD = """\
CREATE TABLE bill (no integer PRIMARY KEY, name text, amount text, paid text, state text);
INSERT INTO bill VALUES
  (1, '北京样例科技有限公司', '￥1,234.50', '20250413', NULL),
  (2, '上海示例贸易有限公司', '99999999999999.99', '', 'ok'),
  (3, 'gone', '1.00', '20250101', 'gone'),
  (4, '广州测试餐饮店', '1.005', '20250230', NULL),
  (5, '退款', '-3.00', '20250501', NULL),
  (6, '深圳样品公司', '12O.00', '20250501', NULL);
"""

NEW = "CREATE TABLE paid (no bigint NOT NULL PRIMARY KEY, payer varchar(40) NOT NULL, amount DECIMAL_TEXT(18,2), paid_on date);\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an old database, an empty new one, and a mapping between tables that the toolkit has never seen."""
    for name, script in (("old.db", OLD), ("new.db", NEW)):
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(script)
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def steady(text: str) -> str:
    """The text with what differs from run to run taken out: run ids, hashes, times, rates."""
    for pattern, stands_for in (
        (r"\d{8}T\d{6}-[0-9a-f]{4}", "RUN"),
        (r"\b[0-9a-f]{16}(?:[0-9a-f]{48})?\b", "HASH"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.+]\d\d:?\d\d)?", "TIME"),
        (r"\d+(?:\.\d+)? s\b", "N s"),
        (r"[\d,]+ rows/s", "N rows/s"),
    ):
        text = re.sub(pattern, stands_for, text)
    return text
