"""The summary of an audit in the terminal: Chinese first, English second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_STATES = (
    ("agree", "一致", "agree"),
    ("disagree", "不一致", "disagree"),
    ("order_only", "仅有订单", "order only"),
    ("record_only", "仅有记录", "record only"),
    ("pending", "待补传", "pending"),
)


def show(summary: dict[str, Any], out: Path) -> None:
    """Print notices first, then states, findings by rule, the score where there is one, and where the files are."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from anxin.reconcile.book import rule_book

    console = Console(highlight=False)
    for notice in summary["notices"]:
        console.print(f"[bold yellow]! {escape(notice['zh'])}[/]", soft_wrap=True)
        console.print(f"[yellow]  {escape(notice['en'])}[/]", soft_wrap=True)
    for rule, count in summary["notices_by_rule"].items():
        console.print(f"[bold yellow]! {rule}: {count:,}[/]")
    total = sum(summary["sessions"].values())
    console.print(
        f"[bold]安心充电审核 · Anxin audit[/]  {total:,} 次充电 sessions  (as of {summary['as_of']})", soft_wrap=True
    )
    states = Table(box=None, pad_edge=False, show_header=False)
    for state, zh, en in _STATES:
        count = summary["sessions"][state]
        style = "green" if state == "agree" else "red" if state == "disagree" and count else ""
        states.add_row(zh, en, f"{count:,}", style=style)
    console.print(states)
    if summary["findings"]:
        findings = Table("规则", "发现", "rule", "findings", box=None, pad_edge=False, header_style="bold")
        findings.columns[3].justify = "right"
        titles = {rule.id: rule for rule in rule_book()}
        for rule, count in summary["findings"].items():
            findings.add_row(rule, titles[rule].title_zh, titles[rule].title_en, f"{count:,}")
        console.print(findings)
    if summary["rejects"]:
        console.print(f"拒收 {summary['rejects']:,} 行 · rows refused, see {out / 'rejects.csv'}")
    for rule, missing in summary["rules_not_run"].items():
        console.print(f"未执行 {rule}：缺 {', '.join(missing)} · not run for want of these", style="dim")
    if "score" in summary:
        _score(console, summary["score"])
    console.print(f"报告 · report: {out / 'report.html'}", soft_wrap=True)


def _score(console: Any, score: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("作弊种类 kind", "大小 size", "查出 found", box=None, pad_edge=False, header_style="bold")
    for row in score["cheats"]:
        table.add_row(row["kind"], row["size"], f"{row['found']} / {row['planted']}")
    console.print(table)
    console.print(
        f"误报 · false alarms: {score['false_alarms']} / {score['honest_sessions']:,} 次诚实充电 honest sessions "
        f"= {score['false_alarms_per_million']} 每百万 per million",
        soft_wrap=True,
    )
