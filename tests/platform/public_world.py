"""A small register in two countries and three systems of coordinates, and words on its connectors through the judge."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anxin.domain.message import Kind, Message
from anxin.domain.register import Connector, Operator, Register, Station, Tariff, TariffPeriod
from anxin.flow import enrol
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import messages

IDLE, CHARGING, OFFLINE, FAULT = 1, 3, 0, 255
OP, OTHER = "395815801", "MA1KORE01"
#: Where a driver stands: Shenzhen's civic centre, in WGS-84.
HERE = (114.0543, 22.5431)
_NUMBERS = itertools.count()
_DAY = ((0, 420, 3_512, 4_000), (420, 1440, 10_001, 4_000))


def public_register() -> Register:
    """Return two operators, five stations of which one has no place, nine connectors, and their prices."""
    stations = (
        Station("440304001", OP, "市民中心站", "福田区", "114.0593", "22.5405", "GCJ-02", "福中三路 1 号", "24/7"),
        Station("440304002", OP, "莲花山站", "福田区", "114.0571", "22.5561", "WGS-84", None, "08:00-22:00"),
        Station("440304003", OP, "=cmd|' /C calc'!A0", "福田区", "114.0800", "22.5600", "BD-09"),
        Station("KR-1", OTHER, "Seoul 站", None, "126.978000", "37.566500", "WGS-84"),
        Station("440304009", OP, "没有坐标", "福田区"),
    )
    connectors = [Connector(f"C1-{n}", "H1", "440304001", OP, 120_000, "DC") for n in (1, 2)]
    connectors += [Connector(f"C2-{n}", f"H2-{n}", "440304002", OP, 7_000, "AC") for n in (1, 2, 3)]
    connectors += [Connector("C3-1", "H3", "440304003", OP, 480_000, "DC", "CHADEMO")]
    connectors += [
        Connector("K1", "HK", "KR-1", OTHER, 200_000, "DC", "IEC_62196_T1_COMBO"),
        Connector("K2", "HK", "KR-1", OTHER, 200_000, "DC"),
        Connector("C9", "H9", "440304009", OP, 7_000, "AC"),
    ]
    return Register(
        operators=(Operator(OP, "深圳充电"), Operator(OTHER, "Seoul Charge")),
        stations=stations,
        connectors=tuple(connectors),
        tariffs=(Tariff("T1", OP, "CNY", 0, None, "Asia/Shanghai", 480),),
        tariff_periods=tuple(TariffPeriod("T1", *span) for span in _DAY),
    )


def known(platform: Platform) -> None:
    """Enter the register."""
    enrol.enrol_register(platform.database, platform.vault, public_register(), [])
    platform.refresh()


def say(platform: Platform, scratch: Path, operator: str, states: dict[str, int], ago_s: int = 0) -> int:
    """Let an operator's message with states be kept and judged; return the moment that it speaks of."""
    now = now_utc_ms()
    at = now // 1_000 * 1_000 - ago_s * 1_000
    local = datetime.fromtimestamp(at / 1_000, UTC) + timedelta(hours=8)
    stamp = json.dumps({"TimeStamp": local.strftime("%Y%m%d%H%M%S"), "Seq": "0001"}).encode()
    found = []
    for name, status in states.items():
        body = json.dumps({"ConnectorStatusInfo": {"ConnectorID": name, "Status": status}}).encode()
        found.append(Message(Kind.TCEC_STATUS, operator, f"say-{next(_NUMBERS)}", body, stamp))
    messages.append(platform.database, found, now, committed_entry)
    scratch.mkdir(exist_ok=True)
    judge = Judge(platform, scratch / "judge")
    try:
        judge.settle(now)
    finally:
        judge.close()
    return at
