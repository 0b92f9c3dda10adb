"""Reconciliation once more, by another hand: plain loops over domain values, written from the rules' published text.

Nothing of anxin.reconcile is imported: where the two disagree, one of them is wrong, and the text says which.
Limits are those of the default policy of 2026-11. Matching comes first (copies, by id, by overlap, groups, links,
brackets), then the rules, then the state of each session. Everything is quadratic: worlds here are small.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from anxin.domain.meter_record import MeterSession
from anxin.domain.order import Order, OrderPeriod

MINUTE_MS = 60_000
WINDOW_MS = 72 * 3600 * 1000
CLOCK_LIMIT_MS = 180_000
INFORMATIVE_LIMIT_MS = 600_000
GAP_MILLI_WH = 0
POWER_UNREGISTERED_W = 4_000_000
ENERGY_SESSION_MILLI_WH = 2_000_000_000
DURATION_SESSION_MS = 7 * 24 * 3600 * 1000
MAX_SPAN_MS = 62 * 24 * 3600 * 1000
FUTURE_MS = 24 * 3600 * 1000
#: 40 mean years of 365.2425 days after 1970: the year 2010.
UNSET_BEFORE_MS = 40 * 31_556_952_000
STATUS_LATE_MS = 60_000
STATUS_SHORTEST_MS = 600_000
OVERRUN_MILLI_WH = 50_000
MONEY_STEP_E4 = 100
MAX_ENERGY_PRICED = 10**11
MAX_PRICE_E4 = 10**7

Known = TypeVar("Known", int, str)

CLOCKS = ("S", "R", "I", "U", "-")
ANSWERS = ("authentic", "cannot_judge", "malformed", "forged")
#: What contradicts the bill or takes away its proof.
DISAGREEING = {
    ("R04", "billed_more"), ("R04", "billed_less"), ("R05", "start_differs"), ("R05", "end_differs"),
    ("R05", "duration_differs"), ("R06", "price_not_published"), ("R06", "amount_over"), ("R07", "gap_overbilled"),
    ("R07", "gap_underbilled"), ("R09", "record_of_other_place"), ("R09", "meter_not_registered_here"),
    ("R11", "unit_slip"), ("R11", "register_as_energy"), ("R17", "forged"), ("R17", "key_revoked"),
    ("R17", "key_of_other_meter"), ("R18", "stated_malformed"),
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """One finding: rule, cause, what it rests on, and its figures where they are integers."""

    rule: str
    cause: str
    orders: frozenset[str]
    records: frozenset[str]
    expected: int | None = None
    found: int | None = None
    tolerance: int | None = None


@dataclass(frozen=True)
class Stated:
    """One session: its state, how it was matched, its orders and its records."""

    state: str
    method: str
    orders: frozenset[str]
    records: frozenset[str]


@dataclass(eq=False)
class Session:
    """Orders and records that are about one charging session; figures are sums and outermost times."""

    orders: list[Order]
    records: list[MeterSession]
    method: str
    wrong: bool = False
    proven: bool = False

    @property
    def connector(self) -> str | None:
        return least(o.connector_id for o in self.orders) or self.record_connector

    @property
    def record_connector(self) -> str | None:
        return least(r.connector_id for r in self.records)

    @property
    def order_start(self) -> int | None:
        return least(o.start_utc_ms for o in self.orders)

    @property
    def order_end(self) -> int | None:
        return whole((o.end_utc_ms for o in self.orders), max)

    @property
    def record_begin(self) -> int | None:
        return least(r.begin_utc_ms for r in self.records)

    @property
    def record_end(self) -> int | None:
        return whole((r.end_utc_ms for r in self.records), max)

    @property
    def billed(self) -> int | None:
        return whole((o.energy_milli_wh for o in self.orders), sum)

    @property
    def measured(self) -> int | None:
        return whole((r.energy_milli_wh for r in self.records), sum)

    @property
    def amount(self) -> int | None:
        return whole((o.amount_e4 for o in self.orders), sum)

    @property
    def digits(self) -> int:
        return sum(o.energy_quantum_milli_wh for o in self.orders) + sum(
            r.energy_quantum_milli_wh for r in self.records
        )

    @property
    def both(self) -> bool:
        return bool(self.orders and self.records)


@dataclass(frozen=True, eq=False)
class Link:
    """Neighbouring sessions of one meter that do not go on where they stopped."""

    before: MeterSession
    after: MeterSession
    gap: int | None
    pages: int | None
    tolerance: int

    @property
    def trusted(self) -> bool:
        """Whether both records may prove anything: neither forged nor malformed."""
        return max(rank(ANSWERS, self.before.answer), rank(ANSWERS, self.after.answer)) <= 1

    @property
    def since(self) -> int | None:
        return self.before.end_utc_ms if self.before.end_utc_ms is not None else self.before.begin_utc_ms

    @property
    def until(self) -> int | None:
        return self.after.begin_utc_ms

    @property
    def connector(self) -> str | None:
        return self.before.connector_id or self.after.connector_id


@dataclass(eq=False)
class Bracket:
    """The orders without a record that lie in the gap of one link."""

    link: Link
    sessions: list[Session] = field(default_factory=list)

    @property
    def energy(self) -> int | None:
        return whole((s.billed for s in self.sessions), sum)

    @property
    def allowed(self) -> int:
        return self.link.tolerance + sum(s.digits for s in self.sessions)

    @property
    def tells(self) -> bool:
        """Whether trusted registers on both sides tell anything of what these orders bill."""
        return self.energy is not None and self.link.gap is not None and self.link.trusted

    @property
    def balanced(self) -> bool:
        """Whether trusted registers on both sides account for what these orders bill."""
        if self.energy is None or self.link.gap is None or not self.link.trusted:
            return False
        return abs(self.link.gap - self.energy) <= self.allowed


def least(values: Iterable[Known | None]) -> Known | None:
    """The least known value, None where none is known."""
    return min((v for v in values if v is not None), default=None)


def whole(values: Iterable[int | None], reckon: Callable[[list[int]], int]) -> int | None:
    """`reckon` over values of which every one is known; a sum over an unknown is unknown."""
    every = list(values)
    known = [v for v in every if v is not None]
    return None if not every or len(known) < len(every) else reckon(known)


def rank(ladder: tuple[str, ...], value: str) -> int:
    return ladder.index(value) if value in ladder else len(ladder) - 1


def first_known(*values: int | None) -> int | None:
    return next((v for v in values if v is not None), None)


def ids(values: Iterable[Any]) -> frozenset[str]:
    return frozenset(v.order_id if isinstance(v, Order) else v.record_id for v in values)


class Oracle:
    """The judgement on one world: `findings` and `stated` after construction."""

    def __init__(self, values: dict[str, list[Any]], as_of_utc_ms: int, present: frozenset[str]) -> None:
        self.values = values
        self.as_of = as_of_utc_ms
        self.present = present
        self.findings: set[Found] = set()
        self._match()
        self._index()
        if {"orders", "records"} <= present:
            self._r01()
            self._r02()
            self._r04_r11()
            self._r05()
            self._r09()
            if "tariffs" in present:
                self._r06()
        if "orders" in present:
            self._r03()
            self._r13()
            self._r14()
            self._r24()
            self._r26()
            self._r27()
            if "operator_totals" in present:
                self._r25()
        if "records" in present:
            self._r07()
            self._r08()
            self._r17()
            self._r18()
            if "statuses" in present:
                self._r29()
        self._r10()
        self._r12()
        self._r15()
        self._r19()
        self._r20()
        self.stated = [self._state(s) for s in self.sessions]

    def of(self, name: str) -> list[Any]:
        return self.values.get(name, [])

    # ---- matching ----

    def _match(self) -> None:
        self.orders, self.order_copies = copies(self.of("orders"), lambda o: o.order_id)
        self.records, self.record_copies = copies(self.of("records"), lambda r: r.record_id)
        by_id = [
            (o, r)
            for o in self.orders
            for r in self.records
            if o.transaction_id is not None and o.transaction_id == r.transaction_id
        ]
        over = overlapping(self.orders, self.records, by_id)
        self.sessions = components(self.orders, self.records, by_id, over)
        self.links = list(links(self.records))
        self.brackets = []
        for link in self.links:
            inside = [s for s in self.sessions if not s.records and lies_in(s.orders[0], link)]
            if inside:
                self.brackets.append(Bracket(link, inside))
        for bracket in self.brackets:
            for session in bracket.sessions:
                session.proven |= bracket.balanced

    def _index(self) -> None:
        self.session_of: dict[int, Session] = {}
        for session in self.sessions:
            for value in (*session.orders, *session.records):
                self.session_of[id(value)] = session
        self.held = {id(b.link) for b in self.brackets}
        wanted = {(o.order_id, o.content_digest): o for o in self.orders}
        self.periods: dict[str, list[OrderPeriod]] = defaultdict(list)
        for period in dict.fromkeys(self.of("order_periods")):
            if (period.order_id, period.content_digest) in wanted:
                self.periods[period.order_id].append(period)

    # ---- raising ----

    def _say(
        self, rule: str, cause: str, about: Session | None, orders: Iterable[Order],
        records: Iterable[MeterSession], /, **figures: int | None,
    ) -> None:  # fmt: skip
        """A finding placed in the session `about`, or in that of the first order or record that it names."""
        named = [*orders, *records]
        self.findings.add(
            Found(rule, cause, ids(v for v in named if isinstance(v, Order)),
                  ids(v for v in named if isinstance(v, MeterSession)), **figures)
        )  # fmt: skip
        where = about or next((self.session_of[id(v)] for v in named if id(v) in self.session_of), None)
        if where is not None and (rule, cause) in DISAGREEING:
            where.wrong = True

    def _of_session(self, rule: str, cause: str, session: Session, **figures: int | None) -> None:
        self._say(rule, cause, session, session.orders, session.records, **figures)

    # ---- rules ----

    def _r01(self) -> None:
        # What two trusted registers can tell is told by R20 or R07, as soon as the gap's own window has passed.
        spoken = {id(s) for b in self.brackets if b.tells for s in b.sessions}
        for session in self.sessions:
            if session.records or id(session) in spoken:
                continue
            ended = first_known(session.order_end, session.order_start, 0)
            if ended is not None and ended + WINDOW_MS < self.as_of:
                self._of_session("R01", "no_record", session, found=session.billed)

    def _r02(self) -> None:
        for session in self.sessions:
            ended = first_known(session.record_end, session.record_begin, 0)
            if session.orders or session.measured == 0 or ended is None:
                continue
            if ended + WINDOW_MS < self.as_of:
                self._of_session("R02", "no_order", session, expected=session.measured)

    def _r03(self) -> None:
        for again, kept in self.order_copies:
            if again.content_digest != kept.content_digest:
                self._say("R03", "conflicting_resend", None, [again], (),
                          expected=kept.energy_milli_wh, found=again.energy_milli_wh)  # fmt: skip
        for again, kept in self.record_copies:
            if (again.transaction_id or "") == (kept.transaction_id or ""):
                continue
            covered = [o for o in self.orders if again.transaction_id and o.transaction_id == again.transaction_id]
            for order in covered or [None]:
                self._say("R03", "replayed_record", None, [order] if order else [], [again],
                          found=again.energy_milli_wh)  # fmt: skip

    def _r04_r11(self) -> None:
        for session in (s for s in self.sessions if s.both):
            billed, measured = session.billed, session.measured
            if billed is None or measured is None or abs(billed - measured) <= session.digits:
                continue
            register = max(
                (r.end_register_milli_wh for r in session.records if r.end_register_milli_wh is not None), default=None
            )
            lifetime = register is not None and abs(billed - register) <= session.digits and register > 2 * measured
            figures = {"expected": measured, "found": billed}
            if near(billed, measured * 1000) or near(billed * 1000, measured):
                self._of_session("R11", "unit_slip", session, **figures)
            elif lifetime:
                self._of_session("R11", "register_as_energy", session, **figures)
            else:
                cause = "billed_more" if billed > measured else "billed_less"
                self._of_session("R04", cause, session, tolerance=session.digits, **figures)

    def _r05(self) -> None:
        for session in (s for s in self.sessions if s.both):
            clock = CLOCKS[max(rank(CLOCKS, r.clock) for r in session.records)]
            limit = {"S": CLOCK_LIMIT_MS, "R": CLOCK_LIMIT_MS, "I": INFORMATIVE_LIMIT_MS}.get(clock)
            if limit is None:
                continue
            limit += max(o.time_quantum_ms for o in session.orders) + max(r.time_quantum_ms for r in session.records)
            start, end = (session.order_start, session.record_begin), (session.order_end, session.record_end)
            if clock == "R":
                if None not in (*start, *end):
                    billed, measured = end[0] - start[0], end[1] - start[1]  # type: ignore[operator]
                    if abs(billed - measured) > limit:
                        self._of_session("R05", "duration_differs", session, expected=measured, found=billed,
                                         tolerance=limit)  # fmt: skip
                continue
            for cause, (shown, recorded) in (("start_differs", start), ("end_differs", end)):
                if shown is not None and recorded is not None and abs(shown - recorded) > limit:
                    self._of_session("R05", cause, session, expected=recorded, found=shown, tolerance=limit)

    # R06: prices and amounts under the published tariff.

    def _tariff(self, operator: str | None, tariff_id: str | None, at: int) -> Any:
        """The one published tariff that holds, or None: a named one, else the operator's if he never has two."""
        tariffs = self.of("tariffs")
        until = {id(t): 2**62 if t.valid_to_utc_ms is None else t.valid_to_utc_ms for t in tariffs}
        if tariff_id is not None:
            candidates = [t for t in tariffs if t.tariff_id == tariff_id]
        else:
            candidates = [t for t in tariffs if operator is not None and t.operator_id == operator]
            for one in candidates:
                for other in candidates:
                    if one.tariff_id != other.tariff_id and (
                        one.valid_from_utc_ms < until[id(other)] and other.valid_from_utc_ms < until[id(one)]
                    ):
                        return None
        return next((t for t in candidates if t.valid_from_utc_ms <= at < until[id(t)]), None)

    def _published(self, order: Order, period: OrderPeriod) -> tuple[int, int, int] | None:
        """Published energy price, service price and step of money for the minute at which a period starts."""
        if period.start_utc_ms is None:
            return None
        tariff = self._tariff(order.operator_id, order.tariff_id, period.start_utc_ms)
        if tariff is None:
            return None
        minute = (period.start_utc_ms // MINUTE_MS + tariff.utc_offset_minutes) % 1440
        for span in self.of("tariff_periods"):
            if span.tariff_id == tariff.tariff_id and span.minute_from <= minute < span.minute_to:
                return span.energy_price_e4, span.service_price_e4, tariff.rounding_e4
        return None

    def _r06(self) -> None:
        for order in self.orders:
            for period in self.periods[order.order_id]:
                published = self._published(order, period)
                if published is None:
                    continue
                energy, service = period.energy_price_e4, period.service_price_e4
                if (energy is not None and energy != published[0]) or (service is not None and service != published[1]):
                    shown = published[0] + (0 if service is None else published[1])
                    self._say("R06", "price_not_published", None, [order], (), expected=shown,
                              found=None if energy is None else energy + (service or 0))  # fmt: skip
        for session in (s for s in self.sessions if s.both):
            amount, measured = session.amount, session.measured
            if amount is None or measured is None or session.order_start is None or abs(measured) > MAX_ENERGY_PRICED:
                continue
            bounds = self._bounds(session)
            if bounds is None:
                continue
            low, high, tolerance = bounds
            if amount > high + tolerance:
                self._of_session("R06", "amount_over", session, expected=high, found=amount, tolerance=tolerance)
            elif amount < low - tolerance:
                self._of_session("R06", "amount_under", session, expected=low, found=amount, tolerance=tolerance)

    def _bounds(self, session: Session) -> tuple[int, int, int] | None:
        """What a session can cost: lowest, highest, tolerance; None where a price that it touched is not known."""
        measured, start = session.measured, session.order_start
        assert measured is not None
        assert start is not None
        periods = [(o, p) for o in session.orders for p in self.periods[o.order_id]]
        if not periods:
            tariff = self._tariff(
                least(o.operator_id for o in session.orders), least(o.tariff_id for o in session.orders), start
            )
            spans = [] if tariff is None else [p for p in self.of("tariff_periods") if p.tariff_id == tariff.tariff_id]
            if not spans:
                return None
            prices = [p.energy_price_e4 + p.service_price_e4 for p in spans]
            step, count, exact = tariff.rounding_e4, 1, None
        else:
            published = [self._published(o, p) for o, p in periods]
            if None in published or any(not self.periods[o.order_id] for o in session.orders):
                return None
            known = [p for p in published if p is not None]
            prices = [
                energy + (0 if p.service_price_e4 is None else service)
                for (energy, service, _), (_, p) in zip(known, periods, strict=True)
            ]
            step, count = max(s for _, _, s in known), len(periods)
            exact = self._exact(session, [p.period_no for _, p in periods], prices)
        tolerance = count * step * 2 + cost(session.digits * count, max(prices))
        if exact is not None:
            return exact, exact, tolerance
        return cost(measured, min(prices)), cost(measured, max(prices)), tolerance

    def _exact(self, session: Session, numbers: list[int], prices: list[int]) -> int | None:
        """Each period's signed energy at its price, where the record has the very periods of the order."""
        if len(session.orders) != 1 or len(session.records) != 1:
            return None
        record_id = session.records[0].record_id
        signed = {p.period_no: p for p in dict.fromkeys(self.of("record_periods")) if p.record_id == record_id}
        if sorted(signed) != sorted(numbers):
            return None
        return sum(cost(signed[n].energy_milli_wh, price) for n, price in zip(numbers, prices, strict=True))

    # R07, R08, R20: neighbours.

    def _overdue(self, link: Link) -> bool:
        return link.until is not None and link.until < self.as_of - WINDOW_MS

    def _unlike(self, bracket: Bracket) -> bool:
        """Whether R07 says that the orders of a gap bill other energy than it holds."""
        return bracket.tells and not bracket.balanced and self._overdue(bracket.link)

    def _r07(self) -> None:
        for link in (k for k in self.links if k.trusted and k.gap is not None):
            pair = [link.before, link.after]
            figures = {"expected": link.before.end_register_milli_wh, "found": link.after.begin_register_milli_wh,
                       "tolerance": link.tolerance}  # fmt: skip
            assert link.gap is not None
            if link.gap < -link.tolerance:
                self._say("R07", "rollback", None, (), pair, **figures)
            if link.gap <= link.tolerance or not self._overdue(link) or id(link) in self.held:
                continue
            covered = [s for s in self.sessions if s.both and self._covers(s, link)]
            for session in covered:
                self._say("R07", "gap_recorded_elsewhere", session, session.orders, pair, **figures)
            if not covered:
                self._say("R07", "gap_unbilled", None, (), pair, **figures)
        for bracket in filter(self._unlike, self.brackets):
            link, energy = bracket.link, bracket.energy
            assert link.gap is not None
            assert energy is not None
            cause = "gap_overbilled" if energy > link.gap else "gap_underbilled"
            for session in bracket.sessions:
                if not session.proven:
                    self._say("R07", cause, session, session.orders, [link.before, link.after],
                              expected=link.gap, found=energy, tolerance=bracket.allowed)  # fmt: skip

    def _covers(self, session: Session, link: Link) -> bool:
        """Whether an order of the gap, on that connector, is covered by a record of another meter."""
        start, end = session.order_start, session.order_end
        if start is None or end is None or link.since is None or link.until is None or not session.records:
            return False
        meters = [r.meter_id for r in session.records]
        return (
            session.connector is not None and session.connector == link.connector
            and self._first_sent(session.records).meter_id is not None and link.before.meter_id not in meters
            and start >= link.since - CLOCK_LIMIT_MS and end <= link.until + CLOCK_LIMIT_MS
        )  # fmt: skip

    def _first_sent(self, records: list[MeterSession]) -> MeterSession:
        """The one that stands first in the input."""
        found: MeterSession = next(r for r in self.records if any(r is other for other in records))
        return found

    def _r08(self) -> None:
        for link in (k for k in self.links if k.trusted and k.pages is not None):
            pair = [link.before, link.after]
            still = link.gap is not None and abs(link.gap) <= link.tolerance
            assert link.pages is not None
            if link.pages > 0 and still and self._overdue(link) and id(link) not in self.held:
                self._say("R08", "page_missing", None, (), pair, found=link.pages)
            elif link.pages == -1:
                self._say("R08", "page_repeated", None, (), pair)
            elif link.pages < -1:
                self._say("R08", "page_back", None, (), pair)

    def _r20(self) -> None:
        for value in (*self.orders, *self.records):
            if value.received_utc_ms is not None and value.end_utc_ms is not None:
                delay = value.received_utc_ms - value.end_utc_ms
                if delay > WINDOW_MS and not self._went_on(value):
                    self._name("R20", "late_upload", value, expected=WINDOW_MS, found=delay)
        for bracket in (b for b in self.brackets if b.balanced):
            for session in bracket.sessions:
                self._say("R20", "lost_record", session, session.orders, [bracket.link.before, bracket.link.after],
                          expected=bracket.link.gap, found=bracket.energy)  # fmt: skip

    def _went_on(self, value: Order | MeterSession) -> bool:
        """Whether the value is one part of a session, and that session as a whole was sent in time."""
        for session in self.sessions:
            parts = len(session.orders) + len(session.records)
            here = any(value is part for part in (*session.orders, *session.records))
            if here and (parts > 2 or session.method == "overlap"):
                end = max(session.order_end or 0, session.record_end or 0)
                assert value.received_utc_ms is not None
                return value.received_utc_ms - end <= WINDOW_MS
        return False

    def _name(self, rule: str, cause: str, value: Order | MeterSession, **figures: int | None) -> None:
        """A finding about one order or one record alone."""
        if isinstance(value, Order):
            self._say(rule, cause, None, [value], (), **figures)
        else:
            self._say(rule, cause, None, (), [value], **figures)

    # R09, R10, R12 to R15, R17, R19: single values, the register.

    def _r09(self) -> None:
        for session in self.sessions:
            if session.both and session.method == "id":
                here, there = session.connector, session.record_connector
                if here is not None and there is not None and here != there:
                    self._of_session("R09", "record_of_other_place", session)
        # A record's own word: its meter at its place, whatever order it came to be matched with.
        for record in self.records:
            stays = [m for m in self.of("meters") if m.connector_id == record.connector_id]
            if not stays or record.meter_id is None or record.connector_id is None:
                continue
            begin = first_known(record.begin_utc_ms, 0)
            assert begin is not None
            if not any(
                m.meter_id == record.meter_id and m.installed_utc_ms <= begin < (m.removed_utc_ms or 2**62)
                for m in stays
            ):
                self._name("R09", "meter_not_registered_here", record)

    def _r10(self) -> None:
        rated = {c.connector_id: c.rated_power_w for c in self.of("connectors")}
        for value in (*self.orders, *self.records):
            start, energy, end = begin_of(value), value.energy_milli_wh, value.end_utc_ms
            if energy is None or energy <= 0 or start is None or end is None or end < start:
                continue
            limit = POWER_UNREGISTERED_W
            if value.connector_id in rated:
                limit = rated[value.connector_id] * 11 // 10
            mean = energy * 3600 // (end - start + 2 * value.time_quantum_ms)
            if mean > limit:
                self._name("R10", "power_impossible", value, expected=limit, found=mean)
            elif energy > ENERGY_SESSION_MILLI_WH:
                self._name("R10", "energy_impossible", value, expected=ENERGY_SESSION_MILLI_WH, found=energy)

    def _r29(self) -> None:
        """A moment counts as called wrongly only where it lies in the session whatever the clock's error is."""
        rated = {c.connector_id: c.rated_power_w for c in self.of("connectors")}
        for record in self.records:
            begin, end, energy = record.begin_utc_ms, record.end_utc_ms, record.energy_milli_wh
            margin = {"S": CLOCK_LIMIT_MS, "I": INFORMATIVE_LIMIT_MS}.get(record.clock)
            if margin is None or record.answer in ("forged", "malformed") or None in (begin, end, energy):
                continue
            assert begin is not None
            assert end is not None
            assert energy is not None
            if not record.energy_quantum_milli_wh < energy <= ENERGY_SESSION_MILLI_WH:
                continue
            if not 0 < end - begin <= DURATION_SESSION_MS:
                continue
            margin += STATUS_LATE_MS
            place = record.connector_id or next(
                (m.connector_id for m in self.of("meters") if m.meter_id == record.meter_id
                 and m.installed_utc_ms <= begin < (m.removed_utc_ms or 2**62)), None)  # fmt: skip
            most = rated[place] * 11 // 10 if place in rated else POWER_UNREGISTERED_W
            for kind, states in (("idle", {"idle"}), ("broken", {"fault", "out_of_service"})):
                spans = [(s.from_utc_ms, s.to_utc_ms) for s in self.of("statuses")
                         if s.connector_id == place and s.state in states]  # fmt: skip
                inner, outer = (
                    sum(max(0, min(b, end - edge) - max(a, begin + edge)) for a, b in spans)
                    for edge in (margin, -margin)
                )
                if inner < STATUS_SHORTEST_MS:
                    continue
                certain = outer == end - begin + 2 * margin or energy * 3600 > (end - begin - inner) * most
                cause = f"{kind}_while_delivering" if certain else f"called_{kind}_in_session"
                self._name("R29", cause, record, expected=end - begin, found=inner, tolerance=margin)

    def _r12(self) -> None:
        for order in self.orders:
            if order.end_utc_ms is None or order.energy_milli_wh is None:
                self._name("R12", "order_not_closed", order)
        for record in self.records:
            if not record.closed:
                self._name("R12", "record_not_closed", record)
        for value in (*self.orders, *self.records):
            start, end = begin_of(value), value.end_utc_ms
            if start is not None and end is not None and end - start > DURATION_SESSION_MS:
                self._name("R12", "overlong", value, found=end - start)

    def _r13(self) -> None:
        timed = [
            o for o in self.orders
            if o.connector_id is not None and o.start_utc_ms is not None and o.end_utc_ms is not None
            and o.end_utc_ms >= o.start_utc_ms
        ]  # fmt: skip
        place = {id(o): n for n, o in enumerate(self.of("orders"))}
        timed.sort(key=lambda o: (o.connector_id, o.start_utc_ms, -o.end_utc_ms, place[id(o)]))
        for position, order in enumerate(timed):
            earlier = [o for o in timed[:position] if o.connector_id == order.connector_id]
            busy = max((o.end_utc_ms for o in earlier), default=0)
            if order.start_utc_ms < busy:
                met = min((o for o in earlier if o.end_utc_ms == busy), key=lambda o: place[id(o)])
                self._say("R13", "overlap", None, [order, met], (), expected=busy, found=order.start_utc_ms)

    def _r14(self) -> None:
        for order in self.orders:
            energy = order.energy_milli_wh
            if energy is not None and energy < 0:
                self._name("R14", "negative_energy", order, found=energy)
            elif energy == 0:
                cause = "charged_for_nothing" if (order.amount_e4 or 0) > 0 else "zero_energy"
                self._name("R14", cause, order, found=0)

    def _r15(self) -> None:
        for value in (*self.orders, *self.records):
            start, end = begin_of(value), value.end_utc_ms
            if start is None:
                continue
            if start < UNSET_BEFORE_MS:
                self._name("R15", "clock_unset", value, found=start)
            if start > self.as_of + FUTURE_MS:
                self._name("R15", "in_future", value, found=start)
            if end is not None and end < start:
                self._name("R15", "end_before_start", value, expected=start, found=end)

    def _r18(self) -> None:
        for record in self.records:
            if record.answer == "malformed":
                self._name("R18", "stated_malformed", record)

    def _r17(self) -> None:
        keys = {k.key_id: k for k in self.of("keys")}
        for record in self.records:
            unsigned = record.reason == "unsigned"
            if record.answer == "forged":
                self._name("R17", "forged", record)
            if record.answer == "cannot_judge" and not unsigned:
                self._name("R17", "cannot_judge", record)
            if unsigned:
                self._name("R17", "unsigned", record)
            if "keys" not in self.present:
                continue
            if record.key_id is None:
                if record.answer == "authentic":
                    self._name("R17", "key_not_registered", record)
                continue
            key = keys.get(record.key_id)
            if key is None:
                self._name("R17", "key_not_registered", record)
                continue
            begin, end = record.begin_utc_ms, first_known(record.end_utc_ms, record.begin_utc_ms)
            until, revoked = key.valid_to_utc_ms or 2**62, key.revoked_utc_ms or 2**62
            if begin is not None and begin < key.valid_from_utc_ms:
                self._name("R17", "key_not_yet_valid", record, expected=key.valid_from_utc_ms, found=begin)
            if end is not None and until <= end < revoked:
                self._name("R17", "key_expired", record, expected=until, found=end)
            if end is not None and end >= revoked:
                self._name("R17", "key_revoked", record, expected=revoked, found=end)
            if record.meter_id is not None and record.meter_id != key.meter_id:
                self._name("R17", "key_of_other_meter", record)

    def _r19(self) -> None:
        charger_of = {c.connector_id: c.charger_id for c in self.of("connectors")}
        for session in self.sessions:
            at, charger = (
                first_known(session.record_begin, session.order_start),
                charger_of.get(session.connector or ""),
            )
            if at is None or charger is None:
                continue
            made = [v for v in self.of("verifications") if v.charger_id == charger and v.verified_utc_ms <= at]
            passed = sorted((v.verified_utc_ms, v.valid_to_utc_ms) for v in made if v.passed)
            if passed and at >= passed[-1][1]:
                self._of_session("R19", "verification_expired", session, expected=passed[-1][1], found=at)
            failed = max((v.verified_utc_ms for v in made if not v.passed), default=None)
            if failed is not None and not any(since > failed for since, _ in passed):
                self._of_session("R19", "verification_failed", session, expected=failed, found=at)
            for seal in self.of("seals"):
                broken, replaced = seal.broken_utc_ms, seal.replaced_utc_ms or 2**62
                if seal.charger_id == charger and broken is not None and broken <= at < replaced:
                    self._of_session("R19", "seal_broken", session, expected=broken, found=at)
                whole = seal.checked_utc_ms
                if seal.charger_id == charger and broken and whole is not None and whole <= at < broken:
                    self._of_session("R19", "seal_doubtful", session, expected=whole, found=at)
        for record in self.records:
            for meter in self.of("meters"):
                if meter.meter_id != record.meter_id or record.firmware is None or meter.approved_firmware is None:
                    continue
                there = record.begin_utc_ms is not None and (
                    meter.installed_utc_ms <= record.begin_utc_ms < (meter.removed_utc_ms or 2**62)
                )
                if there and record.firmware not in meter.approved_firmware.split(","):
                    self._name("R19", "firmware_not_approved", record)

    # R24 to R27: the order alone, the operator's totals.

    def _r24(self) -> None:
        for order in self.orders:
            if order.loss_ratio_ppm:
                self._name("R24", "loss_ratio_applied", order)

    def _r25(self) -> None:
        told = {
            (t.operator_id, t.check_id, t.start_utc_ms, t.end_utc_ms, t.order_count, t.energy_milli_wh, t.amount_e4)
            for t in self.of("operator_totals")
        }
        for operator, _, since, until, count, energy, amount in told:
            came = [
                o for o in self.orders
                if o.operator_id == operator and o.start_utc_ms is not None and since <= o.start_utc_ms < until + 1000
            ]  # fmt: skip
            for cause, stated, arrived in (
                ("count_differs", count, len(came)),
                ("energy_total_differs", energy, sum(o.energy_milli_wh or 0 for o in came)),
                ("amount_total_differs", amount, sum(o.amount_e4 or 0 for o in came)),
            ):
                if stated != arrived:
                    self._say("R25", cause, None, (), (), expected=stated, found=arrived)

    def _r26(self) -> None:
        for order in self.orders:
            periods, quantum, energy = (
                self.periods[order.order_id],
                order.energy_quantum_milli_wh,
                order.energy_milli_wh,
            )
            for period in periods:
                part, price, money = period.energy_milli_wh, period.energy_price_e4, period.energy_amount_e4
                if part is None or price is None or money is None:
                    continue
                should, allowed = (part * price + 500_000) // 1_000_000, price * quantum // 1_000_000 + MONEY_STEP_E4
                if abs(part) <= MAX_ENERGY_PRICED and abs(price) <= MAX_PRICE_E4 and abs(money - should) > allowed:
                    self._name("R26", "period_money", order, expected=should, found=money, tolerance=allowed)
            parts = len(periods) + 1
            total = whole((p.energy_milli_wh for p in periods), sum)
            if total is not None and energy is not None and abs(total - energy) > parts * quantum:
                self._name("R26", "periods_energy", order, expected=total, found=energy, tolerance=parts * quantum)
            money = whole((m for p in periods for m in (p.energy_amount_e4, p.service_amount_e4)), sum)
            allowed = parts * 2 * MONEY_STEP_E4
            if money is not None and order.amount_e4 is not None and abs(money - order.amount_e4) > allowed:
                self._name("R26", "periods_money", order, expected=money, found=order.amount_e4, tolerance=allowed)
            split = whole((order.energy_amount_e4, order.service_amount_e4), sum)
            if split is not None and order.amount_e4 is not None and abs(split - order.amount_e4) > MONEY_STEP_E4:
                self._name("R26", "parts_money", order, expected=split, found=order.amount_e4)
            begin, end = order.meter_begin_milli_wh, order.meter_end_milli_wh
            if begin is None or end is None or energy is None or end <= 0:
                continue
            if abs(end - begin - energy) > 3 * quantum:
                self._name("R26", "own_registers", order, expected=end - begin, found=energy, tolerance=3 * quantum)

    def _r27(self) -> None:
        for order in self.orders:
            asked, energy = order.requested_energy_milli_wh, order.energy_milli_wh
            if asked is not None and energy is not None and energy > asked + OVERRUN_MILLI_WH:
                self._name("R27", "above_request", order, expected=asked, found=energy, tolerance=OVERRUN_MILLI_WH)

    # ---- states ----

    def _state(self, session: Session) -> Stated:
        method = "bracket" if session.proven else session.method
        ended = first_known(session.order_end, session.order_start, session.record_end, session.record_begin, 0)
        assert ended is not None
        recent = ended + WINDOW_MS >= self.as_of and {"orders", "records"} <= self.present
        blank = session.both and (session.billed is None or session.measured is None)
        if (session.wrong and session.orders) or blank:
            state = "disagree"
        elif session.both or session.proven:
            state = "agree"
        elif recent:
            state = "pending"
        else:
            state = "order_only" if session.orders else "record_only"
        return Stated(state, method, ids(session.orders), ids(session.records))


# ---- matching, step by step ----


def copies(values: list[Any], key: Callable[[Any], str]) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """What stands, in the input's order, and what was sent again, each with what stands in its place."""
    kept: dict[str, int] = {}
    for number, value in enumerate(values):
        before = kept.get(key(value))
        if before is None or (value.received_utc_ms or 0) < (values[before].received_utc_ms or 0):
            kept[key(value)] = number
    standing = [v for n, v in enumerate(values) if kept[key(v)] == n]
    again = [(v, values[kept[key(v)]]) for n, v in enumerate(values) if kept[key(v)] != n]
    return standing, again


def begin_of(value: Order | MeterSession) -> int | None:
    return value.start_utc_ms if isinstance(value, Order) else value.begin_utc_ms


def interval(value: Order | MeterSession) -> tuple[int, int] | None:
    """Start and end; a missing or an equal end counts as one step of the times shown. None where it takes no part."""
    start = begin_of(value)
    if start is None or value.connector_id is None:
        return None
    end = max(start if value.end_utc_ms is None else value.end_utc_ms, start + value.time_quantum_ms)
    return (start, end) if end - start <= MAX_SPAN_MS else None


def overlapping(
    orders: list[Order], records: list[MeterSession], by_id: list[tuple[Order, MeterSession]]
) -> list[tuple[Order, MeterSession]]:
    """Pairs by connector and time, of which at least one end has no partner by id."""
    matched = {id(v) for pair in by_id for v in pair}
    free: list[tuple[Order, MeterSession, bool]] = []
    for order in orders:
        for record in records:
            span, other = interval(order), interval(record)
            if span is None or other is None or order.connector_id != record.connector_id:
                continue
            if id(order) in matched and id(record) in matched:
                continue
            (a, b), (c, d) = span, other
            slack = CLOCK_LIMIT_MS if record.clock in ("S", "I") else 0
            share = min(b - a, d - c)
            plain, wide = min(b, d) - max(a, c), min(b, d + slack) - max(a, c - slack)
            if wide <= 0:
                continue
            if rivals(order, record, by_id):
                continue
            free.append((order, record, plain > 0 and 2 * plain >= share))
    exact = [(o, r) for o, r, _ in free if same(o, r)]
    settled = [
        (o, r) for o, r in exact if sum(p is o for p, _ in exact) == 1 and sum(q is r for _, q in exact) == 1
    ]  # fmt: skip
    taken = {id(v) for pair in settled for v in pair}
    rest = [(o, r, s) for o, r, s in free if id(o) not in taken and id(r) not in taken]
    strong = [(o, r) for o, r, s in rest if s]
    partnered = {id(o) for o, _ in strong}
    weak = [(o, r) for o, r, s in rest if not s and id(o) not in partnered and balances(o, r, by_id)]
    return settled + strong + weak


def rivals(order: Order, record: MeterSession, by_id: list[tuple[Order, MeterSession]]) -> bool:
    """Whether the newcomer overlaps the partner that the other end already has by id."""
    span, other = interval(order), interval(record)
    assert span is not None
    assert other is not None
    for o, r in by_id:
        if r is record and meets(span, o.start_utc_ms, o.end_utc_ms):
            return True
        if o is order and meets(other, r.begin_utc_ms, r.end_utc_ms):
            return True
    return False


def meets(span: tuple[int, int], start: int | None, end: int | None) -> bool:
    return start is not None and end is not None and span[0] < end and start < span[1]


def same(order: Order, record: MeterSession) -> bool:
    """Whether order and record agree in start, end and energy."""
    span, other = interval(order), interval(record)
    assert span is not None
    assert other is not None
    slack = CLOCK_LIMIT_MS if record.clock in ("S", "I") else 0
    step = slack + order.time_quantum_ms + record.time_quantum_ms
    if abs(span[0] - other[0]) > step or order.energy_milli_wh is None or record.energy_milli_wh is None:
        return False
    ended = order.end_utc_ms is not None and record.end_utc_ms is not None
    if ended and abs(span[1] - other[1]) > step:
        return False
    digits = order.energy_quantum_milli_wh + record.energy_quantum_milli_wh
    return abs(order.energy_milli_wh - record.energy_milli_wh) <= digits


def balances(order: Order, record: MeterSession, by_id: list[tuple[Order, MeterSession]]) -> bool:
    """Whether this order bills what orders by id leave of the energy that their records measured."""
    partners = [o for o, r in by_id if r is record]
    theirs = {id(r): r for o, r in by_id if any(o is p for p in partners)} or {id(record): record}
    given = whole((r.energy_milli_wh for r in theirs.values()), sum)
    taken = whole((o.energy_milli_wh for o in partners), sum) if partners else 0
    if given is None or taken is None or order.energy_milli_wh is None:
        return False
    digits = record.energy_quantum_milli_wh + order.energy_quantum_milli_wh
    return abs(given - taken - order.energy_milli_wh) <= 2 * digits


def components(
    orders: list[Order], records: list[MeterSession],
    by_id: list[tuple[Order, MeterSession]], over: list[tuple[Order, MeterSession]],
) -> list[Session]:  # fmt: skip
    """Sessions: what pairs hold together, and everything else by itself."""
    sessions = []
    seen: set[int] = set()
    for start in (*orders, *records):
        if id(start) in seen:
            continue
        members, todo = {id(start)}, [start]
        while todo:
            value = todo.pop()
            for pair in by_id + over:
                if value in pair and any(value is v for v in pair):
                    for other in pair:
                        if id(other) not in members:
                            members.add(id(other))
                            todo.append(other)
        seen |= members
        method = "none"
        if any(id(o) in members for o, _ in by_id):
            method = "id"
        if any(id(o) in members for o, _ in over):
            method = "overlap"
        sessions.append(
            Session([o for o in orders if id(o) in members], [r for r in records if id(r) in members], method)
        )
    return sessions


def links(records: list[MeterSession]) -> Iterator[Link]:
    """Neighbours of one meter whose register or page does not go on where it stopped."""
    chains: dict[str, list[tuple[Any, MeterSession]]] = defaultdict(list)
    for number, record in enumerate(records):
        if record.meter_id is not None and record.begin_register_milli_wh is not None:
            begin, page = record.begin_utc_ms, record.page_first
            place = (begin is None, begin or 0, page is None, page or 0, number)
            chains[record.meter_id].append((place, record))
    for chain in chains.values():
        ordered = [record for _, record in sorted(chain, key=lambda item: item[0])]
        for before, after in pairwise(ordered):
            gap = pages = None
            if before.end_register_milli_wh is not None and after.begin_register_milli_wh is not None:
                gap = after.begin_register_milli_wh - before.end_register_milli_wh
            one_counter = (before.page_context or "T") == (after.page_context or "T")
            if one_counter and before.page_last is not None and after.page_first is not None:
                pages = after.page_first - before.page_last - 1
            tolerance = before.energy_quantum_milli_wh + after.energy_quantum_milli_wh + GAP_MILLI_WH
            if (gap is not None and abs(gap) > tolerance) or pages:
                yield Link(before, after, gap, pages, tolerance)


def lies_in(order: Order, link: Link) -> bool:
    """Whether an order lies between the two records of a link, within the limit of their clocks."""
    if order.start_utc_ms is None or link.since is None or link.until is None or link.connector is None:
        return False
    end = order.start_utc_ms if order.end_utc_ms is None else order.end_utc_ms
    return (
        order.connector_id == link.connector
        and order.start_utc_ms >= link.since - CLOCK_LIMIT_MS - order.time_quantum_ms
        and end <= link.until + CLOCK_LIMIT_MS
    )


def near(value: int, other: int) -> bool:
    """Whether two energies are alike within 2 %."""
    return value > 0 and other > 0 and abs(value - other) <= other * 20_000 // 1_000_000


def cost(energy_milli_wh: int, price_e4: int) -> int:
    """Money in ten-thousandths, rounded down."""
    return energy_milli_wh * price_e4 // 1_000_000
