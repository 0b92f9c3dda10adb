"""The report of an audit: everything that was judged, as the page's view, and the page as one file.

1  figures  over all sessions, on the engine
2  cases    the sessions that an inspector should look at, with their evidence
3  view     figures, cases and what the audit says of its inputs, rules and policy
4  page     rendered and written
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Finding
from anxin.flow import report_totals
from anxin.flow.report_cases import cases_of
from anxin.flow.report_map import map_of
from anxin.formats.table_mapping import load_mapping
from anxin.reconcile.book import rule_book
from anxin.reconcile.rule import Rule
from anxin.report.page import render
from anxin.report.view import (
    MAX_REJECTS,
    BasisRow,
    InputRow,
    NoticeRow,
    PolicyRow,
    PolicyView,
    RejectRow,
    ReportView,
    RuleNotRun,
    RuleRow,
    ScoreRow,
    ScoreView,
)
from anxin.report.words import severity_rank

if TYPE_CHECKING:
    from anxin.flow.audit import AuditRequest, Judged

DEFAULT_ZONE = "Asia/Shanghai"
DEFAULT_CURRENCY = "CNY"
#: The kinds of cheats of the virtual city.
CHEATS = {
    "inflated_energy": ("虚增电量", "Inflated energy"),
    "inflated_amount": ("虚增金额", "Inflated amount"),
    "loss_ratio": ("计损比例", "Loss ratio applied"),
    "hidden_session": ("隐瞒充电", "Hidden session"),
    "withheld_record": ("扣留记录", "Withheld record"),
    "replay": ("重放记录", "Replayed record"),
    "splice": ("拼接记录", "Spliced record"),
    "swapped_meter": ("换表", "Swapped meter"),
    "register_rollback": ("底数倒拨", "Register rolled back"),
    "forged_signature": ("伪造签名", "Forged signature"),
    "broken_seal": ("破坏铅封", "Broken seal"),
    "expired_verification": ("检定过期", "Expired verification"),
}


def write_report(judged: Judged, summary: dict[str, Any], score: dict[str, Any] | None, path: Path) -> None:
    """Write the report page of a judged audit to `path`, in UTF-8. verdicts.parquet must have been written before."""
    path.write_text(render(view_of(judged, summary, score)), encoding="utf-8", newline="\n")


def view_of(judged: Judged, summary: dict[str, Any], score: dict[str, Any] | None) -> ReportView:
    """Return everything that the page shows of a judged audit. `summary` and `score` are as in summary.json."""
    request, imported, ground = judged.request, judged.imported, judged.verdicts.ground
    verdicts = judged.engine.load_parquet("report_verdicts", [request.out / "verdicts.parquet"], None)
    zone = _zone(request)
    # 1 Figures.
    currencies = report_totals.currencies(judged)
    published = sorted({t.currency for t in judged.register.tariffs})
    currency = "/".join(currencies) or (published[0] if len(published) == 1 else DEFAULT_CURRENCY)
    # 2 Cases.
    cases = cases_of(judged, verdicts, zone)
    # 3 View.
    return ReportView(
        title_zh=request.title_zh,
        title_en=request.title_en,
        generated_for_utc_ms=ground.facts.as_of_utc_ms,
        software=summary["software"],
        policy=_policy(judged),
        sessions=dict(summary["sessions"]),
        totals=report_totals.totals(judged, verdicts, one_currency=len(currencies) <= 1),
        inputs=tuple(InputRow(f.path, f.sha256, f.dialect, f.rows, f.rejected) for f in imported.files),
        notices=tuple(NoticeRow(n.file, n.rule, n.count, n.zh, n.en) for n in imported.notices),
        findings_by_rule=_rules(judged, summary),
        rules_not_run=_not_run(judged),
        cases=cases.rows,
        cases_total=cases.total,
        daily=report_totals.daily(judged, verdicts),
        operators=report_totals.operators(judged, verdicts),
        rejects=tuple(
            RejectRow(r.source.file, r.source.row, r.rule, r.message, r.field) for r in imported.rejects[:MAX_REJECTS]
        ),
        rejects_total=imported.rejected,
        differences=report_totals.differences(judged, verdicts),
        score=_score(score),
        map=map_of(judged, verdicts),
        command=request.command,
        zone=zone,
        currency=currency,
        compared={"orders", "records"} <= ground.facts.present,
    )


def _zone(request: AuditRequest) -> str:
    """The zone in which times are written: as asked for, else the one that all mappings name."""
    zones = {zone for path in request.mappings if (zone := load_mapping(path).zone)}
    if request.zone == DEFAULT_ZONE and len(zones) == 1:
        return zones.pop()
    return request.zone


def _policy(judged: Judged) -> PolicyView:
    policy = judged.policy
    rows = (
        PolicyRow(name, str(v.value).lower() if isinstance(v.value, bool) else str(v.value), v.unit, v.source, v.status)
        for name, v in sorted(policy.values.items())
    )
    return PolicyView(policy.title, policy.dated, policy.sha256, tuple(rows))


def _missing(judged: Judged) -> dict[str, tuple[str, ...]]:
    """Rules that were not run, with what they lacked: the judge's, those that look at records alone, and those that
    look at messages of a door, which no file holds."""
    present = judged.verdicts.ground.facts.present
    apart = [rule for rule in rule_book() if rule.on_facts is None]
    missing: dict[str, tuple[str, ...]] = {
        rule.id: ("records",) for rule in apart if rule.on_record is not None and "records" not in present
    }
    missing |= {rule.id: rule.needs for rule in apart if rule.on_record is None}
    return {**missing, **dict(judged.verdicts.not_run)}


def _not_run(judged: Judged) -> tuple[RuleNotRun, ...]:
    missing = _missing(judged)
    return tuple(RuleNotRun(r.id, r.title_zh, r.title_en, missing[r.id]) for r in rule_book() if r.id in missing)


def _rules(judged: Judged, summary: dict[str, Any]) -> tuple[RuleRow, ...]:
    """Every rule that was run or found something, with the worst that it found."""
    counts, missing = summary["findings"], _missing(judged)
    stake = report_totals.at_stake(judged)
    worst: dict[str, Finding] = {}
    for finding, _ in judged.findings:
        held = worst.get(finding.rule)
        if held is None or severity_rank(finding.severity) < severity_rank(held.severity):
            worst[finding.rule] = finding
    return tuple(
        RuleRow(
            rule.id, rule.title_zh, rule.title_en, _severity(rule, worst.get(rule.id)), counts.get(rule.id, 0),
            stake.get((rule.id, "energy")), stake.get((rule.id, "amount")), rule.explain_zh, rule.explain_en,
            tuple(BasisRow(b.source, b.status) for b in rule.basis),
        )
        for rule in rule_book() if rule.id not in missing or counts.get(rule.id)
    )  # fmt: skip


def _severity(rule: Rule, worst: Finding | None) -> str:
    if worst is not None:
        return worst.severity.value
    return min((cause.severity for cause in rule.causes), key=severity_rank).value


def _score(score: dict[str, Any] | None) -> ScoreView | None:
    if score is None:
        return None
    rows = (
        ScoreRow(c["kind"], zh, en, c["size"], c["planted"], c["found"])
        for c in score["cheats"]
        for zh, en in (CHEATS.get(c["kind"], (c["kind"], c["kind"])),)
    )
    return ScoreView(tuple(rows), score["honest_sessions"], score["false_alarms"])
