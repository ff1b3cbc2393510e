"""What `run` and `rejects replay` share: progress while they work, a stop on signals, and a last word when they were stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from migrate.cli import failures
from migrate.cli.screen import Screen
from migrate.cli.signals import beside, stop_on_signals
from migrate.cli.summaries import summary
from migrate.errors import EnvironmentFault, Interrupted, Paused, StateError

if TYPE_CHECKING:
    from migrate.engine.events import Listener
    from migrate.engine.options import RunOptions
    from migrate.engine.stop import StopToken
    from migrate.engine.summary import RunSummary

T = TypeVar("T")


def driven(screen: Screen, work: Callable[[StopToken, Listener], T]) -> T:
    """What `work` returns, given the stop that signals set and the listener that shows progress meanwhile."""
    from migrate.engine.stop import StopToken
    from migrate.progress.listening import Audience

    stop, say = StopToken(), screen.say
    with Audience(screen.err, say) as audience, stop_on_signals(stop, lambda: audience.announce(say("stopping"))):
        return beside(lambda: work(stop, audience))


def stopped_or(screen: Screen, mappings: Sequence[Path], options: RunOptions, work: Callable[[], int]) -> int:
    """What `work` returns; when it was paused or interrupted, show how the runs stand and why, and return that exit code."""
    try:
        return work()
    except (Paused, Interrupted) as stopped:
        show_runs(screen, [each for path in mappings for each in _standing(path, options)])
        return failures.report(stopped, screen, with_json=False)


def _standing(mapping: Path, options: RunOptions) -> Sequence[RunSummary]:
    """How the newest run of a mapping stands; nothing for one that had not begun, or whose target is out of reach."""
    from migrate.engine.steer import status

    try:
        return status(mapping, options)
    except (StateError, EnvironmentFault):
        # What is to be told is why the command stopped, and with that exit code.
        return ()


def show_runs(screen: Screen, runs: Sequence[RunSummary]) -> None:
    """The runs as `run` shows them: one document, or a list of them, or a summary each."""
    documents = [each.to_json() for each in runs]
    screen.result(
        documents[0] if len(documents) == 1 else {"runs": documents}, *(summary(each, screen) for each in runs)
    )
