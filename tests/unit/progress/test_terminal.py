"""The live display fits the terminal, in both languages, and shows no more than is known."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from migrate.cli.texts import translator
from migrate.engine.events import BatchDone, Event, PhaseStarted, RunEnded, RunStarted, Waiting
from migrate.ledger.counts import Counts
from migrate.progress.terminal import LiveDisplay


def drawn(*events: tuple[float, Event], width: int = 100, lang: str = "en") -> list[str]:
    """The lines of the display after these events, at the time of the last one."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    now = [0.0]
    display = LiveDisplay(console, translator("zh" if lang == "zh" else "en"), lambda: now[0])
    for moment, event in events:
        now[0] = moment
        display(event)
    with console.capture() as capture:
        console.print(display.render())
    return capture.get().splitlines()


BEGIN: tuple[float, Event] = (0, RunStarted("legacy_vat", "r", False, 2000000, Counts()))
HALF: tuple[float, Event] = (
    10,
    BatchDone("legacy_vat", "r", 1, Counts(read=1000000, mapped=999000, filtered=400, rejected=600, warnings=7), 9, 1),
)


def test_a_known_total_gives_bar_share_rate_and_time_left() -> None:
    """Everything that is known stands on one line, the counts on the next."""
    bar, counts = drawn(BEGIN, HALF)
    assert bar.startswith("legacy_vat  ━")
    assert bar.split()[2:] == ["50%", "1,000,000", "/", "~2,000,000", "rows", "100,000", "rows/s", "ETA", "10", "s"]
    assert counts.strip() == "mapped 999,000 · filtered 400 · rejected 600 · warnings 7"


def test_an_unknown_total_gives_neither_share_nor_time_left() -> None:
    """Where nobody knows how much there is, nothing pretends to."""
    bar = drawn((0, RunStarted("legacy_vat", "r", False, None, Counts())), HALF)[0]
    assert "%" not in bar
    assert "ETA" not in bar
    assert "1,000,000 rows" in bar


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_line_is_wider_than_the_terminal(width: int, lang: str) -> None:
    """Wide characters count twice, a long name and a long reason are no excuse."""
    waiting = Waiting("", "lock on invoice, held by connection 4711 of user finance since 10:15")
    events = [(now, replace(event, mapping="增值税发票历史数据迁移")) for now, event in (BEGIN, HALF, (10, waiting))]
    lines = drawn(*events, width=width, lang=lang)
    assert all(cell_len(line) <= width for line in lines)
    assert any("4711" in line for line in lines)
    assert width < 80 or any(("剩余 10 s" if lang == "zh" else "ETA 10 s") in line for line in lines)


def test_a_wait_shows_its_reason() -> None:
    """Whoever looks at a run that stands still reads why."""
    assert "waiting: lock on invoice" in drawn(BEGIN, (1, Waiting("legacy_vat", "lock on invoice")))[2]


def test_an_ended_run_shows_its_state_and_reason() -> None:
    """The bar gives way to the state; a reason stands below."""
    lines = drawn(
        BEGIN, HALF, (11, RunEnded("legacy_vat", "r", "paused", Counts(read=5, mapped=5), 11, "rejects over 0.5%"))
    )
    assert "paused" in lines[0]
    assert lines[-1].strip() == "rejects over 0.5%"


def test_a_later_phase_is_named() -> None:
    """While pending units are settled, that is what is shown."""
    assert "settling pending units" in drawn(BEGIN, HALF, (11, PhaseStarted("legacy_vat", "settle")))[1]


def test_a_rollback_shows_no_counts_below_0() -> None:
    """The last phase goes back first, and its entry has negative counts of its own."""
    settled = BatchDone("legacy_vat", "r", 9, Counts(read=0, mapped=3, pending=-3), 0.1, 1)
    counts = drawn(BEGIN, (1, PhaseStarted("legacy_vat", "rollback")), (2, settled))[1]
    assert counts.strip() == "taking back · mapped 3"
