"""The report page: one HTML file that holds everything it shows and loads nothing.

Everything untrusted passes three gates: `plain` (hidden characters written out, length bounded), Jinja's escaping,
and a content security policy in the page that lets only this file's own script run, by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from anxin.report import text, words
from anxin.report.drawings import Chart, buckets, differences_chart, sessions_chart
from anxin.report.geometry import MAP_HEIGHT, MAP_WIDTH, STAIR_HEIGHT, STAIR_WIDTH, map_drawing, staircase
from anxin.report.view import MAX_CASES, MAX_REJECTS, CaseRow, ReportView

#: What the whole page may weigh: a browser opens it within three seconds and a mail server lets it pass. What the
#: rest of the page leaves is for the cases.
MAX_PAGE_BYTES = 14_800_000
#: Rows of any other table: operators, files, notices, rules. Longer ones say how many rows are left out.
MAX_ROWS = 500
#: Inside one case: findings, rows of evidence, ids and sources. More is a defect of the input; the tables hold all.
MAX_FINDINGS, MAX_EVIDENCE, MAX_IDS = 12, 40, 8


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows of a table that the page shows, and how many it leaves out."""

    rows: tuple[Any, ...]
    left_out: int


def render(view: ReportView) -> str:
    """Return the page as HTML. The same view gives the same text; nothing is read but this package's templates.

    Raises ZoneInfoNotFoundError (a KeyError) where `view.zone` is no IANA zone: that is a mistake of the caller.
    """
    environment = _environment()
    template = environment.get_template("page.html.j2")
    chosen = sorted(view.cases, key=_worst_first)[:MAX_CASES]
    context = {**_context(view), "choices": _choices(view, chosen)}
    room = MAX_PAGE_BYTES - len(template.render(context, cases=()).encode())
    return template.render(context, cases=_case_texts(environment, view, chosen, room))


def _context(view: ReportView) -> dict[str, Any]:
    """Return everything on the page but the cases."""
    return {
        "view": view,
        "total": sum(view.sessions.values()),
        "states": [(word, view.sessions.get(word.value, 0)) for word in words.STATES],
        "notices": _bounded(view.notices),
        "rules": _bounded(sorted(view.findings_by_rule, key=_worst_rule_first)),
        "most_findings": max((rule.count for rule in view.findings_by_rule), default=0),
        "operators": _bounded(sorted(view.operators, key=lambda o: (-o.disagree, -o.order_only, o.operator_id))),
        "rejects": _bounded(view.rejects, MAX_REJECTS, max(view.rejects_total, len(view.rejects))),
        "inputs": _bounded(view.inputs),
        "policy_values": _bounded(view.policy.values),
        "rules_not_run": _bounded(view.rules_not_run),
        "score_rows": _bounded(view.score.rows if view.score else ()),
        "cases_total": max(view.cases_total or 0, len(view.cases)),
        "map": map_drawing(view.map),
        "station_counts": Counter(station.state for station in view.map.stations) if view.map else Counter(),
        "command": escape(shlex.join(text.plain(argument) for argument in view.command[:MAX_ROWS])),
        "charts": _charts(view),
        "buckets": buckets(view.daily),
        "style": Markup(_asset("theme.css") + _asset("page.css") + _asset("print.css")),
        "script": Markup(_asset("page.js")),
        "script_digest": base64.b64encode(hashlib.sha256(_asset("page.js").encode()).digest()).decode(),
    }


def _case_texts(environment: Environment, view: ReportView, cases: Sequence[CaseRow], room: int) -> list[Markup]:
    """Return the cases as HTML, worst first, until they weigh `room` bytes."""
    template = environment.get_template("case.html.j2")
    titles = {rule.id: rule for rule in view.findings_by_rule}
    texts: list[Markup] = []
    weight = 0
    for number, case in enumerate(cases, start=1):
        rendered = _case_text(template, view, case, number, titles)
        weight += len(rendered.encode())
        if weight > room:
            break
        texts.append(rendered)
    return texts


