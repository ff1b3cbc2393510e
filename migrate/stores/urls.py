"""Database URLs as users write them: `${NAME}` expanded, a driver chosen, the form that libpq takes, and a form fit for people.

Pure but for reading environment variables. A password that came in never leaves in a message: `redacted` is the only way to print a URL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from migrate.errors import InputError

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*://")
_OPEN_PASSWORD: Final = re.compile(r"\A(?P<user>[^:/?@]*):(?!\d+(?:[/?]|$))[^@]*[/?].*@")
_SECRET: Final = re.compile(r"pass|pwd|secret|token|key\b", re.IGNORECASE)

_DRIVERS: Final = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "sqlite": "sqlite",
}
_WRITTEN: Final = {"postgresql+psycopg": "postgresql", "mysql+pymysql": "mysql"}
_DIALECTS: Final = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mariadb", "mariadb": "mariadb"}

# ADBC brings a libpq that looks for sockets in /tmp, others look where Debian puts them: each is told both places.
_SOCKET_FOLDERS: Final = "/var/run/postgresql,/tmp"


def expand(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` with each `${NAME}` replaced by the environment variable of that name.

    Raises:
        InputError: a variable is not set, or the braces hold no name.
    """
    return _VARIABLE.sub(lambda match: _value(match.group(1), os.environ if environ is None else environ), text)


def parse_url(text: str, environ: Mapping[str, str] | None = None) -> sa.URL:
    """The SQLAlchemy URL that a user meant, with the driver that the toolkit uses for its database.

    A variable in the place of user or password is taken literally: it may hold `@` and `/` and needs no quoting.

    Raises:
        InputError: no URL, a scheme that SQLAlchemy does not know, a missing variable.
    """
    expanded = _expanded_url(text.strip(), os.environ if environ is None else environ)
    try:
        url = make_url(expanded)
    except (ArgumentError, ValueError) as error:
        raise InputError(
            f"not a database URL: {redacted(expanded)}", next_step="write it like postgresql://user@host/database"
        ) from error
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def dialect_of(url: sa.URL) -> str:
    """`postgresql`, `mariadb` (MySQL too), `sqlite`, or SQLAlchemy's name of any other dialect."""
    name = url.get_backend_name()
    return _DIALECTS.get(name, name)


def redacted(url: str | sa.URL) -> str:
    """The URL for messages and logs: whatever looks like a password is `***`, also in text that is no valid URL."""
    text = url.render_as_string(hide_password=False) if isinstance(url, sa.URL) else url
    scheme, marker, rest = text.partition("://")
    # The driver is the toolkit's choice, not part of what the user wrote.
    scheme = _WRITTEN.get(scheme, scheme)
    if not marker:
        return text if _VARIABLE.search(text) or not re.search(r"[:@=]", text) else "***"
    # An unquoted password may hold `?` and `/`, as SQLAlchemy takes it: then its end is the last `@`.
    rest = _OPEN_PASSWORD.sub(r"\g<user>:@", rest)
    address, question, query = rest.partition("?")
    user_part, at, place = address.rpartition("@")
    user, colon, _password = user_part.partition(":")
    pairs = [_redacted_pair(pair) for pair in query.split("&")]
    return f"{scheme}{marker}{user}{':***' if colon else ''}{at}{place}{question}{'&'.join(pairs)}"


def sqlite_path(url: sa.URL) -> Path | None:
    """The file of a SQLite URL, or None for a database in memory."""
    database = url.database
    return None if not database or database == ":memory:" else Path(database)


def libpq_uri(url: sa.URL, options: Mapping[str, str] | None = None) -> str:
    """The same PostgreSQL database for libpq (and so ADBC), every part as a named parameter, `options` where the URL is silent.

    Without a host in the URL and PGHOST it names the usual socket folders.
    """
    given: dict[str, str] = dict(options or {})
    given.update({name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()})
    parts = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database}
    given.update({name: str(value) for name, value in parts.items() if value not in (None, "")})
    if "host" not in given and "hostaddr" not in given and "PGHOST" not in os.environ:
        given["host"] = _SOCKET_FOLDERS
    return "postgresql://?" + "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in given.items())


def with_socket_folders(url: sa.URL) -> sa.URL:
    """The PostgreSQL URL with the usual socket folders where it names no host, so that every driver finds the same server."""
    if url.host or "host" in url.query or "hostaddr" in url.query or "PGHOST" in os.environ:
        return url
    return url.update_query_dict({"host": _SOCKET_FOLDERS})


def _expanded_url(text: str, environ: Mapping[str, str]) -> str:
    if not _SCHEME.match(text):
        text = expand(text, environ)
        if not _SCHEME.match(text):
            raise InputError(
                f"not a database URL: {redacted(text)}",
                next_step="write it like postgresql://user@host/database, mysql://user@host/database, sqlite:///file.db",
            )
        return text
    scheme, _, rest = text.partition("://")
    user_part, at, place = rest.rpartition("@")
    literal = _VARIABLE.sub(lambda match: quote(_value(match.group(1), environ), safe=""), user_part)
    return f"{scheme}://{literal}{at}{expand(place, environ)}"


def _value(name: str, environ: Mapping[str, str]) -> str:
    if not _NAME.match(name):
        raise InputError(f"${{{name}}} is not the name of an environment variable")
    if name not in environ:
        raise InputError(f"the environment variable {name} is not set", next_step=f"export {name}=…, then run again")
    return environ[name]


def _redacted_pair(pair: str) -> str:
    name, equals, _value_text = pair.partition("=")
    return f"{name}=***" if equals and _SECRET.search(name) else pair
