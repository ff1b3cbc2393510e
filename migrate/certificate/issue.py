"""`certificate issue`: verify a mapping anew, and sign what was found; only a target that is equal gets a certificate.

1. The ledger is there and its log holds; a certificate is entered into it.
2. The mapping is verified; the rows that the verification reads from the target are hashed into both trees as they pass.
3. The statement is written down, entered into the log by its digest and sealed; the log's checkpoint is signed.
4. FILE.leaves, FILE.secret and, last of all, FILE appear under their names.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migrate import __version__
from migrate.certificate.collect import LEAVES, SECRET, Collected, Collector
from migrate.certificate.document import FORMAT, LOGGED, Certificate, assemble, check_envelope
from migrate.checksum.contract import ENCODING
from migrate.engine.access import run_of
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run
from migrate.errors import EnvironmentFault, InputError, NotProven, StateError
from migrate.ledger.checkpoint import Sealed, sealed_event
from migrate.ledger.connection import Ledger
from migrate.ledger.log import add_event, seal, verify_log
from migrate.mapping.totals import compile_totals
from migrate.signing.canonical import canonical_digest, canonical_json
from migrate.signing.keys import PRIVATE_MODE, key_id, read_private_key
from migrate.signing.note import Checkpoint
from migrate.verify.both import Watch, unwatched
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify_plan

TREE = "RFC 6962, SHA-256"


@dataclass(frozen=True, slots=True)
class Issued:
    """The verification, and the certificate: None when the verification was not equal, and nothing was written."""

    verification: Verification
    certificate: Certificate | None


def beside(file: Path, ending: str) -> Path:
    """FILE.leaves or FILE.secret."""
    return file.with_name(f"{file.name}.{ending}")


def issue(path: Path, file: Path, key_file: Path, options: VerifyOptions, watch: Watch = unwatched) -> Issued:
    """Verify the mapping and write a certificate of it. Nothing is written unless the verdict is EQUAL or EQUAL_WITH_DECLARED_RULES.

    Raises StateError for a file that is there, a key that others may read or a mapping that was never run, NotProven (`log`) for a log that does
    not hold, EnvironmentFault for a disk that is full; else as `verify`.
    """
    key = read_private_key(key_file)
    _refuse_existing(file)
    run_options = RunOptions(source=options.source, target=options.target, ledger_schema=options.ledger_schema)
    with run_of(path, run_options) as (ledger, run):
        require_log(ledger)
        (plan,) = plan_run([path], run_options)
        try:
            with tempfile.TemporaryDirectory(dir=file.parent, prefix=".certificate-") as folder:
                with Collector(
                    Path(folder), plan.targets, compile_totals(plan.mapping, plan.target_shapes)
                ) as collector:
                    verification = verify_plan(plan, options, watch, collector.keep)
                    if verification.exit_code:
                        return Issued(verification, None)
                    tables, totals = collector.finish()
                    statement = _statement(plan, verification, tables, totals)
                    statement["secret_sha256"] = hashlib.sha256(collector.secret).hexdigest()
                with _claimed(file):
                    envelope = assemble(statement, _enter(ledger, run.run, statement, key), key)
                    _publish(Path(folder), file, canonical_json(envelope))
        except OSError as error:
            raise EnvironmentFault(
                f"the certificate cannot be written: {error.strerror}",
                where=str(file),
                next_step="make room or choose another place, then issue it again",
            ) from error
    return Issued(verification, check_envelope(envelope, key.public_key()))


def require_log(ledger: Ledger) -> None:
    """Raise NotProven (`log`) unless the log of the ledger holds."""
    findings = verify_log(ledger).findings
    if findings:
        raise NotProven(
            "log",
            f"the log of the ledger does not hold (findings: {len(findings)}): {findings[0]}",
            next_step="migrate ledger verify",
        )


def _refuse_existing(file: Path) -> None:
    if not file.parent.is_dir():
        raise InputError(
            f"there is no folder {file.parent} for the certificate", next_step="make it, or choose another file"
        )
    if file.is_dir():
        raise InputError(f"{file} is a folder", next_step="name a file for the certificate")
    for each in (file, beside(file, LEAVES), beside(file, SECRET)):
        if each.exists():
            raise _is_there(each)


def _is_there(file: Path) -> StateError:
    return StateError(
        f"{file} is there already", next_step="choose another file: proofs of an older certificate need its files"
    )


@contextmanager
def _claimed(file: Path) -> Iterator[None]:
    """While the block runs, nobody else publishes under this name: whoever issues at the same time, and is later, is refused.

    The claim is FILE.leaves, empty; it goes again when the block fails.
    """
    leaves = beside(file, LEAVES)
    try:
        os.close(os.open(leaves, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
    except FileExistsError as error:
        raise _is_there(leaves) from error
    try:
        for each in (file, beside(file, SECRET)):
            if each.exists():
                raise _is_there(each)
        yield
    except BaseException:
        leaves.unlink()
        raise


def _statement(
    plan: Plan, verification: Verification, tables: Mapping[str, Collected], totals: list[dict[str, Any]]
) -> dict[str, Any]:
    """What is signed. Numbers are counts; everything else is text."""
    contracts = {target.name: target.contract for target in plan.targets}
    return {
        "format": FORMAT,
        "toolkit": __version__,
        "encoding": ENCODING,
        "tree": TREE,
        "mapping": {"name": plan.name, "sha256": hashlib.sha256(plan.mapping.text.encode()).hexdigest()},
        "run": verification.run,
        "fingerprint": plan.fingerprint,
        "verdict": verification.verdict,
        "verified_at": verification.began,
        "rules": list(verification.rules),
        "source": verification.source,
        "target": verification.target,
        "rejected_units": 0 if verification.rejects is None else verification.rejects.derived,
        "tables": {
            name: {
                "rows": tables[name].rows,
                "data_root": tables[name].data_root,
                "proof_root": tables[name].proof_root,
                "contract": contracts[name].json,
                "contract_sha256": contracts[name].hash,
                "columns": list(result.columns),
                "left_out": list(result.left_out),
                "explained": dict(result.explained),
                "verdict": result.verdict,
            }
            for name, result in verification.targets.items()
        },
        "totals": totals,
    }


def _enter(ledger: Ledger, run: str, statement: Mapping[str, Any], key: Ed25519PrivateKey) -> tuple[Checkpoint, Sealed]:
    """Enter the digest of the statement into the log and seal it; the log as it is then."""
    # What waits to be sealed goes into a seal of its own, so that the one in the certificate lists little else.
    seal(ledger, run)
    detail = {LOGGED: canonical_digest(statement), "key": key_id(key.public_key())}
    number = add_event(ledger, statement["mapping"]["name"], run, LOGGED, detail)
    seal(ledger, run)
    return sealed_event(ledger, number)


def _publish(folder: Path, file: Path, text: str) -> None:
    """Let the files appear under their names, the certificate last: where it is, the others are."""
    made = folder / "certificate"
    made.write_text(text + "\n", encoding="utf-8")
    for name, place in ((LEAVES, beside(file, LEAVES)), (SECRET, beside(file, SECRET)), (made.name, file)):
        (folder / name).replace(place)
