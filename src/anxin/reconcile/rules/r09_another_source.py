"""R09: begin and end of one transaction must come from one meter, gateway, place, user, in one unit and register."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.billable import BEGIN, ENDS, register_of
from anxin.domain.finding import Severity
from anxin.domain.quantities import ENERGY_UNITS_MILLI_WH
from anxin.reconcile.raising import raised as raised_on_facts
from anxin.reconcile.record_checks.common import raised, statements
from anxin.reconcile.rule import Basis, Cause, RawFinding, Rule

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.domain.meter_record import MeterRecord
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy

#: cause -> what must be equal wherever two records both state it
_SAME: tuple[tuple[str, Callable[[MeterRecord], str | None]], ...] = (
    ("other_meter", lambda record: record.meter_serial),
    ("other_gateway", lambda record: record.gateway_serial),
    ("other_place", lambda record: record.place_id),
    ("other_user", lambda record: record.user_ref),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return what differs between a transaction's records, and between its begin and end readings.

    What one side leaves out is no difference. User ids are compared as pseudonyms and never shown.
    """
    records = statements(transaction)
    findings = []
    for cause, field_of in _SAME:
        stated = [(record, value) for record in records if (value := field_of(record))]
        other = next(((r, v) for r, v in stated if v != stated[0][1]), None)
        if other is not None:
            shown = (None, None) if cause == "other_user" else (stated[0][1], other[1])
            pair = [stated[0][0], other[0]]
            findings.append(raised("R09", cause, pair, expected_text=shown[0], found_text=shown[1]))
    return findings + _readings(records)


def _readings(records: list[MeterRecord]) -> list[RawFinding]:
    """Compare units and registers of the begin readings with those of the end readings."""
    begins = [(m, r) for m in records for r in m.readings if r.context == BEGIN and r.value is not None]
    ends = [(m, r) for m in records for r in m.readings if r.context in ENDS and r.value is not None]
    if not begins or not ends:
        return []
    pair = list(dict.fromkeys([begins[0][0].payload_digest, ends[-1][0].payload_digest]))
    rests_on = [record for record in records if record.payload_digest in pair]
    units = [_energy_units([r.unit for _, r in side]) for side in (begins, ends)]
    findings = []
    if units[0] != units[1] and units[0] and units[1]:
        first, second = ("/".join(sorted(side)) for side in units)
        findings.append(raised("R09", "other_unit", rests_on, expected_text=first, found_text=second))
    registers = [
        {register_of(r.obis) for _, r in side if r.unit in ENERGY_UNITS_MILLI_WH} - {""} for side in (begins, ends)
    ]
    if registers[0] and registers[1] and registers[0].isdisjoint(registers[1]):
        first, second = ("/".join(sorted(side)) for side in registers)
        findings.append(raised("R09", "other_register", rests_on, expected_text=first, found_text=second))
    return findings


