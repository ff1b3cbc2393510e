"""Control totals once more, in the source database's own SQL: a second opinion on what was read of it, and on what the mapping made of that.

The source counts and adds up its rows by itself, in the snapshot that the replay reads. What differs is walked and asked once more, so
that a source that moves accuses nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final

from migrate.engine.plan import Plan
from migrate.errors import ConnectionLost, Interrupted, MigrateError
from migrate.mapping.totals import ProgramTotal
from migrate.stores.port import Origin, SumsReader
from migrate.units import count_text
from migrate.verify.beside import beside
from migrate.verify.both import Watch
from migrate.verify.notes import Note
from migrate.verify.replay import Replay
from migrate.verify.source_questions import (
    Asked,
    Question,
    count_statement,
    dialect_of_source,
    questions_of,
    sums_statement,
)
from migrate.verify.source_rows import ReadTotals
from migrate.verify.totals import Group, Sums, Totals, exact_sum

_MILLIONTHS: Final = 6
_NOTHING: Final = Asked(None, counted=False, questions=())


@dataclass
class Answers:
    """What both sides say, the source first: rows, and per question its groups. What could not be asked has no entry, and a note why."""

    rows: tuple[int, int] | None = None
    sums: dict[int, tuple[Sums, Sums]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    @property
    def agree(self) -> bool:
        """Whether both sides say the same."""
        return (self.rows is None or self.rows[0] == self.rows[1]) and all(
            one == two for one, two in self.sums.values()
        )


class SourceTotals:
    """The questions to one source about the totals of a mapping, and the answers of both sides."""

    def __init__(self, plan: Plan, totals: Sequence[ProgramTotal], reader: SumsReader | None) -> None:
        self._plan = plan
        self._totals = totals
        self._reader = reader
        self._origin = None if reader is None else reader.origin()
        self._asked = _NOTHING if self._origin is None else questions_of(plan, totals, self._origin)
        self._ahead: dict[int, Sums] = {}

    def read(self) -> ReadTotals:
        """For the rows of one walk."""
        return ReadTotals(self._asked, self._plan.source_shape)

    @contextmanager
    def asked_ahead(self, replay: Replay, watch: Watch) -> Iterator[Watch]:
        """Ask what can be asked while the walk in the block runs, where the source shares its snapshot with a connection more; elsewhere before it.

        Each question is put in the form that is cheapest. Where texts are added up, that may be one that takes all of them for numbers: it can
        confirm what is read, and never doubts it. Gives what the walk has to call for `watch`. Raises ConnectionLost, and what `watch` raises.
        """
        second = replay.sums_reader_beside() if self._asked.questions else None
        if second is None:
            self._ask_ahead(self._reader, watch)
            yield watch
            return
        with closing(second), beside(partial(self._ask_ahead, second), watch) as heard:
            yield heard

    def _ask_ahead(self, reader: SumsReader | None, watch: Watch) -> None:
        if reader is None or self._origin is None:
            return
        for at, question in enumerate(self._asked.questions):
            watch("source", 0)
            # What fails is asked again afterwards, and noted then.
            with _noting([]):
                found = self._summed(reader, self._origin, question, strict=self._strictly(question))
                if found is not None:
                    self._ahead[at] = found

    def answers(self, read: ReadTotals, totals: Totals) -> Answers:
        """Ask the source; `read` and `totals` are of one walk. Raises ConnectionLost."""
        if self._reader is None or self._origin is None:
            return Answers(notes=[Note.of("not_asked_sql")])
        answers = Answers(notes=list(self._asked.notes))
        with _noting(answers.notes):
            self._add_up(self._reader, self._origin, read, totals, answers)
        if self._asked.counted and (self._asked.where is None or not read.unread):
            with _noting(answers.notes):
                answers.rows = (self._rows(self._reader, self._origin, answers), read.kept)
        return answers

    def again(self, replay: Replay, watch: Watch) -> Answers:
        """Walk the source once more, and ask it again."""
        self._ahead.clear()
        with closing(self.read()) as read, closing(Totals(self._totals)) as totals:
            for mapped in replay.chunks(read.look):
                watch("source", mapped.rows_read)
                for target, rows in mapped.rows.items():
                    totals.add(target, rows)
                read.add(mapped)
            return self.answers(read, totals)

    def differences(self, answers: Answers) -> Iterator[Note]:
        """How the source contradicts what was read: its number of rows, and the first group of each total that differs."""
        if answers.rows is not None and answers.rows[0] != answers.rows[1]:
            asked, read = map(count_text, answers.rows)
            yield Note.of("source_counts", asked=asked, read=read)
        for at, (asked_sums, read_sums) in answers.sums.items():
            if asked_sums != read_sums:
                yield _difference(self._asked.questions[at], asked_sums, read_sums)

    def said(self, answers: Answers, read: ReadTotals) -> Iterator[Note]:
        """What was asked and agreed, what was left out of it, and what was not asked and why."""
        if answers.rows is not None:
            yield Note.of("source_counted", rows=count_text(answers.rows[0]))
        if answers.sums:
            names = "; ".join(self._asked.questions[at].name for at in answers.sums)
            yield Note.of("source_added", totals=names)
            if read.spelled:
                yield Note.of("source_spelled", count=count_text(read.spelled))
        yield from answers.notes

    def _add_up(self, reader: SumsReader, origin: Origin, read: ReadTotals, totals: Totals, answers: Answers) -> None:
        if self._asked.questions and (read.unread or read.only_counted):
            answers.notes.append(Note.of("not_asked_unread" if read.unread else "not_asked_kept"))
            return
        for at, question in enumerate(self._asked.questions):
            why = read.cannot(at, totals)
            if why is not None:
                answers.notes.append(Note.of("not_asked_failed", why=why))
                continue
            expected, asked = read.expected(at, totals), self._ahead.get(at)
            with _noting(answers.notes):
                if asked is None or (asked != expected and self._strictly(question)):
                    asked = self._summed(reader, origin, question, strict=False)
                if asked is None:
                    answers.notes.append(Note.of("not_asked_stored", what=question.name))
                else:
                    answers.sums[at] = (asked, expected)

    def _rows(self, reader: SumsReader, origin: Origin, answers: Answers) -> int:
        """How many there are, as the source says: in all groups of a total, or counted by themselves."""
        for asked, _ in answers.sums.values():
            return sum(rows for rows, _ in asked.values())
        [(rows,)] = reader.ask(count_statement(self._asked, origin))
        return int(rows)

    def _strictly(self, question: Question) -> bool:
        """Whether it is asked ahead in another form than later."""
        return self._origin is not None and question.of_texts and dialect_of_source(self._origin).is_strict

    def _summed(self, reader: SumsReader, origin: Origin, question: Question, *, strict: bool) -> Sums | None:
        """The source's groups; None if it holds numbers in a form that is in no sum."""
        dialect, width = dialect_of_source(origin), len(question.groups)
        found: Sums = {}
        for row in reader.ask(sums_statement(self._asked, question, origin, strict=strict)):
            group, count, numbers = row[:width], row[width], [Decimal(each or 0) for each in row[width + 1 :]]
            if any(numbers[2::3]) or not all(each.is_finite() for each in numbers):
                return None
            parts = zip(numbers[0::3], numbers[1::3], strict=True)
            values = tuple(exact_sum(whole, behind.scaleb(-_MILLIONTHS)) for whole, behind in parts)
            found[tuple(map(dialect.received, group))] = (int(count), values)
        return found


