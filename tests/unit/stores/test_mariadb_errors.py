"""Every number that the server or pymysql raises ends as an error of the toolkit."""

import pymysql
import pytest
import sqlalchemy as sa

from migrate.errors import (
    ConnectionLost,
    ConstraintViolation,
    EnvironmentFault,
    InputError,
    MigrateError,
    TransientFault,
)
from migrate.stores.mariadb_errors import local_infile_refused, mariadb_faults, translated


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1205, TransientFault), (1213, TransientFault), (1020, TransientFault), (1317, TransientFault), (2006, ConnectionLost),
        (2013, ConnectionLost), (1053, ConnectionLost), (1927, ConnectionLost), (4031, ConnectionLost), (1045, EnvironmentFault),
        (2002, ConnectionLost), (2003, ConnectionLost), (1040, EnvironmentFault), (1114, EnvironmentFault), (1021, EnvironmentFault), (1064, InputError),
        (1146, InputError), (1049, EnvironmentFault), (65535, EnvironmentFault),
    ],
)  # fmt: skip
def test_numbers_have_their_class(number: int, expected: type[MigrateError]) -> None:
    """Transient ones may be tried again, lost ones on a new connection, the others need somebody."""
    assert type(translated(pymysql.err.OperationalError(number, "text"))) is expected


@pytest.mark.parametrize(
    ("number", "message", "following"),
    [
        (2003, "cannot connect: text", "is the server running?"),
        (2013, "the connection to the server is gone: text", "run again"),
        (1049, "text (error 1049)", "check the name of the database in the URL, or create it"),
        (1045, "text (error 1045)", "check the user, the password and the host that the user may come from"),
        (1142, "text (error 1142)", "grant the database user what it needs, then run the same command again"),
        (1114, "text (error 1114)", "run again when it is mended"),
    ],
)
def test_who_cannot_connect_is_told_what_to_look_at(number: int, message: str, following: str) -> None:
    """A server that never answered is not *gone*, and a refused user or a missing database is not mended by running again."""
    error = translated(pymysql.err.OperationalError(number, "text"))
    assert (error.message, error.next_step) == (message, following)


@pytest.mark.parametrize(
    ("number", "text", "kind", "constraint"),
    [
        (1062, "Duplicate entry 'a' for key 'PRIMARY'", "unique", "PRIMARY"),
        (1062, "Duplicate entry 'a' for key 'table.uk'", "unique", "uk"),
        (1452, "Cannot add or update a child row: a foreign key constraint fails (`d`.`t`, CONSTRAINT `fk` FOREIGN KEY …)", "foreign_key", "fk"),
        (4025, "CONSTRAINT `positive` failed for `d`.`t`", "check", "positive"),
        (3819, "Check constraint 'positive' is violated.", "check", "positive"),
        (1048, "Column 'n' cannot be null", "not_null", "n"),
        (1364, "Field 'n' doesn't have a default value", "not_null", "n"),
        (1406, "Data too long for column 'v' at row 1", "value", "v"),
        (1264, "Out of range value for column 'v' at row 1", "value", "v"),
        (1366, "Incorrect decimal value: 'x' for column `d`.`t`.`v` at row 1", "value", None),
    ],
)  # fmt: skip
def test_violations_have_kind_and_constraint(number: int, text: str, kind: str, constraint: str | None) -> None:
    """The constraint is named in the server's text, in MariaDB's and MySQL's words."""
    error = translated(pymysql.err.IntegrityError(number, text))
    assert isinstance(error, ConstraintViolation)
    assert (error.kind, error.constraint) == (kind, constraint)


def test_the_cause_is_chained_through_sqlalchemy() -> None:
    """What SQLAlchemy wraps is told as what it is."""
    inner = pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")
    with pytest.raises(TransientFault) as caught, mariadb_faults("t"):
        raise sa.exc.OperationalError("SELECT 1", {}, inner)
    assert caught.value.where == "t"
    assert caught.value.__cause__ is not None


def test_refused_local_data_is_told_apart() -> None:
    """MariaDB old and new, and MySQL, each have a number for it."""
    assert all(local_infile_refused(pymysql.err.OperationalError(number, "no")) for number in (1148, 3948, 4166))
    assert not local_infile_refused(pymysql.err.OperationalError(1062, "no"))
