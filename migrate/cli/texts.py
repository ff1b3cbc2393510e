"""What users see, in English and Chinese: headings, states, sentences. Messages of errors stay in English, like the documents.

A text is found by its key; a key without a Chinese text would be a defect, and a test looks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, Literal

from migrate.report.words import SHARED

Lang = Literal["zh", "en"]
Say = Callable[..., str]
"""`say(key, **values)`: the text of that key in the user's language."""

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    **SHARED,
    # errors
    "error": ("error:", "错误："),
    "where": ("where:", "位置："),
    "next": ("next:", "下一步："),
    "warning": ("warning:", "警告："),
    "unexpected": (
        "this is a defect of the toolkit ({kind}: {message})",
        "工具内部缺陷（{kind}：{message}）",
    ),
    "unexpected_where": ("the whole story is in {log}", "完整信息见 {log}"),
    "unexpected_next": (
        "run the same command again, which is safe; if it comes back, report it with that file",
        "可安全地重新执行同一命令；若再次出现，请附上该文件反馈",
    ),
    "stopping": (
        "stopping: the batch in hand is finished first (once more: stop now, still safe)",
        "正在停止：先完成当前批次（再按一次立即停止，同样安全）",
    ),
    "see_help": ("see {command} --help", "参见 {command} --help"),
    "words_beyond": ("{command} takes no more than {takes}, and here is also: {words}", "{command} 只接受 {takes}，多余的内容：{words}"),
    "words_beyond_options": ("{command} takes options only, and here is also: {words}", "{command} 只接受选项，多余的内容：{words}"),
    "words_behind": ("behind: {behind}", "位于“{behind}”之后"),
    "words_beyond_next": (
        "leave that out; a value that has spaces needs quotes (see {command} --help)",
        "去掉多余的内容；含空格的取值须加引号（参见 {command} --help）",
    ),
    "words_beyond_verify_next": (
        "two tables are compared by options: {command} --source URL --table T --target URL --into U; several mappings one after the other (see {command} --help)",
        "比对两张表须用选项：{command} --source URL --table T --target URL --into U；多个映射请逐个核验（参见 {command} --help）",
    ),
    "nobody_to_ask": ("it asks before it begins, and nobody is at the terminal to answer", "执行前需要确认，但没有终端可供应答"),
    "nobody_to_ask_next": ("give --yes to do it without being asked", "加上 --yes 则不再询问，直接执行"),
    "nobody_to_ask_look": (
        "look first with --dry-run; then give --yes to do it without being asked",
        "先用 --dry-run 查看；再加上 --yes，不再询问，直接执行",
    ),
    "stopped_now": ("stopped; run the same command again to go on", "已停止；重新执行同一命令即可继续"),
    # runs
    "state": ("state", "状态"),
    "running": ("running", "运行中"),
    "paused": ("paused", "已暂停"),
    "interrupted": ("interrupted", "已中断"),
    "failed": ("failed", "失败"),
    "complete": ("complete", "已完成"),
    "rolling_back": ("rolling back", "回退中"),
    "rolled_back": ("rolled back", "已回退"),
    "run": ("run", "任务"),
    "mapping": ("mapping", "映射"),
    "pass": ("pass", "轮次"),
    "read": ("read", "读取"),
    "mapped": ("mapped", "已映射"),
    "filtered": ("filtered", "已过滤"),
    "rejected": ("rejected", "已拒收"),
    "pending": ("pending", "待定"),
    "warnings": ("warnings", "提示"),
    "target": ("target", "目标表"),
    "written": ("written", "写入"),
    "updated": ("updated", "更新"),
    "identical": ("identical", "一致"),
    "kept": ("kept", "保留"),
    "deleted": ("deleted", "删除"),
    "groups": ("groups", "组数"),
    "batches_of": ("{done} of {planned} batches", "批次 {done}/{planned}"),
    "batches_done": ("{done} batches", "批次 {done}"),
    "rows": ("rows", "行"),
    "rate": ("{rate} rows/s", "{rate} 行/秒"),
    "rate_column": ("rows/s", "行/秒"),
    "eta": ("ETA {eta}", "剩余 {eta}"),
    "eta_column": ("ETA", "预计剩余"),
    "waiting": ("waiting: {reason}", "等待：{reason}"),
    "resumed": ("resumed: {rows} rows were done before", "断点续传：此前已处理 {rows} 行"),
    "phase_batches": ("reading and writing", "读取并写入"),
    "phase_replay": ("reading rejected units again", "重放拒收数据"),
    "phase_settle": ("settling pending units", "处理待定数据"),
    "phase_finish": ("finishing", "收尾"),
    "phase_rollback": ("taking back", "回退"),
    "phase_restore": ("restoring", "恢复"),
    "held_by": ("held by {holder}", "执行者 {holder}"),
    "throttled": ("throttled to {rate} rows/s", "限速 {rate} 行/秒"),
    "no_runs": ("no runs yet", "尚无迁移任务"),
    "rejects_hint": ("see them: migrate rejects list {mapping}", "查看：migrate rejects list {mapping}"),
    "watch_hint": ("Ctrl-C ends watching; the run goes on", "Ctrl-C 结束查看，任务不受影响"),
    "pause_asked": ("{mapping}: pause wanted; the run stops after the batch in hand, with exit 5",
                    "{mapping}：已请求暂停；任务完成当前批次后停止（退出码 5）"),
    "resume_done": (
        "{mapping}: the pause is cleared ({reason}); to go on: {command}",
        "{mapping}：暂停已解除（{reason}）；继续请执行 {command}",
    ),
    "not_paused": ("{mapping}: was not paused", "{mapping}：未处于暂停状态"),
    "throttle_set": ("{mapping}: at most {rate} rows/s from now on", "{mapping}：即刻起限速 {rate} 行/秒"),
    "throttle_off": ("{mapping}: no limit of rows per second any more", "{mapping}：限速已解除"),
    # plan
    "fingerprint": ("fingerprint", "指纹"),
    "plan_complete": (
        "run {run} did all of this and is complete: `migrate run` would start nothing",
        "任务 {run} 已按此计划全部完成：再执行 `migrate run` 不会启动任何操作",
    ),
    "plan_complete_next": (
        "to do it again, take it back first: migrate rollback {mapping}",
        "如需重做，请先回退：migrate rollback {mapping}",
    ),
    "steps": ("steps", "步骤"),
    "findings": ("findings", "检查结果"),
    "no_findings": ("nothing stands in the way", "未发现阻碍"),
    "estimated_rows": ("about {rows} rows", "约 {rows} 行"),
    "sample": ("sample {number}", "样例 {number}"),
    "before": ("before", "迁移前"),
    "after": ("after", "迁移后"),
    "outcome": ("outcome", "结果"),
    "no_missing_tables": ("-- every target table is there", "-- 目标表均已存在"),
    "graph_written": ("the mapping graph is in {file}", "映射关系图已写入 {file}"),
    "level_error": ("error", "错误"),
    "level_warning": ("warning", "警告"),
    "level_info": ("note", "说明"),
    # check, init, schema
    "check_ok": ("{file}: {mapping} is in order", "{file}：{mapping} 检查通过"),
    "check_ok_offline": (
        "{file}: {mapping} is in order by itself (databases not looked at)",
        "{file}：{mapping} 自身检查通过（未连接数据库）",
    ),
    "init_written": ("the mapping is in {file}", "映射文件已写入 {file}"),
    "init_marked": ("fields to look at first: {count} (marked `# unsure` or FILL_IN)", "请先核对标有 # unsure 或 FILL_IN 的字段：{count} 个"),
    "init_password": (
        "the URL has a password in it, so the mapping says ${{{variable}}}: export that variable",
        "URL 中含有密码，映射文件改用 ${{{variable}}}，请设置该环境变量",
    ),
    "schema_nothing": ("every invoice table is there already; nothing was changed", "发票表均已存在，未作任何更改"),
    # rejects, ledger, doctor
    "no_rejects": ("no rejects", "没有拒收数据"),
    "rule": ("rule", "规则"),
    "column": ("column", "字段"),
    "replayed": (
        "read again: {units}; rows mapped now: {mapped}; still rejected: {rejected}",
        "重放 {units} 条：现已映射 {mapped} 行，仍拒收 {rejected} 行",
    ),
    "exported": ("rejects written to {file}: {count}", "{count} 条拒收数据已导出到 {file}"),
    "count": ("count", "数量"),
    "example": ("example", "示例"),
    "value": ("value", "值"),
    "seq": ("seq", "序号"),
    "range": ("range", "区间"),
    "took": ("took", "耗时"),
    "event": ("event", "事件"),
    "detail": ("detail", "详情"),
    "unsealed": ("waiting for the next seal: {entries}", "待封存记录：{entries} 条"),
    "seal": ("seal", "封存"),
    "when": ("when", "时间"),
    "chain_holds": ("the chain holds (seals: {seals}, entries: {entries})", "哈希链完整（封存 {seals} 个，记录 {entries} 条）"),
    "verifying": (
        "comparing: {source} source rows, {target} target rows · {rate} rows/s",
        "核对中：源 {source} 行，目标 {target} 行 · 每秒 {rate} 行",
    ),
    "state_kept": ("{piece}: kept from before, not read again", "{piece}：沿用上次的结果，不再读取"),
    "state_moved": ("{piece}: changed since it was read; read again", "{piece}：上次读取后已有变化，重新读取"),
    "state_untold": (
        "{piece}: whether it changes cannot be told for certain; not kept, and read again after a kill",
        "{piece}：无法确切判断是否有变化，不予保存，中断后将重新读取",
    ),
    "report_written": ("the report is in {file}", "报告已写入 {file}"),
    "level": ("level", "级别"),
    "level_ok": ("ok", "正常"),
    "level_finding": ("finding", "需处理"),
    "inspected": ("inspected", "检查对象"),
    "found": ("found", "结果"),
    "doctor_findings": ("findings that need a person: {count}", "需要处理：{count} 项"),
    # verify
    "verdict": ("verdict", "结论"),
    "rules": ("declared rules", "声明的规则"),
    "totals_partly": (
        "control totals: no difference in what could be compared (groups: {groups})",
        "控制总数：在已能比对的范围内无差异（{groups} 组）",
    ),
    "totals_agree": ("control totals agree (groups: {groups})", "控制总数全部相符（{groups} 组）"),
    "totals_off": ("control totals that differ", "不符的控制总数"),
    "sum": ("sum", "合计项"),
    "differences": ("differences", "差异"),
    "more_differences": (
        "… and {count} more (--report FILE and --json list --max-differences N of them)",
        "… 另有 {count} 处（--report FILE 与 --json 可列出 --max-differences N 处）",
    ),
    "more_totals": ("… and {count} more (--report FILE, --json)", "… 另有 {count} 组（--report FILE、--json）"),
    "more_rows": ("… and {count} more (--json)", "… 另有 {count} 行（--json）"),
    "unverified": ("not verified", "未核验"),
    "rejects_off": ("rejects: the ledger does not agree", "拒收记录：台账与核验不符"),
    "rejects_beside": (
        "derived by the verifier: {derived}; in the ledger: {recorded}; on one side only: {differ}",
        "核验推算 {derived} 条，台账记录 {recorded} 条，仅一方有 {differ} 条",
    ),
    "only_derived": ("not in the ledger", "台账中没有"),
    "only_recorded": ("only in the ledger", "仅台账中有"),
    # certificate
    "key_written": ("keep {private} to yourself; give {public} to whoever shall check", "私钥 {private} 请妥善保管；公钥 {public} 交给核验方"),
    "key_id": ("key", "密钥"),
    "issued": ("the certificate is in {file}; {leaves} and {secret} are needed for proofs, and are as confidential as the table",
               "证书已写入 {file}；出具单张证明还需要 {leaves} 和 {secret}，其保密级别与数据表相同"),
    "not_issued": ("no certificate: only a target that is equal gets one", "未签发证书：只有核验一致的目标才能签发"),
    "certificate_holds": ("the certificate holds", "证书有效"),
    "rehash_holds": ("mapping, log and rows are still those of the certificate", "映射、台账和数据与证书一致"),
    "checkpoint_lines": ("checkpoint of the log (for the sign-off sheet)", "台账检查点（供签字单留存）"),
    "data_root": ("data root", "数据根哈希"),
    "table": ("table", "表"),
    "proof_holds": ("the proof holds: {table} has this row", "证明有效：{table} 中有此行"),
    "log_extends": ("the log begins with the {seals} seals of the checkpoint", "台账开头与检查点的 {seals} 个封存一致"),
    # ledger prune
    "would_prune": (
        "run {run} of {mapping} holds {size} of undo records (chunks: {chunks}, rows: {rows})",
        "{mapping} 的任务 {run} 的回退记录占用 {size}（{chunks} 块，{rows} 行）",
    ),
    "prune_ask": (
        "drop {size} of undo records of run {run} of {mapping} (chunks: {chunks}, rows: {rows})? It cannot be taken back afterwards, and its rejects not replayed.",
        "确认清除 {mapping} 的任务 {run} 的回退记录 {size}（{chunks} 块，{rows} 行）？此后该任务无法回退，其拒收数据也无法重放。",
    ),
    "pruned": (
        "dropped {size} of undo records of run {run} of {mapping} (chunks: {chunks}, rows: {rows}): it cannot be taken back any more",
        "已清除 {mapping} 的任务 {run} 的回退记录 {size}（{chunks} 块，{rows} 行），该任务不能再回退",
    ),
    "nothing_to_prune": ("run {run} of {mapping} has no undo records", "{mapping} 的任务 {run} 没有回退记录"),
    # rehearse
    "as_before": ("as before", "已还原"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "step_run": ("run", "迁移"),
    "step_verify": ("verify", "核验"),
    "step_rollback": ("rollback", "回退"),
    "step_verify_again": ("look again", "复核"),
    "rehearsed": (
        "rehearsed: it was run, verified and taken back, and the copy is as it was; the target's log has it",
        "演练通过：迁移、核验、回退均已完成，副本已恢复原状；结果已写入目标库台账",
    ),
    "rehearsed_sample": (
        "{mapping}: a sample, {read} of {rows} source rows, in {ranges} key ranges spread over all; the rest was not looked at",
        "{mapping}：仅演练了样本：源数据 {rows} 行中的 {read} 行，取自均匀分布的 {ranges} 个键值区间；其余未检查",
    ),
    "rehearsed_full_size": (
        "  at full size, about: {steps}\n  (estimated from {from_rows} rows of the sample, what is done once counted once; {again} as measured)",
        "  全量预计：{steps}\n  （按样本中 {from_rows} 行的速度估计，一次性开销只计一次；{again}按实测值）",
    ),
    "rehearsed_too_few": (
        "  at full size: too few rows for an estimate, which takes {fewest} of them",
        "  全量预计：样本行数太少，无法估计（至少需 {fewest} 行）",
    ),
    "rehearsed_rest_changed": (
        "  rows within the scope that are none of the sample were changed meanwhile, by the run or by others",
        "  范围内不属于样本的数据在此期间被改动（迁移所致或他人所为）",
    ),
    "rehearsed_badly": (
        "the rehearsal found something wrong: look into it before the target is touched; the target's log has it",
        "演练发现问题：在改动目标库之前请先查明；结果已写入目标库台账",
    ),
    # rollback
    "took_back": ("taken back (batches: {batches}, source rows: {rows})", "已回退：{batches} 个批次，源数据 {rows} 行"),
    "take_back": (
        "take back run {run} of {mapping} (batches: {batches}, source rows: {rows}) in {targets}?",
        "确认回退 {mapping} 的任务 {run}：{batches} 个批次，源数据 {rows} 行，目标表 {targets}？",
    ),
    "nothing_to_take_back": (
        "nothing of it is left to take back",
        "没有可回退的内容",
    ),
    "points_at": (
        "{mapping} wrote rows into {tables} that point at these and hold them fast; take it back first: {command}",
        "{mapping} 写入 {tables} 的行引用了这些行，数据库会拒绝删除；请先回退：{command}",
    ),
    "would_take_back": (
        "would take back run {run} of {mapping} (batches: {batches}, source rows: {rows}) in {targets}",
        "将回退 {mapping} 的任务 {run}：{batches} 个批次，源数据 {rows} 行，目标表 {targets}",
    ),
    "nothing_in_the_way": ("nothing stands in the way", "没有阻碍"),
    "in_the_way": ("rows that stand in the way: {count}", "阻碍回退的行：{count}"),
    "row_changed": ("changed since", "写入后被改动"),
    "row_deleted": ("deleted since", "写入后被删除"),
    "row_held": ("held fast", "被其他行引用，无法删除"),
    "staying": ("rows that stay as they are: {count}", "保持现状、未回退的行：{count}"),
    "took_back_again": (
        "rows that had stayed before and are back now: {count}",
        "此前保留、现已回退的行：{count}",
    ),
    "would_try_again": (
        "rows that stayed before: {count}; those that are as the run left them again would go back now",
        "此前保留的行：{count}；其中已恢复为任务写入内容的行现在可以回退",
    ),
    "try_again": (
        "take back what can go by now of the rows of run {run} of {mapping} that stayed (rows: {count})?",
        "确认回退 {mapping} 的任务 {run} 此前保留、现在可以回退的行（保留 {count} 行）？",
    ),
    "why_interrupted": ("interrupted", "中断"),
    "why_stopped": ("stopped between two batches: interrupted", "在批次之间停止：被中断"),
    "why_stopped_at_border": ("stopped at a batch border: interrupted", "在批次边界停止：被中断"),
    "why_rollback_paused": ("the rollback of {mapping} is paused: {reason}", "{mapping} 的回退已暂停：{reason}"),
    "why_part_back": (
        "{what} of it taken back; `migrate run` does again what is open",
        "已回退其{what}；`migrate run` 会重做未完成的部分",
    ),
    "why_rows": (
        "{what} is not taken back, rows of it stand in the way: {rows}",
        "{what}未回退，有行阻碍：{rows}",
    ),
    "part_batches_of_pass": ("batches {batches} of pass {number}", "第 {number} 遍的批次 {batches}"),
    "part_batch_of_pass": ("batch {batch} of pass {number}", "第 {number} 遍的批次 {batch}"),
    "part_batch": ("batch {batch}", "批次 {batch}"),
    "part_batches": ("batches {batches}", "批次 {batches}"),
    "part_pass": ("pass {number}", "第 {number} 遍"),
    "part_run": ("the run", "任务"),
    "before_run": ("before the run", "任务之前"),
    "there_now": ("there now", "当前内容"),
    "no_row": ("no such row", "无此行"),
    # backup
    "overwritten": ("overwritten", "覆盖"),
    "inserted": ("inserted", "补回"),
    "scope": ("scope", "范围"),
    "digest": ("digest", "摘要"),
    "backup_made": ("the backup is in {folder}", "备份已写入 {folder}"),
    "backup_check_next": (
        "whether it can be restored, only a check tells: migrate backup check {mapping}",
        "能否恢复须经检验：migrate backup check {mapping}",
    ),
    "backing_up": ("backing up: {target} rows · {rate} rows/s", "备份中：{target} 行 · 每秒 {rate} 行"),
    "checking_backup": (
        "restored into scratch tables and read again: {target} rows · {rate} rows/s",
        "写入临时表并回读：{target} 行 · 每秒 {rate} 行",
    ),
    "scratch_tidied": (
        "dropped: scratch tables of an earlier check that was killed: {tables}",
        "已删除先前被强行终止的检验遗留的临时表：{tables}",
    ),
    "backup_holds": ("the backup holds: restored into scratch tables, it is what was backed up", "备份有效：已在临时表中恢复，与备份时一致"),
    "backup_old": (
        "the mapping has changed rows of the target since it was made: a new run needs a newer one",
        "备份之后该映射已改动目标数据：新任务需要更新的备份",
    ),
    "restore_asked": (
        "put {targets} within the scope of {mapping} back to backup {backup} ({made_at}, {rows} rows)?",
        "确认将 {mapping} 范围内的 {targets} 恢复到备份 {backup}（{made_at}，{rows} 行）？",
    ),
    "restored": ("restored: every row is as in backup {backup} of {made_at}", "恢复完成：所有行与备份 {backup}（{made_at}）一致"),
    "doctor_fine": ("everything looks well", "一切正常"),
}  # fmt: skip


def translator(lang: Lang) -> Say:
    """The function that says things in that language; KeyError for a key that does not exist."""
    column = 1 if lang == "zh" else 0

    def say(key: str, **values: object) -> str:
        return _TEXTS[key][column].format(**values)

    return say


def locale_language(environ: Mapping[str, str] | None = None) -> Lang:
    """`zh` when the locale of the environment is a Chinese one, else `en`."""
    variables = os.environ if environ is None else environ
    # In the order in which POSIX looks at them.
    chosen = next((variables[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if variables.get(name)), "")
    return "zh" if chosen.lower().startswith("zh") else "en"
