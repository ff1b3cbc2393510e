"""What every command does alike: help, version, wrong words, JSON errors, languages, defects, pipes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from migrate import __version__
from tests.cli.conftest import MAPPING, Migrate, environment


def test_the_version_is_told(migrate: Migrate) -> None:
    """`--version` prints name and version."""
    done = migrate("--version")
    assert (done.code, done.out, done.err) == (0, f"migrate {__version__}\n", "")


def test_nothing_asked_is_help_and_a_usage_error(migrate: Migrate) -> None:
    """Without a command the help is shown on stderr, and nothing counts as done."""
    done = migrate()
    assert (done.code, done.out) == (2, "")
    assert "Move an invoice system to a new database and prove that nothing was lost." in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("ledger", "verify"),
        ("ledger", "show"),
        ("rejects", "list"),
        ("rollback", "--dry-run"),
        ("doctor",),
        ("check",),
        ("plan",),
        ("run",),
        ("verify",),
        ("rehearse",),
        ("backup", "create"),
    ],
    ids=" ".join,
)
def test_looking_makes_no_database(migrate: Migrate, project: Path, words: tuple[str, ...]) -> None:
    """A mistyped file name is told, and no empty database is left under it, which would look like one in which nothing was done."""
    found = migrate(*words, "mapping.yaml", "--target", "sqlite:///nwe.db")
    assert found.code == (1 if words == ("doctor",) else 2)
    assert "no file nwe.db" in found.out + found.err
    assert "source" not in found.err
    assert list(project.glob("nwe.db*")) == []


def test_an_unknown_command_names_the_nearest(migrate: Migrate) -> None:
    """A mistyped word is answered with the right one, exit 2."""
    done = migrate("schema", "aply")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: No such command 'aply'. Did you mean 'apply'?\n  next:  see migrate schema --help\n"


def test_a_missing_option_is_named(migrate: Migrate) -> None:
    """What is needed is told, exit 2."""
    done = migrate("schema", "apply")
    assert done.code == 2
    assert done.err == "error: Missing option '--target'.\n  next:  see migrate schema apply --help\n"


BEYOND = {
    ("status", "a.yaml", "--watch", "b.yaml", "c d"): (
        "migrate status takes no more than [MAPPING], and here is also: b.yaml 'c d'",
        "behind: migrate status a.yaml --watch",
        "leave that out; a value that has spaces needs quotes (see migrate status --help)",
    ),
    ("verify", "old.db", "new.db"): (
        "migrate verify takes no more than [MAPPING], and here is also: new.db",
        "behind: migrate verify old.db",
        "two tables are compared by options: migrate verify --source URL --table T --target URL --into U; several mappings one after the other (see migrate verify --help)",
    ),
    ("verify", "b.yaml", "b.yaml", "b.yaml"): (
        "migrate verify takes no more than [MAPPING], and here is also: b.yaml b.yaml",
        "behind: migrate verify b.yaml",
        "two tables are compared by options: migrate verify --source URL --table T --target URL --into U; several mappings one after the other (see migrate verify --help)",
    ),
    ("status", "m.yaml", "--target", "postgresql://u:half", "of", "it@h/db"): (
        "migrate status takes no more than [MAPPING], and here is also: '***' '***@h/db'",
        "behind: migrate status m.yaml --target 'postgresql://***'",
        "leave that out; a value that has spaces needs quotes (see migrate status --help)",
    ),
    ("schema", "show", "--target", "sqlite:///x.db", "invoice"): (
        "migrate schema show takes options only, and here is also: invoice",
        "behind: migrate schema show --target sqlite:///x.db",
        "leave that out; a value that has spaces needs quotes (see migrate schema show --help)",
    ),
}


@pytest.mark.parametrize("words", BEYOND, ids=" ".join)
def test_words_that_a_command_does_not_take(migrate: Migrate, words: tuple[str, ...]) -> None:
    """More words than a command takes: which, behind which, and what to type instead; exit 2."""
    what, where, following = BEYOND[words]
    done = migrate(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {what}\n  where: {where}\n  next:  {following}\n"


def test_words_that_a_command_does_not_take_in_chinese(migrate: Migrate) -> None:
    """All of it in Chinese, and with `--json` as one document."""
    done = migrate("verify", "old.db", "new.db", "--lang", "zh", "--json")
    assert json.loads(done.out)["error"] == {
        "kind": "InputError",
        "exit": 2,
        "message": "migrate verify 只接受 [MAPPING]，多余的内容：new.db",
        "where": "位于“migrate verify old.db”之后",
        "next": "比对两张表须用选项：migrate verify --source URL --table T --target URL --into U；多个映射请逐个核验（参见 migrate verify --help）",
    }


def test_words_that_a_command_does_not_take_hide_their_password(migrate: Migrate) -> None:
    """A database URL that was typed where none belongs is shown without its password, whether it is the word too many or one before it."""
    url = "postgresql://me:s3cret@127.0.0.1:1/new"
    done = migrate("verify", f"--target={url}", url, url, "--json")
    assert done.code == 2
    assert "127.0.0.1" in done.out
    assert "s3cret" not in done.out + done.err


def test_errors_are_json_with_json(migrate: Migrate) -> None:
    """With `--json` stdout holds exactly one document, of an error too; people still read stderr."""
    done = migrate("schema", "apply", "--json", "--target", "${NOT_SET}")
    assert json.loads(done.out) == {
        "error": {
            "kind": "InputError",
            "exit": 2,
            "message": "the environment variable NOT_SET is not set",
            "where": None,
            "next": "export NOT_SET=…, then run again",
        }
    }
    assert (done.code, done.err) == (
        2,
        "error: the environment variable NOT_SET is not set\n  next:  export NOT_SET=…, then run again\n",
    )


def test_usage_errors_are_json_too(migrate: Migrate) -> None:
    """A wrong option is one document as well."""
    assert json.loads(migrate("schema", "show", "--json", "--nix").out)["error"]["exit"] == 2


def test_chinese_by_locale_or_option(migrate: Migrate) -> None:
    """Labels follow the locale, and `--lang` outranks it."""
    words = ("schema", "show", "--target", "nix")
    assert migrate(*words, LANG="zh_CN.UTF-8").err.startswith("错误：not a database URL")
    assert migrate(*words, "--lang", "zh").err.startswith("错误：")
    assert migrate(*words, "--lang", "en", LANG="zh_CN.UTF-8").err.startswith("error: ")


def test_a_password_never_appears(migrate: Migrate) -> None:
    """Neither in an error nor in its JSON, and in no log."""
    done = migrate("schema", "apply", "--target", "postgresql://me:s3cret@127.0.0.1:1/new", "--json", "--log-file", "log",
                   "--log-level", "debug")  # fmt: skip
    assert done.code == 3
    assert "s3cret" not in done.out + done.err


@pytest.mark.parametrize("words", [("check",), ("run",), ("plan",), ("status",), ("doctor",)], ids=" ".join)
def test_a_password_out_of_a_variable_is_one_password(migrate: Migrate, tmp_path: Path, words: tuple[str, ...]) -> None:
    """It may hold `@`, `/` and `?`: the right server is asked, and no part of it is taken for a host and shown."""
    url = "postgresql://me:${SECRET_WORD}@127.0.0.1:1/new"
    text = MAPPING.replace("sqlite:///new.db", url).replace("sqlite:///old.db", url)
    (tmp_path / "mapping.yaml").write_text(text, encoding="utf-8")
    done = migrate(*words, "mapping.yaml", SECRET_WORD="qal@zpha/xbe?wta")
    assert done.code == (1 if words == ("doctor",) else 3), done.err
    assert "127.0.0.1" in done.out + done.err
    assert not {"qal", "zpha", "xbe", "wta"} & set(re.findall("[a-z]+", done.out + done.err))


def test_a_file_in_no_folder_is_an_environment_error(migrate: Migrate) -> None:
    """A SQLite file cannot be made in a folder that is not there: exit 3, with the path."""
    done = migrate("schema", "apply", "--target", "sqlite:///no/new.db")
    assert (done.code, done.out) == (3, "")
    assert "no/new.db" in done.err


def test_a_log_file_that_cannot_be_written_stops_before_anything(migrate: Migrate, tmp_path: Path) -> None:
    """Who asked for a log gets one, or nothing happens."""
    done = migrate("schema", "apply", "--target", "sqlite:///new.db", "--log-file", "no/run.log")
    assert done.code == 2
    assert not (tmp_path / "new.db").exists()


def test_a_reader_that_leaves_is_no_defect(tmp_path: Path) -> None:
    """`migrate schema show | head -1` is quiet and exits like a program that SIGPIPE killed."""
    command = f"'{sys.executable}' -m migrate schema show --target sqlite:///x.db | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines()[0] == "CREATE TABLE invoice ("
    assert done.stdout.splitlines()[1] in ("0", "141")  # 0 when all of it fitted into the pipe before `head` left
    assert done.stderr == ""


DEFECTIVE = """
import sys
from migrate.cli import cli, main
from migrate.cli.options import Command, with_screen

@cli.command("defective", cls=Command, example="")
@with_screen
def defective(screen):
    raise ZeroDivisionError("nobody thought of this")

sys.exit(main())
"""


@pytest.mark.parametrize("log", [(), ("--log-file", "run.log")], ids=["without a log", "with a log"])
def test_a_defect_is_one_sentence_and_a_traceback_in_a_file(tmp_path: Path, log: tuple[str, ...]) -> None:
    """An exception that nobody expected exits 70, names the file with the traceback, and shows none."""
    done = subprocess.run(
        [sys.executable, "-c", DEFECTIVE, "defective", *log],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (70, "")
    first, where, following = done.stderr.splitlines()
    assert first == "error: this is a defect of the toolkit (ZeroDivisionError: nobody thought of this)"
    assert following.startswith("  next:  run the same command again")
    named = tmp_path / where.split()[-1]
    assert named.name == "run.log" if log else named.name.startswith("migrate-")
    assert "Traceback" in named.read_text()
    assert named.stat().st_mode & 0o077 == 0 or log
