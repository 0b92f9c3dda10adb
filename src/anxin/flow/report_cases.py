"""The cases of the report: which sessions an inspector should look at, and everything that their judgement rests on.

1  choose     sessions that do not agree or carry an alarm, worst first, on the engine
2  fetch      their orders, records and tariff periods, each with one semi join against the chosen numbers
3  neighbours the registers of the same meter before and after
4  build      one case a session; findings without a session are gathered by operator or meter
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from anxin.domain.finding import Finding, SessionState, Severity
from anxin.domain.quantities import E4_PER_CURRENCY_UNIT
from anxin.flow.report_evidence import Row, Sides, evidence_of, published
from anxin.flow.report_neighbours import Anchor, neighbours
from anxin.reconcile.book import rule_book
from anxin.reconcile.grouping import ANSWER_RANK
from anxin.report.view import MAX_CASES, CaseRow, FindingRow, RegisterPoint, SourceRow
from anxin.report.words import severity_rank

if TYPE_CHECKING:
    from anxin.flow.audit import Judged

#: Findings that no session carries: so many a case, so that each sentence stands on the page.
FINDINGS_PER_CASE = 12
_WARNING = severity_rank(Severity.WARNING.value)


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases for the page, and how many there are in all."""

    rows: tuple[CaseRow, ...]
    total: int


def cases_of(judged: Judged, verdicts: Any, zone: str) -> Cases:
    """Return the worst MAX_CASES sessions and the findings that no session carries."""
    # 1 Choose.
    chosen, total = _choose(judged, verdicts)
    wanted = {row["session_no"] for row in chosen}
    findings: dict[int, list[Finding]] = defaultdict(list)
    loose: list[Finding] = []
    for finding, session_no in judged.findings:
        if session_no is None:
            if severity_rank(finding.severity) <= _WARNING:
                loose.append(finding)
        elif session_no in wanted:
            findings[session_no].append(finding)
    # 2 Fetch.
    fetched = _fetch(judged, chosen)
    sides = [
        Sides(
            row, fetched["orders"].get(no, ()), fetched["records"].get(no, ()), fetched["order_periods"].get(no, ()),
            fetched["record_periods"].get(no, ()), findings.get(no, ()), _recomputed(findings.get(no, ())),
        )
        for row in chosen for no in (row["session_no"],)
    ]  # fmt: skip
    # 3 Neighbours.
    registered = published(judged.register)
    gathered = list(enumerate(_gathered(loose), start=1))
    # A gathering has no session's number: its anchor takes the negative of its own.
    anchors = [_anchor(s, registered.meters) for s in sides]
    anchors += [Anchor(-number, group[0].meter_id, group[0].at_utc_ms, frozenset()) for number, group in gathered]
    points = neighbours(judged, anchors)
    # 4 Build.
    places = _Places(judged)
    built = [
        places.case(s, points.get(s.verdict["session_no"], ()), evidence_of(s, registered, judged.policy, zone))
        for s in sides
    ]
    others = [places.loose_case(number, group, points.get(-number, ())) for number, group in gathered]
    return Cases((*built, *others), total + len(others))


def _choose(judged: Judged, verdicts: Any) -> tuple[list[Row], int]:
    """The rows of verdicts.parquet that are cases, worst first, at most MAX_CASES; and how many there are."""
    engine = judged.engine
    causes = [(r.id, c.id, severity_rank(c.severity)) for r in rule_book() for c in r.causes]
    ranks = engine.load_arrow(
        "report_causes",
        pa.table({"rule": [c[0] for c in causes], "cause": [c[1] for c in causes], "rank": [c[2] for c in causes]}),
    )
    placed = judged.verdicts.findings.filter(judged.verdicts.findings.session_no.notnull())
    marked = placed.select("rule", "cause", "session_no").join(ranks, ["rule", "cause"])
    marks = engine.stage("report_marks", marked.group_by("session_no").agg(rank=marked["rank"].min()))
    both = verdicts.left_join(marks, "session_no").drop("session_no_right")
    # Without the other stream every session lacks its other side: then only what a rule found is a case.
    streams = {"orders", "records"} <= judged.verdicts.ground.facts.present
    unlike = both.state == SessionState.DISAGREE.value
    if streams:
        unlike = unlike | (both.state == SessionState.RECORD_ONLY.value)
    cases = both.filter(unlike | (ibis.coalesce(both["rank"], _WARNING + 1) <= _WARNING))
    cases = cases.mutate(
        rank=ibis.coalesce(cases["rank"], _WARNING),
        weight=ibis.coalesce(
            (cases.order_energy_milli_wh - cases.record_energy_milli_wh).abs(), cases.order_energy_milli_wh, 0
        ),
    )
    total = engine.rows(cases.agg(n=cases.count()))["n"][0].as_py()
    order = ["rank", ibis.desc("weight"), "session_no"]
    return engine.rows(cases.order_by(order).limit(MAX_CASES)).to_pylist(), int(total)


