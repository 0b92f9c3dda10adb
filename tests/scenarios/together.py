"""Many small worlds judged at once: a judge's queries cost seconds to plan, whatever they run over.

Worlds share one set of tables. Every id of a world bears its number before it, so that worlds share no order, record,
connector, meter, operator or key, and what is found is told apart again by that number. Nothing else is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anxin.domain.register import Register
from anxin.reconcile.engine import DuckDBEngine
from anxin.reconcile.facts import VALUES, Facts, register_tables, table_of, table_schema
from anxin.reconcile.judge import judge
from anxin.reconcile.policy import load_policy

Values = dict[str, list[Any]]

_IDS = frozenset(
    ("order_id", "transaction_id", "record_id", "connector_id", "charger_id", "station_id", "meter_id", "operator_id",
     "tariff_id", "key_id", "seal_id", "check_id", "content_digest")
)  # fmt: skip
_REGISTER = ("operators", "stations", "connectors", "meters", "keys", "verifications", "seals", "tariffs",
             "tariff_periods")  # fmt: skip
_MARK = "~"


@dataclass(frozen=True)
class Heard:
    """What the judge said of one world: rows of findings, and of sessions with all their ids."""

    findings: list[dict[str, Any]]
    sessions: list[dict[str, Any]]


def present_in(worlds: Sequence[Values]) -> frozenset[str]:
    """The kinds of facts that any of the worlds has."""
    return frozenset(name for world in worlds for name, values in world.items() if values)


def judge_together(
    worlds: Sequence[Values], as_of_utc_ms: int, scratch: Path, threads: int = 1, backwards: bool = False
) -> list[Heard]:
    """Return what the judge says of each world. `backwards` loads the last world first: numbers are then others."""
    merged = merged_values(worlds, backwards)
    engine = DuckDBEngine(scratch, threads=threads)
    try:
        facts = facts_on(engine, merged, as_of_utc_ms)
        verdicts = judge(facts, load_policy(), engine)
        findings = engine.rows(verdicts.findings).to_pylist()
        sessions = engine.rows(verdicts.sessions).to_pylist()
        members = engine.rows(verdicts.ground.members).to_pylist()
    finally:
        engine.close()
    _name_members(sessions, members, merged)
    heard = [Heard([], []) for _ in worlds]
    for row in findings:
        heard[_world_of(row)].findings.append(_unmarked(row))
    for row in sessions:
        heard[_world_of(row)].sessions.append(_unmarked(row))
    return heard


def merged_values(worlds: Sequence[Values], backwards: bool = False) -> Values:
    """Return the values of all worlds in one, every id with its world's number before it."""
    merged: Values = {}
    numbered = list(enumerate(worlds))
    for number, world in reversed(numbered) if backwards else numbered:
        for name, values in world.items():
            merged.setdefault(name, []).extend(_marked(v, f"{number}{_MARK}") for v in values)
    return merged


def facts_on(engine: DuckDBEngine, merged: Values, as_of_utc_ms: Any) -> Facts:
    """Return these values as facts, loaded on an engine."""
    arrow = {n: table_of(n, v) for n, v in merged.items() if n not in _REGISTER}
    arrow |= register_tables(Register(**{n: tuple(merged[n]) for n in _REGISTER if n in merged}))
    tables = {n: engine.load_arrow(n, arrow.get(n, table_schema(n).empty_table())) for n in VALUES}
    return Facts(tables, frozenset(n for n, t in arrow.items() if t.num_rows), as_of_utc_ms)


def _marked(value: Any, mark: str) -> Any:
    named = {n: getattr(value, n) for n in _IDS if getattr(value, n, None) is not None}
    return replace(value, **{n: f"{mark}{v}" for n, v in named.items()})


def _name_members(sessions: list[dict[str, Any]], members: list[dict[str, Any]], merged: Values) -> None:
    """Give each session the ids of all its orders and records."""
    orders, records = merged.get("orders", []), merged.get("records", [])
    by_session: dict[int, tuple[set[str], set[str]]] = {}
    for row in members:
        of_orders, of_records = by_session.setdefault(row["session_no"], (set(), set()))
        of_orders.add(orders[row["order_no"]].order_id)
        of_records.add(records[row["record_no"]].record_id)
    for session in sessions:
        one = ({session["order_id"]} - {None}, {session["record_id"]} - {None})
        of_orders, of_records = by_session.get(session["session_no"], one)
        session["order_ids"], session["record_ids"] = " ".join(sorted(of_orders)), " ".join(sorted(of_records))


def _world_of(row: dict[str, Any]) -> int:
    """The one world that a row speaks of. Rows that mix worlds are an error of the judge."""
    seen = {
        part.split(_MARK)[0]
        for value in row.values()
        if isinstance(value, str)
        for part in value.split()
        if _MARK in part
    }
    assert len(seen) == 1, row
    return int(seen.pop())


def _unmarked(row: dict[str, Any]) -> dict[str, Any]:
    return {n: " ".join(p.split(_MARK)[-1] for p in v.split()) if isinstance(v, str) else v for n, v in row.items()}
