"""Values between any driver and the toolkit's exact types, in the generic store."""

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import ConnectionLost, ConstraintViolation, EnvironmentFault, MigrateError, TransientFault
from migrate.stores.generic_errors import generic_fault
from migrate.stores.generic_shape import logical_type
from migrate.stores.generic_values import from_driver, to_driver
from migrate.values import LogicalType

MONEY = LogicalType("decimal", precision=18, scale=2)
BEIJING = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("value", "logical", "expected"),
    [
        (5, LogicalType("integer"), 5),
        (Decimal(5), LogicalType("integer"), 5),
        ("5", LogicalType("integer"), 5),
        (2**64, LogicalType("integer", low=0, high=2**65), Decimal(2**64)),
        (Decimal("1.5"), MONEY, Decimal("1.50")),
        ("1.5", MONEY, Decimal("1.50")),
        (99999999999.99, MONEY, Decimal("99999999999.99")),
        (7, MONEY, Decimal("7.00")),
        (Decimal("1E+3"), LogicalType("decimal"), "1000"),
        (Decimal("9" * 38), LogicalType("decimal", precision=38, scale=0), Decimal("9" * 38)),
        (Decimal(f"-{'9' * 36}.9"), LogicalType("decimal", precision=38, scale=2), Decimal(f"-{'9' * 36}.90")),
        (1, LogicalType("boolean"), True),
        (datetime.fromisoformat("2025-01-02"), LogicalType("date"), date(2025, 1, 2)),
        ("2025-01-02", LogicalType("date"), date(2025, 1, 2)),
        (timedelta(hours=1, microseconds=5), LogicalType("time"), time(1, 0, 0, 5)),
        (date(2025, 1, 2), LogicalType("timestamp"), datetime.fromisoformat("2025-01-02")),
        ("2025-01-02 03:04:05.678", LogicalType("timestamp"), datetime.fromisoformat("2025-01-02T03:04:05.678")),
        (datetime(2025, 1, 2, 8, tzinfo=BEIJING), LogicalType("instant"), datetime(2025, 1, 2, tzinfo=UTC)),
        ("ab  ", LogicalType("text", keeps_spaces=False), "ab"),
        ("ab  ", LogicalType("text"), "ab  "),
        (memoryview(b"\0x"), LogicalType("bytes"), b"\0x"),
        (uuid.UUID(int=1), LogicalType("uuid"), "00000000-0000-0000-0000-000000000001"),
        (uuid.UUID(int=1).bytes, LogicalType("uuid"), "00000000-0000-0000-0000-000000000001"),
        (None, MONEY, None),
    ],
)
def test_whatever_form_a_driver_uses_the_value_is_exact(value: object, logical: LogicalType, expected: object) -> None:
    """Drivers differ in the Python types that they return; the value and its type do not."""
    found = from_driver(value, logical)
    assert (type(found), found, str(found)) == (type(expected), expected, str(expected))


@pytest.mark.parametrize(
    ("value", "logical"),
    [
        ("1.005", MONEY),
        (0.1 + 0.2, MONEY),
        (99999999999999.99 * 3, MONEY),
        (float("nan"), MONEY),
        (Decimal("NaN"), MONEY),
        ("x", MONEY),
        (1.5, LogicalType("integer")),
        (2**63, LogicalType("integer")),
        ("y", LogicalType("integer")),
        (2, LogicalType("boolean")),
        ("0000-00-00", LogicalType("date")),
        (datetime.fromisoformat("2025-01-02T03:04"), LogicalType("date")),
        (timedelta(hours=25), LogicalType("time")),
        (timedelta(seconds=-1), LogicalType("time")),
        (datetime(2025, 1, 2, tzinfo=UTC), LogicalType("timestamp")),
        (datetime.fromisoformat("2025-01-02"), LogicalType("instant")),
        (b"x", LogicalType("text")),
        ("\udc80", LogicalType("text")),
        ("x", LogicalType("bytes")),
        ("x", LogicalType("uuid")),
        ({"a": 1.5}, LogicalType("json")),
    ],
)
def test_what_is_no_such_value_is_refused(value: object, logical: LogicalType) -> None:
    """Nothing is rounded, cut, guessed or decoded with replacements: the row becomes an anomaly."""
    with pytest.raises(ValueError, match=r".+"):
        from_driver(value, logical)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15))
