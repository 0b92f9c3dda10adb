"""R10 on records: energy or power that no charger delivers and no vehicle takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anxin.domain.billable import billable_of
from anxin.domain.finding import Severity
from anxin.reconcile.record_checks.common import raised, readings_of, statements
from anxin.reconcile.rule import Cause, RawFinding

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.reconcile.policy import Policy

MS_PER_HOUR = 3_600_000
PPM = 1_000_000

CAUSES = (
    Cause(
        "record_energy_impossible",
        Severity.VIOLATION,
        False,
        "电能表 {meter} 一次充电记录电量 {found} {unit}，超过可能上限 {tolerance} {unit}。",
        "Meter {meter} recorded {found} {unit} in one session; more than {tolerance} {unit} is not possible.",
    ),
    Cause(
        "record_power_impossible",
        Severity.VIOLATION,
        False,
        "电能表 {meter} 的记录平均功率为 {found} {unit}，超过可能上限 {tolerance} {unit}。",
        "Meter {meter} recorded a mean power of {found} {unit}; more than {tolerance} {unit} is not possible.",
    ),
)


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return impossible energy and impossible mean power of the transaction's billable register.

    Energy that is flagged unusable is still judged: an impossible value is worth knowing whatever the flags say.
    Mean power in W = energy in mWh x 3,600,000 ms/h / (duration in ms x 1,000).
    """
    bill = billable_of(readings_of(transaction))
    if bill.begin is None or bill.end is None:
        return []
    first, last = bill.begin.register_milli_wh, bill.end.register_milli_wh
    if first is None or last is None or last <= first:
        return []
    energy, records, findings = last - first, statements(transaction), []
    limit = policy.int("plausible.energy_session")
    if energy > limit:
        finding = raised(
            "R10", "record_energy_impossible", records, quantity="energy", found=energy, expected=limit, tolerance=limit
        )
        findings.append(finding)
    if bill.begin.time_utc_ms is None or bill.end.time_utc_ms is None:
        return findings
    duration = bill.end.time_utc_ms - bill.begin.time_utc_ms
    most = policy.int("plausible.power_unregistered") * (PPM + policy.int("plausible.power_margin")) // PPM
    if duration > 0 and energy * MS_PER_HOUR > most * 1000 * duration:
        power = energy * MS_PER_HOUR // (1000 * duration)
        finding = raised(
            "R10", "record_power_impossible", records, quantity="power", found=power, expected=most, tolerance=most
        )
        findings.append(finding)
    return findings
