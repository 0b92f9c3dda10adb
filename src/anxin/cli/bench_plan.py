"""`anxin bench plan`: the shortest verification of a charger with virtual and with real load, side by side."""

from __future__ import annotations

import argparse
import json
import re
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from anxin.domain.errors import PolicyError
from anxin.domain.quantities import decimal_of, energy_milli_wh, kwh_text
from anxin.domain.verification import LoadMethod, SourceStatus, VerificationKind
from anxin.verification.plan import Charger, Plan, PlannedPoint, bench_data, plan
from anxin.verification.procedures import procedure_of
from anxin.verification.sourced import package_files

#: A charger's usual figures where none are given: nominal voltage of a phase, pulses per kWh, procedure in force.
USUAL = {"AC": (220_000, 1_600, "jjg-1148-2022"), "DC": (750_000, 100, "jjg-1149-2022")}
#: AC above this is three-phase: 32 A at 220 V, the largest single-phase charger in use.
SINGLE_PHASE_W = 7_400

SOURCES_ZH = {
    "quantisation": "示值分辨力",
    "edges": "起止时刻",
    "reference": "标准器",
    "drift": "标准器漂移",
    "time_base": "时基",
    "path": "回路与接线",
    "repeatability": "重复性",
    "least": "规程最少脉冲数",
    "energy": "规程最小电能",
    "person": "人工步骤",
    "source": "测量时间",
    "port": "通信口",
}
STEPS_ZH = {
    "reference": "标准器", "place": "位置", "close": "收尾", "done": "完成",
    "identify": "登记铭牌", "insulation": "绝缘电阻", "connect": "接线", "inspect": "外观及功能", "warm_up": "预热",
    "start": "启动", "settle": "稳定", "measure": "测量", "clock": "时钟", "disconnect": "拆线", "seal": "封印贴标",
}  # fmt: skip


def add_parser(actions: Any) -> None:
    """Add `plan` to the group `bench`."""
    command = actions.add_parser(
        "plan",
        help="检定方案 · the shortest schedule",
        description="由等级、常数、分辨力与所需不确定度算出负载点、时长与电能，虚负荷与实负荷并列。 "
        "Points, durations, energy from class, constant, resolution, uncertainty; virtual and real load side by side.",
    )
    add_charger_options(command)
    command.add_argument(
        "--uncertainty", type=int, metavar="PPM", help="所需扩展不确定度 · expanded uncertainty wanted"
    )
    command.add_argument("--load-power", metavar="POWER", help="实负荷能力 · what the load bank or car takes")
    command.add_argument("--json", action="store_true", help="输出纯 JSON · pure JSON on stdout")


def add_charger_options(command: Any) -> None:
    """Add what describes a charger and its procedure; `charger_of` reads it."""
    command.add_argument("--power", required=True, metavar="POWER", help="额定功率 · rated power, 7kW or 7000W")
    command.add_argument("--current", required=True, choices=("AC", "DC"), help="交流或直流 · AC or DC")
    command.add_argument("--class", required=True, dest="accuracy_class", metavar="CLASS", help="准确度等级 · class")
    command.add_argument("--procedure", metavar="PROCEDURE", help="检定程序 · procedure; the one of 2022 by default")
    command.add_argument(
        "--kind",
        choices=[k.value for k in VerificationKind],
        default="periodic",
        help="检定类别 · kind of verification",
    )
    command.add_argument(
        "--constant", type=int, metavar="PULSES", help="脉冲常数 · pulses per kWh; 0: no output, read the register"
    )
    command.add_argument("--register", default="0.001", metavar="KWH", help="示值分辨力 · one digit shown, in kWh")
    command.add_argument("--voltage", type=int, metavar="V", help="标称电压 · nominal voltage of a phase")
    command.add_argument("--phases", type=int, choices=(1, 3), help="交流相数 · phases, AC")
    command.add_argument(
        "--clock-digit", type=int, default=1_000, metavar="MS", help="时钟分辨力 · one digit of the clock"
    )