def _case_text(template: Template, view: ReportView, case: CaseRow, number: int, titles: dict[str, Any]) -> Markup:
    rendered = template.render(
        case=case,
        number=number,
        zone=view.zone,
        titles=titles,
        rules=sorted({finding.rule for finding in case.findings}),
        findings=_bounded(sorted(case.findings, key=lambda f: words.severity_rank(f.severity)), MAX_FINDINGS),
        evidence=_bounded(case.evidence, MAX_EVIDENCE),
        order_ids=_bounded(case.order_ids, MAX_IDS),
        record_ids=_bounded(case.record_ids, MAX_IDS),
        sources=_bounded(case.sources, MAX_IDS),
        stairs=staircase(case),
    )
    return Markup(rendered)


def _charts(view: ReportView) -> dict[str, Chart | None]:
    drawn = buckets(view.daily)
    all_states = [word.value for word in words.STATES]
    if not view.compared:
        # Every session is of the one stream that was given: a second drawing would repeat the first.
        all_states = [state for state in all_states if view.sessions.get(state)]
    odd = [state for state in all_states if state in {"disagree", "order_only", "record_only"}]
    any_odd = view.compared and any(getattr(row, state) for row in drawn.rows for state in odd)
    return {
        "sessions": sessions_chart(drawn, all_states, 180) if drawn.rows else None,
        "odd": sessions_chart(drawn, odd, 120) if any_odd else None,
        "differences": differences_chart(view.differences),
    }


def _choices(view: ReportView, cases: Sequence[CaseRow]) -> dict[str, Any]:
    """Return what the filters offer: only what some case on the page has."""
    rules = sorted({finding.rule for case in cases for finding in case.findings})
    operators = {case.operator_id: case.operator_name or case.operator_id for case in cases if case.operator_id}
    titles = {rule.id: rule for rule in view.findings_by_rule}
    return {
        "rules": [(rule, titles.get(rule)) for rule in rules],
        "severities": [w for w in words.SEVERITIES if any(case.severity == w.value for case in cases)],
        "states": [w for w in (*words.STATES, *words.OTHER_CASES) if any(case.state == w.value for case in cases)],
        "operators": sorted(operators.items(), key=lambda item: (item[1], item[0])),
    }


def _worst_first(case: CaseRow) -> tuple[int, int, str]:
    difference = case.difference_milli_wh
    weight = abs(difference) if difference is not None else (case.order_energy_milli_wh or 0)
    return words.severity_rank(case.severity), -weight, case.session_id


def _worst_rule_first(rule: Any) -> tuple[bool, int, int, str]:
    return not rule.count, words.severity_rank(rule.severity), -rule.count, rule.id


def _bounded(rows: Iterable[Any], limit: int = MAX_ROWS, total: int | None = None) -> Shown:
    held = tuple(rows)
    return Shown(held[:limit], max(total or 0, len(held)) - min(limit, len(held)))


def _both(zh: object, en: object) -> Markup:
    """Return a text in both languages; the page's class decides which one is seen."""
    chinese, english = text.plain(zh), text.plain(en)
    if chinese == english:
        return Markup("{}").format(chinese)
    return Markup("<i lang=zh>{}</i><i lang=en>{}</i>").format(chinese, english)


def _attribute(value: object) -> str:
    """Return an id as one word for a data attribute: the filters compare it and never show it."""
    return hashlib.sha256(str(value).encode("utf-8", "surrogatepass")).hexdigest()[:10]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("anxin.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup | int) else text.plain(value),
    )
    environment.globals.update(
        t=_both,
        word=words.word,
        key=_attribute,
        staircase_size=(STAIR_WIDTH, STAIR_HEIGHT),
        map_size=(MAP_WIDTH, MAP_HEIGHT),
    )
    environment.filters.update(
        kwh=text.kwh,
        money=text.money,
        grouped=text.grouped,
        signed=text.signed,
        time=text.time_text,
        duration=text.duration_text,
        share=text.share_text,
        per_million=text.rate_per_million,
    )
    return environment


@cache
def _asset(name: str) -> str:
    return resources.files("anxin.report").joinpath("templates", name).read_text("utf-8")
