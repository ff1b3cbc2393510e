"""The fence of a batch transaction by itself: no ended connection and no refused claim stands in for it here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa

from migrate.engine.drive import record_tables
from migrate.errors import Fenced
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import Lease, acquire
from migrate.ledger.runs import Run, create_run
from migrate.stores.opening import open_target
from migrate.write.transaction import BatchId, BatchTransaction
from tests.faults.scenario import connected

NOTHING_YET = Run("r", "fence", "f", 1, "running", None, 0, 0, None, None, {}, "mapping: fence")


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """The ledger of a fresh database."""
    with closing(open_target(database_url)) as store:
        ledger = Ledger(store)
        ledger.create()
        yield ledger


@pytest.fixture
def lease(ledger: Ledger) -> Lease:
    """The lease of a run that has begun."""
    lease = acquire(ledger, "fence", "r", None)
    create_run(ledger, NOTHING_YET, {})
    return lease


@contextmanager
def batch(ledger: Ledger, lease: Lease) -> Iterator[BatchTransaction]:
    """A batch that has not begun, rolled back in the end."""
    with closing(ledger.store.session()) as session:
        transaction = BatchTransaction(ledger, session, lease, BatchId("r", 1, 0), record_tables(ledger))
        try:
            yield transaction
        finally:
            transaction.abandon()


WANTED, RAISED = "update migrate_lease set wanted_epoch = 2", "update migrate_run set epoch = 2"


@pytest.mark.parametrize("takeover", [(WANTED,), (RAISED,), (WANTED, RAISED), ("delete from migrate_lease",)])
def test_a_batch_of_an_older_epoch_does_not_begin(
    ledger: Ledger, lease: Lease, database_url: str, takeover: tuple[str, ...]
) -> None:
    """Each half of a takeover is enough: the epoch that is wanted, before batches in flight have ended, and the one that holds."""
    with connected(database_url) as connection:
        for statement in takeover:
            connection.execute(sa.text(statement))
    with batch(ledger, lease) as transaction, pytest.raises(Fenced):
        transaction.begin("worker")
    with connected(database_url) as connection:
        assert connection.execute(sa.text("select count(*) from migrate_batch")).scalar_one() == 0


def test_a_takeover_waits_for_a_batch_that_has_begun(ledger: Ledger, lease: Lease, database_kind: str) -> None:
    """The epoch can be raised only when the batch has ended, so that nothing of an older epoch is committed after it."""
    impatient = {
        "postgresql": "set lock_timeout = '50ms'",
        "mariadb": "set session innodb_lock_wait_timeout = 0",
        "sqlite": "pragma busy_timeout = 0",
    }
    raise_epoch = sa.text("update migrate_run set epoch = 2")
    # By the store's own library: locks of two copies of SQLite in one process do not see each other.
    with ledger.store.engine().connect() as other:
        other.exec_driver_sql(impatient[database_kind])
        other.commit()
        with batch(ledger, lease) as transaction:
            transaction.begin("worker")
            with pytest.raises(sa.exc.OperationalError):
                other.execute(raise_epoch)
            other.rollback()
        assert other.execute(raise_epoch).rowcount == 1