def run(args: argparse.Namespace) -> int:
    """Print both plans. Returns 0; what cannot be planned is a PolicyError, what is no number a FormatError."""
    charger = charger_of(args)
    procedure = procedure_of(args.procedure or USUAL[args.current][2])
    if args.current not in procedure.currents:
        raise PolicyError(f"{procedure.id} 不适用于 · is not for {args.current}")
    load_w = None if args.load_power is None else watts_of(args.load_power)
    kind = VerificationKind(args.kind)
    plans = [
        plan(
            procedure,
            charger,
            bench_data(method),
            kind,
            args.uncertainty,
            load_w if method is LoadMethod.REAL else None,
        )
        for method in LoadMethod
    ]
    if args.json:
        print(json.dumps(document_of(procedure.id, charger, plans), ensure_ascii=False, indent=2))
    else:
        _print(procedure.id, charger, plans)
    return 0


def watts_of(text: str) -> int:
    """Return `7kW` or `7000W` in watts. Raises PolicyError for anything else, and for what is not above zero."""
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(kW|W|MW)?\s*", text, re.IGNORECASE)
    watts = int(Decimal(found[1]) * {"kw": 1_000, "mw": 1_000_000}.get((found[2] or "W").lower(), 1)) if found else 0
    if watts <= 0:
        raise PolicyError(f"不是功率 · not a power: {text!r}; write 7kW or 7000W")
    return watts


def charger_of(args: argparse.Namespace) -> Charger:
    """Return the charger that the options describe, what is not given taken as usual."""
    power_w = watts_of(args.power)
    voltage_mv, constant, _ = USUAL[args.current]
    if args.voltage is not None:
        voltage_mv = args.voltage * 1_000
    constant = constant if args.constant is None else args.constant
    phases = (args.phases or (1 if power_w <= SINGLE_PHASE_W else 3)) if args.current == "AC" else 0
    register = energy_milli_wh(decimal_of(args.register, "register"))
    if voltage_mv <= 0 or constant < 0 or register <= 0 or args.clock_digit <= 0 or (args.uncertainty or 1) <= 0:
        raise PolicyError("电压、分辨力等须为正数 · voltage, register, clock digit and uncertainty must be above zero")
    return Charger(
        args.current, power_w, voltage_mv, phases, args.accuracy_class, constant or None, register, args.clock_digit
    )


def regulator() -> dict[str, int]:
    """Return the regulator's published figures by name."""
    return {n: v.value for n, v in package_files("figures")["hangzhou-2022"].numbers.items()}


def document_of(procedure: str, charger: Charger, plans: list[Plan]) -> dict[str, Any]:
    """Return both plans as JSON values; energies in milli-Wh, times in ms, uncertainties in ppm."""
    return {
        "procedure": procedure,
        "power_w": charger.power_w,
        "current": charger.current,
        "accuracy_class": charger.accuracy_class,
        "constant": charger.constant,
        "register_milli_wh": charger.register_milli_wh,
        "regulator": regulator(),
        "plans": {p.method.value: _plan_document(p) for p in plans},
    }


def _plan_document(found: Plan) -> dict[str, Any]:
    return {
        "total_ms": found.total_ms,
        "person_ms": found.person_ms,
        "measuring_ms": found.measuring_ms,
        "energy_seen_milli_wh": found.energy_seen_milli_wh,
        "energy_drawn_milli_wh": found.energy_drawn_milli_wh,
        "by": "pulses" if found.by_pulses else "register",
        "limited_by": found.limited_by,
        "reached": found.reached,
        "points": [_point_document(p) for p in found.points],
        "steps": [
            {"name": s.task.name, "begin_ms": s.begin_ms, "end_ms": s.end_ms, "holds": sorted(s.task.resources)}
            for s in found.steps
        ],
        "not_confirmed": [str(v) for v in found.used if v.status is not SourceStatus.CONFIRMED],
    }


