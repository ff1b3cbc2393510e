"""What is said about a comparison: remarks about differences, and what was not verified and why, in both languages. Plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

_NO_VALUE: Final = re.compile(r"(.*) is no (exact )?([a-z]+(?:\([0-9, ]+\))?)", re.DOTALL)
_NOT_HELD: Final = re.compile(r"(.*?) cannot be held: (.*)", re.DOTALL)
_STRANGER: Final = re.compile(r"(.*) in a column of type (.*)", re.DOTALL)
"""How stores end the sentence about a value that has no place in its column."""

_OF_SQL: Final = tuple((re.compile(known), words) for known, words in {
    r"(.*): (.*) does not show its bits in MariaDB": "{}：{} 在 MariaDB 中不显示其二进制位",
    r"(.*): characters stored in (.*) may have no Unicode": "{}：以 {} 存储的字符可能没有对应的 Unicode",
    r"(.*): zeros are filled in": "{}：数值前补零",
    r"(.*): MariaDB has no numbers without a declared scale, as the other side has": "{}：另一侧的数值未声明小数位数，MariaDB 没有此类数值",
    r"(.*): (.*) has no canonical form in (.*)": "{}：{} 在 {} 中没有规范形式",
    r"the database is encoded in (.*), not in UTF-8": "数据库编码为 {}，不是 UTF-8",
    r"the encoding of a row differs at byte (\d+)": "某一行的编码自第 {} 字节起不同",
    r"a row has no encoding by (.*) only": "某一行仅在 {} 一方没有编码",
}.items())  # fmt: skip
"""What is said about a table that its database cannot sum up, and what of it is a sentence in Chinese."""

NOTES: Final[dict[str, tuple[str, str]]] = {
    "multiplicity": ("how often it is there: {source} in the source, {target} in the target", "源侧 {source} 次，目标侧 {target} 次"),
    "unit_refused": ("its unit is refused by the mapping's rules, so no row of it may be there", "其所属数据按映射规则应被拒收，不应有任何行写入"),
    "loser_stands": (
        "what stands there is the row of another source unit, which comes later and should have lost",
        "现存内容属于另一条本应让位的源数据",
    ),
    "ledger_rejected": (
        "the ledger has its unit as rejected ({reason}), which the replay does not find",
        "台账将其所属数据记为拒收（{reason}），而重算并未得出该结论",
    ),
    "the_source": ("the source", "源库"),
    "the_target": ("the target", "目标库"),
    "either_side": ("the source or the target", "源库或目标库"),
    "both_tables": ("both tables", "两表"),
    "rows_that_differ": ("rows that differ", "不一致的行"),
    "a_total": ("a control total of {target}", "{target} 的控制总数"),
    "unread": ("{rows} cannot be read without loss", "有 {count} 行无法无损读取"),
    "unencoded": ("{rows} without a row encoding (docs/checksum.md)", "有 {count} 行没有行编码（见 docs/checksum.md）"),
    "tables_empty": (
        "are empty: a wrong name of another empty table looks the same (--allow-empty)",
        "均为空：表名有误时的结果与此相同（--allow-empty）",
    ),
    "only_source": ("only the source has this column", "仅源表有此字段"),
    "only_target": ("only the target has this column", "仅目标表有此字段"),
    "types_differ": (
        "its types have no common encoding: {source} on one side, {target} on the other",
        "两侧类型没有共同的编码：一侧为 {source}，另一侧为 {target}",
    ),
    "run_running": ("run {run} is running, not complete", "任务 {run} 运行中，尚未完成"),
    "run_paused": ("run {run} is paused, not complete", "任务 {run} 已暂停，尚未完成"),
    "run_interrupted": ("run {run} is interrupted, not complete", "任务 {run} 已中断，尚未完成"),
    "run_failed": ("run {run} is failed, not complete", "任务 {run} 失败，尚未完成"),
    "run_rolling_back": (
        "run {run} is rolling back, not complete: what it wrote is being taken back, so its rows are missing or as they were before",
        "任务 {run} 正在回退：其写入的数据正被收回，因此这些行缺失或恢复原状",
    ),
    "run_rolled_back": (
        "run {run} is rolled back, not complete: what it wrote was taken back (`rollback` or `backup restore`), so its rows are missing or as they were before",
        "任务 {run} 已回退：其写入的数据已被收回（`rollback` 或 `backup restore`），因此这些行缺失或恢复原状",
    ),
    "fingerprint": (
        "run {run} was made under another mapping, lookup, schema or version (its fingerprint differs)",
        "任务 {run} 所用的映射、对照表、表结构或版本与现在不同（指纹不符）",
    ),
    "unsteady": (
        "where both sides differ, its rows were others when they were read a second time: they change meanwhile, and nothing holds a snapshot of them (an engine without transactions, such as MyISAM); verify again when nobody writes",
        "两侧不一致之处，第二次读取时数据已变：数据仍在变动，且其存储引擎（如 MyISAM）无快照；请在无人写入时重新核验",
    ),
    "second_reads": ("a second driver reads {columns} of the row {row} otherwise", "另一种驱动读出的 {row} 行，字段 {columns} 与此不同"),
    "second_misses": ("a second driver does not find the row {row}", "另一种驱动找不到 {row} 行"),
    "source_counts": (
        "it counts {asked} rows by itself, and {read} were read and kept",
        "源库自行统计为 {asked} 行，实际读取并保留 {read} 行",
    ),
    "source_adds": (
        "by its own SQL {field}{group} is {asked} in total, and {read} by what was read and mapped (groups that differ: {count})",
        "按源库自身的 SQL，{field}{group} 合计为 {asked}，而按读取并映射的数据为 {read}（不符的分组：{count} 个）",
    ),
    "source_counted": ("rows counted by the source itself too: {rows}", "源库自行统计的行数相同：{rows}"),
    "source_added": ("totals asked of the source in its own SQL, all equal: {totals}", "源库以自身 SQL 计算的合计，全部相符：{totals}"),
    "source_spelled": (
        "left out of these: {count} values that are written in a way that only the mapping reads as numbers",
        "其中未计入 {count} 个仅映射能识别为数字的写法",
    ),
    "not_asked_sql": ("totals not asked of the source: no database whose SQL adds up these rows exactly", "未向源端查询合计：没有能以 SQL 对这些行精确求和的数据库"),
    "not_asked_where": (
        "totals not asked of the source: what `where` says has no SQL that is known to mean exactly the same",
        "未向源库查询合计：where 条件没有含义确定一致的 SQL",
    ),
    "not_asked_groups": ("totals not asked of the source: a target has one row per group", "未向源库查询合计：目标表按分组汇总"),
    "not_asked_fields": (
        "totals not asked of the source: {target}: {fields}, which is more than a copy of one of its columns",
        "未向源库查询合计：{target} 的 {fields} 并非源字段的直接复制",
    ),
    "not_asked_where_column": ("totals not asked of the source: in `where`, {why}", "未向源库查询合计：where 条件中，{why}"),
    "not_asked_column": ("totals not asked of the source: {target}: {fields}: {why}", "未向源库查询合计：{target} 的 {fields}：{why}"),
    "column_unknown": (
        "the database does not say how values of {column} are stored, as it never does of the columns of a query",
        "数据库未说明字段 {column} 的值如何存储（查询的字段均如此）",
    ),
    "column_untyped": ("{column} has no declared type", "字段 {column} 未声明类型"),
    "column_type": (
        "{column} is of type {type}, of whose values SQL is not known to say exactly the same",
        "字段 {column} 的类型为 {type}，SQL 对其取值的含义不能确定一致",
    ),
    "not_asked_unread": ("totals not asked of the source: rows of it cannot be read without loss", "未向源库查询合计：有的行无法无损读取"),
    "not_asked_stored": (
        "totals not asked of the source: {what}: it holds numbers in a form of which SQL gives no exact sum",
        "未向源库查询合计：{what} 中有的数字存储形式无法以 SQL 精确求和",
    ),
    "not_asked_failed": ("totals not asked of the source: {why}", "未向源库查询合计：{why}"),
    "not_asked_kept": ("totals not asked of the source: it was not read again", "未向源库查询合计：源端未重新读取"),
    "kept_by_state": ("kept by the state file, not read again", "取自状态文件，未重新读取"),
    "not_asked_moved": (
        "totals of the source and of the rows that were read do not agree, and were others when both were asked again",
        "源库的合计与读到的行不符，再次核对时两者又有变化",
    ),
    "second_read": ("read by a second driver too: {rows}", "另由第二种驱动读取 {count} 行"),
    "second_unable": ("no second driver could be asked: {why}", "无法使用第二种驱动：{why}"),
    "timed": (
        "{rows} rows, in turns, the least of several times without the first: {by_sql} ms by SQL, {streamed} ms streamed",
        "{rows} 行（轮流各测数次取最短，首次不计）：由数据库以 SQL 汇总用时 {by_sql} 毫秒，逐行读取 {streamed} 毫秒",
    ),
    "rows_counted": ("{rows}", "{count} 行"),
    "nothing_read": (
        "nothing was read: an empty table and a wrong one look the same (--allow-empty)",
        "没有读到任何数据：空表与表名有误的结果相同（--allow-empty）",
    ),
    "nothing_belongs": (
        "of all that was read nothing belongs into a target, and nothing is there (--allow-empty)",
        "读到的数据均不进入目标表，目标表中也没有数据（--allow-empty）",
    ),
}  # fmt: skip
"""Remarks about a difference or about what was not verified, in English and Chinese."""


@dataclass(frozen=True, slots=True)
class Note:
    """A remark: which of `NOTES`, and what is put into it, also another remark. Its text is English in documents; people read it in their language."""

    name: str
    values: tuple[tuple[str, str | Note], ...] = ()

    @classmethod
    def of(cls, name: str, **values: object) -> Self:
        """The remark of this name with these values."""
        return cls(
            name, tuple((key, value if isinstance(value, Note) else str(value)) for key, value in values.items())
        )

    def text(self, *, chinese: bool = False) -> str:
        """The sentence."""
        values = {key: each.text(chinese=chinese) if isinstance(each, Note) else each for key, each in self.values}
        return NOTES[self.name][chinese].format(**values)


@dataclass(frozen=True, slots=True)
class UnreadRow:
    """A row of which something cannot be read without loss: its key as canonical texts, and the reason as the store wrote it."""

    key: Mapping[str, str | None]
    reason: str

    def told(self, *, chinese: bool = False) -> str:
        """The reason; in Chinese, what is a sentence in it."""
        return _in_chinese(self.reason) if chinese else self.reason


@dataclass(frozen=True, slots=True)
class NotVerified:
    """Something that could not be compared: what, and why; a text is what a database or file says or is called, in its own words.

    `rows`: where it is about rows, the first of `count`. `detail`: the reasons once more, as one text for documents.
    """

    what: str | Note
    why: str | Note
    rows: tuple[UnreadRow, ...] = ()
    count: int = 0
    detail: str = ""

    def sentences(self, *, chinese: bool = False) -> tuple[str, str]:
        """What, and why."""
        what, why = (each.text(chinese=chinese) if isinstance(each, Note) else each for each in (self.what, self.why))
        return what, why

    def to_json(self) -> dict[str, Any]:
        """Both sentences, and the rows where there are any."""
        what, why = self.sentences()
        document: dict[str, Any] = {"what": what, "why": f"{why}: {self.detail}" if self.detail else why}
        if not self.rows:
            return document
        return {**document, "rows": [{"key": dict(each.key), "reason": each.reason} for each in self.rows]}


def words_of(sentence: str, chinese: bool) -> str:  # noqa: FBT001 - a language
    """What the toolkit says about SQL that it does not trust; in Chinese, what of it is known."""
    return "；".join(map(_of_sql, sentence.split("; "))) if chinese else sentence


def _of_sql(sentence: str) -> str:
    for known, words in _OF_SQL:
        found = known.fullmatch(sentence)
        if found:
            return words.format(*found.groups())
    return sentence


def _in_chinese(reasons: str) -> str:
    return "；".join(map(_one_in_chinese, reasons.split("; ")))


def _one_in_chinese(reason: str) -> str:
    if found := _NO_VALUE.fullmatch(reason):
        return f"{found[1]} 不是{'精确的' if found[2] else ''} {found[3]} 值"
    if found := _NOT_HELD.fullmatch(reason):
        return f"{found[1]} 的值无法表示：{found[2]}"
    if found := _STRANGER.fullmatch(reason):
        return f"{found[1]}，却在类型为 {found[2]} 的字段中"
    return reason
