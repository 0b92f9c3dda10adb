"""The notation of scenarios: a few lines of orders and meter records, and the findings expected.

    connector C1 60kW [AC]                    a connector with its rating (its charger has the same name)
    meter     M-C1 C1 [firmware=1.0]          a registered meter (records default to the meter M-<connector>)
    key       K1 M-C1 from=09:00 [to=] [revoked=]
    verified  C1 from=2023 until=09:30 [failed]
    seal      S1 C1 broken=09:30 [replaced=11:00]
    tariff    T1 0.8000+0.4000 [operator=OP1] [0-480:0.4+0.4]     flat price, or periods of local minutes
    order     O1 C1 10:00-11:00 20.00 [amount=24.00] [tariff=T1] [tx=] [operator=] [loss=5%] [registers=a-b] ...
    record    R1 C1 10:00-11:00 100.000-120.000 [tx=O1] [meter=] [page=7] [clock=S] [answer=authentic] [key=] ...
    status    C1 idle 09:00-12:00             what the connector was called
    total     OP1 CHK1 00:00-23:59 count=2 energy=20.00 amount=24.00
    later     10d                             the audit's reference moment, after the last day
    expect    R04 billed_more O1 R1           exactly these findings, no others (notes included)
    state     agree=1 disagree=1 ...          the states of the sessions (optional)
    # and what follows                        is said to the reader alone

Times are of 2026-05-01 UTC, `+1d10:00` of the day after, `~1d10:00` of the day before. An order's transaction id is
its own id unless `tx=` says otherwise; a record's is absent unless stated. Energies are kWh as shown: their last digit
is the display's. `minutes=yes` on an order: its times are shown to the minute.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from anxin.domain.connector_status import State, StatusSpan
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.quantities import amount_e4, energy_milli_wh, energy_quantum_milli_wh, utc_ms
from anxin.domain.register import Connector, Meter, MeterKey, Register, Seal, Tariff, TariffPeriod, Verification
from anxin.reconcile.engine import DuckDBEngine
from anxin.reconcile.facts import VALUES, Facts, register_tables, table_of, table_schema
from anxin.reconcile.judge import judge
from anxin.reconcile.policy import Policy, load_policy

DAY = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class Scenario:
    """A parsed scenario."""

    values: dict[str, list[Any]] = field(default_factory=dict)
    expected: set[tuple[str, str, frozenset[str]]] = field(default_factory=set)
    states: dict[str, int] | None = None
    as_of: datetime = DAY + timedelta(days=1)

    def add(self, name: str, value: Any) -> None:
        self.values.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Outcome:
    """What the judge said: findings as (rule, cause, ids) and the count of sessions per state."""

    findings: set[tuple[str, str, frozenset[str]]]
    states: dict[str, int]
    sessions: list[dict[str, Any]]
    raw: list[dict[str, Any]]


def moment(text: str) -> int:
    """`10:00`, `10:00:30`, `+2d10:00` or `~2d10:00` (two days before) as UTC milliseconds."""
    days = 0
    if match := re.fullmatch(r"([+~])(\d+)d(.*)", text):
        days, text = int(match[2]) * (-1 if match[1] == "~" else 1), match[3]
    parts = [int(p) for p in text.split(":")]
    hours, minutes, seconds = (*parts, 0)[:3]
    return utc_ms(DAY + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds))


def parse(text: str) -> Scenario:
    """Return the scenario that `text` tells."""
    scenario = Scenario()
    for row, raw_line in enumerate(text.strip().splitlines(), 1):
        words = raw_line.partition("#")[0].split()
        if not words:
            continue
        kind, rest = words[0], words[1:]
        plain = [w for w in rest if "=" not in w]
        named = dict(w.split("=", 1) for w in rest if "=" in w)
        _READERS[kind](scenario, plain, named, row)
    return scenario


def run(scenario: Scenario, scratch: Path, policy: Policy | None = None) -> Outcome:
    """Return the judge's outcome on a scenario."""
    engine = DuckDBEngine(scratch, threads=1)
    try:
        tables, present = {}, set()
        arrow = {n: table_of(n, v) for n, v in scenario.values.items() if n in VALUES}
        register = Register(**{n: tuple(v) for n, v in scenario.values.items() if n in _REGISTER})
        arrow |= register_tables(register)
        for name in VALUES:
            table = arrow.get(name)
            if table is not None and table.num_rows:
                present.add(name)
            tables[name] = engine.load_arrow(name, table_schema(name).empty_table() if table is None else table)
        facts = Facts(tables, frozenset(present), utc_ms(scenario.as_of))
        verdicts = judge(facts, policy or load_policy(), engine)
        raw = engine.rows(verdicts.findings).to_pylist()
        sessions = engine.rows(verdicts.sessions).to_pylist()
    finally:
        engine.close()
    found = {(r["rule"], r["cause"], frozenset(f"{r['order_ids'] or ''} {r['record_ids'] or ''}".split())) for r in raw}
    states: dict[str, int] = {}
    for session in sessions:
        states[session["state"]] = states.get(session["state"], 0) + 1
    return Outcome(found, states, sessions, raw)


