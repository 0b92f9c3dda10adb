"""R11: a unit slip or a lifetime register taken as the session's energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


PPM = 1_000_000
SLIP = 1_000


def _near(a: Any, b: Any, policy: Policy) -> Any:
    share = policy.int("energy.unit_slip_share")
    # b x share in two halves: the product of a slipped register would exceed 64 bits.
    allowed = b // PPM * share + b % PPM * share // PPM
    return (b > 0) & (a > 0) & ((a - b).abs() <= allowed)


def _scaled(both: Any, policy: Policy) -> Any:
    order, record = both.order_energy_milli_wh, both.record_energy_milli_wh
    return _near(order, record * SLIP, policy) | _near(order * SLIP, record, policy)


def _lifetime(both: Any, policy: Policy) -> Any:
    register = both.record_end_register_milli_wh
    digits = both.order_quantum_milli_wh + both.record_quantum_milli_wh
    return ((both.order_energy_milli_wh - register).abs() <= digits) & (register > 2 * both.record_energy_milli_wh)


def is_slip(both: Any, policy: Policy) -> Any:
    """Whether a session's difference is a slip of unit or register (then R04 leaves it to this rule)."""
    return (_scaled(both, policy) | _lifetime(both, policy)).fill_null(False)


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Sessions whose billed energy is a thousand times the measured one or its thousandth, or equals the register."""
    sessions = ground.sessions
    both = sessions.filter((sessions.orders > 0) & (sessions.records > 0))
    digits = both.order_quantum_milli_wh + both.record_quantum_milli_wh
    both = both.filter((both.order_energy_milli_wh - both.record_energy_milli_wh).abs() > digits)
    figures = {
        "quantity": "energy", "expected": "record_energy_milli_wh", "found": "order_energy_milli_wh",
        "session_no": "session_no", "order_no": "order_no", "record_no": "record_no", "at_utc_ms": "order_start_utc_ms",
    }  # fmt: skip
    scaled = _scaled(both, policy).fill_null(False)
    return [
        raised(both.filter(scaled), "R11", "unit_slip", **figures),
        raised(both.filter(_lifetime(both, policy).fill_null(False) & ~scaled), "R11", "register_as_energy", **figures),
    ]


RULE = Rule(
    id="R11",
    name="unit_slip",
    title_zh="单位或量级错误",
    title_en="Unit or scale slip",
    explain_zh="订单电量约为记录电量的一千倍或千分之一，或把电能表总底数当作本次电量。",
    explain_en="Billed energy is about a thousand times the measured one or its thousandth, or is the lifetime register.",
    basis=(Basis("evcc issues #26734 and #26629: lifetime register booked as session energy", "confirmed"),),
    causes=(
        Cause(
            "unit_slip",
            Severity.VIOLATION,
            True,
            "订单 {orders} 计费 {found} kWh，电能表记录 {expected} kWh，疑为 Wh 与 kWh 混用。",
            "Order {orders} bills {found} kWh where the meter recorded {expected} kWh: Wh and kWh look mixed up.",
        ),
        Cause(
            "register_as_energy",
            Severity.VIOLATION,
            True,
            "订单 {orders} 计费 {found} kWh，等于电能表总底数，本次实际为 {expected} kWh。",
            "Order {orders} bills {found} kWh, which is the meter's lifetime register; the session took {expected} kWh.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20000.00
        record R1 C1 10:00-11:00 100.000-120.000 tx=O1
        expect R11 unit_slip O1 R1
        expect R10 power_impossible O1
    """,
    needs=("orders", "records"),
    on_facts=on_facts,
)
