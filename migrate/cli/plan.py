"""`migrate plan`: what a run would do, what stands in its way, and sample rows before and after. Writes to no database."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen, cell
from migrate.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    from migrate.engine.plan import Plan
    from migrate.engine.samples import Sample

GRAPH_FORMS: Final = {".svg": "svg", ".html": "html", ".mmd": "mermaid", ".mermaid": "mermaid"}
LEVEL_STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "dim"}


@click.command(cls=Command, example="migrate plan mapping.yaml --sample 3 --graph mapping.svg")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option("--batch-rows", type=click.IntRange(min=1), metavar="N", help="Rows of a batch, as for `run`.")
@click.option(
    "--sample", type=click.IntRange(min=0), default=3, metavar="N", help="Rows to show before and after (default: 3)."
)
@click.option("--graph", type=FILE, metavar="FILE", help="Write the mapping graph: .svg, .html or .mmd (mermaid).")
@click.option("--ddl", is_flag=True, help="Print nothing but the DDL of the target tables that are missing.")
@with_screen
def plan(
    screen: Screen, mappings: tuple[Path, ...], *, sample: int, graph: Path | None, ddl: bool, **chosen: Any
) -> int:
    """Show what a run would do, what stands in its way, and sample rows before and after."""
    from migrate.engine.options import RunOptions

    options = RunOptions(**chosen)
    return _show_ddl(screen, mappings, options) if ddl else _show_plans(screen, mappings, options, sample, graph)


def _show_plans(screen: Screen, mappings: Sequence[Path], options: Any, sample: int, graph: Path | None) -> int:
    from migrate.engine.plan import plan_run
    from migrate.engine.safeguard import with_safeguard
    from migrate.engine.samples import sample as sample_of
    from migrate.engine.start import complete_before

    plans = [each if each.refused else with_safeguard(each, options) for each in plan_run(mappings, options)]
    samples = [sample_of(each, sample) if sample and not each.refused else [] for each in plans]
    if graph is not None:
        _write_graph(screen, plans, graph)
    done = [None if each.refused else complete_before(each) for each in plans]
    seen = list(zip(plans, samples, done, strict=True))
    screen.result(
        {"plans": [{**document(plan, rows), "complete_run": run} for plan, rows, run in seen]},
        *(picture(plan, rows, screen, run) for plan, rows, run in seen),
    )
    return 4 if any(each.refused for each in plans) else 0


def _show_ddl(screen: Screen, mappings: Sequence[Path], options: Any) -> int:
    from migrate.cli.missing_tables import missing_tables

    statements = missing_tables(mappings, options)
    if screen.settings.as_json:
        screen.result({"ddl": statements})
    else:
        screen.text("\n".join(statements.values()).rstrip("\n") or screen.say("no_missing_tables"))
    return 0


def _write_graph(screen: Screen, plans: Sequence[Plan], file: Path) -> None:
    from migrate.mapping.graph import render_graph

    form = GRAPH_FORMS.get(file.suffix.lower())
    if form is None:
        raise InputError(
            f"no graph can be written to {file.name}", next_step=f"name the file *{', *'.join(GRAPH_FORMS)}"
        )
    drawing = render_graph([each.mapping for each in plans], form)
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(f"the graph cannot be written: {error.strerror}", where=str(file)) from error
    screen.note(screen.say("graph_written", file=file))


def document(plan: Plan, samples: Sequence[Sample]) -> dict[str, Any]:
    """The plan for machines; values that JSON lacks are text."""
    return {
        "mapping": plan.name,
        "fingerprint": plan.fingerprint,
        "source": plan.source.relation,
        "targets": [target.name for target in plan.targets],
        "estimated_rows": plan.estimated_rows,
        "resumable": plan.resumable,
        "steps": list(plan.steps),
        "findings": [
            {"level": each.level, "where": each.where, "message": each.message, "next": each.next_step}
            for each in plan.findings
        ]
        + [
            {
                "level": each.level,
                "where": f"{each.file}:{each.line} {each.path}",
                "message": each.message,
                "next": each.suggestion,
            }
            for each in plan.warnings
        ],
        "samples": [{"outcome": each.outcome, "before": list(each.before), "after": each.after} for each in samples],
    }


def picture(plan: Plan, samples: Sequence[Sample], screen: Screen, complete_run: str | None = None) -> RenderableType:
    """The plan for people: heading, the run that did all of it already, if there is one, steps, findings, samples."""
    say = screen.say
    names = ", ".join(target.name for target in plan.targets)
    title = Text.assemble((plan.name, "bold"), "  ", f"{plan.source.relation} → {names}")
    parts: list[RenderableType] = [
        Text.assemble((say("fingerprint"), "dim"), " ", (plan.fingerprint[:16], "dim")),
        *([] if complete_run is None else [_complete(plan, complete_run, screen)]),
        Text(),
        Text(say("steps"), style="bold"),
        _steps(plan),
        Text(),
        Text(say("findings"), style="bold"),
        _findings(plan, screen),
    ]
    for number, sample in enumerate(samples, start=1):
        parts += [Text(), sample_heading(sample, number, screen), side_by_side(sample, screen)]
    return Group(title, *(Padding(part, (0, 0, 0, 2)) for part in parts), Text())


def _complete(plan: Plan, run: str, screen: Screen) -> Text:
    following = screen.say("plan_complete_next", mapping=shlex.quote(str(plan.mapping.path)))
    return Text.assemble(
        (screen.say("plan_complete", run=run), "green"), "\n", (f"→ {screen.complete(following)}", "cyan")
    )


def _steps(plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold")
    for number, step in enumerate(plan.steps, start=1):
        table.add_row(str(number), Text(step))
    return table


def _findings(plan: Plan, screen: Screen) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in plan.findings:
        _add_finding(table, screen, each.level, f"{each.where}: {each.message}", each.next_step)
    for finding in plan.warnings:
        where = f"{Path(finding.file).name}:{finding.line} {finding.path}"
        _add_finding(table, screen, finding.level, f"{where}: {finding.message}", finding.suggestion)
    return table if table.row_count else Text(screen.say("no_findings"), style="green")


def _add_finding(table: Table, screen: Screen, level: str, text: str, following: str | None) -> None:
    line = Text(text)
    if following:
        line += Text(f"\n→ {following}", style="cyan")
    table.add_row(Text(screen.say(f"level_{level}"), style=LEVEL_STYLES[level]), line)


def sample_heading(sample: Sample, number: int, screen: Screen) -> Text:
    """`sample 1  mapped`."""
    outcome, _, reason = sample.outcome.partition(": ")
    style = {"mapped": "green", "filtered": "yellow"}.get(outcome, "red")
    said = (screen.say(outcome), style)
    return Text.assemble(
        (screen.say("sample", number=number), "bold"), "  ", said, "  " if reason else "", cell(reason)
    )


def side_by_side(sample: Sample, screen: Screen) -> RenderableType:
    """The source row on the left, what becomes of it on the right; both fold within their half."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column(screen.say("before"), ratio=4)
    table.add_column(screen.say("after"), ratio=5)
    after: list[RenderableType] = []
    for name, rows in sample.after.items():
        for row in rows:
            after += [Text(name, style="bold"), _values(row)]
    table.add_row(Group(*(_values(row) for row in sample.before)), Group(*after) if after else Text("–", style="dim"))
    return table


def _values(row: Mapping[str, object]) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(style="dim", no_wrap=True, max_width=18)
    table.add_column(ratio=1, overflow="fold")
    for name, value in row.items():
        table.add_row(Text(name), cell(value))
    return table
