"""Judgement: the rule book over the ground, the findings with their ids, and the state of every session.

Pure: facts, register and dated policy in, verdicts and findings out. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from anxin.domain.finding import SessionState
from anxin.reconcile.book import rule_book
from anxin.reconcile.matching import Ground, match
from anxin.reconcile.raising import RAW_COLUMNS
from anxin.reconcile.rule import ID_SEPARATOR, RawFinding

if TYPE_CHECKING:
    from anxin.reconcile.engine import Engine
    from anxin.reconcile.facts import Facts
    from anxin.reconcile.policy import Policy

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the judge leaves on the engine.

    sessions   one row a session: state, method, figures of both sides, ids of its first order and record
    findings   one row a finding: RawFinding's columns and session_no
    not_run    rules that were not run, with the facts they lack
    """

    ground: Ground
    sessions: Any
    findings: Any
    not_run: tuple[tuple[str, tuple[str, ...]], ...]


def judge(
    facts: Facts,
    policy: Policy,
    engine: Engine,
    progress: Progress = lambda _: None,
    only: frozenset[str] | None = None,
) -> Verdicts:
    """Return verdicts and findings on `facts` under `policy`; `only` names the rules to run, by default all."""
    # 1 Match orders with records.
    progress("match")
    ground = match(facts, policy, engine)
    # 2 Run every rule whose facts are there.
    staged, not_run = _run_rules(ground, policy, engine, progress, only)
    # 3 Look up what the findings rest on.
    progress("findings")
    findings = engine.stage("findings", _resolved(staged, ground, engine))
    # 4 Decide each session's state.
    progress("verdicts")
    sessions = _stated(ground, findings, policy, engine)
    return Verdicts(ground, sessions, findings, not_run)


def _run_rules(
    ground: Ground, policy: Policy, engine: Engine, progress: Progress, only: frozenset[str] | None
) -> tuple[list[Any], tuple[tuple[str, tuple[str, ...]], ...]]:
    staged: list[Any] = []
    not_run: list[tuple[str, tuple[str, ...]]] = []
    for rule in rule_book():
        if rule.on_facts is None or (only is not None and rule.id not in only):
            continue
        missing = tuple(n for n in rule.needs if n not in ground.facts.present)
        if missing:
            not_run.append((rule.id, missing))
            continue
        progress(rule.id)
        tables = rule.on_facts(ground, policy)
        if tables:
            staged.append(engine.stage(f"raw_{rule.id.lower()}", ibis.union(*tables) if len(tables) > 1 else tables[0]))
    return staged, tuple(not_run)


def _resolved(staged: list[Any], ground: Ground, engine: Engine) -> Any:
    """All raw findings with session_no, order_ids and record_ids, each statement once."""
    facts = ground.facts
    raw = ibis.union(*staged) if len(staged) > 1 else staged[0]
    if "record_findings" in facts.present:
        raw = raw.union(_from_records(facts))
    raw = engine.stage("raw_findings", raw)
    order_ids = facts.orders.select("order_no", "order_id")
    record_ids = facts.records.select("record_no", "record_id")
    # The session of a finding: stated by the rule, else the one of its order, else the one of its record.
    of_order = _session_of(ground, "order_no").rename(order_session="session_no")
    of_record = _session_of(ground, "record_no").rename(record_session="session_no")
    found = _looked_up(raw, of_order.semi_join(raw, "order_no"), "order_no")
    found = _looked_up(found, of_record.semi_join(raw, "record_no"), "record_no")
    # `spoke_of` is the session that the rule itself spoke of; the others are only filed under theirs.
    found = found.mutate(
        spoke_of=found.session_no,
        session_no=ibis.coalesce(found.session_no, found.order_session, found.record_session),
    )
    found = engine.stage("placed_findings", found.drop("order_session", "record_session"))
    # Ids: all of the session's where the rule spoke of the session, else only those of the rows that it named: what is
    # wrong with one half of a split order is not said of the other.
    members = ground.members.semi_join(found, ground.members.session_no == found.spoke_of)
    many_orders = _ids_of(members.select("session_no", "order_no").distinct().join(order_ids, "order_no"), "order_id")
    many_records = _ids_of(
        members.select("session_no", "record_no").distinct().join(record_ids, "record_no"), "record_id"
    )
    # Each side is read once for all rows that any finding names.
    numbers = {side: _named(found, side) for side in ("order", "record")}
    order_names = engine.stage("order_names", order_ids.semi_join(numbers["order"], "order_no"))
    record_names = facts.records.select("record_no", "record_id", record_meter="meter_id")
    record_names = engine.stage("record_names", record_names.semi_join(numbers["record"], "record_no"))
    for column, table, key in (
        ("order_no", order_names, "order_id"),
        ("other_order_no", order_names, "order_id"),
        ("record_no", record_names, "record_id"),
        ("other_record_no", record_names, "record_id"),
    ):
        number = table.columns[0]
        found = _looked_up(found, table.select(**{column: number, f"{column}_id": key}), column)
    found = _looked_up(found, many_orders.rename(spoke_of="session_no"), "spoke_of")
    found = _looked_up(found, many_records.rename(spoke_of="session_no"), "spoke_of")
    # A finding on a record is about that record's meter, also where the rule did not say so.
    found = _looked_up(found, record_names.select("record_no", "record_meter"), "record_no")
    found = found.mutate(meter_id=ibis.coalesce(found.meter_id, found.record_meter))
    order_list = ibis.coalesce(found.order_ids, _both(found.order_no_id, found.other_order_no_id))
    # A rule that names two records speaks of neighbours, not of its session's own.
    record_list = ibis.ifelse(
        found.other_record_no.notnull(),
        _both(found.record_no_id, found.other_record_no_id),
        ibis.coalesce(found.record_ids, found.record_no_id),
    )
    names = [c for c in RAW_COLUMNS if c not in {"other_order_no", "other_record_no"}]
    return found.select(*names, order_ids=order_list, record_ids=record_list).distinct()


