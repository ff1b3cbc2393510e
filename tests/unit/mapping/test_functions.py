"""The functions of expressions: each does what its example says, and what DuckDB itself would do, unless it was made safe."""

from __future__ import annotations

import duckdb
import pytest

from migrate.mapping import cleaners
from migrate.mapping.duck import connect
from migrate.mapping.expressions import ExpressionError, parse_expression
from migrate.mapping.functions import FUNCTIONS, Function
from migrate.mapping.refusals import ALIASES, REFUSED
from migrate.mapping.typed import Compiler, Oracle
from migrate.values import LogicalType
from tests.unit.mapping.harness import INTEGER, Rejected, convert

SCALARS = [function for function in FUNCTIONS.values() if not function.aggregate]
OURS = {"trim", "halfwidth", "digits", "money", "float_text"}
"""Functions that DuckDB lacks, or has with another meaning."""


def evaluate(text: str) -> tuple[str, bool]:
    """An expression without columns, compiled and computed: its text, and whether it was said that it may fail."""
    connection = connect(cleaners.MACROS)
    try:
        compiled = Compiler(Oracle(connection, {}), {}).compile(parse_expression(text))
        row = connection.sql(f"SELECT coalesce(CAST({compiled.sql} AS VARCHAR), 'NULL')").fetchall()[0]
        return str(row[0]), compiled.may_fail
    finally:
        connection.close()


@pytest.mark.parametrize("function", SCALARS, ids=lambda function: function.name)
def test_the_example_of_a_function_is_true(function: Function) -> None:
    """What the reference shows is what comes out."""
    assert evaluate(function.example)[0] == function.gives


@pytest.mark.parametrize(
    "function", [each for each in SCALARS if each.name not in OURS], ids=lambda function: function.name
)
def test_an_expression_means_what_duckdb_means_by_it(function: Function) -> None:
    """What is executed is made from the checked tree; on an example without traps it equals DuckDB's reading of the text."""
    connection = duckdb.connect(":memory:")
    try:
        row = connection.sql(f"SELECT coalesce(CAST({function.example} AS VARCHAR), 'NULL')").fetchall()[0]
    finally:
        connection.close()
    assert evaluate(function.example)[0] == row[0]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_function_says_why(name: str) -> None:
    """Functions that depend on time, chance, order, files or floats are refused with the reason."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(f"{name}(x)")
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_a_name_from_elsewhere_is_answered_with_ours(name: str) -> None:
    """`len` is answered with `length`."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(f"{name}(x)")
    assert caught.value.problems[0][1] == f"did you mean `{ALIASES[name]}`?"
    assert ALIASES[name] in FUNCTIONS


def test_no_function_of_duckdb_is_allowed_by_accident() -> None:
    """Of all functions that DuckDB has, exactly those of the list are accepted."""
    connection = duckdb.connect(":memory:")
    try:
        names = [row[0] for row in connection.sql("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()]
    finally:
        connection.close()
    accepted = set()
    for name in names:
        if not name.isidentifier():
            continue
        try:
            parse_expression(f"{name}(x)")
            accepted.add(name)
        except ExpressionError as error:
            if "arguments" in str(error):
                accepted.add(name)
    assert accepted <= set(FUNCTIONS)


@pytest.mark.parametrize(
    ("expression", "gives"),
    [
        ("lpad('123456789', 8, '0')", "123456789"),
        ("rpad('123456789', 8, '0')", "123456789"),
        ("cast('12' as int)", "12"),
        ("cast(12.00 as int)", "12"),
        ("7 // 2", "3"),
        ("round(-2.5)", "-3"),
        ("1.005 * 2", "2.010"),
        ("trim(chr(160) || 'a' || chr(12288))", "a"),
        ("trim('  ')", "NULL"),
        ("money('  ')", "NULL"),
        ("digits('25112000000012345678')", "25112000000012345678"),
        ("digits('12345678.0')", "12345678"),
        ("digits('''0110')", "0110"),
        ("digits('１２ 34-5')", "12345"),
        ("'a' || null", "NULL"),
        ("concat('a', null)", "a"),
        ("null is null", "true"),
        ("case when null then 1 else 2 end", "2"),
        ("2 between 1 and 3 and not 'a' in ('b')", "true"),
        ("1 is distinct from null", "true"),
        ("'10%' like '1%'", "true"),
        ("date '2025-01-31' + interval 1 month", "2025-02-28 00:00:00"),
        ("translate('a-b c', '- ', '')", "abc"),
        ("translate('it''s', '''', '')", "its"),
        ("translate('abc', 'ab', 'x')", "xc"),
    ],
)
def test_results(expression: str, gives: str) -> None:
    """Small truths about expressions that people rely on."""
    assert evaluate(expression)[0] == gives


@pytest.mark.parametrize(
    "expression",
    [
        "cast(x as int)",
        "cast(x as int) + cast(x as int)",
        "case when cast(x as int) > 0 then cast(x as int) else cast(x as int) end",
        "cast(cast(x as int) as decimal(18,2))",
        "coalesce(cast(x as int), 0) + 1",
        "nullif(cast(x as int), 7)",
        "cast(money(x) as int)",
        "abs(cast(x as int)) + abs(cast(x as int))",
    ],
)
def test_one_failing_row_fails_no_other(expression: str) -> None:
    """An expression that cannot be computed rejects its own row, however often its parts occur, and NULL stays NULL."""
    values = ["1", "12.7x", None, "0x1F", "-3"]
    found = convert(values, INTEGER, f'{{sql: "{expression}"}}')
    assert [isinstance(value, Rejected) for value in found] == [False, True, False, True, False]


def test_a_branch_that_is_not_taken_cannot_fail() -> None:
    """A case protects its branches: only the branch of a row is computed for it."""
    field = "{sql: \"case when regexp_full_match(x, '[0-9]+') then cast(x as int) else -1 end\"}"
    assert convert(["5", "abc", None], INTEGER, field) == [5, -1, -1]


def test_overflow_and_division_by_zero_reject_the_row() -> None:
    """Neither wraps around nor turns into NULL."""
    assert convert(["9223372036854775807"], INTEGER, '{sql: "cast(x as bigint) + 1"}') == [Rejected("CAST")]
    assert convert(["0", "2"], INTEGER, '{sql: "7 // cast(x as int)"}') == [Rejected("CAST"), 3]
    assert convert(["0", "2"], INTEGER, '{sql: "7 % cast(x as int)"}') == [Rejected("CAST"), 1]


def test_columns_are_found_without_regard_to_case() -> None:
    """`X` means x; quotes are for strange names only."""
    assert convert(["5"], LogicalType("text"), "{sql: \"X || '!'\"}") == ["5!"]
