"""Surveillance on the virtual city: false alerts, detection against the lean's size, and Wald's approximations.

python -m bench.surveillance [--chargers 1000] [--days 365] [--seeds 1] [--leaning 400]

    1  honest cities: alerts of every kind, at the policy's thresholds and at looser ones whose rate can be seen
    2  the same sessions counted by a second implementation (numpy, floating point): the same chargers and days
    3  orders that lean by a known amount: share of chargers found within a year, sessions until then
    4  docs/images/surveillance.svg: what was seen against what Wald and Page approximate
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import vl_convert

from anxin.city.build import build
from anxin.city.options import SLOW_KINDS, CityOptions, Kind
from anxin.city.tariffs import HABITS
from anxin.surveillance.days import DAY_MS, Day, SessionRow, Tests, day_of, day_tests
from anxin.surveillance.gaps import Reading
from anxin.surveillance.lean import lean_evidence
from anxin.surveillance.policy import load_surveillance_policy
from anxin.surveillance.ranking import charger_evidence, silence_reason, steps_of
from anxin.surveillance.sequential import NAT, operating, thresholds, walk
from anxin.surveillance.silence import WEEK_HOURS, profile_of
from bench.common import write

WH = 1_000
SPAN_SESSIONS = 200_000
POLICY = load_surveillance_policy()
TESTS = day_tests(POLICY)
#: Looser thresholds, at which honest cities show alerts enough to be counted.
LOOSE_ONE_IN = 1_000
LEANS_WH = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 4.5, 5.0, 6.0)
#: Sessions a day in which evidence is added up before a test looks at it: those of a charger of the city.
SESSIONS_A_DAY = 3
PICTURE = Path("docs/images/surveillance.svg")


def main() -> None:
    """Measure, write build/bench/surveillance.json and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chargers", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--leaning", type=int, default=400, help="chargers simulated for each lean")
    args = parser.parse_args()
    honest = [one_city(args.chargers, args.days, seed) for seed in range(1, args.seeds + 1)]
    planted = one_city(max(100, args.chargers // 5), min(args.days, 180), 1, leaning_chargers=20)
    curve = [leaning(lean, step, args.leaning) for step in (10, 1) for lean in LEANS_WH if step == 10 or lean <= 2]
    draw([c for c in curve if c["order_step_wh"] == 10])
    write("surveillance", {"policy_sha256": POLICY.sha256, "honest": honest, "planted": planted, "leaning": curve})


# 1 and 2


def one_city(chargers: int, days: int, seed: int, leaning_chargers: int = 0) -> dict[str, Any]:
    """Return what surveillance says of a city in which nobody cheats, or some chargers lean and some are drained."""
    began = time.perf_counter()
    cheats = dict.fromkeys(SLOW_KINDS, leaning_chargers)
    city = build(CityOptions(seed=seed, chargers=chargers, days=days, cheats=cheats))
    truths: list[dict[str, Any]] = []
    listed: dict[str, set[str]] = defaultdict(set)
    world = city.world
    by_charger: dict[int, list[Day]] = defaultdict(list)
    starts: dict[int, list[int]] = defaultdict(list)
    loose = loosened(TESTS)
    loose_runs = {"lean_up": [0, 0], "lean_down": [0, 0]}
    second: set[tuple[int, int]] = set()
    first: set[tuple[int, int]] = set()
    sessions = 0
    for span, truth in city.spans(SPAN_SESSIONS):
        truths += truth
        rows, readings = rows_of(span)
        sessions += len(span.plan)
        connectors = np.unique(span.plan.connector).tolist()
        for connector in connectors:
            days_of_connector = []
            for day in sorted(rows[connector].keys() | readings[connector].keys()):
                made = day_of(str(connector), day, rows[connector][day], readings[connector][day], [], TESTS)
                days_of_connector.append(made)
                starts[connector] += [s.start_utc_ms for s in rows[connector][day]]
            charger = int(world.connector_charger[connector])
            by_charger[charger] += days_of_connector
        for connector in connectors:
            found = second_way(span, connector)
            second |= {(connector, day) for day in found}
            lone = [d for d in by_charger[int(world.connector_charger[connector])] if d.place == str(connector)]
            done = walk(steps_of(lone, TESTS)["lean_up"], loose.lean.limits)
            first |= {(connector, day) for day in done.alerts}
    kinds: dict[str, int] = defaultdict(int)
    for charger, own in by_charger.items():
        steps = steps_of(own, TESTS)
        for kind, counted in loose_runs.items():
            done = walk(steps[kind], loose.lean.limits)
            counted[0] += len(done.alerts)
            counted[1] += len(done.alerts) + done.accepted
        last = max(d.day for d in own)
        # Every alert of the whole time, not only of the last quarter.
        evidence = charger_evidence(own, last, TESTS, wide(days))
        for reason in evidence.reasons:
            kinds[reason.kind] += reason.figures.get("alerts", 1)
            listed[reason.kind].add(world.charger_code[charger])
    silent, pauses = silent_pauses(starts, world)
    years = len(by_charger) * days / 365
    return {
        "seed": seed, "sessions": sessions, "chargers": len(by_charger), "charger_years": round(years, 1),
        "alerts": dict(kinds), "silent_alerts": silent, "pauses": pauses,
        "alerts_per_million_sessions": (sum(kinds.values()) + silent) * 1e6 / sessions,
        "at_one_in_1000": {
            kind: {"alerts": a, "runs": r, "per_run": a / r if r else None, "bound_per_run": 1 / LOOSE_ONE_IN}
            for kind, (a, r) in loose_runs.items()
        },
        "planted": {
            kind.value: {
                "chargers": len(of := {t["charger_id"] for t in truths if t["kind"] == kind}),
                "listed": len(of & listed[reason]),
                "others_listed": len(listed[reason] - of),
                "sessions": sorted(t["size"]["sessions"] for t in truths if t["kind"] == kind and leaning_chargers),
                "missed": sorted(
                    (t["size"]["each_wh"], t["size"]["sessions"])
                    for t in truths
                    if t["kind"] == kind and t["charger_id"] not in listed[reason]
                ),
            }
            for kind, reason in ((Kind.LEAN_WITHIN_TOLERANCE, "lean_up"), (Kind.SLOW_REGISTER_DRAIN, "gap_up"))
            if leaning_chargers
        },
        "second_implementation": {"crossings_1_in_1000": len(first), "same": first == second},
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def loosened(tests: Tests) -> Tests:
    """Return the tests with thresholds of one in a thousand; what a session may add stays as it is."""
    limits = thresholds(LOOSE_ONE_IN, POLICY.int("lean.beta_one_in"))
    return replace(tests, lean=replace(tests.lean, limits=limits))


def wide(days: int) -> Any:
    """Return the policy with a window over all days."""
    values = POLICY.values | {"ranking.window_days": POLICY.values["ranking.window_days"] | {"value": days + 5}}
    return replace(POLICY, values=values)


def rows_of(span: Any) -> tuple[dict[int, dict[int, list[SessionRow]]], dict[int, dict[int, list[Reading]]]]:
    """Return a span's sessions and readings as the platform has them, by connector and UTC day."""
    plan, orders, records, world = span.plan, span.orders, span.records, span.world
    billed, counted = sums(orders.session, orders.energy_wh, len(plan)), np.zeros(len(plan), dtype=np.int64)
    np.add.at(counted, records.session, records.register_end_wh - records.register_begin_wh)
    parts = np.bincount(orders.session, minlength=len(plan))
    pieces = np.bincount(records.session, minlength=len(plan))
    came = np.zeros(len(plan), dtype=np.bool_)
    came[records.session[records.keep]] = True
    steps = np.array([h.energy_step_wh for h in HABITS])[world.connector_operator[plan.connector] % len(HABITS)]
    rows: dict[int, dict[int, list[SessionRow]]] = defaultdict(lambda: defaultdict(list))
    start_ms = (plan.start + world.start_utc_s) * 1_000
    late_o, late_r = plan.order_received - plan.end, plan.record_received - plan.end
    for n in range(len(plan)):
        start = int(start_ms[n])
        rows[int(plan.connector[n])][start // DAY_MS].append(
            SessionRow(
                str(n), "agree", str(world.connector_operator[plan.connector[n]]), start, True, bool(came[n]),
                int(billed[n]) * WH, int(counted[n]) * WH, int(steps[n]) * int(parts[n]) * WH, int(pieces[n]) * WH,
                int(late_o[n]) * 1_000, int(late_r[n]) * 1_000 if came[n] else None,
            )
        )  # fmt: skip
    readings: dict[int, dict[int, list[Reading]]] = defaultdict(lambda: defaultdict(list))
    for n in np.flatnonzero(records.keep).tolist():
        day = (int(records.end[n]) + world.start_utc_s) * 1_000 // DAY_MS
        readings[int(records.connector[n])][day].append(
            Reading(
                str(records.meter[n]), int(records.register_begin_wh[n]) * WH, int(records.register_end_wh[n]) * WH, WH
            )
        )
    return rows, readings


def sums(index: Any, values: Any, count: int) -> Any:
    """Return sums of values by index."""
    total = np.zeros(count, dtype=np.int64)
    np.add.at(total, index, values)
    return total


def second_way(span: Any, connector: int) -> list[int]:
    """Return the days on which the test of a lean up crosses one in a thousand, written anew in floating point."""
    plan, orders, records, world = span.plan, span.orders, span.records, span.world
    mine = np.flatnonzero(plan.connector == connector)
    low, high = mine[0], mine[-1] + 1
    own = (orders.session >= low) & (orders.session < high)
    theirs = (records.session >= low) & (records.session < high)
    billed = np.bincount(orders.session[own] - low, orders.energy_wh[own], high - low)
    energy = records.register_end_wh - records.register_begin_wh
    counted = np.bincount(records.session[theirs] - low, energy[theirs], high - low)
    step = HABITS[int(world.connector_operator[connector]) % len(HABITS)].energy_step_wh
    q = step * np.bincount(orders.session[own] - low, minlength=high - low).astype(float)
    r = np.bincount(records.session[theirs] - low, minlength=high - low).astype(float)
    seen = np.bincount(records.session[theirs & records.keep] - low, minlength=high - low) > 0
    off = billed - counted
    delta = POLICY.int("lean.delta") / 1_000 * (q + r)
    variance = (q * q + 2 * r * r) / 12
    score = np.minimum(delta * (off - r / 2 - delta / 2) / variance, TESTS.lean.cap / NAT)
    use = (np.abs(off) <= q + r) & seen
    day = (plan.start[low:high] + world.start_utc_s) // 86_400
    crossed, total = [], 0.0
    upper, lower = math.log(LOOSE_ONE_IN), math.log(1 / POLICY.int("lean.beta_one_in")) - math.log1p(-1 / LOOSE_ONE_IN)
    for one in np.unique(day[use]).tolist():
        total += float(score[use & (day == one)].sum())
        if total >= upper:
            crossed.append(int(one))
        if not lower < total < upper:
            total = 0.0
    return crossed


def silent_pauses(starts: dict[int, list[int]], world: Any) -> tuple[int, int]:
    """Return how many pauses of honest connectors would have been listed as silence at their very end, out of how many;
    each against the sessions before it, as a watch that looks every minute would."""
    weeks: dict[int, list[int]] = defaultdict(lambda: [0] * WEEK_HOURS)
    for connector, moments in starts.items():
        week = weeks[int(world.connector_operator[connector])]
        for moment in moments:
            week[(moment // 3_600_000 - 96) % WEEK_HOURS] += 1
    profiles = {operator: profile_of(week) for operator, week in weeks.items()}
    keep = POLICY.int("silence.profile_days") * DAY_MS
    listed = pauses = 0
    for connector, moments in starts.items():
        profile = profiles[int(world.connector_operator[connector])]
        ordered = sorted(moments)
        low = 0
        for n in range(len(ordered) - 1):
            while ordered[low] < ordered[n] - keep:
                low += 1
            pauses += 1
            if ordered[n + 1] - ordered[n] < 6 * 3_600_000:
                continue  # too short for any rhythm of the city
            reason = silence_reason(ordered[low], ordered[n], n - low + 1, ordered[n + 1], profile, POLICY)
            listed += reason is not None
    return listed, pauses


# 3


def leaning(lean_wh: float, step_wh: int, chargers: int) -> dict[str, Any]:
    """Return how chargers are found whose operator adds so much to every session before he rounds to his display.

    Below the display's digit an addition shows in that share of sessions only.
    """
    rng = np.random.default_rng(int(lean_wh * 100) * 100 + step_wh)
    year = 365 * SESSIONS_A_DAY
    first_alerts, found, within = [], 0, 0
    evidence_of: dict[int, int] = {}
    scores: list[int] = []
    for _ in range(chargers):
        energy = rng.integers(3_000, 60_000, year)
        more = np.floor(lean_wh) + (rng.random(year) < lean_wh % 1)
        order = np.floor((energy + more) / step_wh + 0.5).astype(np.int64) * step_wh
        off = (order - energy).tolist()
        values = []
        for d in off:
            if d not in evidence_of:
                both = lean_evidence((50_000 + d) * WH, 50_000 * WH, step_wh * WH, WH, TESTS.lean)
                evidence_of[d] = 0 if both is None else both[0]
                within += both is None
            values.append(evidence_of[d])
        scores += values
        steps = [(n, sum(values[n * SESSIONS_A_DAY : (n + 1) * SESSIONS_A_DAY])) for n in range(365)]
        done = walk(steps, TESTS.lean.limits)
        if done.alerts:
            found += 1
            first_alerts.append((done.alerts[0] + 1) * SESSIONS_A_DAY)
    drift, spread = statistics.fmean(scores) / NAT, statistics.pstdev(scores) / NAT
    expected = operating(drift, spread, TESTS.lean.limits) if spread > 0 else None
    return {
        "order_step_wh": step_wh, "lean_wh": lean_wh, "chargers": chargers, "found_within_a_year": found / chargers,
        "differences_beyond_tolerance": within,
        "sessions_until_found_median": statistics.median(first_alerts) if first_alerts else None,
        "sessions_until_found_mean": statistics.fmean(first_alerts) if first_alerts else None,
        "evidence_per_session_nat": round(drift, 4),
        "wald_page_sessions_until_found": None if expected is None else finite(expected.until_alert),
    }  # fmt: skip


def finite(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return round(value, 1) if math.isfinite(value) and value < 1e12 else None


# 4


def draw(curve: list[dict[str, Any]]) -> None:
    """Draw what was seen against what was approximated."""
    rows = []
    for c in curve:
        for name, key in (("seen (mean) · 实测", "sessions_until_found_mean"),
                          ("Wald and Page · 近似", "wald_page_sessions_until_found")):  # fmt: skip
            value = c[key]
            if value is not None and value <= 2_000 and c["found_within_a_year"] > 0.5:
                rows.append({"lean": c["lean_wh"], "sessions": value, "what": name})
    shares = [{"lean": c["lean_wh"], "share": c["found_within_a_year"]} for c in curve]
    axis = {"title": "lean of each order, Wh (display 0.01 kWh) · 每单偏高"}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": {"font": "Noto Sans CJK SC, sans-serif"},
        "hconcat": [
            {
                "width": 300, "height": 220, "data": {"values": shares},
                "mark": {"type": "line", "point": True},
                "encoding": {
                    "x": {"field": "lean", "type": "quantitative", "axis": axis},
                    "y": {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1]},
                          "axis": {"title": "found within a year · 一年内检出", "format": "%"}},
                },
            },
            {
                "width": 300, "height": 220, "data": {"values": rows},
                "mark": {"type": "line", "point": True},
                "encoding": {
                    "x": {"field": "lean", "type": "quantitative", "axis": axis},
                    "y": {"field": "sessions", "type": "quantitative", "scale": {"type": "log"},
                          "axis": {"title": "sessions until found · 检出所需充电次数"}},
                    "color": {"field": "what", "type": "nominal", "title": None, "legend": {"orient": "top"}},
                    "strokeDash": {"field": "what", "type": "nominal"},
                },
            },
        ],
    }  # fmt: skip
    PICTURE.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


if __name__ == "__main__":
    main()
