"""PostgreSQL's errors as errors of the toolkit."""

import psycopg.errors
import pytest
import sqlalchemy as sa
from adbc_driver_manager import dbapi as adbc
from adbc_driver_manager._lib import AdbcStatusCode

from migrate.errors import ConnectionLost, ConstraintViolation, EnvironmentFault, MigrateError, TransientFault
from migrate.stores.postgres_errors import connect_faults, postgres_fault, postgres_faults, sqlstate


def adbc_error(text: str, state: str | None = None) -> adbc.Error:
    """An error as ADBC raises it."""
    return adbc.OperationalError(text, status_code=AdbcStatusCode.IO, sqlstate=state)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("23505", "unique"), ("23P01", "unique"), ("23503", "foreign_key"), ("23502", "not_null"), ("23514", "check"),
        ("22001", "value"), ("22003", "value"), ("22021", "value"), ("22P02", "value"), ("P0001", "check"), ("44000", "check"),
    ],
)  # fmt: skip
def test_refused_rows_are_violations_of_their_kind(state: str, kind: str) -> None:
    """Whatever the server says about a row is a ConstraintViolation that says what was violated."""
    fault = postgres_fault(adbc_error("x", state), "here")
    assert isinstance(fault, ConstraintViolation)
    assert (fault.kind, fault.where) == (kind, "here")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("40001", TransientFault), ("40P01", TransientFault), ("55P03", TransientFault), ("57014", TransientFault),
        ("53300", TransientFault), ("57P01", ConnectionLost), ("57P03", ConnectionLost), ("08006", ConnectionLost),
        ("25P03", ConnectionLost), ("08P01", EnvironmentFault), ("53100", EnvironmentFault), ("28P01", EnvironmentFault),
        ("3D000", EnvironmentFault), ("42501", EnvironmentFault), ("42P01", EnvironmentFault), ("25006", EnvironmentFault),
        ("XX000", EnvironmentFault), ("99999", EnvironmentFault),
    ],
)  # fmt: skip
def test_every_other_state_says_whether_to_try_again(state: str, expected: type[MigrateError]) -> None:
    """Transient, on a new connection, or not by itself: never a success, never an unknown error."""
    assert type(postgres_fault(adbc_error("x", state))) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[libpq] PQgetCopyData() failed: server closed the connection unexpectedly", ConnectionLost),
        ("IO: Failed to prepare query: no connection to the server", ConnectionLost),
        ("FATAL:  terminating connection due to administrator command", ConnectionLost),
        ("[libpq] Execution error: ERROR:  canceling statement due to conflict with recovery", TransientFault),
        ("[libpq] Execution error [PGRES_FATAL_ERROR]: ERROR:  division by zero", EnvironmentFault),
    ],
)
def test_without_a_state_the_words_decide(text: str, expected: type[MigrateError]) -> None:
    """In the middle of a stream ADBC has no SQLSTATE: a broken connection is still told from a broken query."""
    assert type(postgres_fault(OSError(text))) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('connection to server at "127.0.0.1", port 1 failed: Connection refused', ConnectionLost),
        ("FATAL:  the database system is starting up", ConnectionLost),
        ("FATAL:  sorry, too many clients already", ConnectionLost),
        ('FATAL:  password authentication failed for user "u"', EnvironmentFault),
        ('FATAL:  database "nodb" does not exist', EnvironmentFault),
        ('could not translate host name "x" to address', EnvironmentFault),
        ('invalid URI query parameter: "bad"', EnvironmentFault),
    ],
)
def test_a_server_that_is_away_is_worth_another_try(text: str, expected: type[MigrateError]) -> None:
    """Connecting: a server that is down or starting may come back; a wrong password stays wrong."""
    with pytest.raises(EnvironmentFault) as raised, connect_faults("postgresql://h"):
        raise adbc_error(f"IO: [libpq] Failed to connect: {text}")
    assert type(raised.value) is expected
    assert raised.value.where == "postgresql://h"


@pytest.mark.parametrize(
    ("text", "state", "name"),
    [
        (
            'ERROR:  duplicate key value violates unique constraint "t_pkey"\nDETAIL:  Key (a)=("x") exists.',
            "23505",
            "t_pkey",
        ),
        ('insert or update on table "t" violates foreign key constraint "t_fk"', "23503", "t_fk"),
        ('null value in column "c" of relation "t" violates not-null constraint', "23502", "c"),
        ('重复键违反唯一约束"t_pkey"', "23505", "t_pkey"),
        ('invalid input value for enum mood: "zz"', "22P02", None),
    ],
)
def test_the_constraint_is_named_where_the_server_names_it(text: str, state: str, name: str | None) -> None:
    """Also in a server that speaks another language; a quoted value is never taken for a name."""
    fault = postgres_fault(adbc_error(text, state))
    assert isinstance(fault, ConstraintViolation)
    assert fault.constraint == name


def test_statements_stay_out_of_messages() -> None:
    """The statement can hold data; ADBC puts it behind its message."""
    fault = postgres_fault(
        adbc_error(
            "INVALID_STATE: Failed to prepare query: ERROR:  boom\n\nQuery was: select 's3cret'. SQLSTATE: XX000",
            "XX000",
        )
    )
    assert "s3cret" not in str(fault)
    assert fault.message == "boom (SQLSTATE XX000)"


def test_sqlalchemy_errors_are_seen_through() -> None:
    """The state of a driver's error is found inside of SQLAlchemy's."""
    wrapped = sa.exc.DBAPIError("SELECT 's3cret'", None, psycopg.errors.LockNotAvailable("no lock"))
    assert sqlstate(wrapped) == "55P03"
    with pytest.raises(TransientFault) as raised, postgres_faults("there"):
        raise wrapped
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is wrapped
