"""The shape of the code: imports point one way, modules and functions stay small, names and docstrings are kept.

Everything is read from the syntax trees of the files; nothing is imported.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("migrate", "fixtures", "loadtest")

LAYERS = (
    {"migrate.errors", "migrate.values", "migrate.units"},
    {"migrate.mapping", "migrate.ledger", "migrate.checksum", "migrate.signing", "migrate.stores", "migrate.invoice"},
    {"migrate.write"},
    {
        "migrate.engine",
        "migrate.verify",
        "migrate.certificate",
        "migrate.rollback",
        "migrate.backup",
        "migrate.rehearsal",
        "migrate.cutover",
        "migrate.sync",
        "migrate.report",
    },
    {"migrate.progress"},
    {"migrate.cli", "migrate.__main__"},
)
"""From the bottom up. A module may import from its own layer and from those below it, never from above."""

FOREIGN = {
    "migrate": set[str](),
    "fixtures": {"migrate.stores", "migrate.invoice", "migrate.values", "migrate.errors", "migrate.__version__"},
    "loadtest": {
        "migrate.sync",
        "migrate.stores",
        "migrate.invoice",
        "migrate.values",
        "migrate.errors",
        "migrate.__version__",
        "fixtures",
    },
}
"""What each product package may import from the others. None imports the tests."""

MODULE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 6
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One parsed file of the checkout."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The dotted name, without a final `__init__`."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def at(self, line: int) -> str:
        """`file:line`, as editors open it."""
        return f"{self.path.relative_to(ROOT)}:{line}"

    def functions(self) -> Iterator[Function]:
        """All functions and methods, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


@cache
def modules(*packages: str) -> tuple[Module, ...]:
    """The parsed modules of the packages that exist so far."""
    files = sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))
    texts = ((path, path.read_text(encoding="utf-8")) for path in files)
    return tuple(Module(path, text, ast.parse(text, str(path))) for path, text in texts)


def product() -> tuple[Module, ...]:
    """The modules that are shipped."""
    return modules(*PRODUCT)


