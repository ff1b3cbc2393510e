"""The database servers that the other tests rely on are real, private, empty and durable."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pymysql
import pytest
from sqlalchemy.engine import make_url

from tests.databases import MariaDbServer, PostgresServer, Server

TABLES = {
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
    "mariadb": "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
}


@pytest.fixture(params=["postgres_server", "mariadb_server"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Server)
    return found


def test_postgres_is_the_version_of_the_wheel(postgres_server: PostgresServer) -> None:
    """Tests run against PostgreSQL 18, whatever the machine has installed."""
    [(version,)] = postgres_server.execute("SHOW server_version")
    assert str(version).startswith("18.")


def test_mariadb_is_a_mariadb_with_local_infile(mariadb_server: MariaDbServer) -> None:
    """Tests run against a MariaDB of at least version 10 that accepts LOAD DATA LOCAL and four-byte characters."""
    [(version, infile, charset)] = mariadb_server.execute("SELECT version(), @@local_infile, @@character_set_server")
    assert "MariaDB" in str(version)
    assert int(str(version).split(".", maxsplit=1)[0]) >= 10
    assert (infile, charset) == (1, "utf8mb4")


def test_every_database_is_empty_and_another_one(server: Server, new_database: Callable[[str], str]) -> None:
    """A test gets a database of its own: nothing of an earlier one is in it, and it does not show in a later one."""
    first, second = (make_url(new_database(server.kind)).database for _ in range(2))
    assert first != second
    assert server.execute(TABLES[server.kind], first) == []
    server.execute("CREATE TABLE t (a int)", first)
    assert server.execute(TABLES[server.kind], first) == [("t",)]
    assert server.execute(TABLES[server.kind], second) == []


def test_a_database_is_dropped_though_a_connection_holds_it(server: Server) -> None:
    """A test that leaves a transaction open does not block the end of its database."""
    with server.fresh_database() as url:
        name = make_url(url).database
        assert name is not None
        server.execute("CREATE TABLE t (a int)", name)
        holder = _connect(server, name)
        cursor = holder.cursor()
        cursor.execute("SELECT * FROM t")
    listing = {"postgresql": "SELECT datname FROM pg_database", "mariadb": "SHOW DATABASES"}[server.kind]
    assert (name,) not in server.execute(listing)
    with pytest.raises((psycopg.OperationalError, pymysql.err.OperationalError, pymysql.err.InterfaceError)):
        cursor.execute("SELECT * FROM t")
    holder.close() if isinstance(holder, psycopg.Connection) else holder._force_close()


def test_a_restart_keeps_commits_and_breaks_connections(server: Server) -> None:
    """After a crash every committed row is there, every uncommitted one is gone, and old connections fail."""
    with server.fresh_database() as url:
        name = make_url(url).database
        assert name is not None
        server.execute("CREATE TABLE t (a int)", name)
        server.execute("INSERT INTO t VALUES (1)", name)
        holder = _connect(server, name)
        holder.cursor().execute("INSERT INTO t VALUES (2)")
        before = server.pid
        server.restart()
        assert server.pid not in (None, before)
        with pytest.raises((psycopg.OperationalError, pymysql.err.OperationalError)):
            holder.cursor().execute("SELECT 1")
        assert server.url(name) == url
        assert server.execute("SELECT a FROM t", name) == [(1,)]
        holder.close() if isinstance(holder, psycopg.Connection) else holder._force_close()


def test_a_server_outlives_the_thread_that_restarted_it(server: Server) -> None:
    """A fault test may restart a server from a thread; the server belongs to the process, not to the thread."""
    restarting = threading.Thread(target=server.restart)
    restarting.start()
    restarting.join()
    # The kernel would have ended the server before the thread was joined; the answer proves that it did not.
    assert server.execute("SELECT 1") == [(1,)]


def test_sqlite_is_a_file_that_does_not_exist_yet(sqlite_url: str) -> None:
    """A SQLite database is an absolute path to a file that the test itself creates."""
    path = make_url(sqlite_url).database
    assert path is not None
    assert path.startswith("/")
    assert not Path(path).exists()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a int)")
    connection.close()
    assert Path(path).exists()


def test_two_urls_are_of_two_kinds(database_url: str, second_database_url: str) -> None:
    """A test of a pair of databases never runs on two of one kind."""
    assert make_url(database_url).get_backend_name() != make_url(second_database_url).get_backend_name()


def _connect(
    server: Server, database: str
) -> "psycopg.Connection[tuple[object, ...]] | pymysql.Connection[pymysql.cursors.Cursor]":
    """A connection with a transaction that is left open."""
    if isinstance(server, MariaDbServer):
        return pymysql.connect(host="127.0.0.1", port=server.port, user="root", database=database)
    return psycopg.connect(host=str(server.folder), user="postgres", dbname=database)
