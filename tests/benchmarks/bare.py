"""The four steps that no migration of this design can leave out, and nothing else: what `run` costs beyond them is its safety.

Read a key range, map it, take the rows' digests, COPY them in; two threads, a commit for each range. No claim, fence, undo, ledger, counts or
conflicts, and no way to go on after a kill. `python -m tests.benchmarks.bare SOURCE TARGET`
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Lock

from migrate.checksum.vectorised import row_digests
from migrate.engine.chunks import read_chunks
from migrate.engine.lookups import file_lookups
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run
from migrate.mapping.transformer import Transformer
from migrate.stores.opening import open_source, open_target
from migrate.values import KeyRange
from tests.rig.legacy_vat import MAPPING

WORKERS = 2


class Borders:
    """Key ranges, one after the other, for several threads."""

    def __init__(self, plan: Plan) -> None:
        self._ranges = self._walk(plan)
        self._lock = Lock()

    def next(self) -> KeyRange | None:
        """The next range, or None after the last."""
        with self._lock:
            return next(self._ranges, None)

    def _walk(self, plan: Plan) -> Iterator[KeyRange]:
        with closing(open_source(plan.source).reader()) as reader:
            after, number = None, 0
            while True:
                upto = reader.border(plan.range_columns, after, plan.batch_rows)
                yield KeyRange(number, plan.range_columns, after, upto)
                if upto is None:
                    return
                after, number = upto, number + 1


def work(plan: Plan, borders: Borders) -> None:
    """Do ranges until there are none."""
    (target,) = plan.targets
    with (
        closing(open_source(plan.source).reader()) as reader,
        closing(open_target(plan.target_url, None)) as store,
        closing(store.session()) as session,
        closing(Transformer(plan.program, file_lookups(plan.mapping))) as transformer,
    ):
        names = [name for name, _ in target.contract.columns]
        while (key_range := borders.next()) is not None:
            session.begin()
            for chunk in read_chunks(reader, key_range, plan.program, plan.chunk_bytes):
                rows = transformer.apply(chunk).rows[target.name].select(names)
                row_digests(rows, target.contract)
                session.insert(target.shape, rows)
            session.commit()


def main() -> None:
    """Move all rows from one URL to the other."""
    (plan,) = plan_run([MAPPING], RunOptions(source=sys.argv[1], target=sys.argv[2]))
    borders = Borders(plan)
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, plan, borders) for _ in range(WORKERS)]:
            done.result()


if __name__ == "__main__":
    sys.setswitchinterval(0.0002)
    main()