def test_decimals_go_to_sqlite_and_back(value: Decimal) -> None:
    """A decimal travels as text, never as a binary float."""
    bound = to_driver(value, MONEY, "sqlite")
    assert isinstance(bound, str)
    assert from_driver(bound, MONEY) == value


def test_moments_go_to_sqlite_as_iso_text() -> None:
    """Dates and times have the form that SQLite's own functions read; other drivers get them as they are."""
    moment = datetime(2025, 1, 2, 8, tzinfo=BEIJING)
    assert to_driver(moment, LogicalType("instant"), "sqlite") == "2025-01-02 00:00:00.000000+00:00"
    assert to_driver(date(2025, 1, 2), LogicalType("date"), "sqlite") == "2025-01-02"
    assert to_driver(time(1), LogicalType("time"), "sqlite") == "01:00:00.000000"
    assert to_driver(moment, LogicalType("instant"), "oracle") is moment


@pytest.mark.parametrize(
    ("declared", "dialect", "expected"),
    [
        (sa.SmallInteger(), "oracle", LogicalType("integer", low=-32768, high=32767)),
        (sa.BigInteger(), "oracle", LogicalType("integer", low=-(2**63), high=2**63 - 1)),
        (sa.Numeric(18, 2), "oracle", MONEY),
        (sa.Numeric(), "oracle", LogicalType("decimal")),
        (sa.REAL(), "oracle", LogicalType("float", bits=32)),
        (sa.CHAR(5), "oracle", LogicalType("text", length=5, nul=False, keeps_spaces=False)),
        (sa.DateTime(timezone=True), "oracle", LogicalType("instant")),
        (sa.VARBINARY(9), "oracle", LogicalType("bytes", length=9)),
        (sa.Interval(), "oracle", LogicalType("unsupported")),
        (sa.types.NullType(), "oracle", LogicalType("unsupported")),
    ],
)
def test_reflected_types_have_their_facts(
    declared: sa.types.TypeEngine[object], dialect: str, expected: LogicalType
) -> None:
    """What SQLAlchemy reflects decides what fits; what it does not know may be copied and never compared."""
    assert logical_type(declared, dialect) == expected


@pytest.mark.parametrize(
    ("wrapper", "text", "expected"),
    [
        (sa.exc.IntegrityError, "UNIQUE constraint failed: t.a", "unique"),
        (sa.exc.IntegrityError, "ORA-02291: integrity constraint violated - parent key not found", "foreign_key"),
        (sa.exc.IntegrityError, "ORA-01400: cannot insert NULL into T.A", "not_null"),
        (sa.exc.IntegrityError, "CHECK constraint failed: positive", "check"),
        (sa.exc.OperationalError, "CONSTRAINT `positive` failed for `t`", "check"),
        (sa.exc.DataError, "value larger than specified precision", "value"),
    ],
)
def test_violations_are_told_by_their_words(wrapper: type[sa.exc.DBAPIError], text: str, expected: str) -> None:
    """Where a driver has no code that we know, its message says what was violated."""
    fault = generic_fault(wrapper("INSERT", None, Exception(text)), "there")
    assert isinstance(fault, ConstraintViolation)
    assert (fault.kind, fault.where) == (expected, "there")


@pytest.mark.parametrize(
    ("text", "lost", "expected"),
    [
        ("deadlock detected", False, TransientFault),
        ("Lock wait timeout exceeded", False, TransientFault),
        ("database is locked", False, TransientFault),
        ("whatever", True, ConnectionLost),
        ("no such table: t", False, EnvironmentFault),
    ],
)
def test_other_errors_say_whether_to_try_again(text: str, *, lost: bool, expected: type[MigrateError]) -> None:
    """A broken connection is known from SQLAlchemy; an unknown error is never taken for a transient one."""
    error = sa.exc.OperationalError("SELECT", None, Exception(text), connection_invalidated=lost)
    assert type(generic_fault(error)) is expected
