"""What the cheats do to orders and records, and the line of truth that each leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anxin.city.cheats import Cheat, energy_tolerance_wh, raised_by
from anxin.city.names import Names, kwh, yuan
from anxin.city.options import Kind
from anxin.city.tables import E4_WH_PER_CENT, Orders, Span
from anxin.city.tariffs import HABITS

Truth = dict[str, Any]


class Case:
    """One cheat inside a span: the session it begins with, and its rows of orders and records."""

    def __init__(self, span: Span, cheat: Cheat, sessions: list[int]) -> None:
        self.span, self.cheat, self.sessions = span, cheat, sessions
        self.session = sessions[0]
        self.order_rows = [r for s in sessions for r in span.order_rows[s]]
        self.record_rows = [r for s in sessions for r in span.record_rows[s]]
        self.order, self.record = self.order_rows[0], self.record_rows[0]
        self.operator = int(span.orders.operator[self.order])
        self.step = HABITS[self.operator % len(HABITS)].energy_step_wh
        self.energy_wh = int(span.plan.energy_wh[self.session])

    def bill(self, energy_wh: int) -> int:
        """Let the order bill this energy, rounded up to its display, with consistent money. Returns what it adds
        to the true energy."""
        billed = -(-energy_wh // self.step) * self.step
        orders, row = self.span.orders, self.order
        span = orders.span(row)
        most = span.start + int(np.argmax(orders.p_energy_wh[span]))
        orders.p_energy_wh[most] += billed - int(orders.energy_wh[row])
        orders.price(row)
        if orders.meter_end_wh[row] >= 0:
            orders.meter_end_wh[row] = orders.meter_begin_wh[row] + billed
        return billed - self.energy_wh

    def bill_more(self, more_wh: int) -> int:
        """Let the order bill so much more than the meter counted, rounded up. Returns what it adds."""
        return self.bill(self.energy_wh + more_wh)


def tamper(span: Span, cheats: list[Cheat], names: Names) -> list[Truth]:
    """Apply every cheat of the span to its orders and records in place; return the truth about each."""
    sessions: dict[int, list[int]] = {}
    for row in np.flatnonzero(span.plan.cheat >= 0).tolist():
        sessions.setdefault(int(span.plan.cheat[row]), []).append(row)
    truths = []
    for number, rows in sorted(sessions.items()):
        case = Case(span, cheats[number], rows)
        size, contradicts = _DEEDS[case.cheat.kind](case)
        truths.append(_truth(case, names, size, contradicts))
    return truths


def _energy_size(case: Case, added_wh: int) -> tuple[Truth, bool]:
    size = {"energy_kwh": kwh(added_wh), "share_ppm": added_wh * 1_000_000 // case.energy_wh}
    return size, added_wh > energy_tolerance_wh(case.operator)


def _raise(case: Case) -> int:
    return case.bill(case.energy_wh + raised_by(case.cheat.size, case.operator))


def _inflated_energy(case: Case) -> tuple[Truth, bool]:
    return _energy_size(case, _raise(case))


def amount_tolerance_cents(orders: Orders, row: int, operator: int) -> int:
    """One cent for each rounded figure, and the energy tolerance at the dearest price, rounded up."""
    span = orders.span(row)
    dearest = int((orders.p_energy_price[span] + orders.p_service_price[span]).max())
    figures: int = 2 * (span.stop - span.start)
    return figures + -(-energy_tolerance_wh(operator) * dearest // E4_WH_PER_CENT)


def _inflated_amount(case: Case) -> tuple[Truth, bool]:
    orders, row = case.span.orders, case.order
    tolerance = amount_tolerance_cents(orders, row, case.operator)
    added = max(case.cheat.size, 3 * tolerance // 2 + 1)
    span = orders.span(row)
    orders.p_energy_cents[span.start + int(np.argmax(orders.p_energy_wh[span]))] += added
    orders.total(row)
    return {"amount": yuan(added)}, added > tolerance


def _loss_ratio(case: Case) -> tuple[Truth, bool]:
    case.span.orders.loss_ppm[case.order] = case.cheat.size
    added = case.bill(case.energy_wh + case.energy_wh * case.cheat.size // 1_000_000)
    size, contradicts = _energy_size(case, added)
    return {"loss_ratio_ppm": case.cheat.size, **size}, contradicts


def _hidden_session(case: Case) -> tuple[Truth, bool]:
    case.span.orders.keep[case.order_rows] = False
    return {"energy_kwh": kwh(case.energy_wh)}, False


def _withheld_record(case: Case) -> tuple[Truth, bool]:
    """The registers of the sessions before and after give less than what was billed."""
    case.span.records.keep[case.record_rows] = False
    return _energy_size(case, _raise(case))


def _replay(case: Case) -> tuple[Truth, bool]:
    """The order's session never was; its record is an earlier one's. No register moved for it."""
    span = case.span
    source = int(np.flatnonzero(span.records.session == span.plan.fake_of[case.session])[0])
    span.records.payload[case.record] = source
    return {"energy_kwh": kwh(case.energy_wh)}, True


def _splice(case: Case) -> tuple[Truth, bool]:
    """The begin record of this session and the end record of the next one are sent as one transaction.

    The next session's own pair is sent as it is, before: its end record is there twice, under two transactions.
    """
    records, (first, second) = case.span.records, case.record_rows
    records.pair[[first, second]] = True
    records.tail[first] = second
    records.page_last[second] = records.page_first[second] + 1
    records.page_last[first] = records.page_last[second]
    records.end[first] = records.end[second]
    records.register_end_wh[first] = records.register_end_wh[second]
    records.received[first] = max(int(records.received[first]), int(records.received[second])) + 60
    records.again[[first, second]] = -1
    total = int(records.register_end_wh[first] - records.register_begin_wh[first])
    return _energy_size(case, case.bill(total))


def _swapped_meter(case: Case) -> tuple[Truth, bool]:
    """A spare meter signs, and counts more than the sealed one, whose own record never leaves it."""
    added = _raise(case)
    records, row, cheat = case.span.records, case.record, case.cheat
    assert cheat.meter is not None
    span = slice(int(records.first[row]), int(records.first[row + 1]))
    records.p_register_wh[span] += cheat.register_wh - int(records.register_begin_wh[row])
    records.p_register_wh[span.stop - 1] += added
    records.register_begin_wh[row] = cheat.register_wh
    records.register_end_wh[row] = records.p_register_wh[span.stop - 1]
    records.meter[row] = cheat.meter
    records.page_first[row] = records.page_last[row] = cheat.page
    records.resent[row] = 0
    return _energy_size(case, added)


def _register_rollback(case: Case) -> tuple[Truth, bool]:
    """Done to the meter before the session (plan); the order agrees with the record."""
    return {"energy_kwh": kwh(case.cheat.size)}, False


def _forged_signature(case: Case) -> tuple[Truth, bool]:
    added = _raise(case)
    records, row = case.span.records, case.record
    records.forged_wh[row] = added
    records.register_end_wh[row] += added
    records.p_register_wh[int(records.first[row + 1]) - 1] += added
    return _energy_size(case, added)


def _lean_within_tolerance(case: Case) -> tuple[Truth, bool]:
    """Every order is raised by the size and then rounded up: no single one differs by more than both last digits."""
    added = sum(Case(case.span, case.cheat, [s]).bill_more(case.cheat.size) for s in case.sessions)
    return {"energy_kwh": kwh(added), "sessions": len(case.sessions), "each_wh": case.cheat.size}, False


def _slow_register_drain(case: Case) -> tuple[Truth, bool]:
    """Done to the meter between the sessions (plan); orders agree with records."""
    drained = case.cheat.size * len(case.sessions)
    return {"energy_kwh": kwh(drained), "sessions": len(case.sessions), "each_wh": case.cheat.size}, False


def _while_unlawful(case: Case) -> tuple[Truth, bool]:
    """Seal or verification: the register tells; orders and records are as they would have been."""
    return {"sessions": len(case.sessions)}, False


_DEEDS: dict[Kind, Callable[[Case], tuple[Truth, bool]]] = {
    Kind.INFLATED_ENERGY: _inflated_energy,
    Kind.INFLATED_AMOUNT: _inflated_amount,
    Kind.LOSS_RATIO: _loss_ratio,
    Kind.HIDDEN_SESSION: _hidden_session,
    Kind.WITHHELD_RECORD: _withheld_record,
    Kind.REPLAY: _replay,
    Kind.SPLICE: _splice,
    Kind.SWAPPED_METER: _swapped_meter,
    Kind.REGISTER_ROLLBACK: _register_rollback,
    Kind.FORGED_SIGNATURE: _forged_signature,
    Kind.BROKEN_SEAL: _while_unlawful,
    Kind.EXPIRED_VERIFICATION: _while_unlawful,
    Kind.LEAN_WITHIN_TOLERANCE: _lean_within_tolerance,
    Kind.SLOW_REGISTER_DRAIN: _slow_register_drain,
}


def _truth(case: Case, names: Names, size: Truth, contradicts: bool) -> Truth:
    span, cheat = case.span, case.cheat
    orders, records, plan, world = span.orders, span.records, span.plan, span.world

    def order_id(row: int) -> str:
        return names.order_id(int(orders.operator[row]), int(orders.id_time[row]), int(orders.serial[row]))

    def transaction_id(row: int) -> str:
        return names.order_id(int(records.operator[row]), int(records.id_time[row]), int(records.serial[row]))

    last = case.sessions[-1]
    beside = {case.session - 1, last + 1, int(plan.fake_of[case.session])}
    around = [s for s in sorted(beside) if 0 <= s < len(plan) and plan.connector[s] == cheat.connector]
    begin = int(plan.start[case.session]) if cheat.from_s is None else cheat.from_s
    end = int(plan.end[last]) if cheat.from_s is None else cheat.to_s
    return {
        "cheat_id": cheat.cheat_id,
        "kind": cheat.kind.value,
        "size": size,
        "order_ids": [order_id(r) for r in case.order_rows if orders.keep[r]],
        "record_ids": list(dict.fromkeys(transaction_id(r) for r in case.record_rows if records.keep[r])),
        "beside": [names.order_id(case.operator, int(plan.start[s]), int(plan.serial[s])) for s in around],
        "connector_id": world.connector_code[cheat.connector],
        "meter_id": world.meter_code[cheat.connector if cheat.meter is None else cheat.meter],
        "charger_id": world.charger_code[int(world.connector_charger[cheat.connector])],
        "from": names.iso(begin),
        "to": None if end is None else names.iso(end),
        "contradicts_record": contradicts,
    }
