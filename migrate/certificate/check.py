"""`certificate check`: does a certificate hold, by itself, and, with the mapping at hand, against the data and the log as they are now?"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from migrate.certificate.document import Certificate, check_envelope, read_certificate
from migrate.certificate.issue import require_log
from migrate.certificate.roots import DataRoot
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run
from migrate.errors import NotProven
from migrate.ledger.checkpoint import compare_with_log
from migrate.ledger.connection import Ledger
from migrate.mapping.reader import read_mapping
from migrate.signing.keys import read_public_key
from migrate.stores.opening import open_target
from migrate.verify.both import Watch, unwatched
from migrate.verify.stored import Stored
from migrate.write.target import WriteTarget


def check(file: Path, trusted: Path) -> Certificate:
    """The certificate of a file, if the owner of the trusted public key signed it whole. Touches no database.

    Raises NotProven with a reason for what does not hold, InputError for files that cannot be read.
    """
    return check_envelope(read_certificate(file), read_public_key(trusted))


def rehash(certificate: Certificate, path: Path, options: RunOptions, watch: Watch = unwatched) -> None:
    """Read the log and all rows again; return if the mapping, the log and the rows are those of the certificate.

    Raises NotProven with the first reason that is found, InputError or EnvironmentFault as a verification.
    """
    text = read_mapping(path).text
    if hashlib.sha256(text.encode()).hexdigest() != certificate.statement["mapping"]["sha256"]:
        raise NotProven(
            "mapping",
            "the mapping was altered: it is not the file that was certified",
            where=str(path),
            next_step="give the file that was certified: `migrate ledger show --json` has its text (mapping_text)",
        )
    (plan,) = plan_run([path], options)
    _check_log(plan, certificate)
    _check_contracts(plan, certificate)
    for target in plan.targets:
        _check_rows(target, plan.target_url, certificate.statement["tables"][target.name], watch)


def _check_log(plan: Plan, certificate: Certificate) -> None:
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        compare_with_log(ledger, certificate.checkpoint)
        require_log(ledger)
    finally:
        store.close()


def _check_contracts(plan: Plan, certificate: Certificate) -> None:
    now = {target.name: target.contract.hash for target in plan.targets}
    then = {name: table["contract_sha256"] for name, table in certificate.statement["tables"].items()}
    if now != then:
        differing = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
        raise NotProven(
            "contract", "tables or their columns are not those of the certificate", where=", ".join(differing)
        )


def _check_rows(target: WriteTarget, url: str, stated: dict[str, Any], watch: Watch) -> None:
    with ExitStack() as open_now:
        folder = open_now.enter_context(tempfile.TemporaryDirectory(prefix="migrate-certificate-"))
        data = open_now.enter_context(closing(DataRoot(target.contract, Path(folder))))
        stored = open_now.enter_context(closing(Stored(target, url)))
        unreadable = 0
        for chunk in stored.chunks():
            watch("target", chunk.rows.num_rows)
            unreadable += chunk.unread.num_rows
            data.add(chunk.rows)
        rows = data.rows + data.poisoned + unreadable
        if rows != stated["rows"]:
            raise _other_rows(f"there are {rows} rows, and {stated['rows']} were certified", target.name)
        if unreadable or data.poisoned or data.root().hex() != stated["data_root"]:
            raise _other_rows("rows were altered since: their root is another one", target.name)


def _other_rows(what: str, table: str) -> NotProven:
    return NotProven("rows", what, where=table, next_step="migrate verify says which, as long as the source is there")
