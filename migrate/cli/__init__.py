"""The command `migrate`: each command parses its options, makes one call into the library, renders, and exits.

Exit codes are those of `migrate.errors`; besides, 70 for a defect of the toolkit itself (the traceback is kept in a file),
and 141 when the reader of stdout went away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from migrate import __version__
from migrate.cli import failures
from migrate.cli.backup import backup
from migrate.cli.certificate import certificate
from migrate.cli.check import check
from migrate.cli.doctor import doctor
from migrate.cli.init import init
from migrate.cli.ledger import ledger
from migrate.cli.options import Group, Session, first_screen
from migrate.cli.plan import plan
from migrate.cli.rehearse import rehearse
from migrate.cli.rejects import rejects
from migrate.cli.rollback import rollback
from migrate.cli.run import run
from migrate.cli.schema import schema
from migrate.cli.signals import end_on_signals
from migrate.cli.status import status
from migrate.cli.steer import pause, resume, throttle
from migrate.cli.verify import verify
from migrate.errors import MigrateError


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="migrate", message="%(prog)s %(version)s")
def cli() -> None:
    """Move an invoice system to a new database and prove that nothing was lost."""


for _command in (
    init,
    check,
    plan,
    run,
    status,
    pause,
    resume,
    throttle,
    rejects,
    verify,
    rollback,
    rehearse,
    backup,
    certificate,
    schema,
    ledger,
    doctor,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Nothing but KeyboardInterrupt of a second Ctrl-C leaves it as an exception."""
    # Arrow reads this when it is loaded, which no command has done yet. Its own allocator keeps what was freed: 15 MB for each worker (measured).
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Likewise DuckDB's: freed memory goes back after a tenth of a second. 15 MB less in a verification, for 5 % of its time (measured).
    os.environ.setdefault("DUCKDB_JE_MALLOC_CONF", "dirty_decay_ms:100,muzzy_decay_ms:0")
    # Workers change between native code and Python hundreds of times a batch; waiting 5 ms for the interpreter costs 3 % of a run (measured).
    sys.setswitchinterval(0.0002)
    words = list(sys.argv[1:] if arguments is None else arguments)
    session = Session(first_screen(words))
    try:
        end_on_signals()
        code = cli.main(words, prog_name="migrate", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except MigrateError as error:
        return failures.report(error, session.screen)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return failures.usage_error(error, session.screen)
    except KeyboardInterrupt:
        # As Click does for the ones it sees: the terminal shows ^C, and the cursor stands behind it.
        click.echo(err=True)
        return failures.interrupted(session.screen)
    except click.Abort:
        return failures.interrupted(session.screen)
    except BrokenPipeError:
        return failures.broken_pipe()
    except Exception as error:  # noqa: BLE001 - the last resort: a message and a file instead of a traceback
        return failures.defect(error, session.screen)
    return code if isinstance(code, int) else 0
