"""A mapping as data: what the file says, frozen, validated key by key; knows no database and no schema.

`MappingFile` and the models below it are the grammar of the file: `mappings/schema.json` and the reference in docs/mapping.md
are generated from them. `Mapping` is what the rest of the toolkit gets.

Every scalar of the file is text (failsafe YAML), so the models take text and turn it into numbers themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from migrate.errors import InputError
from migrate.mapping.remains import is_left_out
from migrate.units import parse_duration, parse_share
from migrate.values import SourceSpec

_COUNT = re.compile(r"[0-9]+")


def _wrong(kind: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {"message": message})


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except InputError as error:
            raise _wrong("duration", f"expected a duration such as 90s, 15m, 4h or 4d, found '{value}'") from error
    return value


def _count(value: Any) -> Any:
    if isinstance(value, str):
        if not _COUNT.fullmatch(value):
            raise _wrong("count", f"expected a whole number, found '{value}'")
        return int(value)
    return value


def _limit(value: Any) -> Any:
    if isinstance(value, str):
        if _COUNT.fullmatch(value):
            return {"count": int(value)}
        try:
            return {"share": parse_share(value)}
        except InputError as error:
            message = f"expected a number of rows such as 100, or a share such as 0.5%, found '{value}'"
            raise _wrong("limit", message) from error
    return value


Text = Annotated[str, Field(strict=True)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(min_length=1)]
Duration = Annotated[
    int, BeforeValidator(_seconds, json_schema_input_type=str), Field(json_schema_extra={"pattern": "^[0-9]+[smhd]$"})
]
Count = Annotated[int, BeforeValidator(_count, json_schema_input_type=str)]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


class Changes(Strict):
    """How catch-up finds rows that changed since."""

    column: Text = Field(description="Column that holds the time of the last change.")
    format: Text | None = Field(
        None, description="strptime format of that column when it is text, e.g. `%Y-%m-%d %H:%M:%S`."
    )
    overlap: Duration = Field(
        "4d",
        validate_default=True,
        description="How far to look back before the last pass, since rows commit late: `4d`.",
    )


class Source(Strict):
    """Where rows come from: exactly one of `table`, `query`, `files`."""

    url: Text | None = Field(None, description="Database URL; `${NAME}` is an environment variable. Or `--source`.")
    table: Text | None = Field(None, description="Table or view.")
    query: Text | None = Field(None, description="A SELECT in the source's own SQL; needs `key`.")
    files: Text | None = Field(None, description="File, folder or glob, relative to the mapping file.")
    format: Text | None = Field(None, description="Format of the files; otherwise told from their names.")
    options: dict[Text, Text] = Field(
        default_factory=dict, description="Options of the format, e.g. `encoding: gb18030`."
    )
    key: Names | None = Field(None, description="Columns that order the reading. Default: the primary key.")
    where: Text | None = Field(None, description="Expression; rows for which it is not true are counted as filtered.")
    timezone: Text | None = Field(
        None, description="Zone of times without one, e.g. `Asia/Shanghai`; needed to turn them into instants."
    )
    changes: Changes | None = Field(None, description="For catch-up.")

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        given = [name for name in ("table", "query", "files") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none of them"
            kind = "several_forms" if given else "one_source"
            raise _wrong(kind, f"expected exactly one of `table`, `query`, `files`, found {found}")
        if self.query is not None and not self.key:
            raise _wrong("query_key", "a `query` needs `key`: the columns that order its rows")
        if self.files is None and (self.format is not None or self.options):
            raise _wrong("files_only", "`format` and `options` belong to `files`")
        return self


class Target(Strict):
    """The database that is written to."""

    url: Text | None = Field(None, description="Database URL; `${NAME}` is an environment variable. Or `--target`.")


class Lookup(Strict):
    """A table of codes: exactly one of `file`, `source_table`, `target_table`."""

    file: Text | None = Field(None, description="CSV file with a header, UTF-8, relative to the mapping file.")
    source_table: Text | None = Field(None, description="Table in the source database, read under its snapshot.")
    target_table: Text | None = Field(None, description="Table in the target database; none that this run writes.")
    key: Names = Field(description="Columns that identify a row; unique.")

    @model_validator(mode="after")
    def _one_kind(self) -> Lookup:
        given = [name for name in ("file", "source_table", "target_table") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none of them"
            kind = "several_forms" if given else "one_lookup"
            raise _wrong(kind, f"expected exactly one of `file`, `source_table`, `target_table`, found {found}")
        return self


class FieldSpec(Strict):
    """How one target column gets its value: a column name, or exactly one of `from`, `sql`, `value`.

    With `from`, in this order: `nulls`, `clean`, `values` or `lookup`/`take`, `type` with `formats`.
    """

    from_: Names | None = Field(
        None, alias="from", description="Source column; several for a lookup with several keys."
    )
    nulls: Names | None = Field(None, description="Texts that mean NULL.")
    clean: Annotated[tuple[Literal["money", "digits", "halfwidth", "trim"], ...], BeforeValidator(_as_list)] | None = (
        Field(None, description="Cleaner, or several in order: `money`, `digits`, `halfwidth`, `trim`; blank is NULL.")
    )
    values: dict[Text, Text] | None = Field(
        None, description="Old value: new value. Anything else is rejected, or `default`."
    )
    lookup: Text | None = Field(None, description="Name of a lookup; a value that it lacks is rejected, or `default`.")
    take: Text | None = Field(None, description="Column of the lookup to take.")
    type: Text | None = Field(None, description="Type to convert to; default: the target column's.")
    formats: Names | None = Field(None, description="strptime formats of a date or time, tried in this order.")
    sql: Text | None = Field(None, description="Expression over the source columns.")
    value: Text | None = Field(None, description="The same value for every row.")
    default: Text | None = Field(
        None, description="For NULL, an unlisted value or a lookup miss; never for a failed conversion."
    )

    @model_validator(mode="before")
    @classmethod
    def _column_name(cls, given: Any) -> Any:
        return {"from": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_kind(self) -> FieldSpec:
        given = [
            name
            for name, found in (("from", self.from_), ("sql", self.sql), ("value", self.value))
            if found is not None
        ]
        if len(given) != 1:
            found_text = " and ".join(f"`{name}`" for name in given) or "none of them"
            kind = "several_forms" if given else "one_form"
            raise _wrong(kind, f"expected exactly one of `from`, `sql`, `value`, found {found_text}")
        if self.from_ is None:
            extra = [
                name
                for name in ("nulls", "clean", "values", "lookup", "take", "formats")
                if getattr(self, name) is not None
            ]
            if extra:
                raise _wrong(
                    "from_only", f"{', '.join(f'`{name}`' for name in extra)} belongs to `from`, not to `{given[0]}`"
                )
        if self.value is not None and self.default is not None:
            raise _wrong("value_default", "`value` is never NULL, so `default` does nothing: drop one of them")
        self._steps_fit()
        return self

    def _steps_fit(self) -> None:
        if (self.lookup is None) != (self.take is None):
            raise _wrong(
                "lookup_take", "`lookup` and `take` go together: the lookup's name, and the column to take from it"
            )
        if self.lookup is not None and self.values is not None:
            raise _wrong("one_code", "`values` and `lookup` exclude each other")
        if self.from_ is not None and len(self.from_) > 1 and self.lookup is None:
            raise _wrong(
                "one_column",
                "several columns in `from` are the key of a `lookup`; combine columns with `sql` otherwise",
            )

    @property
    def kind(self) -> Literal["from", "sql", "value"]:
        """Which of the three forms this is."""
        return "from" if self.from_ is not None else "sql" if self.sql is not None else "value"


class Newer(Strict):
    """Replace an older version, never a newer one."""

    newer: Text = Field(description="Field that only grows from version to version.")


class TargetTable(Strict):
    """One table that is written, and its fields."""

    table: Text = Field(description="Table in the target database.")
    key: Names = Field(description="Columns of a unique key of that table; all of them are fields.")
    scope: Text | None = Field(
        None,
        description="The rows that this mapping answers for: comparisons of target columns with constants. Default: the whole table.",
    )
    on_conflict: Literal["fail", "keep", "update"] | Newer = Field(
        "fail", description="When the key exists with other content: `fail`, `keep`, `update`, or `{newer: FIELD}`."
    )
    one_row_per: Names | None = Field(None, description="Source columns; one row per group of equal values.")
    fields: dict[Text, FieldSpec] = Field(min_length=1, description="Target column: how it gets its value.")


class Check(Strict):
    """What must hold for each row of a target."""

    id: Text = Field(description="Name of the rule in reports.")
    target: Text = Field(description="Table of one of the targets.")
    assert_: Text = Field(
        alias="assert", description="Expression over the target's fields; holds only when it is true."
    )
    level: Literal["reject", "warn", "info"] = Field(
        "reject", description="What happens to a row for which it does not hold."
    )
    message: Text | None = Field(None, description="Sentence for the report; default: the expression and its values.")


class Total(Strict):
    """Sums that `verify` compares exactly."""

    target: Text = Field(description="Table of one of the targets.")
    by: dict[Text, Text] = Field(default_factory=dict, description="Name: expression over the target's fields.")
    sum: Names = Field(description="Fields to add up.")


class Amount(Strict):
    """A number of rows, or a share of the rows read since the last resume."""

    count: int | None = None
    share: Decimal | None = None


Limit = Annotated[
    Amount,
    BeforeValidator(_limit, json_schema_input_type=str),
    Field(json_schema_extra={"pattern": r"^([0-9]+|[0-9]+(\.[0-9]+)?\s*%)$"}),
]


class Limits(Strict):
    """Over these the run pauses at a batch border."""

    rejects: Limit | None = Field(
        None, description="Rejected rows: a number, or a share of the rows read since the last resume."
    )
    warnings: Limit | None = Field(None, description="Findings of level warn: a number or a share.")
    first_batches: Count = Field(0, description="Batches before a share counts.")


class MappingFile(Strict):
    """The whole file."""

    mapping: Text = Field(
        description="Name; the mapping's identity in the target's ledger.", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
    )
    version: Count = Field(1, description="Version of this mapping, a whole number.")
    source: Source = Field(description="Where rows come from.")
    target: Target = Field(default_factory=lambda: Target(url=None), description="Where they go.")
    lookups: dict[Text, Lookup] = Field(default_factory=dict, description="Name: lookup.")
    targets: tuple[TargetTable, ...] = Field(min_length=1, description="Tables to write, each once.")
    checks: tuple[Check, ...] = Field((), description="What must hold for each row.")
    totals: tuple[Total, ...] = Field((), description="Sums that have to agree.")
    limits: Limits = Field(
        default_factory=lambda: Limits(rejects=None, warnings=None, first_batches=0),
        description="When a run pauses by itself.",
    )


@dataclass(frozen=True)
class Mapping:
    """A mapping file that was read without findings.

    `path` is where it was read from and `text` its content; `lines` maps a path such as `targets[0].fields.net` to its line.
    URLs keep their `${NAME}` unexpanded. `left_out` are paths that say nothing of the file, in one that had mistakes: see `remains.py`.
    """

    name: str
    version: int
    path: Path
    text: str
    source: Source
    target: Target
    lookups: dict[str, Lookup]
    targets: tuple[TargetTable, ...]
    checks: tuple[Check, ...]
    totals: tuple[Total, ...]
    limits: Limits
    lines: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    left_out: frozenset[str] = frozenset()

    def source_spec(self, url: str | None = None) -> SourceSpec:
        """Where the source rows are, with `url` in place of the file's."""
        source = self.source
        return SourceSpec(
            url=url if url is not None else source.url,
            table=source.table,
            query=source.query,
            files=source.files,
            format=source.format,
            options=tuple(sorted(source.options.items())),
            key=source.key or (),
        )

    def target_table(self, name: str) -> TargetTable | None:
        """The target that writes this table, or None."""
        return next((target for target in self.targets if target.table == name), None)

    def line_of(self, path: str) -> int:
        """Line of a path, or of the nearest part of it that the file has; 1 at worst."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)

    def says(self, path: str) -> bool:
        """False when what stands at `path` only takes the place of something that cannot be meant."""
        return not is_left_out(path, self.left_out)

    def lookup_left_out(self, name: str) -> bool:
        """Is there a lookup of this name in the file, as far as one can tell, that cannot be meant?"""
        return name not in self.lookups and not self.says(f"lookups.{name}")

    @property
    def grouped(self) -> bool:
        """True when a unit is a group of source rows."""
        return any(target.one_row_per for target in self.targets)
