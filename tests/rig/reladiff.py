"""reladiff, a tool not written here that compares tables by checksums, as a second opinion beside `verify` and as its yardstick."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

_SETTINGS = """
[database.{side}]
driver = "postgresql"
host = {host}
user = {user}
dbname = {name}
"""
_TABLES = """
[run.pair]
1.database = "A"
1.table = {first}
2.database = "B"
2.table = {second}
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows that only one side has, and rows whose contents differ."""

    only: tuple[int, int]
    updated: int


def reladiff(folder: Path, first: tuple[str, str], second: tuple[str, str], key: str) -> Compared:
    """Compare two PostgreSQL tables, each given as (URL with the socket's folder as `host`, table), by all their columns.

    `folder` gets the file of settings.
    """
    settings = folder / "reladiff.toml"
    places = zip("AB", (first, second), strict=True)
    tables = _TABLES.format(first=json.dumps(first[1]), second=json.dumps(second[1]))
    settings.write_text("".join(_settings(side, url) for side, (url, _) in places) + tables)
    words = [
        "--conf", str(settings), "--run", "pair", "--key-columns", key, "--columns", "%",
        "--algorithm", "hashdiff", "--stats", "--json",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "reladiff", *words], capture_output=True, text=True, check=True, timeout=600
    )
    found = json.loads(done.stdout.replace("\n", ""))
    assert min(found["rows_A"], found["rows_B"]) > 0, "reladiff compared nothing"
    return Compared((found["exclusive_A"], found["exclusive_B"]), found["updated"])


def _settings(side: str, url: str) -> str:
    place = make_url(url)
    return _SETTINGS.format(
        side=side,
        host=json.dumps(place.query.get("host", place.host)),
        user=json.dumps(place.username),
        name=json.dumps(place.database),
    )
