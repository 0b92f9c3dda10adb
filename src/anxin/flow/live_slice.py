"""The rule book on a slice of the facts: what an audit does to everything, done to some places around some time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from anxin.domain.connector_status import StatusSpan
from anxin.domain.finding import Finding
from anxin.domain.register import Meter, Register
from anxin.flow.audit_files import SOFTWARE
from anxin.flow.book_files import keep_book, load_book
from anxin.flow.intake import now_utc_ms
from anxin.flow.local_register import LocalRegister
from anxin.flow.platform import Directory
from anxin.reconcile.book import rule_book
from anxin.reconcile.engine import DuckDBEngine
from anxin.reconcile.facts import VALUES, Facts, table_of, table_schema
from anxin.reconcile.policy import Policy
from anxin.reconcile.prepared import PreparedBook
from anxin.reconcile.sentences import finding_of
from anxin.store import statuses
from anxin.store.database import Database
from anxin.store.facts import OPERATOR, Touch
from anxin.store.slices import Slice, slice_of_operator, slice_of_places
from anxin.store.verdicts import Scope, Standing, Verdict

DAY_MS = 86_400_000
MEMORY_LIMIT = "4GB"
#: Facts that came in. All of these streams are there, even if a slice has no row of one.
STREAMS = frozenset({"orders", "order_periods", "records", "record_periods", "record_findings", "statuses"})
TOTALS_STREAMS = frozenset({"orders", "operator_totals"})
#: Statuses are looked at so long before a record begins and after it ends: more than clocks may be wrong by.
STATUS_AROUND_MS = 3_600_000
#: The rule that compares whole days of an operator has a slice of its own.
TOTALS_RULE = "R25"


@dataclass(frozen=True, slots=True)
class JudgedSlice:
    """Verdicts and findings on a scope. `rules` were run; findings of others are left as they are."""

    scope: Scope
    verdicts: list[Verdict]
    findings: list[tuple[str | None, str | None, Finding]]
    rules: tuple[str, ...]
    standing: Standing


class SliceJudge:
    """An engine that keeps the register and remembers the compiled rule book from slice to slice."""

    def __init__(self, policy: Policy, window_days: int, scratch: Path, books: Path) -> None:
        self.books = books
        self.policy = policy
        self.window_ms = window_days * DAY_MS
        self.engine = DuckDBEngine(scratch, MEMORY_LIMIT, threads=2, optimise=False)
        self.connector_of_meter: dict[str, str] = {}
        self._version: int | None = None
        self._local = LocalRegister(Register())
        self._present: frozenset[str] = frozenset()
        self._books: dict[tuple[frozenset[str], frozenset[str]], PreparedBook] = {}
        self._rules = frozenset(r.id for r in rule_book()) - {TOTALS_RULE}

    def close(self) -> None:
        """Give back the engine."""
        self.engine.close()

    def prepare(self, directory: Directory) -> None:
        """Compile the rule book before anything waits for it: that takes seconds, a slice only tenths of one."""
        self.follow(directory)
        self._run(Slice(), STREAMS | self._present, 0, self._rules)
        self._run(Slice(), TOTALS_STREAMS, 0, frozenset({TOTALS_RULE}))

    def follow(self, directory: Directory) -> None:
        """Load the register anew where it has changed."""
        if directory.version.register == self._version:
            return
        register = directory.register
        self._local = LocalRegister(register)
        # What the register has at all decides which rules run, not what of it a slice needs.
        kinds = (name for name in VALUES if name not in STREAMS and name != "operator_totals")
        self._present = frozenset(name for name in kinds if getattr(register, name))
        self.connector_of_meter = {m.meter_id: m.connector_id for m in register.meters}
        self._version = directory.version.register

    def meters_of(self, connector_id: str) -> Sequence[Meter]:
        """Return the meters that the register has at a connector."""
        return self._local.meters_of.get(connector_id, ())

    def judge(self, database: Database, touches: Sequence[Touch], as_of_utc_ms: int) -> JudgedSlice | None:
        """Return verdicts and findings for these places around the times that they were touched at."""
        if not touches:
            return None
        places = sorted({t.place for t in touches})
        meters = sorted(
            {m.meter_id for p in places for m in self._local.meters_of.get(p, ())}
            | {p.removeprefix("meter:") for p in places if p.startswith("meter:")}
        )
        low = min(t.from_utc_ms for t in touches)
        high = max(t.to_utc_ms for t in touches)
        found = slice_of_places(database, places, meters, low - self.window_ms, high + self.window_ms)
        found.statuses = self._statuses(database, found)
        # The neighbours on both sides of a change are judged anew with it; the rest of the slice is only looked at.
        scope = Scope(places, low - self.window_ms // 2, high + self.window_ms // 2)
        sessions, findings = self._run(found, STREAMS | self._present, as_of_utc_ms, self._rules)
        standing = self.standing(as_of_utc_ms)
        in_focus = [s for s in sessions if self._in_scope(s, scope)]
        keys = {s["session_no"]: _key(s) for s in sessions}
        focus_numbers = {s["session_no"] for s in in_focus}
        place_of = {s["session_no"]: self._place(s) for s in sessions}
        kept = []
        for raw in findings:
            number = raw["session_no"]
            at = raw["at_utc_ms"]
            place = raw["connector_id"] or place_of.get(number)
            if number is not None:
                if number not in focus_numbers:
                    continue
                place = place_of[number]
            elif place not in scope.places or not (at is None or scope.from_utc_ms <= at <= scope.to_utc_ms):
                continue
            kept.append((keys.get(number), place, finding_of(raw)))
        return JudgedSlice(scope, [self._verdict(s) for s in in_focus], kept, tuple(sorted(self._rules)), standing)

    def judge_totals(self, database: Database, touches: Sequence[Touch], as_of_utc_ms: int) -> JudgedSlice | None:
        """Return what the rule on operators' totals finds on the totals that these touches are about."""
        if not touches:
            return None
        found = Slice()
        for touch in touches:
            operator = touch.place.removeprefix(OPERATOR)
            one = slice_of_operator(database, operator, touch.from_utc_ms, touch.to_utc_ms)
            found.orders += one.orders
            found.operator_totals += one.operator_totals
        kept: list[tuple[str | None, str | None, Finding]] = []
        if found.operator_totals:
            _, findings = self._run(found, TOTALS_STREAMS, as_of_utc_ms, frozenset({TOTALS_RULE}))
            kept = [
                (None, f"{OPERATOR}{f['operator_id']}", finding_of(f)) for f in findings if f["rule"] == TOTALS_RULE
            ]
        # Whole spans were looked at, also where a touch was about one order within.
        low = min((*(t.from_utc_ms for t in touches), *(t.start_utc_ms for t in found.operator_totals)))
        high = max((*(t.to_utc_ms for t in touches), *(t.end_utc_ms for t in found.operator_totals)))
        scope = Scope(sorted({t.place for t in touches}), low, high)
        return JudgedSlice(scope, [], kept, (TOTALS_RULE,), self.standing(as_of_utc_ms))

    def _run(
        self, found: Slice, present: frozenset[str], as_of_utc_ms: int, only: frozenset[str]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        tables = {n: self.engine.load_arrow(n, table_of(n, v)) for n, v in self._local.around(found).items()}
        for name in (*sorted(STREAMS), "operator_totals"):
            rows = getattr(found, name)
            if name == "record_findings":
                loaded = pa.Table.from_pylist(rows, schema=table_schema(name))
            else:
                loaded = table_of(name, rows)
            tables[name] = self.engine.load_arrow(name, loaded)
        moment = self.engine.load_arrow("moment", pa.table({"as_of_utc_ms": pa.array([as_of_utc_ms], pa.int64())}))
        facts = Facts(tables, present, moment.as_of_utc_ms.as_scalar())
        book = self._books.get((present, only))
        if book is None:
            book = self._books[present, only] = PreparedBook(self.policy, self.engine, only)
            load_book(book, self.books, present)
        known = book.ways
        sessions, findings = book.judge(facts)
        if book.ways != known:
            keep_book(book, self.books, present)
        return sessions.to_pylist(), findings.to_pylist()

    def standing(self, as_of_utc_ms: int) -> Standing:
        """Return under what a judgement at this moment is given."""
        return Standing(self.policy.sha256, SOFTWARE, as_of_utc_ms, now_utc_ms())

    def _statuses(self, database: Database, found: Slice) -> list[StatusSpan]:
        """What the connectors of these records were called around the time of each connector's records."""
        wanted: dict[str, tuple[int, int]] = {}
        for r in found.records:
            place = r.connector_id or self.connector_of_meter.get(r.meter_id or "")
            if place is None or r.begin_utc_ms is None or r.end_utc_ms is None:
                continue
            low, high = r.begin_utc_ms - STATUS_AROUND_MS, r.end_utc_ms + STATUS_AROUND_MS
            known = wanted.get(place, (low, high))
            wanted[place] = min(low, known[0]), max(high, known[1])
        return statuses.spans_around(database, wanted, self.policy.int("occupancy.silence")) if wanted else []

    def _place(self, session: dict[str, Any]) -> str | None:
        if session["connector_id"]:
            return str(session["connector_id"])
        if session["order_id"]:
            return f"order:{session['order_id']}"
        return None

    def _in_scope(self, session: dict[str, Any], scope: Scope) -> bool:
        start = _start(session)
        place = self._place(session)
        return (place in scope.places or place is None) and (
            start is None or scope.from_utc_ms <= start <= scope.to_utc_ms
        )

    def _verdict(self, s: dict[str, Any]) -> Verdict:
        return Verdict(
            session_key=_key(s),
            state=s["state"],
            method=s["method"],
            place=self._place(s),
            operator_id=s["operator_id"],
            order_id=s["order_id"],
            record_id=s["record_id"],
            start_utc_ms=_start(s),
            end_utc_ms=s["order_end_utc_ms"] or s["record_end_utc_ms"],
            order_energy_milli_wh=s["order_energy_milli_wh"],
            record_energy_milli_wh=s["record_energy_milli_wh"],
            amount_e4=s["amount_e4"],
            findings=s["findings"],
            order_quantum_milli_wh=s["order_quantum_milli_wh"],
            record_quantum_milli_wh=s["record_quantum_milli_wh"],
        )


def _start(s: dict[str, Any]) -> int | None:
    for name in ("order_start_utc_ms", "record_begin_utc_ms", "order_end_utc_ms", "record_end_utc_ms"):
        if s[name] is not None:
            return int(s[name])
    return None


def _key(s: dict[str, Any]) -> str:
    """What a session is called for as long as its first order, or else its first record, is the same."""
    if s["order_id"]:
        return f"order:{s['operator_id'] or ''}:{s['order_id']}"
    return f"record:{s['record_id']}"