def everything() -> tuple[Module, ...]:
    """The modules that are shipped, and the tests."""
    return modules(*PRODUCT, "tests")


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a module imports, wherever in the file."""
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def component(name: str) -> str:
    """The part of the design that a dotted name belongs to: its first two words."""
    return ".".join(name.split(".")[:2])


def layer(name: str) -> int | None:
    """The layer of a dotted name, or None for the package `migrate` itself and for foreign names."""
    return next((number for number, names in enumerate(LAYERS) if component(name) in names), None)


def report(findings: list[str]) -> None:
    """Fail with all findings, one a line."""
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


def test_the_checks_see_the_code() -> None:
    """The rules below would pass on nothing: the packages are found where they are looked for."""
    assert {module.name.split(".")[0] for module in everything()} >= {"migrate", "tests"}
    assert any(True for module in product() for _ in imports(module))


def test_every_part_has_a_layer() -> None:
    """A new part of `migrate` is placed in the order of imports when it is added."""
    parts = {component(module.name): module for module in product() if module.name.startswith("migrate.")}
    report([
        f"{module.at(1)}: {name} is in no layer; add it to LAYERS in tests/test_architecture.py"
        for name, module in parts.items()
        if layer(name) is None
    ])  # fmt: skip


def test_imports_point_one_way() -> None:
    """Cli → engine, verify, rollback, cutover, sync → mapping, ledger, checksum, stores, invoice → plain values."""
    findings = []
    for module in product():
        own = layer(module.name)
        for line, name in imports(module):
            other = layer(name)
            if own is not None and other is not None and other > own:
                findings.append(f"{module.at(line)}: {component(module.name)} imports {name} from a layer above it")
    report(findings)


def test_packages_import_only_what_they_may() -> None:
    """`migrate` stands alone; `fixtures` and `loadtest` use its lower layers; nothing shipped imports the tests."""
    findings = []
    for module in product():
        package = module.name.split(".")[0]
        for line, name in imports(module):
            owner = name.split(".")[0]
            if owner == package or owner not in {*PRODUCT, "tests"}:
                continue
            if owner not in FOREIGN[package] and component(name) not in FOREIGN[package]:
                findings.append(f"{module.at(line)}: {package} may not import {name}")
    report(findings)


def test_parts_of_one_layer_have_no_cycle() -> None:
    """Two parts of one layer never import each other, directly or around a corner."""
    edges: dict[str, dict[str, str]] = {}
    for module in product():
        own = component(module.name)
        for line, name in imports(module):
            if layer(name) is not None and layer(name) == layer(own) and component(name) != own:
                edges.setdefault(own, {})[component(name)] = module.at(line)
    report([
        " -> ".join(circle) + ": a circle of imports, at " + ", ".join(edges[a][b] for a, b in pairwise(circle))
        for circle in circles(edges)
    ])  # fmt: skip


def circles(edges: dict[str, dict[str, str]]) -> list[list[str]]:
    """The circles of a graph, each once, starting at its first name in alphabetical order."""
    found: list[list[str]] = []

    def walk(path: list[str]) -> None:
        for after in sorted(edges.get(path[-1], {})):
            if after == path[0]:
                found.append([*path, after])
            elif after not in path and after > path[0]:
                walk([*path, after])

    for start in sorted(edges):
        walk([start])
    return found


def test_modules_are_short_and_named_for_what_they_hold() -> None:
    """A module has at most 400 lines and a name that says what is in it."""
    findings = []
    for module in everything():
        lines = len(module.text.splitlines())
        if lines > MODULE_LINES:
            findings.append(
                f"{module.at(MODULE_LINES)}: {lines} lines; {MODULE_LINES} are allowed, split it by concept"
            )
        vague = VAGUE_NAMES & set(module.name.split("."))
        if vague:
            findings.append(f"{module.at(1)}: the name {vague.pop()} says nothing; name it for what it holds")
    report(findings)


def test_functions_fit_on_a_screen() -> None:
    """A function has at most 60 lines, docstring included."""
    report([
        f"{module.at(function.lineno)}: {function.name} has {lines} lines; {FUNCTION_LINES} are allowed"
        for module in everything()
        for function in module.functions()
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > FUNCTION_LINES
    ])  # fmt: skip


def test_functions_take_few_parameters() -> None:
    """A function takes at most six parameters; only a Click callback, which builds one options value, takes more."""
    findings = []
    for module in everything():
        for function in module.functions():
            taken = function.args
            names = [
                a.arg for a in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs) if a.arg not in {"self", "cls"}
            ]
            if len(names) > PARAMETERS and not is_click_callback(function):
                findings.append(
                    f"{module.at(function.lineno)}: {function.name} takes {len(names)} parameters; "
                    f"{PARAMETERS} are allowed, gather them in a frozen value"
                )
    report(findings)


def is_click_callback(function: Function) -> bool:
    """Whether one of the decorators makes a command or group (`@click.command()`, `@cli.command("run")`)."""
    called = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(isinstance(node, ast.Attribute) and node.attr in {"command", "group"} for node in called)


def test_nothing_is_left_for_later() -> None:
    """No file carries a note of unfinished work: it is done, or it is an issue."""
    report([
        f"{module.at(token.start[0])}: {token.string}"
        for module in everything()
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
        if token.type == tokenize.COMMENT and UNFINISHED.search(token.string)
    ])  # fmt: skip


def test_public_things_state_their_contract() -> None:
    """Every module that is not empty, and every public class and function of the product, has a docstring."""
    findings = [
        f"{module.at(1)}: the module has no docstring (what is it for, what must it never do)"
        for module in everything()
        if module.text and not ast.get_docstring(module.tree)
    ]
    for module in product():
        findings += [
            f"{module.at(node.lineno)}: {node.name} has no docstring"
            for node in public_definitions(module.tree)
            if not ast.get_docstring(node)
        ]
    report(findings)


def public_definitions(parent: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | Function]:
    """The classes, functions and methods that carry a public name all the way down."""
    for node in parent.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            # What `@overload` and `@override` mark has its contract elsewhere.
            marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
            if not marks & {"overload", "override"}:
                yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def test_every_test_states_the_rule_that_it_proves() -> None:
    """A test has a docstring with a whole sentence."""
    report([
        f"{module.at(function.lineno)}: {function.name} does not say which rule it proves"
        for module in modules("tests")
        for function in module.functions()
        if function.name.startswith("test_") and not is_sentence(ast.get_docstring(function) or "")
    ])  # fmt: skip


def is_sentence(docstring: str) -> bool:
    """Whether the first paragraph is more than a word or two, and ends like a sentence."""
    first = docstring.partition("\n\n")[0].rstrip()
    return len(first) >= 12 and first.endswith((".", "。", "!", "?"))
