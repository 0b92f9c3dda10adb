"""Live reconciliation: the rule book of the audit, in small batches over what has changed.

    1  take messages that are not judged yet, and those to be judged again (a key revoked, the register corrected)
    2  decode them and judge their signatures; put transactions together again that got another record
    3  keep the facts and note which places changed; move the mark of what is judged: one transaction
    4  take the places that are due, with all facts around them
    5  run the rule book on that slice
    6  exchange verdicts and findings of those places; strike them off the list: one transaction

If the process dies before 3 has committed, the messages are taken again; before 6, the places are. Nothing is judged
from memory: the slice comes from the database each time, so a replay of the whole log ends in the same verdicts.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anxin.domain.batch import JudgedRecord, Side
from anxin.domain.errors import EngineError, StoreError
from anxin.domain.meter_record import Clock, MeterSession
from anxin.domain.source import Deviation, Reject, Source
from anxin.flow.audit_files import SOFTWARE
from anxin.flow.conflicts import keep_conflicts
from anxin.flow.decoding import Decoded, decode, source_of
from anxin.flow.facts_of_records import sessions_of, side_of
from anxin.flow.intake import now_utc_ms
from anxin.flow.live_slice import JudgedSlice, SliceJudge
from anxin.flow.platform import Platform
from anxin.flow.seals import keep_seals, whole_before
from anxin.flow.standing import keep_standing
from anxin.flow.statuses import Said, keep_statuses
from anxin.reconcile.policy import Policy, load_policy
from anxin.reconcile.rules.r29_called_otherwise import WRONG, margin_ms
from anxin.store import facts as store
from anxin.store import messages, verdicts
from anxin.store.declarations import put_declarations
from anxin.store.erasure import erased_transactions
from anxin.store.facts import HOUR_MS, OPERATOR, SignedFact, Touch
from anxin.store.reports import put_reports
from anxin.store.statuses import records_ended_after
from anxin.store.surveillance import note
from anxin.trust.verify import judge_signed

LOG = logging.getLogger("anxin.judge")
#: Places judged in one go: their slice stays some tens of thousands of rows.
MAX_PLACES = 1_000
#: What was charged at one time is judged together; a backlog of other days is not mixed with it.
MAX_SPAN_MS = 2 * 86_400_000
#: Operators whose totals are compared in one step: whole days of orders each, so that nobody waits for all of them.
MAX_TOTALS = 4
WRONG_STATES = frozenset(state for states in WRONG.values() for state in states)
#: Pause where nothing is to be done.
IDLE_S = 0.1
#: Pause after the database failed.
RETRY_S = 1.0
#: How often the judge says in the log what it did.
TELL_S = 30.0
#: A verdict that waits for a lateness window is looked at again so long after the window has closed.
GRACE_MS = 60_000
#: Totals of an operator wait so long for the orders that they count.
TOTALS_WAIT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: messages decoded, places judged, verdicts and findings that are new."""

    messages: int = 0
    places: int = 0
    verdicts: int = 0
    findings: int = 0

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.messages or self.places)

    def plus(self, other: Step) -> Step:
        """Return the sums."""
        return Step(*(a + b for a, b in zip(_counts(self), _counts(other), strict=True)))


