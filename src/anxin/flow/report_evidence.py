"""One case's evidence: each field of its orders beside the same field of its meter records, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from anxin.domain.finding import Finding
from anxin.domain.meter_record import Answer, Clock
from anxin.domain.quantities import MILLI_WH_PER_KWH
from anxin.domain.register import Register
from anxin.reconcile.policy import Policy
from anxin.report.text import duration_text, kwh, money, time_text
from anxin.report.view import EvidenceRow
from anxin.report.words import word

Row = dict[str, Any]

#: Values of one field, parts of one session and tariff periods that are listed; more is a defect of the input.
MAX_VALUES, MAX_PARTS, MAX_PERIODS = 4, 6, 8

_CLOCKS = {
    Clock.SYNCHRONISED: "S 已同步 synchronised",
    Clock.RELATIVE: "R 相对时间 relative",
    Clock.INFORMATIVE: "I 仅供参考 informative",
    Clock.UNKNOWN: "U 未同步 unknown",
    Clock.ABSENT: "– 未说明 not stated",
}


@dataclass(frozen=True, slots=True)
class Published:
    """What the register publishes: the span of each tariff's prices, each operator's tariffs, a connector's meters."""

    prices: dict[str, tuple[int, int]]
    tariffs: dict[str, tuple[Any, ...]]
    meters: dict[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Sides:
    """Everything known of one session: its row of the verdicts, its orders and records in the order of the input.

    order_periods, record_periods   tariff periods of its orders and of its records
    recomputed_e4   what the signed energy costs, where R06 said so
    """

    verdict: Row
    orders: Sequence[Row] = ()
    records: Sequence[Row] = ()
    order_periods: Sequence[Row] = ()
    record_periods: Sequence[Row] = ()
    findings: Sequence[Finding] = field(default=())
    recomputed_e4: int | None = None


def published(register: Register) -> Published:
    """Return the register's prices and meters by id."""
    prices: dict[str, tuple[int, int]] = {}
    for period in register.tariff_periods:
        price = period.energy_price_e4 + period.service_price_e4
        low, high = prices.get(period.tariff_id, (price, price))
        prices[period.tariff_id] = (min(low, price), max(high, price))
    tariffs: dict[str, list[Any]] = {}
    for tariff in register.tariffs:
        tariffs.setdefault(tariff.operator_id, []).append(tariff)
    meters: dict[str, list[Any]] = {}
    for meter in register.meters:
        meters.setdefault(meter.connector_id, []).append(meter)
    return Published(
        prices, {o: tuple(held) for o, held in tariffs.items()}, {c: tuple(stays) for c, stays in meters.items()}
    )


def evidence_of(sides: Sides, known: Published, policy: Policy, zone: str) -> tuple[EvidenceRow, ...]:
    """Return the rows that say something on at least one side.

    A difference is marked where a rule found it; ids are marked where they are not the same, registers where they are
    further apart than their digits.
    """
    rows = [
        *_times(sides, zone),
        *_energies(sides, policy),
        *_money(sides, known),
        *_identities(sides, known),
        *_trust(sides, zone),
        *_parts(sides, zone),
        *_periods(sides, zone),
    ]
    return tuple(row for row in rows if row.order_value is not None or row.record_value is not None)


def _times(sides: Sides, zone: str) -> Iterable[EvidenceRow]:
    verdict, causes = sides.verdict, {f"{f.rule}.{f.cause}" for f in sides.findings}
    start, end = verdict["order_start_utc_ms"], verdict["order_end_utc_ms"]
    begun, ended = verdict["record_begin_utc_ms"], verdict["record_end_utc_ms"]

    def text(moment: int | None) -> str | None:
        return None if moment is None else time_text(moment, zone)

    yield EvidenceRow("开始", "Start", text(start), text(begun), "R05.start_differs" in causes)
    yield EvidenceRow("结束", "End", text(end), text(ended), "R05.end_differs" in causes)
    if "R05.duration_differs" in causes:
        yield EvidenceRow("时长", "Duration", duration_text(start, end), duration_text(begun, ended), True)


def _energies(sides: Sides, policy: Policy) -> Iterable[EvidenceRow]:
    verdict = sides.verdict
    billed, measured = verdict["order_energy_milli_wh"], verdict["record_energy_milli_wh"]
    digits = policy.int("energy.display_digits_each_side")
    quantum = digits * sum(row["energy_quantum_milli_wh"] or 0 for row in (*sides.orders, *sides.records))
    both = bool(sides.orders) and bool(sides.records)
    unlike = both and (billed is None or measured is None or abs(billed - measured) > quantum)
    yield EvidenceRow("电量 kWh", "Energy kWh", _kwh(billed), _kwh(measured), unlike)
    if len(sides.orders) <= 1 and len(sides.records) <= 1:
        order, record = _only(sides.orders), _only(sides.records)
        for zh, en, claimed, read in (
            ("起始示数 kWh", "Begin register kWh", "meter_begin_milli_wh", "begin_register_milli_wh"),
            ("终止示数 kWh", "End register kWh", "meter_end_milli_wh", "end_register_milli_wh"),
        ):
            a, b = order.get(claimed), record.get(read)
            off = a is not None and b is not None and abs(a - b) > quantum
            yield EvidenceRow(zh, en, _kwh(a), _kwh(b), off)
    yield EvidenceRow(
        "请求电量 kWh", "Requested kWh", _several(_kwh(o["requested_energy_milli_wh"]) for o in sides.orders), None
    )
    ratios = [o["loss_ratio_ppm"] for o in sides.orders if o["loss_ratio_ppm"] is not None]
    shown = _several(f"{ratio // 10_000}.{ratio % 10_000:04d} %" for ratio in ratios)
    yield EvidenceRow("计损比例", "Loss ratio", shown, None, any(ratios))


def _money(sides: Sides, known: Published) -> Iterable[EvidenceRow]:
    amount, energy = sides.verdict["amount_e4"], sides.verdict["order_energy_milli_wh"]
    off = any(f.rule in {"R06", "R26"} and "money" not in f.cause for f in sides.findings)
    recomputed = None if sides.recomputed_e4 is None else money(sides.recomputed_e4)
    yield EvidenceRow(
        "金额（右为按计量重算）", "Amount (right: recomputed)", None if amount is None else money(amount), recomputed,
        off and recomputed is not None,
    )  # fmt: skip
    for zh, en, name in (("其中电费", "of it energy", "energy_amount_e4"),
                         ("其中服务费", "of it service", "service_amount_e4")):  # fmt: skip
        yield EvidenceRow(zh, en, _several(money(o[name]) for o in sides.orders if o[name] is not None), None)
    average = None
    if amount is not None and energy is not None and energy > 0:
        average = f"∅ {money((amount * MILLI_WH_PER_KWH * 2 + energy) // (2 * energy))}"
    spans = [known.prices[t] for o in sides.orders for t in _tariffs(o, known) if t in known.prices]
    prices = _several(money(low) if low == high else f"{money(low)} ~ {money(high)}" for low, high in spans)
    yield EvidenceRow("每 kWh（右为公布电价）", "Per kWh (right: published)", average, prices)
    yield EvidenceRow("电价", "Tariff", _several(o["tariff_id"] for o in sides.orders), None)


def _tariffs(order: Row, known: Published) -> list[str]:
    """The tariff that an order names, else those that its operator had in force at its start."""
    if order["tariff_id"] is not None:
        return [order["tariff_id"]]
    at = order["start_utc_ms"]
    held = known.tariffs.get(order["operator_id"] or "", ()) if at is not None else ()
    return [
        t.tariff_id for t in held
        if t.valid_from_utc_ms <= at and (t.valid_to_utc_ms is None or at < t.valid_to_utc_ms)
    ]  # fmt: skip


def _identities(sides: Sides, known: Published) -> Iterable[EvidenceRow]:
    for zh, en, name in (("枪号", "Connector", "connector_id"), ("交易号", "Transaction", "transaction_id")):
        yield _pair(zh, en, _values(sides.orders, name), _values(sides.records, name))
    stated, meters = _values(sides.orders, "meter_id"), _values(sides.records, "meter_id")
    connector = sides.verdict["connector_id"]
    at = _first(sides.verdict["order_start_utc_ms"], sides.verdict["record_begin_utc_ms"])
    stays = known.meters.get(connector, ()) if connector is not None else ()
    here = [m for m in stays if at is None or m.installed_utc_ms <= at < _first(m.removed_utc_ms, at + 1)]
    if stated or not here:
        yield _pair("电能表", "Meter", stated, meters)
    if here:
        yield _pair("电能表（左为台账）", "Meter (left: register)", [m.meter_id for m in here], meters)
        gateways = [m.gateway_id for m in here if m.gateway_id]
        yield _pair("网关（左为台账）", "Gateway (left: register)", gateways, _values(sides.records, "gateway_id"))
    else:
        yield EvidenceRow("网关", "Gateway", None, _several(_values(sides.records, "gateway_id")))
    yield EvidenceRow("用户标识", "User", None, _several(_values(sides.records, "user_ref")))


def _trust(sides: Sides, zone: str) -> Iterable[EvidenceRow]:
    def arrived(rows: Sequence[Row]) -> str | None:
        return _several(time_text(r["received_utc_ms"], zone) for r in rows if r["received_utc_ms"] is not None)

    yield EvidenceRow("收到", "Received", arrived(sides.orders), arrived(sides.records))
    records = sides.records
    yield EvidenceRow("时钟", "Clock", None, _several(_CLOCKS.get(r["clock"], r["clock"]) for r in records))
    answers = _several(f"{word('answer', r['answer']).zh} {r['answer']} · {r['reason']}" for r in records)
    bad = any(r["answer"] in {Answer.FORGED.value, Answer.MALFORMED.value} for r in records)
    yield EvidenceRow("签名", "Signature", None, answers, bad)
    for zh, en, name in (
        ("算法", "Algorithm", "algorithm"),
        ("密钥", "Key", "key_id"),
        ("固件", "Firmware", "firmware"),
    ):
        yield EvidenceRow(zh, en, None, _several(_values(records, name)))
    pages = (f"{r['page_context'] or ''}{r['page_first']}–{r['page_last']}" for r in records if r["page_first"])
    yield EvidenceRow("页码", "Pages", None, _several(pages))
    if any(not r["closed"] for r in records):
        yield EvidenceRow("结束读数", "End reading", None, "没有 none", True)


def _parts(sides: Sides, zone: str) -> Iterable[EvidenceRow]:
    """One row a part where a session has several orders or several records."""
    count = max(len(sides.orders), len(sides.records))
    if count <= 1:
        return
    for i in range(min(count, MAX_PARTS)):
        order = sides.orders[i] if i < len(sides.orders) else None
        record = sides.records[i] if i < len(sides.records) else None
        left = None if order is None else _part(order, "start_utc_ms", zone)
        right = None if record is None else _part(record, "begin_utc_ms", zone)
        yield EvidenceRow(f"第 {i + 1} 段", f"Part {i + 1}", left, right)
    if count > MAX_PARTS:
        yield EvidenceRow("另有", "More", f"{len(sides.orders)}", f"{len(sides.records)}")


def _part(row: Row, begin: str, zone: str) -> str:
    ended = time_text(row["end_utc_ms"], zone)[-8:]
    return f"{time_text(row[begin], zone)}–{ended} · {kwh(row['energy_milli_wh'])} kWh"


def _periods(sides: Sides, zone: str) -> Iterable[EvidenceRow]:
    """Tariff periods of a session of one order and one record, side by side by their number."""
    if len(sides.orders) > 1 or len(sides.records) > 1 or len(sides.order_periods) + len(sides.record_periods) < 2:
        return
    billed = {p["period_no"]: p for p in sides.order_periods}
    measured = {p["period_no"]: p for p in sides.record_periods}
    for number in sorted({*billed, *measured})[:MAX_PERIODS]:
        left, right = billed.get(number), measured.get(number)
        yield EvidenceRow(
            f"时段 {number}", f"Period {number}", None if left is None else _priced(left, zone),
            None if right is None else f"{_clock(right['start_utc_ms'], zone)} · {kwh(right['energy_milli_wh'])} kWh",
        )  # fmt: skip


def _priced(period: Row, zone: str) -> str:
    text = f"{_clock(period['start_utc_ms'], zone)} · {kwh(period['energy_milli_wh'])} kWh"
    prices = [p for p in (period["energy_price_e4"], period["service_price_e4"]) if p is not None]
    amounts = [a for a in (period["energy_amount_e4"], period["service_amount_e4"]) if a is not None]
    text += f" × {money(sum(prices))}" if prices else ""
    return text + (f" = {money(sum(amounts))}" if amounts else "")


def _clock(moment: int | None, zone: str) -> str:
    return time_text(moment, zone)[-8:-3] or "–"


def _pair(zh: str, en: str, left: list[str], right: list[str]) -> EvidenceRow:
    return EvidenceRow(zh, en, _several(left), _several(right), bool(left and right) and set(left).isdisjoint(right))


def _values(rows: Iterable[Row], name: str) -> list[str]:
    return list(dict.fromkeys(str(r[name]) for r in rows if r[name] not in (None, "")))


def _several(values: Iterable[str | None]) -> str | None:
    """Return different values as one text, None where there is none."""
    kept = list(dict.fromkeys(v for v in values if v is not None))
    more = f" … (+{len(kept) - MAX_VALUES})" if len(kept) > MAX_VALUES else ""
    return " / ".join(kept[:MAX_VALUES]) + more if kept else None


def _kwh(value: int | None) -> str | None:
    return None if value is None else kwh(value)


def _only(rows: Sequence[Row]) -> Row:
    return rows[0] if rows else {}


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None), None)