@contextmanager
def _noting(notes: list[Note]) -> Iterator[None]:
    """What the source cannot answer is noted; a lost connection and an interruption go on."""
    try:
        yield
    except (ConnectionLost, Interrupted):
        raise
    except MigrateError as error:
        notes.append(Note.of("not_asked_failed", why=error.message))


def _difference(question: Question, asked: Sums, read: Sums) -> Note:
    """The first group in which both differ, and how many do."""
    differing = [group for group in {**asked, **read} if asked.get(group) != read.get(group)]
    group = min(differing, key=lambda each: [(part is not None, part or "") for part in each])
    names = ("rows", *(name for name, _ in question.sums))
    ours, theirs = _flat(asked.get(group), names), _flat(read.get(group), names)
    first = next(name for name in names if ours[name] != theirs[name])
    return Note.of(
        "source_adds", field=f"{question.total.target}.{first}", group=_group_text(question, group), asked=ours[first], read=theirs[first], count=count_text(len(differing))
    )  # fmt: skip


def _flat(sums: tuple[int, tuple[Decimal, ...]] | None, names: Sequence[str]) -> dict[str, str]:
    rows, values = (0, (Decimal(0),) * (len(names) - 1)) if sums is None else sums
    return dict(zip(names, (count_text(rows), *(_plain(each) for each in values)), strict=True))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _group_text(question: Question, group: Group) -> str:
    names = (question.total.by[at][0] for at in question.kept)
    told = ", ".join(f"{name} = {'NULL' if part is None else part}" for name, part in zip(names, group, strict=True))
    return f" ({told})" if told else ""