def _looked_up(found: Any, table: Any, key: str) -> Any:
    """`found` with the columns that `table` has for `key`, null where it has none."""
    both = found.left_join(table, key)
    return both.drop(*[c for c in both.columns if c.endswith("_right")])


def _named(found: Any, side: str) -> Any:
    """The numbers of all orders (or records) that findings name, themselves or as the other one."""
    own, other = f"{side}_no", f"other_{side}_no"
    return found.select(own).union(found.select(**{own: other}), distinct=True).filter(lambda t: t[own].notnull())


def _both(one: Any, other: Any) -> Any:
    pair = one + ID_SEPARATOR + other
    return ibis.coalesce(pair, one, other)


def _ids_of(table: Any, key: str) -> Any:
    ids = table[key].group_concat(ID_SEPARATOR, order_by=table[key])
    return table.group_by("session_no").agg(**{f"{key}s": ids})


def _session_of(ground: Ground, number: str) -> Any:
    """(number, session_no) of every order or record that belongs to a session."""
    many = ground.members.select(number, "session_no").distinct()
    one = ground.sessions.filter(ground.sessions[number].notnull()).select(number, "session_no")
    return one.anti_join(many, number).union(many)


def _from_records(facts: Facts) -> Any:
    """Findings that were raised when records were decoded, brought to the columns of raw findings."""
    numbers = facts.records.group_by("record_id").agg(record_no=facts.records.record_no.min())
    table = facts.record_findings.join(numbers, facts.record_findings.record_ids == numbers.record_id)
    given = {f for f in RawFinding.__slots__ if f in RAW_COLUMNS}
    columns = {
        name: table[name].cast(kind) if name in given or name == "record_no" else ibis.null(kind)
        for name, kind in RAW_COLUMNS.items()
    }
    return table.select(**columns)


def _stated(ground: Ground, findings: Any, policy: Policy, engine: Engine) -> Any:
    """Sessions with their state, and the ids of the first order and record of each."""
    pairs = [(r.id, c.id) for r in rule_book() for c in r.causes if c.disagrees]
    causes = engine.load_arrow(
        "disagreeing_causes", pa.table({"rule": [p[0] for p in pairs], "cause": [p[1] for p in pairs]})
    )
    placed = findings.filter(findings.session_no.notnull())
    proven = ground.brackets.filter(ground.brackets.balanced)
    marks = ibis.union(
        _mark(placed, findings=1), _mark(placed.semi_join(causes, ["rule", "cause"]), wrong=1), _mark(proven, proven=1)
    )
    marks = marks.group_by("session_no").agg(
        findings=marks.findings.sum(), wrong=marks.wrong.max() > 0, proven=marks.proven.max() > 0
    )
    sessions = ground.sessions.left_join(engine.stage("marks", marks), "session_no").drop("session_no_right")
    wrong, proven_by_registers = ibis.coalesce(sessions.wrong, False), ibis.coalesce(sessions.proven, False)
    ended = ibis.coalesce(
        sessions.order_end_utc_ms, sessions.order_start_utc_ms, sessions.record_end_utc_ms, sessions.record_begin_utc_ms
    )
    recent = ibis.coalesce(ended, 0) + policy.int("late.record_window") >= ground.facts.as_of_utc_ms
    streams = {"orders", "records"} <= ground.facts.present
    both = (sessions.orders > 0) & (sessions.records > 0)
    # A figure that is missing on one side agrees with nothing.
    blank = both & (sessions.order_energy_milli_wh.isnull() | sessions.record_energy_milli_wh.isnull())
    state = ibis.cases(
        ((wrong & (sessions.orders > 0)) | blank, SessionState.DISAGREE.value),
        (both | proven_by_registers, SessionState.AGREE.value),
        (recent & streams, SessionState.PENDING.value),
        (sessions.orders > 0, SessionState.ORDER_ONLY.value),
        else_=SessionState.RECORD_ONLY.value,
    )
    return sessions.mutate(
        state=state,
        method=ibis.ifelse(proven_by_registers, "bracket", sessions.method),
        findings=ibis.coalesce(sessions.findings, 0).cast("int64"),
    ).drop("wrong", "proven")


def _mark(table: Any, **marks: int) -> Any:
    columns = {n: ibis.literal(marks.get(n, 0), "int64") for n in ("findings", "wrong", "proven")}
    return table.select("session_no", **columns)
