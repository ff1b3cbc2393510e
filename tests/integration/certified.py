"""A migration with its certificate, made once and copied for each attack on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.certificate.check import check, rehash
from migrate.certificate.issue import issue
from migrate.certificate.prove import prove
from migrate.engine.options import RunOptions
from migrate.errors import NotProven
from migrate.signing.keys import generate_key
from migrate.verify.verify import VerifyOptions
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: certified
source: {table: src, key: [id]}
targets: [{table: dst, key: [k], fields: {k: k, name: name, amount: amount}}]
totals: [{target: dst, sum: [amount]}]
"""
ROWS = 2_100
"""More than two blocks of leaves, so that paths lead through blocks and through their roots."""


@dataclass(frozen=True)
class Certified:
    """A folder with `source.db`, `target.db`, `mapping.yaml`, two key pairs, and two certificates: `old.cert`, then `new.cert`."""

    folder: Path

    @property
    def options(self) -> RunOptions:
        """Both databases of this folder."""
        return RunOptions(source=self.url("source"), target=self.url("target"))

    @property
    def target(self) -> Database:
        """The target, by its plain driver."""
        return Database(self.url("target"))

    def url(self, name: str) -> str:
        """A database of the folder."""
        return f"sqlite:///{self.folder / name}.db"

    def path(self, name: str) -> Path:
        """A file of the folder."""
        return self.folder / name

    def certify(self, name: str, key: str = "signing.key") -> None:
        """Issue one more certificate."""
        options = VerifyOptions(source=self.url("source"), target=self.url("target"))
        issued = issue(self.path("mapping.yaml"), self.path(name), self.path(key), options)
        assert issued.verification.verdict == "EQUAL"
        assert issued.certificate is not None

    def check(self, name: str = "new.cert", trust: str = "signing.key.pub") -> None:
        """Check a certificate by itself."""
        check(self.path(name), self.path(trust))

    def rehash(self, name: str = "new.cert") -> None:
        """Check a certificate against log and rows."""
        rehash(check(self.path(name), self.path("signing.key.pub")), self.path("mapping.yaml"), self.options)

    def proof(self, key: str = "7", name: str = "new.cert") -> dict[str, Any]:
        """The proof for a row."""
        return prove(self.path(name), {"k": key})

    def alter(self, change: Callable[[Any], None], name: str = "new.cert") -> None:
        """Change the content of a JSON file."""
        content = json.loads(self.path(name).read_text(encoding="utf-8"))
        change(content)
        self.write(content, name)

    def write(self, content: Any, name: str) -> None:
        """Write a JSON file."""
        self.path(name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def read(self, name: str) -> Any:
        """The content of a JSON file."""
        return json.loads(self.path(name).read_text(encoding="utf-8"))

    def copy(self, place: Path) -> Certified:
        """The same in a folder of its own."""
        shutil.copytree(self.folder, place, dirs_exist_ok=True)
        return Certified(place)


def certified(folder: Path) -> Certified:
    """Migrate `ROWS` rows and certify them twice."""
    made = Certified(folder)
    source = Database(made.url("source"))
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k integer, name text, amount DECIMAL_TEXT(18,2))")
    source.insert(
        "src",
        [{"id": n, "k": n, "name": f"买方 {n % 9}; ", "amount": f"{n % 17}.{n % 90 + 10}"} for n in range(ROWS)],
    )
    made.target.run("CREATE TABLE dst (k integer PRIMARY KEY, name text, amount DECIMAL_TEXT(18,2))")
    run_scheduled(plan_of(folder, MAPPING, source.url, made.target.url))
    for key in ("signing.key", "other.key"):
        generate_key(folder / key)
    made.certify("old.cert")
    made.certify("new.cert")
    return made


def reason(attempt: Callable[[], object]) -> str:
    """Why an attempt is refused."""
    with pytest.raises(NotProven) as raised:
        attempt()
    assert raised.value.exit_code == 1
    assert raised.value.to_json()["reason"] == raised.value.reason
    return raised.value.reason