class Judge:
    """The one judge of a database. `step` does a little and returns; call it again and again."""

    def __init__(self, platform: Platform, scratch: Path, policy: Policy | None = None) -> None:
        self.platform = platform
        self.database = platform.database
        settings = platform.settings
        self.policy = policy or load_policy(Path(settings.policy_file) if settings.policy_file else None)
        self.slices = SliceJudge(self.policy, settings.judge_window_days, scratch, settings.data_dir / "book")
        self._threads = ThreadPoolExecutor(2, "signatures")  # verification leaves the interpreter lock
        self._late_ms = self.policy.int("late.record_window")
        keep_standing(self.database, self.policy, SOFTWARE)

    def close(self) -> None:
        """Give back engine and threads."""
        self._threads.shutdown()
        self.slices.close()

    def step(self, as_of_utc_ms: int | None = None) -> Step:
        """Decode what came in, judge what is due. `as_of_utc_ms` is the reference moment, by default the clock."""
        now = now_utc_ms() if as_of_utc_ms is None else as_of_utc_ms
        taken = self._ingest(now)
        places, new_verdicts, new_findings = self._judge_due(now)
        return Step(taken, places, new_verdicts, new_findings)

    def settle(self, as_of_utc_ms: int | None = None) -> Step:
        """Step until nothing is left to do; return the sums."""
        total = Step()
        while not (step := self.step(as_of_utc_ms)).idle:
            total = total.plus(step)
        return total

    # 1 to 3

    def _ingest(self, now: int) -> int:
        new, again = store.next_messages(self.database, self.platform.settings.judge_batch)
        # After the messages were taken: what is to be judged again is judged with the keys that made it so.
        self.platform.refresh()
        wanted = sorted({*new, *again})
        if not wanted:
            return 0
        version = self.platform.directory.version
        decoded = self._decoded(wanted)
        judged = self._judged(decoded)
        with self.database.transaction() as connection:
            if not store.hold_version(connection, version):
                return len(wanted)  # a key or the register changed meanwhile: the same messages are taken again
            if again:
                # What was erased cannot be decoded again; its facts stay.
                store.forget_messages(connection, [d.index for d in decoded])
            self._keep_orders(connection, decoded)
            self._keep_statuses(connection, decoded)
            touches = self._keep_records(connection, judged, wanted)
            touches += self._touches_of_statuses(connection, decoded)
            touches += self._keep_unsigned(connection, decoded)
            touches += [t for d in decoded for t in self._touches_of_orders(d)]
            since = self._keep_reports(connection, decoded, now)
            later = [self._later(t, now) for t in touches]
            totals = [t for d in decoded for t in self._touches_of_totals(d, now)]
            store.touch(connection, [*touches, *later, *totals, *since])
            keep_conflicts(connection, wanted, self.platform.directory, self.slices.standing(now))
            store.advance(connection, new[-1] + 1 if new else 0, again)
        if since:
            self.platform.refresh()
        return len(wanted)

    def _decoded(self, indexes: Sequence[int]) -> list[Decoded]:
        directory, zone = self.platform.directory, self.platform.settings.zone
        return [
            decode(index, message, received, directory, zone)
            for index, message, received in messages.stored(self.database, indexes)
        ]

    def _judged(self, decoded: Sequence[Decoded]) -> list[tuple[int, int, JudgedRecord]]:
        """(message, position, judged record) of all signed records, in order."""
        records = [(d.index, n, r) for d in decoded for n, r in enumerate(d.batch.signed_records)]
        ring = self.platform.directory.ring
        answers = self._threads.map(lambda item: judge_signed(item[2], ring), records, chunksize=64)
        return [(i, n, JudgedRecord(r, a)) for (i, n, r), a in zip(records, answers, strict=True)]

    def _keep_orders(self, connection: object, decoded: Sequence[Decoded]) -> None:
        store.put_orders(
            connection,
            [(d.index, o) for d in decoded for o in d.batch.orders],
            [(d.index, p) for d in decoded for p in d.batch.order_periods],
            [(d.index, t) for d in decoded for t in d.batch.operator_totals],
        )
        rejects = (
            (d.index, d.message.sender, r.source.row, Deviation(r.rule, "rejected when judged", r.message, r.field))
            for d in decoded
            for r in d.batch.rejects
        )
        oddities = ((d.index, d.message.sender, s.row, v) for d in decoded for s, v in d.batch.deviations)
        store.put_deviations(connection, [*oddities, *rejects])
        put_declarations(connection, [(d.index, d.message.sender, d.declared) for d in decoded])

    def _keep_statuses(self, connection: object, decoded: Sequence[Decoded]) -> None:
        said = [Said(s, d.received_utc_ms, d.index, d.message.sender) for d in decoded for s in d.statuses]
        foreign = keep_statuses(connection, self.platform.directory, said, self.policy.int("occupancy.silence"))
        by_index = {d.index: d for d in decoded}
        for s in foreign:
            detail = f"connector {s.report.connector_id[:40]} is another operator's"
            reject = Reject(Source(source_of(s.message_index), 1), "admission.tenant", detail, "ConnectorID")
            by_index[s.message_index].batch.rejects.append(reject)

    def _touches_of_statuses(self, connection: object, decoded: Sequence[Decoded]) -> list[Touch]:
        """Where a word speaks of a time that a record covers already, what R29 said of the record may change."""
        margin = margin_ms(self.policy, Clock.INFORMATIVE)
        words: dict[str, int] = {}
        for report in (s for d in decoded for s in d.statuses):
            # A word on an idle or broken connector matters in the midst of a session, another also right after it.
            low = report.at_utc_ms + (margin if report.state in WRONG_STATES else -margin)
            words[report.connector_id] = min(low, words.get(report.connector_id, low))
        asked: list[tuple[str, str | None, int]] = [(place, None, low) for place, low in words.items()]
        asked += [(p, m.meter_id, low) for p, low in words.items() for m in self.slices.meters_of(p)]
        return [Touch(*row) for row in records_ended_after(connection, asked)] if asked else []

    def _keep_records(
        self, connection: object, judged: list[tuple[int, int, JudgedRecord]], taken: Sequence[int]
    ) -> list[Touch]:
        if not judged:
            return []
        keys = sorted({_transaction_key(r) for _, _, r in judged})
        # Of what was erased nothing can be put together again: the facts of those transactions stand as they are.
        keys = sorted(set(keys) - erased_transactions(connection, keys))
        store.put_signed(connection, [_fact(i, n, r) for i, n, r in judged])
        # Records that came before belong to the same transactions: they are decoded and judged again with these.
        others = self._judged(self._decoded(store.messages_of_transactions(connection, keys, taken)))
        groups: dict[str, list[tuple[int, int, JudgedRecord]]] = {}
        for item in sorted([*judged, *others], key=lambda item: item[:2]):
            groups.setdefault(_transaction_key(item[2]), []).append(item)
        sessions, periods, findings, touches = [], [], [], []
        for key in keys:
            made = sessions_of([r for _, _, r in groups[key]], self.policy)
            sessions += [(key, s) for s in made.sessions]
            periods += [(key, p) for p in made.periods]
            findings += [(key, f) for f in made.findings]
            touches += [self._touch_of_session(s) for s in made.sessions]
        store.replace_records(connection, keys, sessions, periods, findings)
        return touches

    def _keep_unsigned(self, connection: object, decoded: Sequence[Decoded]) -> list[Touch]:
        """Keep records of uploaded tables, which carry no signature: each stands alone."""
        sessions = [(f"~{s.source_file}/{s.source_row}", s) for d in decoded for s in d.batch.sessions]
        if sessions:
            store.replace_records(connection, [key for key, _ in sessions], sessions, [], [])
        return [self._touch_of_session(s) for _, s in sessions]

    def _touch_of_session(self, session: MeterSession) -> Touch:
        place = session.connector_id or self._connector_of_meter(session.meter_id)
        begin, end = session.begin_utc_ms or session.end_utc_ms, session.end_utc_ms or session.begin_utc_ms
        received = session.received_utc_ms or 0
        return Touch(place, begin or received, end or received)

    def _keep_reports(self, connection: object, decoded: Sequence[Decoded], now: int) -> list[Touch]:
        """Keep what benches and seals report; every session since then is judged anew where they stand, and where a
        certificate was issued or revoked."""
        verified = [(d.index, v) for d in decoded for v in d.verifications]
        events = [(d.index, e) for d in decoded for e in d.seal_events]
        papers = [paper for d in decoded for paper in d.papers]
        if not verified and not events and not papers:
            return []
        put_reports(connection, verified, events)
        keep_seals(connection, {e.charger_id for _, e in events}, self.platform.directory, self.slices.standing(now))
        since = whole_before(connection, [e for _, e in events])
        for charger, at in (
            [(v.charger_id, v.verified_utc_ms) for _, v in verified]
            + [(e.charger_id, e.at_utc_ms) for _, e in events]
            + papers
        ):
            since[charger] = min(at, since.get(charger, at))
        return [
            Touch(c.connector_id, since[c.charger_id], max(now, since[c.charger_id]))
            for c in self.platform.directory.register.connectors
            if c.charger_id in since
        ]

    def _connector_of_meter(self, meter_id: str | None) -> str:
        """Where a record without a place belongs: its meter's connector, else the meter itself."""
        found = self.slices.connector_of_meter.get(meter_id or "")
        return found or f"meter:{meter_id}"

    def _touches_of_orders(self, decoded: Decoded) -> list[Touch]:
        touches = []
        for o in decoded.batch.orders:
            start = o.start_utc_ms or o.end_utc_ms or o.received_utc_ms or 0
            touches.append(Touch(o.connector_id or f"order:{o.order_id}", start, o.end_utc_ms or start))
        return touches

    def _touches_of_totals(self, decoded: Decoded, now: int) -> list[Touch]:
        """Totals are looked at a while after they came or an order that they count did: whole days are compared."""
        due = now + TOTALS_WAIT_MS
        touches = [
            Touch(f"{OPERATOR}{t.operator_id}", t.start_utc_ms, t.end_utc_ms, due)
            for t in decoded.batch.operator_totals
        ]
        for o in decoded.batch.orders:
            if o.operator_id and o.start_utc_ms:
                touches.append(Touch(f"{OPERATOR}{o.operator_id}", o.start_utc_ms, o.start_utc_ms, due))
        return touches

    def _later(self, touch: Touch, now: int) -> Touch:
        """The same place when the lateness window of this change has closed: what is still missing then is missing."""
        due = max(touch.to_utc_ms + self._late_ms + GRACE_MS, now)
        return Touch(touch.place, touch.from_utc_ms, touch.to_utc_ms, due)

    # 4 to 6

    def _judge_due(self, now: int) -> tuple[int, int, int]:
        self.slices.follow(self.platform.directory)
        places = _of_one_time(store.due_places(self.database, now, MAX_SPAN_MS, MAX_PLACES))
        totals = store.due_totals(self.database, now, MAX_TOTALS)
        done = [self._judge_some(some, now) for some in (places, totals) if some]
        return len(places) + len(totals), sum(v for v, _ in done), sum(f for _, f in done)

    def _judge_some(self, due: Sequence[Touch], now: int) -> tuple[int, int]:
        """Judge these places and strike them off the list; return how many verdicts and findings are new."""
        try:
            if due[0].place.startswith(OPERATOR):
                judged = self.slices.judge_totals(self.database, due, now)
            else:
                judged = self.slices.judge(self.database, due, now)
        except EngineError as error:
            return self._judge_parts(due, now, error)
        with self.database.transaction() as connection:
            counts = (0, 0) if judged is None else _exchange(connection, judged)
            # Facts changed here, also where no verdict did: a record that came again, another register.
            note(connection, [(t.place, t.from_utc_ms, t.to_utc_ms) for t in due])
            store.untouch(connection, due)
        return counts

    def _judge_parts(self, due: Sequence[Touch], now: int, error: EngineError) -> tuple[int, int]:
        """A place whose facts break the engine must not hold up the others: it is found by halves and waits an hour."""
        if len(due) > 1:
            middle = len(due) // 2
            halves = [self._judge_some(half, now) for half in (due[:middle], due[middle:])]
            return halves[0][0] + halves[1][0], halves[0][1] + halves[1][1]
        LOG.error("judge: %s cannot be judged: %s", due[0].place, error)
        with self.database.transaction() as connection:
            store.postpone(connection, due[0], now + HOUR_MS)
        return 0, 0