def _order(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    order_id, connector, span, energy = plain
    start, _, end = span.partition("-")
    shown = None if energy == "-" else Decimal(energy)
    order = Order(
        order_id=order_id,
        source_file="scenario",
        source_row=row,
        content_digest="",
        operator_id=named.get("operator"),
        connector_id=connector,
        transaction_id=named.get("tx", order_id),
        start_utc_ms=moment(start),
        end_utc_ms=moment(end) if end else None,
        time_quantum_ms=60_000 if "minutes" in named else 1000,
        energy_milli_wh=None if shown is None else energy_milli_wh(shown),
        energy_quantum_milli_wh=1000 if shown is None else energy_quantum_milli_wh(shown),
        amount_e4=amount_e4(Decimal(named["amount"])) if "amount" in named else None,
        tariff_id=named.get("tariff"),
        loss_ratio_ppm=int(Decimal(named["loss"].rstrip("%")) * 10_000) if "loss" in named else None,
        received_utc_ms=moment(named["received"]) if "received" in named else None,
        requested_energy_milli_wh=energy_milli_wh(Decimal(named["requested"])) if "requested" in named else None,
    )
    if "registers" in named:
        first, _, last = named["registers"].partition("-")
        order = replace(
            order,
            meter_begin_milli_wh=energy_milli_wh(Decimal(first)),
            meter_end_milli_wh=energy_milli_wh(Decimal(last)),
        )
    told = repr(replace(order, source_row=0, received_utc_ms=None)) + named.get("periods", "")
    order = replace(order, content_digest=hashlib.sha256(told.encode()).hexdigest())
    scenario.add("orders", order)
    # periods=10:00-10:30:10.00@0.8+0.4,10:30-11:00:...   energy money follows from energy x price
    for number, period in enumerate(filter(None, named.get("periods", "").split(","))):
        match = re.fullmatch(r"(\d+:\d+)-(\d+:\d+):([\d.]+)@([\d.]+)\+([\d.]+)(?:=([\d.]+))?", period)
        assert match, period
        energy_kwh, price, service = Decimal(match[3]), Decimal(match[4]), Decimal(match[5])
        money = Decimal(match[6]) if match[6] else (energy_kwh * price).quantize(Decimal("0.01"))
        scenario.add(
            "order_periods",
            OrderPeriod(
                order_id, order.content_digest, number, moment(match[1]), moment(match[2]),
                energy_milli_wh(energy_kwh), amount_e4(price), amount_e4(service), amount_e4(money),
                amount_e4((energy_kwh * service).quantize(Decimal("0.01"))),
            ),
        )  # fmt: skip


def _record(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    record_id, connector, span, registers = plain
    start, _, end = span.partition("-")
    first, _, last = registers.partition("-")
    page = int(named["page"]) if "page" in named else None
    begin_register = energy_milli_wh(Decimal(first))
    end_register = energy_milli_wh(Decimal(last)) if last else None
    scenario.add(
        "records",
        MeterSession(
            record_id=record_id,
            source_file="scenario",
            source_row=row,
            transaction_id=named.get("tx"),
            meter_id=named.get("meter", f"M-{connector}"),
            connector_id=connector,
            begin_utc_ms=moment(start),
            end_utc_ms=moment(end) if end else None,
            clock=named.get("clock", "S"),
            begin_register_milli_wh=begin_register,
            end_register_milli_wh=end_register,
            energy_milli_wh=None if end_register is None else end_register - begin_register,
            energy_quantum_milli_wh=energy_quantum_milli_wh(Decimal(first)),
            page_context="T" if page is not None else None,
            page_first=page,
            page_last=page,
            key_id=named.get("key"),
            answer=named.get("answer", "authentic"),
            reason=named.get("reason", "verified"),
            firmware=named.get("firmware"),
            closed=bool(end),
            received_utc_ms=moment(named["received"]) if "received" in named else None,
        ),
    )
    # periods=5.000,15.000   signed energy of each tariff period
    for number, energy in enumerate(filter(None, named.get("periods", "").split(","))):
        scenario.add(
            "record_periods",
            RecordPeriod(record_id, number, moment(start), moment(end), energy_milli_wh(Decimal(energy))),
        )


def _connector(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    power = int(Decimal(plain[1].removesuffix("kW")) * 1000)
    scenario.add("connectors", Connector(plain[0], plain[0], "S1", named.get("operator", "OP1"), power, "DC"))


def _meter(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    removed = moment(named["to"]) if "to" in named else None
    installed = moment(named["from"]) if "from" in named else 0
    scenario.add("meters", Meter(plain[0], plain[1], installed, removed, "1", named.get("firmware")))


def _key(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    until = moment(named["to"]) if "to" in named else None
    revoked = moment(named["revoked"]) if "revoked" in named else None
    scenario.add("keys", MeterKey(plain[0], plain[1], "Ed25519", "", moment(named["from"]), until, revoked))


def _verified(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    since = moment(named["from"]) if "from" in named else 0
    passed = "failed" not in plain
    scenario.add("verifications", Verification(plain[0], f"V{row}", since, moment(named["until"]), passed))


def _seal(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    replaced = moment(named["replaced"]) if "replaced" in named else None
    scenario.add("seals", Seal(plain[0], plain[1], "physical", 0, moment(named["broken"]), replaced))


def _tariff(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    operator = named.get("operator", "OP1")
    scenario.add("tariffs", Tariff(plain[0], operator, "CNY", 0, None, "UTC", 0))
    periods = plain[1:] if ":" in plain[1] else [f"0-1440:{plain[1]}"]
    for period in periods:
        span, _, prices = period.partition(":")
        since, _, until = span.partition("-")
        energy, _, service = prices.partition("+")
        scenario.add(
            "tariff_periods",
            TariffPeriod(
                plain[0], int(since), int(until), amount_e4(Decimal(energy)), amount_e4(Decimal(service or "0"))
            ),
        )


def _total(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    since, _, until = plain[2].partition("-")
    scenario.add(
        "operator_totals",
        OperatorTotal(
            plain[0], plain[1], moment(since), moment(until), int(named["count"]),
            energy_milli_wh(Decimal(named["energy"])), amount_e4(Decimal(named["amount"])), "scenario", row,
        ),
    )  # fmt: skip


def _status(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    since, _, until = plain[2].partition("-")
    scenario.add("statuses", StatusSpan(plain[0], State(plain[1]).value, moment(since), moment(until), row))


def _later(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    scenario.as_of = DAY + timedelta(days=int(plain[0].removesuffix("d")))


def _expect(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    if plain != ["nothing"]:
        scenario.expected.add((plain[0], plain[1], frozenset(plain[2:])))


def _state(scenario: Scenario, plain: list[str], named: dict[str, str], row: int) -> None:
    scenario.states = {k: int(v) for k, v in named.items()}


_REGISTER = ("connectors", "meters", "keys", "verifications", "seals", "tariffs", "tariff_periods")
_READERS = {
    "order": _order,
    "record": _record,
    "connector": _connector,
    "meter": _meter,
    "key": _key,
    "verified": _verified,
    "seal": _seal,
    "tariff": _tariff,
    "total": _total,
    "status": _status,
    "later": _later,
    "expect": _expect,
    "state": _state,
}