def _energy_units(units: list[str | None]) -> set[str]:
    return {unit for unit in units if unit in ENERGY_UNITS_MILLI_WH}


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Records matched with an order of another place, and records of a meter that is not registered where they say."""
    sessions = ground.sessions
    elsewhere = sessions.filter((sessions.orders > 0) & (sessions.method == "id") & ~sessions.same_place)
    places = ground.records.select("record_no", record_place="connector_id")
    elsewhere = elsewhere.join(places, "record_no")
    found = [
        raised_on_facts(
            elsewhere, "R09", "record_of_other_place", expected_text="connector_id", found_text="record_place",
            session_no="session_no", order_no="order_no", record_no="record_no", at_utc_ms="record_begin_utc_ms",
        )
    ]  # fmt: skip
    if "meters" in ground.facts.present:
        meters = ground.facts.meters
        stays = meters.select(
            "meter_id", "connector_id", "installed_utc_ms", removed=ibis.coalesce(meters.removed_utc_ms, 2**62)
        )
        placed = ground.records.filter(ground.records.meter_id.notnull()).select(
            "record_no", "connector_id", "begin_utc_ms", claimed="meter_id"
        )
        here = placed.join(stays, (placed.connector_id == stays.connector_id) & (placed.claimed == stays.meter_id))
        begin = ibis.coalesce(here.begin_utc_ms, 0)
        here = here.filter((begin >= here.installed_utc_ms) & (begin < here.removed)).select("record_no")
        # Only connectors whose meters a register names can have a foreign one.
        foreign = placed.semi_join(stays, "connector_id").anti_join(here, "record_no")
        expected = meters.group_by("connector_id").agg(registered=meters.meter_id.max())
        foreign = foreign.join(expected, "connector_id")
        found.append(
            raised_on_facts(
                foreign, "R09", "meter_not_registered_here", expected_text="registered", found_text="claimed",
                meter_id="claimed", record_no="record_no", at_utc_ms="begin_utc_ms",
            )
        )  # fmt: skip
    return found


RULE = Rule(
    id="R09",
    name="another_source",
    title_zh="首末记录来源不一",
    title_en="Begin and end from different sources",
    explain_zh="同一笔交易的开始记录与结束记录必须出自同一电能表、网关、充电接口、用户，并使用同一单位和同一计度器；"
    "否则可能是把两笔交易拼接成一笔。",
    explain_en="Begin and end of one transaction must come from the same meter, gateway, place and user, in the same "
    "unit and register; otherwise two transactions may have been spliced into one.",
    basis=(
        Basis(
            "OCMF 1.4.1, Relation of Serial Numbers, Charge Point and Public Key; Table 4; Table 7, RI and RU",
            "confirmed",
        ),
        Basis("Comparison of four public verifiers: each accepts some of these splices", "confirmed"),
    ),
    causes=(
        Cause(
            "record_of_other_place",
            Severity.GRAVE,
            True,
            "订单 {orders} 属于接口 {expected}，其电能表记录却出自接口 {found}。",
            "Order {orders} is of connector {expected}; its meter record is of connector {found}.",
        ),
        Cause(
            "meter_not_registered_here",
            Severity.GRAVE,
            True,
            "接口 {connector} 登记的电能表是 {expected}，记录 {records} 却出自电能表 {found}。",
            "Connector {connector} is registered with meter {expected}; record {records} is of meter {found}.",
        ),
        Cause(
            "other_meter",
            Severity.GRAVE,
            False,
            "同一笔交易的记录来自两只电能表：{expected} 与 {found}。",
            "The records of one transaction come from two meters: {expected} and {found}.",
        ),
        Cause(
            "other_gateway",
            Severity.GRAVE,
            False,
            "电能表 {meter} 同一笔交易的记录来自两个网关：{expected} 与 {found}。",
            "Meter {meter}: the records of one transaction come from two gateways: {expected} and {found}.",
        ),
        Cause(
            "other_place",
            Severity.GRAVE,
            False,
            "电能表 {meter} 同一笔交易的记录来自两个充电接口：{expected} 与 {found}。",
            "Meter {meter}: the records of one transaction come from two charge points: {expected} and {found}.",
        ),
        Cause(
            "other_user",
            Severity.GRAVE,
            False,
            "电能表 {meter} 同一笔交易的首末记录属于不同用户。",
            "Meter {meter}: the records of one transaction belong to different users.",
        ),
        Cause(
            "other_unit",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 开始读数单位为 {expected}，结束读数单位为 {found}。",
            "Meter {meter}: the begin reading is in {expected}, the end reading in {found}.",
        ),
        Cause(
            "other_register",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 开始读数取自计度器 {expected}，结束读数取自计度器 {found}，二者之差不是充电电量。",
            "Meter {meter}: the begin reading is of register {expected}, the end reading of {found}; their difference is "
            "no energy of this session.",
        ),
    ),
    example="""
        meter  M1 C1
        meter  M2 C2
        order  O1 C1 10:00-11:00 20.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1 meter=M2
        expect R09 meter_not_registered_here R1
    """,
    record_example="""
        record PG=T10 MS=MS-1 B=100.0@10:00
        record PG=T11 MS=MS-2 E=120.5@10:30
        expect R09 other_meter
    """,
    needs=("orders", "records"),
    on_facts=on_facts,
    on_record=on_record,
)