def _of_one_time(due: list[Touch]) -> list[Touch]:
    """What ends at about one time too. A long time (a late report, an upload of a month) takes fewer places at once,
    so that no slice grows beyond what many places of a short time make."""
    if not due:
        return due
    first, longest = due[0], max(due[0].to_utc_ms - due[0].from_utc_ms, MAX_SPAN_MS)
    near = [t for t in due if t.to_utc_ms - first.to_utc_ms <= MAX_SPAN_MS]
    return near[: max(1, MAX_PLACES * MAX_SPAN_MS // longest)]


def _exchange(connection: Any, judged: JudgedSlice) -> tuple[int, int]:
    fresh, keys = verdicts.exchange_verdicts(connection, judged.scope, judged.verdicts, judged.standing)
    found = verdicts.exchange_findings(connection, judged.scope, keys, judged.rules, judged.findings, judged.standing)
    return fresh, found


def judge_for_ever(platform: Platform, stop: threading.Event) -> None:
    """Judge until `stop` is set. A database that is away is waited for; a second judge is refused (StoreError)."""
    with tempfile.TemporaryDirectory(prefix="anxin-judge-") as scratch:
        judge = Judge(platform, Path(scratch))
        try:
            held = False
            while not stop.is_set():
                try:
                    with store.judge_lock(platform.database):
                        if not held:
                            judge.slices.prepare(platform.directory)
                        held = True
                        _judge_while_locked(judge, stop)
                except StoreError as error:
                    if not held:
                        raise
                    # The lock is gone with its connection; who has it now is the judge.
                    LOG.error("judge: %s", error)
                    stop.wait(RETRY_S)
        finally:
            judge.close()


def _judge_while_locked(judge: Judge, stop: threading.Event) -> None:
    total, since = Step(), time.monotonic()
    while not stop.is_set():
        step = judge.step()
        total = total.plus(step)
        if not total.idle and time.monotonic() - since > TELL_S:
            LOG.info("judged %d messages, %d places: %d verdicts, %d findings", *_counts(total))
            total, since = Step(), time.monotonic()
        if step.idle:
            stop.wait(IDLE_S)


def _counts(step: Step) -> tuple[int, int, int, int]:
    return step.messages, step.places, step.verdicts, step.findings


def _transaction_key(record: JudgedRecord) -> str:
    """What records are put together under: the transaction that they state, as in an audit; a record that states none
    stands alone where it holds a whole session, else with the others of its meter that state none."""
    signed = record.signed
    if signed.transaction_id:
        return signed.transaction_id
    if signed.record is None or side_of(record) is Side.WHOLE:
        return f"~{signed.source.file}/{signed.source.row}"
    return f"~{signed.meter_id or signed.record.meter_serial or signed.record.gateway_serial or ''}"


def _fact(index: int, position: int, record: JudgedRecord) -> SignedFact:
    judgement = record.judgement
    return SignedFact(
        index, position, _transaction_key(record), judgement.key_id, judgement.answer.value, judgement.reason
    )
