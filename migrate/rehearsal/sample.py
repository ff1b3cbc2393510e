"""Which rows of a source a rehearsal of a sample takes: key ranges that are spread evenly over it, as large as batches where the sample has enough rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Final

import pyarrow as pa

from migrate.checksum.set_digest import DIGEST_BYTES
from migrate.checksum.vectorised import key_digests
from migrate.engine.plan import Plan
from migrate.errors import InputError
from migrate.stores.opening import open_source
from migrate.stores.port import SourceReader
from migrate.units import parse_share
from migrate.values import KeyRange, SourceSample
from migrate.verify.both import CHUNK_BYTES
from migrate.verify.replay import Replay

Wanted = int | Decimal
"""How large a sample is to be: so many rows, or such a share of all."""

_NO_KEYS: Final = pa.array([], pa.binary(DIGEST_BYTES))
_FEWEST_RANGES: Final = 8
"""A small sample is cut into so many ranges, since the rows of one place are rows of one time."""


def parse_sample(text: str) -> Wanted:
    """`20000` rows, or a share: `5%`. Raises InputError for anything else, and for nothing."""
    wanted = int(text) if text.isascii() and text.isdecimal() else parse_share(text) if text.endswith("%") else None
    if not wanted:
        raise InputError(f"{text!r} is no sample", next_step="write a number of rows, 20000, or a share of them, 5%")
    return wanted


def samples_of(plans: Sequence[Plan], wanted: Wanted) -> dict[str, SourceSample]:
    """By mapping: its sample; those that are not there are wanted whole.

    So is a mapping at whose rows those of another one point, since their parents would be missing else.

    Raises InputError for a source without a key: the ranges of one reader mean nothing to the next.
    """
    pointed_at = {
        key.parent: plan.name
        for plan in plans
        for shape in plan.target_shapes.values()
        for key in shape.foreign_keys
        if key.parent not in plan.target_shapes
    }
    some = [plan for plan in plans if not pointed_at.keys() & plan.target_shapes]
    samples = {plan.name: _sample(plan, wanted) for plan in some}
    return {name: sample for name, sample in samples.items() if sample is not None}


def keys_of(plan: Plan) -> Mapping[str, pa.Array]:
    """By target: the digests of the keys that the mapping makes of the (sampled) source."""
    found: dict[str, list[pa.Array]] = {target.name: [] for target in plan.targets}
    with closing(Replay(plan)) as replay:
        for mapped in replay.chunks():
            for target in plan.targets:
                found[target.name].append(key_digests(mapped.rows[target.name], target.contract))
    return {name: pa.concat_arrays([_NO_KEYS, *arrays]) for name, arrays in found.items()}


def _sample(plan: Plan, wanted: Wanted) -> SourceSample | None:
    if not plan.resumable:
        raise InputError(
            f"the source of {plan.name} has no key: there is no sample of it",
            where=plan.source.relation,
            next_step="declare a key in the mapping, or rehearse all of it: leave --sample out",
        )
    with closing(open_source(plan.source).reader()) as reader:
        total = sum(batch.num_rows for batch in reader.scan(plan.range_columns[:1], CHUNK_BYTES))
        rows = wanted if isinstance(wanted, int) else math.ceil(wanted * total)
        if rows >= total:
            return None
        length = min(plan.batch_rows, -(-rows // _FEWEST_RANGES))
        count = -(-rows // length)
        if count * length >= total:
            return None
        ranges = tuple(_spread(reader, plan.range_columns, length, [total * each // count for each in range(count)]))
        return SourceSample(ranges, count * length, total)


def _spread(reader: SourceReader, columns: tuple[str, ...], length: int, places: Sequence[int]) -> Iterator[KeyRange]:
    """Ranges of `length` rows, each behind so many rows of the source; fewer where many rows share a key."""
    after = None
    for number, (place, following) in enumerate(itertools.pairwise([*places, None])):
        upto = reader.border(columns, after, length)
        yield KeyRange(number, columns, after, upto)
        if upto is None or following is None:
            return
        gap = following - (place or 0) - length
        after = reader.border(columns, upto, gap) if gap else upto
        if after is None:
            return
