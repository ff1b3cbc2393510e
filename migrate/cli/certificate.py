"""`migrate certificate`: a signed statement of what was migrated, which can be checked offline, and proofs for single rows of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import RenderableType
from rich.text import Text

from migrate.cli.options import FILE, Group, source_and_target, with_screen
from migrate.cli.screen import Screen, add_rows, write_json
from migrate.cli.signals import beside, stop_on_signals
from migrate.cli.watching import Watcher
from migrate.errors import InputError
from migrate.report.words import SHARED
from migrate.units import count_text

if TYPE_CHECKING:
    from migrate.certificate.document import Certificate

_TRUST = click.option(
    "--trust", type=FILE, required=True, metavar="PUBKEY", help="Public key of whoever you trust to have issued it."
)
_OUTPUT = ("-o", "--output")


@click.group(cls=Group)
def certificate() -> None:
    """Issue and check signed statements of what was migrated, and prove single rows."""


@certificate.command(example="migrate certificate keygen -o notary.key")
@click.option(*_OUTPUT, "key", type=FILE, required=True, metavar="KEY", help="Private key; the public one is KEY.pub.")
@with_screen
def keygen(screen: Screen, *, key: Path) -> int:
    """Make a pair of signing keys: KEY, for its owner alone, and KEY.pub, for everybody who checks."""
    from migrate.signing.keys import generate_key, key_id, read_public_key

    public = generate_key(key)
    name = key_id(read_public_key(public))
    screen.result(
        {"key": str(key), "public": str(public), "key_id": name},
        Text(screen.say("key_written", private=key, public=public)),
        Text(f"{screen.say('key_id')} {name}", style="dim"),
    )
    return 0


@certificate.command(example="migrate certificate issue mapping.yaml -o migration.cert --signing-key signing.key")
@click.argument("mapping", type=FILE)
@click.option(
    *_OUTPUT, "file", type=FILE, required=True, metavar="FILE", help="The certificate, which must not be there yet."
)
@click.option("--signing-key", type=FILE, required=True, metavar="KEY", help="Private key that `keygen` made.")
@source_and_target
@with_screen
def issue(screen: Screen, mapping: Path, *, file: Path, signing_key: Path, **asked: str | None) -> int:
    """Verify the mapping anew and, if the target is equal, write a signed certificate of it."""
    from migrate.certificate.collect import LEAVES, SECRET
    from migrate.certificate.issue import beside as name_beside
    from migrate.certificate.issue import issue as issue_certificate
    from migrate.cli.verification import verification_summary
    from migrate.engine.stop import StopToken
    from migrate.verify.verify import VerifyOptions

    options = VerifyOptions(asked["source"], asked["target"], asked["ledger_schema"])
    stop = StopToken()
    with Watcher(screen, stop) as watch, stop_on_signals(stop):
        issued = beside(lambda: issue_certificate(mapping, file, signing_key, options, watch))
    verification, made = issued.verification, issued.certificate
    if made is None:
        screen.result(verification.to_json(), verification_summary(verification, screen))
        screen.note(screen.say("not_issued"))
        return verification.exit_code
    written = screen.say("issued", file=file, leaves=name_beside(file, LEAVES), secret=name_beside(file, SECRET))
    screen.result(made.to_json(), *_pictures(made, screen), Text(), Text(written))
    return 0


@certificate.command(example="migrate certificate check migration.cert --trust signing.key.pub --rehash mapping.yaml")
@click.argument("file", type=FILE)
@_TRUST
@click.option("--rehash", type=FILE, metavar="MAPPING", help="Also read mapping, log and all rows of the target again.")
@source_and_target
@with_screen
def check(screen: Screen, file: Path, *, trust: Path, rehash: Path | None, **asked: Any) -> int:
    """Check a certificate, offline unless --rehash; exit 1, with the reason, when it does not hold."""
    from migrate.certificate.check import check as check_certificate
    from migrate.certificate.check import rehash as rehash_certificate
    from migrate.engine.options import RunOptions
    from migrate.engine.stop import StopToken

    given = [f"--{name.replace('_', '-')}" for name, value in asked.items() if value is not None]
    if rehash is None and given:
        raise InputError(
            f"{' and '.join(given)}: without --rehash no database is looked at",
            next_step="give --rehash MAPPING too, or leave them out",
        )
    made = check_certificate(file, trust)
    holds = [Text(screen.say("certificate_holds"), style="bold green")]
    if rehash is not None:
        stop = StopToken()
        with Watcher(screen, stop) as watch, stop_on_signals(stop):
            beside(lambda: rehash_certificate(made, rehash, RunOptions(**asked), watch))
        holds.append(Text(screen.say("rehash_holds"), style="bold green"))
    screen.result({**made.to_json(), "rehashed": rehash is not None}, *holds, Text(), *_pictures(made, screen))
    return 0


@certificate.command(example="migrate certificate prove migration.cert --key no=1")
@click.argument("file", type=FILE)
@click.option(
    "--key", multiple=True, required=True, metavar="COLUMN=VALUE", help="Key of the row; once for each column of it."
)
@click.option("--table", metavar="T", help="Its table, where several tables have a key of these columns.")
@with_screen
def prove(screen: Screen, file: Path, *, key: tuple[str, ...], table: str | None) -> int:  # noqa: ARG001 - every command has a screen
    """Write the proof that a row is among those of a certificate: JSON on stdout, which shows no other row."""
    from migrate.certificate.prove import prove as prove_row
    from migrate.certificate.rows import parse_key

    write_json(prove_row(file, parse_key(key), table))
    return 0


@certificate.command("check-proof", example="migrate certificate check-proof proof.json --trust signing.key.pub")
@click.argument("proof", type=FILE)
@_TRUST
@click.option("--key", multiple=True, metavar="COLUMN=VALUE", help="Refuse a proof that is for another row than this.")
@with_screen
def check_proof(screen: Screen, proof: Path, *, trust: Path, key: tuple[str, ...]) -> int:
    """Check the proof for a row, offline; exit 1, with the reason, when it does not hold."""
    from migrate.certificate.prove import check_proof as check_row
    from migrate.certificate.rows import parse_key

    proven = check_row(proof, trust, parse_key(key) if key else None)
    row = add_rows(screen.table("column", "value"), proven.row.items())
    screen.result(
        proven.to_json(),
        Text(screen.say("proof_holds", table=proven.table), style="bold green"),
        Text(),
        row,
        Text(),
        *_pictures(proven.certificate, screen),
    )
    return 0


def _pictures(made: Certificate, screen: Screen) -> Iterator[RenderableType]:
    """What the certificate states, and the three lines for the sign-off sheet."""
    stated = made.statement
    yield Text.assemble(
        (stated["mapping"]["name"], "bold"),
        "  ",
        (_verdict(stated, screen), "bold green"),
        "  ",
        (stated["run"], "dim"),
    )
    yield Text(f"{stated['source']} → {stated['target']}", style="dim")
    yield Text()
    tables = ((name, count_text(table["rows"]), _verdict(table, screen)) for name, table in stated["tables"].items())
    yield add_rows(screen.table("table", "rows", "verdict", numbers=[1]), tables)
    for rule in stated["rules"]:
        yield Text(f"{screen.say('rules')}: {rule}")
    roots = (f"{table['data_root']}  {name}" for name, table in stated["tables"].items())
    yield from _to_copy("data_root", roots, screen)
    yield from _to_copy("checkpoint_lines", str(made.checkpoint).splitlines(), screen)


def _to_copy(heading: str, lines: Iterable[str], screen: Screen) -> Iterator[Text]:
    """Lines that people copy and compare: a hash is never broken, whatever the width of the terminal."""
    yield Text()
    yield Text(screen.say(heading), style="dim")
    for line in lines:
        yield Text(f"  {line}", no_wrap=True, overflow="ignore")


def _verdict(stated: Mapping[str, Any], screen: Screen) -> str:
    key = f"verdict_{stated['verdict']}"
    return screen.say(key) if key in SHARED else str(stated["verdict"])
