"""Find the batches that a request means, and refuse one that would leave the rest of the run untrue, with the command that would not."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.errors import InputError, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.log import read_events
from migrate.ledger.runs import Entry, Pass, Run, read_passes
from migrate.ledger.standing import known_ranges, standing_entries
from migrate.rollback.request import Request
from migrate.rollback.ties import Ties


def selected(ledger: Ledger, run: Run, request: Request) -> tuple[Entry, ...]:
    """The standing batches that a request means, newest first; those of the last phase go with the batches whose units they settled.

    Raises:
        InputError: the run has no such pass or batch.
        StateError: these batches cannot be taken back by themselves, or others are being taken back.
    """
    _refuse_another(ledger, run, request)
    standing = standing_entries(ledger, run.run)
    if request.whole:
        return tuple(standing[::-1])
    if not run.settings.get("resumable", True):
        raise StateError(
            f"{request.what} cannot be taken back alone: the source of {run.mapping} has no key, and could not be read again",
            where=f"run {run.run}",
            next_step="take all of the run back: migrate rollback without --pass and --batch",
        )
    passes = {each.number: each for each in read_passes(ledger, run.run)}
    chosen = _named(ledger, run, request, standing, passes)
    together = Ties(ledger, run.run, standing).closure(chosen)
    _refuse_torn(run, request, chosen, together, passes)
    return tuple(together[::-1])


def _refuse_another(ledger: Ledger, run: Run, request: Request) -> None:
    """What was begun has to be ended, by itself or with more."""
    if run.state != "rolling_back":
        return
    begun = [event["detail"] for event in read_events(ledger, run.run) if event["kind"] == "rollback"]
    first = Request.from_json(begun[-1])
    if not request.covers(first):
        same = (
            f"migrate rollback {first.options}, with more batches if need be; or all of the run: migrate rollback"
            if first.options
            else "migrate rollback"
        )
        raise StateError(
            f"{first.what} of run {run.run} is being taken back: {request.what} has to wait"
            if not first.whole
            else f"all of run {run.run} is being taken back",
            next_step=f"finish it: {same}",
        )


def _named(
    ledger: Ledger, run: Run, request: Request, standing: Sequence[Entry], passes: dict[int, Pass]
) -> list[Entry]:
    """The batches that the request names, as far as they stand."""
    if request.pass_no is not None:
        _refuse_pass(run, request, standing, passes[request.pass_no])
    if request.batches:
        numbers = [each.number for each in known_ranges(ledger, run.run, ())]
        unknown = [number for number in request.batches if number not in numbers]
        if unknown:
            raise InputError(
                f"run {run.run} of {run.mapping} has no batch {unknown[0]}",
                next_step=f"its batches: {numbers[0]} to {numbers[-1]}" if numbers else "it has none yet",
            )
    return [
        each
        for each in standing
        if (each.pass_no == request.pass_no if request.pass_no is not None else passes[each.pass_no].kind == "full")
        and (not request.batches or each.range_no in request.batches)
    ]


def _refuse_pass(run: Run, request: Request, standing: Sequence[Entry], named: Pass) -> None:
    if named.kind == "rollback":
        raise StateError(
            f"pass {named.number} is a rollback, which cannot be taken back",
            where=f"run {run.run}",
            next_step="`migrate run` does again what it took back",
        )
    if request.batches:
        if named.kind == "replay":
            raise StateError(
                f"{request.what} cannot be taken back alone: a replay goes as a whole, since its units are counted as read again",
                where=f"run {run.run}",
                next_step=f"take all of it back: migrate rollback --pass {named.number}",
            )
        return
    newer = sorted({each.pass_no for each in standing if each.pass_no > named.number})
    if newer:
        raise StateError(
            f"pass {named.number} cannot be taken back alone: it was built upon by {_listed('pass', newer)}",
            where=f"run {run.run}",
            next_step=f"take the newest back first: migrate rollback --pass {newer[-1]}; or all of the run: migrate rollback without --pass",
        )


def _refuse_torn(
    run: Run, request: Request, chosen: Sequence[Entry], together: Sequence[Entry], passes: dict[int, Pass]
) -> None:
    """Refuse unless all that has to go together was named; the last phase of a pass has no name, and goes unasked."""
    named = {each.applied_seq for each in chosen}
    more = [each for each in together if each.applied_seq not in named and each.range_no >= 0]
    if not more:
        return
    replays = sorted({each.pass_no for each in more if passes[each.pass_no].kind == "replay"})
    if replays:
        raise StateError(
            f"{request.what} cannot be taken back alone: {_listed('pass', replays)} replayed rejects of it, or has rows of it",
            where=f"run {run.run}",
            next_step=f"take the newest back first: migrate rollback --pass {replays[-1]}; or all of the run: migrate rollback without --pass and --batch",
        )
    numbers = sorted({each.range_no for each in together if each.range_no >= 0})
    everything = Request(batches=tuple(numbers))
    raise StateError(
        f"{request.what} cannot be taken back without {_listed('batch', sorted(each.range_no for each in more))}:"
        " they have rows in common, or units that the last phase settled together",
        where=f"run {run.run}",
        next_step=f"take them back together: migrate rollback {everything.options}",
    )


def _listed(what: str, numbers: Sequence[int]) -> str:
    return (
        f"{what if len(numbers) == 1 else {'batch': 'batches', 'pass': 'passes'}[what]} {', '.join(map(str, numbers))}"
    )