def _fetch(judged: Judged, chosen: list[Row]) -> dict[str, dict[int, list[Row]]]:
    """Orders, records and their tariff periods of the chosen sessions, by session number, in the order of the input."""
    engine, ground = judged.engine, judged.verdicts.ground
    numbers = [row["session_no"] for row in chosen]
    sessions = engine.load_arrow("report_sessions", pa.table({"session_no": pa.array(numbers, pa.int64())}))
    members = engine.rows(ground.members.semi_join(sessions, "session_no")).to_pylist()
    grouped = {m["session_no"] for m in members}
    # A session that is not in `members` is numbered after its order (even) or its lone record (odd): grouping.py.
    orders = {(m["session_no"], m["order_no"]) for m in members}
    orders |= {(n, n // 2) for n in numbers if n % 2 == 0 and n not in grouped}
    records = {(m["session_no"], m["record_no"]) for m in members}
    records |= {(n, n // 2) for n in numbers if n % 2 == 1 and n not in grouped}
    by_id = {row["record_id"]: row["session_no"] for row in chosen
             if row["session_no"] not in grouped and row["session_no"] % 2 == 0 and row["record_id"]}  # fmt: skip
    ids = engine.load_arrow("report_record_ids", pa.table({"record_id": pa.array(sorted(by_id), pa.string())}))
    for row in engine.rows(ground.records.select("record_no", "record_id").semi_join(ids, "record_id")).to_pylist():
        records.add((by_id[row["record_id"]], row["record_no"]))
    found = {
        "orders": _rows(judged, ground.orders, "order_no", orders),
        "records": _rows(judged, ground.records, "record_no", records),
    }
    for name, key, parents in (("order_periods", "order_id", "orders"), ("record_periods", "record_id", "records")):
        owner = {row[key]: no for no, rows in found[parents].items() for row in rows}
        wanted = engine.load_arrow(f"report_{parents}_ids", pa.table({key: pa.array(sorted(owner), pa.string())}))
        periods = getattr(ground, name).semi_join(wanted, key).order_by([key, "period_no"])
        found[name] = defaultdict(list)
        for row in engine.rows(periods).to_pylist():
            found[name][owner[row[key]]].append(row)
    return found


def _rows(judged: Judged, table: Any, number: str, wanted: set[tuple[int, int]]) -> dict[int, list[Row]]:
    pairs = sorted(wanted)
    numbers = pa.table({number: pa.array(sorted({p[1] for p in pairs}), pa.int64())})
    rows = judged.engine.rows(table.semi_join(judged.engine.load_arrow(f"report_{number}s", numbers), number))
    by_number = {row[number]: row for row in rows.to_pylist()}
    found: dict[int, list[Row]] = defaultdict(list)
    for session_no, value in pairs:
        if value in by_number:
            found[session_no].append(by_number[value])
    return found


def _anchor(sides: Sides, meters: dict[str, tuple[Any, ...]]) -> Anchor:
    """Where to look for the meter's neighbours: at its record, else at the order on the meter that stood there."""
    verdict, meter_id = sides.verdict, _meter_of(sides)
    at = verdict["record_begin_utc_ms"]
    if at is None:
        at = verdict["order_start_utc_ms"]
    if meter_id is None:
        named = (*(f.meter_id for f in sides.findings), *(o["meter_id"] for o in sides.orders))
        meter_id = next((m for m in named if m is not None), None)
    if meter_id is None and at is not None and verdict["connector_id"] is not None:
        stays = meters.get(verdict["connector_id"], ())
        here = (m.meter_id for m in stays if m.installed_utc_ms <= at and (m.removed_utc_ms or at + 1) > at)
        meter_id = next(here, None)
    return Anchor(verdict["session_no"], meter_id, at, frozenset(r["record_no"] for r in sides.records))


def _meter_of(sides: Sides) -> str | None:
    return next((r["meter_id"] for r in sides.records if r["meter_id"] is not None), None)


def _recomputed(findings: Iterable[Finding]) -> int | None:
    """What the signed energy costs at most (or at least), in ten-thousandths, where R06 said so."""
    for finding in findings:
        if finding.rule == "R06" and finding.cause in {"amount_over", "amount_under"} and finding.expected is not None:
            try:
                return int(Decimal(finding.expected) * E4_PER_CURRENCY_UNIT)
            except InvalidOperation:
                return None
    return None


def _gathered(loose: list[Finding]) -> list[list[Finding]]:
    """Findings without a session, by operator, else meter, else connector, in order of time, a case at a time."""
    groups: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in loose:
        groups[finding.operator_id or "", finding.meter_id or "", finding.connector_id or ""].append(finding)
    found = []
    for _, group in sorted(groups.items()):
        group.sort(key=lambda f: (f.at_utc_ms or 0, f.rule, f.cause, f.en))
        found += [group[i : i + FINDINGS_PER_CASE] for i in range(0, len(group), FINDINGS_PER_CASE)]
    return found


class _Places:
    """The register looked up by connector: station, district and operator of a case."""

    def __init__(self, judged: Judged) -> None:
        register = judged.register
        self._names = {o.operator_id: o.name for o in register.operators}
        self._connectors = {c.connector_id: c for c in register.connectors}
        self._stations = {s.station_id: s for s in register.stations}

    def _of(self, connector_id: str | None, operator_id: str | None) -> dict[str, Any]:
        connector = self._connectors.get(connector_id or "")
        station = self._stations.get(connector.station_id) if connector else None
        operator_id = operator_id or (connector.operator_id if connector else None)
        return {
            "connector_id": connector_id,
            "operator_id": operator_id,
            "operator_name": self._names.get(operator_id or ""),
            "station": station.name if station else None,
            "district": station.district if station else None,
        }

    def case(self, sides: Sides, registers: Iterable[RegisterPoint], evidence: Any) -> CaseRow:
        """Return the case of one session."""
        row = sides.verdict
        weakest = max(sides.records, key=lambda r: ANSWER_RANK.get(r["answer"], 0), default=None)
        worst = min((f.severity for f in sides.findings), key=severity_rank, default=Severity.WARNING)
        return CaseRow(
            session_id=str(row["session_no"]),
            state=row["state"],
            severity=worst.value,
            order_ids=tuple(o["order_id"] for o in sides.orders),
            record_ids=tuple(r["record_id"] for r in sides.records),
            meter_id=_meter_of(sides),
            start_utc_ms=_either(row["order_start_utc_ms"], row["record_begin_utc_ms"]),
            end_utc_ms=_either(row["order_end_utc_ms"], row["record_end_utc_ms"]),
            order_energy_milli_wh=row["order_energy_milli_wh"],
            metered_energy_milli_wh=row["record_energy_milli_wh"],
            amount_e4=row["amount_e4"],
            expected_amount_e4=sides.recomputed_e4,
            answer=weakest["answer"] if weakest else None,
            reason=weakest["reason"] if weakest else None,
            key_id=weakest["key_id"] if weakest else None,
            findings=tuple(finding_row(f) for f in sides.findings),
            evidence=evidence,
            registers=(*registers, *_claims(sides)),
            sources=(*_sources("order", sides.orders), *_sources("record", sides.records)),
            **self._of(row["connector_id"], row["operator_id"]),
        )

    def loose_case(self, number: int, findings: list[Finding], registers: Iterable[RegisterPoint]) -> CaseRow:
        """Return a case of findings that no session carries: an operator's totals, or a meter's records."""
        first = findings[0]
        moments = [f.at_utc_ms for f in findings if f.at_utc_ms is not None]
        kind = "meter" if first.meter_id else "operator_totals" if first.operator_id else "not_of_a_session"
        return CaseRow(
            session_id=f"finding-{number}",
            state=kind,
            severity=min((f.severity for f in findings), key=severity_rank).value,
            order_ids=tuple(dict.fromkeys(o for f in findings for o in f.order_ids)),
            record_ids=tuple(dict.fromkeys(r for f in findings for r in f.record_ids)),
            meter_id=first.meter_id,
            start_utc_ms=min(moments, default=None),
            end_utc_ms=max(moments, default=None),
            findings=tuple(finding_row(f) for f in findings),
            registers=tuple(registers),
            **self._of(first.connector_id, first.operator_id),
        )


def finding_row(finding: Finding) -> FindingRow:
    """Return a finding as the page shows it."""
    return FindingRow(
        finding.rule, finding.cause, finding.severity.value, finding.zh, finding.en, finding.expected, finding.found,
        finding.difference, finding.tolerance, finding.unit,
    )  # fmt: skip


def _claims(sides: Sides) -> Iterable[RegisterPoint]:
    """The registers that a session's orders state."""
    for order in sides.orders:
        for kind, moment, register in (("order_begin", "start_utc_ms", "meter_begin_milli_wh"),
                                       ("order_end", "end_utc_ms", "meter_end_milli_wh")):  # fmt: skip
            if order[moment] is not None and order[register] is not None:
                yield RegisterPoint(order[moment], order[register], kind)


def _sources(side: str, rows: Iterable[Row]) -> Iterable[SourceRow]:
    return (SourceRow(side, row["source_file"], row["source_row"]) for row in rows)


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