def _point_document(point: PlannedPoint) -> dict[str, Any]:
    return {
        "name": point.name,
        "current_ma": point.point.current_ma,
        "voltage_mv": point.point.voltage_mv,
        "power_mw": point.power_mw,
        "reached": point.reached,
        "readings": point.readings,
        "quanta": point.quanta,
        "duration_ms": point.duration_ms,
        "limit_ppm": point.limit.maximum,
        "expanded_uncertainty_ppm": point.budget.expanded_ppm,
        "coverage": round(point.budget.coverage, 4),
        "limited_by": point.limited_by,
        "budget": [
            {
                "source": c.influence.source.value,
                "distribution": c.influence.distribution.value,
                "spread_ppm": round(c.influence.spread_ppm, 3),
                "divisor": round(c.influence.divisor, 6),
                "standard_ppm": round(c.standard_ppm, 3),
                "sensitivity": round(c.sensitivity, 6),
                "contribution_ppm": round(c.contribution_ppm, 3),
                "freedom": None if c.influence.freedom == float("inf") else c.influence.freedom,
            }
            for c in point.budget.components
        ],
    }


def _print(procedure: str, charger: Charger, plans: list[Plan]) -> None:
    console = Console(highlight=False)
    way = f"{charger.constant} imp/kWh" if charger.constant else f"{kwh_text(charger.register_milli_wh)} kWh"
    console.print(
        f"{procedure} · {charger.current} {charger.power_w / 1000:g} kW · 等级 class {charger.accuracy_class} · {way}"
    )
    figures = regulator()
    table = Table(
        "",
        *("虚负荷 virtual" if p.method is LoadMethod.VIRTUAL else "实负荷 real" for p in plans),
        "杭州公布 published",
    )
    table.add_row(
        "总时间 total",
        *(_minutes(p.total_ms) for p in plans),
        f"{figures['minutes.virtual']} min; {figures['minutes.real_from']}–{figures['minutes.real_to']} min",
    )
    table.add_row("其中测量 source busy", *(_minutes(p.measuring_ms) for p in plans), "")
    table.add_row("其中人工 person busy", *(_minutes(p.person_ms) for p in plans), "")
    table.add_row("表计电能 seen by the meter", *(f"{kwh_text(p.energy_seen_milli_wh)[:9]} kWh" for p in plans), "")
    saved = kwh_text(figures["energy.saved"])
    table.add_row(
        "实际耗电 drawn", *(f"{kwh_text(p.energy_drawn_milli_wh)[:9]} kWh" for p in plans), f"省 saved {saved} kWh"
    )
    table.add_row("时间取决于 time limited by", *(_named(p.limited_by) for p in plans), "")
    for name in [p.name for p in plans[0].points]:
        cells = [next(x for x in p.points if x.name == name) for p in plans]
        table.add_section()
        table.add_row(
            f"负载点 point {name}", *(f"{c.point.current_ma / 1000:g} A{'' if c.reached else ' *'}" for c in cells), ""
        )
        table.add_row("读数 readings", *(f"{c.readings} × {c.quanta}" for c in cells), "")
        table.add_row("时长 duration", *(f"{c.duration_ms / 1000:.1f} s" for c in cells), "")
        table.add_row(
            "U (95.45 %)",
            *(f"{c.budget.expanded_ppm / 10_000:.3f} %" for c in cells),
            f"≤ {cells[0].limit.allowed_uncertainty / 10_000:.3f} %",
        )
        table.add_row("取决于 limited by", *(_named(c.limited_by) for c in cells), "")
    console.print(table)
    for found in plans:
        console.print(f"{'虚负荷 virtual' if found.method is LoadMethod.VIRTUAL else '实负荷 real'}:")
        for step in found.steps:
            name, held = step.task.name, "、".join(sorted(step.task.resources))
            console.print(
                f"  {step.begin_ms / 1000:7.1f} – {step.end_ms / 1000:7.1f} s  "
                f"{STEPS_ZH[name.partition(':')[0]]} {name.replace('_', ' ')}  ({held})"
            )
    if not all(p.reached for p in plans):
        console.print("* 负载达不到规程所需电流 · the load cannot take the current that the procedure asks for")
    open_ = sum(v.status is not SourceStatus.CONFIRMED for p in plans for v in p.used)
    console.print(
        f"未证实或假定的数值 {open_} 个，见 --json · values not confirmed or assumed: {open_}, listed by --json"
    )


def _minutes(duration_ms: int) -> str:
    return f"{duration_ms / 60_000:.1f} min"


def _named(source: str) -> str:
    return f"{SOURCES_ZH[source]} {source.replace('_', ' ')}"
