"""The reference and the editors' schema say what the models say, and the example in the reference runs."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from migrate.mapping.checking import check_mapping
from migrate.mapping.functions import FUNCTIONS
from migrate.mapping.reader import parse_mapping
from migrate.mapping.reference import markdown, schema_json
from tests.unit.mapping.harness import INTEGER, MONEY, column, run, table

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = json.loads(schema_json())


def test_the_example_of_the_reference_runs() -> None:
    """Complete, as it says: it passes the check and maps a row."""
    found = re.search(r"```yaml\n(.*?)```", markdown(), re.DOTALL)
    assert found
    mapping = parse_mapping(found[1], Path("customers.yaml"))
    old = table(
        "kunden",
        column("kdnr", INTEGER),
        *(column(name) for name in ("name1", "anlage", "saldo", "aktiv", "ort")),
        key=["kdnr"],
    )
    new = table(
        "customer", column("id", INTEGER), column("name"), column("since", "date"), column("balance", MONEY), column("active", "boolean"), column("label"), column("origin"), key=["id"]
    )  # fmt: skip
    assert check_mapping(mapping, old, {"customer": new}) == []
    row = {"kdnr": 7, "name1": "Schulz", "anlage": "20250413", "saldo": "￥1,234.50", "aktiv": "J", "ort": "Ulm"}
    outcome = run(mapping, old, [new], [row])
    assert outcome.rows("customer")[0]["balance"] == Decimal("1234.50")
    assert outcome.rows("customer")[0]["label"] == "SCHULZ Ulm"


def test_every_function_is_in_the_reference() -> None:
    """Nobody has to read the code to know what may be called."""
    page = markdown()
    assert [name for name in FUNCTIONS if f"`{name}(" not in page] == []


def problems(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """What an editor would mark, for the part of JSON Schema that the file uses."""
    if "$ref" in schema:
        return problems(value, SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], path)
    if "anyOf" in schema:
        tried = [problems(value, each, path) for each in schema["anyOf"]]
        return min(tried, key=len)
    kind = schema.get("type")
    if kind == "object":
        return objects(value, schema, path)
    if kind == "array":
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [
            problem
            for index, each in enumerate(value)
            for problem in problems(each, schema["items"], f"{path}[{index}]")
        ]
    return scalars(value, schema, path)


def scalars(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """A text that has to be one of some, or of some shape."""
    if schema.get("type") == "null" or not isinstance(value, str):
        return [f"{path}: no text"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value} is not one of {schema['enum']}"]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{path}: {value} does not match {schema['pattern']}"]
    return []


def objects(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Unknown and missing keys, and what is wrong below."""
    if not isinstance(value, dict):
        return [f"{path}: no keys"]
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    found = [f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, each in value.items():
        if name in known:
            found += problems(each, known[name], f"{path}.{name}")
        elif isinstance(rest, dict):
            found += problems(each, rest, f"{path}.{name}")
        elif rest is False:
            found.append(f"{path}: unknown key {name}")
    return found


def load(path: Path) -> Any:
    """A file as an editor sees it, with every scalar as text."""
    text = re.sub(r"(?m)^version: (\d+)", r'version: "\1"', path.read_text(encoding="utf-8"))
    return texts(YAML(typ="safe", pure=True).load(text))


def texts(value: Any) -> Any:
    """Scalars as text."""
    if isinstance(value, dict):
        return {str(key): texts(each) for key, each in value.items()}
    return [texts(each) for each in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize("path", sorted((ROOT / "mappings").glob("*.yaml")), ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_with_the_ready_made_mappings(path: Path) -> None:
    """The schema accepts what the reader accepts."""
    assert problems(load(path), SCHEMA) == []


@pytest.mark.parametrize(
    "name",
    [
        "unknown_key",
        "unknown_key_in_field",
        "missing_keys",
        "wrong_choice",
        "bad_name",
        "wrong_types",
        "bad_durations_and_limits",
    ],
)
def test_editors_mark_what_the_reader_refuses(name: str) -> None:
    """Unknown and missing keys, wrong choices and wrong types are seen while typing."""
    assert problems(load(Path(__file__).parent / "wrong" / f"{name}.yaml"), SCHEMA) != []
