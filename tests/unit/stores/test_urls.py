"""Database URLs as users write them."""

import pytest
import sqlalchemy as sa

from migrate.errors import InputError
from migrate.stores.urls import dialect_of, expand, libpq_uri, parse_url, redacted, sqlite_path, with_socket_folders


@pytest.mark.parametrize(
    ("text", "driver", "dialect"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg", "postgresql"),
        ("postgres://u@h/d", "postgresql+psycopg", "postgresql"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg", "postgresql"),
        ("mysql://u@h/d", "mysql+pymysql", "mariadb"),
        ("mariadb://u@h/d", "mysql+pymysql", "mariadb"),
        ("sqlite:///a.db", "sqlite", "sqlite"),
    ],
)
def test_each_database_gets_its_driver(text: str, driver: str, dialect: str) -> None:
    """A user names the database; the toolkit names the driver."""
    url = parse_url(text, {})
    assert (url.drivername, dialect_of(url)) == (driver, dialect)


def test_a_variable_may_be_the_whole_url_or_a_part() -> None:
    """`${NAME}` stands for an environment variable anywhere in the text."""
    environ = {"URL": "postgresql://u:p@h/d", "DB": "x"}
    assert parse_url("${URL}", environ) == parse_url("postgresql://u:p@h/d", {})
    assert parse_url("postgresql://h/${DB}", environ).database == "x"
    assert expand("a-${DB}-${DB}", environ) == "a-x-x"


def test_a_password_in_a_variable_needs_no_quoting() -> None:
    """A password with the characters of a URL in it stays one password."""
    url = parse_url("postgresql://u:${PW}@h:5/d", {"PW": "a@b/c:d?e%20"})
    assert (url.password, url.host, url.port, url.database) == ("a@b/c:d?e%20", "h", 5, "d")


@pytest.mark.parametrize("text", ["${MISSING}", "postgresql://u:${MISSING}@h/d", "sqlite:///${MISSING}", "${a b}://h"])
def test_a_missing_variable_is_an_error_that_names_it(text: str) -> None:
    """A variable that is not set never becomes an empty text."""
    with pytest.raises(InputError, match=r"MISSING|a b"):
        parse_url(text, {})


@pytest.mark.parametrize("text", ["", "table", "host/db", "postgresql:/x", "postgresql://u:s3cret@h:port/d"])
def test_what_is_no_url_is_refused_without_its_secrets(text: str) -> None:
    """The message shows what was given, but no password."""
    with pytest.raises(InputError) as refused:
        parse_url(text, {})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:s3cret@h/d",
        "postgresql://u:s3@cret@h/d",
        "postgresql://h/d?user=u&password=s3cret",
        "postgresql://h/d?sslpassword=s3cret",
        "mysql://u:s3cret@h:1/d",
        "mysql://u:s3?cret@h/d",
        "mysql://u:s3/cret?s3@h/d",
    ],
)
def test_a_redacted_url_has_no_password(text: str) -> None:
    """Whatever holds the password, printing hides it and keeps the rest."""
    for shown in (redacted(text), redacted(parse_url(text, {}))):
        assert "cret" not in shown
        assert "s3" not in shown
        assert "h" in shown
        assert "***" in shown


def test_libpq_gets_every_part_by_name() -> None:
    """Sockets, quoting and options reach libpq, and the URL outranks the options."""
    uri = libpq_uri(parse_url("postgresql://us%40er:p%2Fw@/db?host=/tmp/a b", {}), {"application_name": "migrate"})
    assert uri == "postgresql://?application_name=migrate&host=%2Ftmp%2Fa%20b&user=us%40er&password=p%2Fw&dbname=db"
    own = libpq_uri(parse_url("postgresql://h:7/db?application_name=mine", {}), {"application_name": "migrate"})
    assert own == "postgresql://?application_name=mine&host=h&port=7&dbname=db"


def test_without_a_host_both_socket_folders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds of libpq differ in where they look for sockets; PGHOST outranks both."""
    url = parse_url("postgresql:///db", {})
    monkeypatch.delenv("PGHOST", raising=False)
    assert "host=%2Fvar%2Frun%2Fpostgresql%2C%2Ftmp" in libpq_uri(url)
    assert with_socket_folders(url).query["host"] == "/var/run/postgresql,/tmp"
    monkeypatch.setenv("PGHOST", "/elsewhere")
    assert "host" not in libpq_uri(url)
    assert with_socket_folders(url) == url


def test_a_sqlite_url_names_a_file() -> None:
    """Relative and absolute paths are kept; a database in memory has none."""
    assert str(sqlite_path(sa.make_url("sqlite:///a/b.db"))) == "a/b.db"
    assert str(sqlite_path(sa.make_url("sqlite:////a/b.db"))) == "/a/b.db"
    assert sqlite_path(sa.make_url("sqlite://")) is None
