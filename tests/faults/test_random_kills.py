"""Processes that are killed at random moments, again and again, until the run is complete all the same."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import KINDS
from tests.faults.outcome import assert_sound, outcome
from tests.faults.runner import Job, finished, started
from tests.faults.scenario import Scenario, prepare, reset

KILLS = 200
"""Over the three databases."""


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_any_number_of_kills_at_random_moments_changes_nothing(
    database_url: str, second_database_url: str, tmp_path: Path, campaign: Callable[[int], int]
) -> None:
    """A run that is killed at random moments and started again ends, however often, in the state of an undisturbed one."""
    scenario = prepare(second_database_url, database_url, tmp_path)
    begun = time.monotonic()
    assert finished(Job(scenario)).code == 0
    seconds = time.monotonic() - begun
    expected = outcome(scenario)
    chance = random.Random(20_260_101)
    kills, wanted = 0, -(-campaign(KILLS) // len(KINDS))
    while kills < wanted:
        reset(scenario.target)
        kills += _kill_until_complete(scenario, chance, seconds, wanted - kills)
        assert outcome(scenario) == expected, f"after {kills} kills"
        assert_sound(scenario)


def _kill_until_complete(scenario: Scenario, chance: random.Random, seconds: float, most: int) -> int:
    """Start and kill the run until it is complete, or was killed `most` times and may end; how often it was killed."""
    kills = 0
    while True:
        job = Job(scenario, workers=chance.choice((1, 2, 3)), batch_rows=chance.choice((5, 8, 20)))
        with started(job) as running:
            # The moment is random by intent: whatever the process is doing then, it has to be right.
            if kills < most and not running.said_something_within(chance.uniform(0.05, 0.6) * seconds):
                running.kill()
            ending = running.ending()
        assert ending.code in (0, -signal.SIGKILL), ending.error
        if ending.code == 0:
            return kills
        kills += 1
        assert_sound(scenario, complete=False)
