"""R16: a reading on the way that a meter itself calls wrong, or that goes backwards, spoils what is billed on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anxin.domain.billable import BEGIN, ENDS, EXCEPTION, GOOD, register_of
from anxin.domain.finding import Severity
from anxin.reconcile.record_checks.common import raised, statements
from anxin.reconcile.rule import Basis, Cause, RawFinding, Rule

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.domain.meter_record import MeterRecord, Reading
    from anxin.reconcile.policy import Policy

#: Meter states that tell of a hand, not of a fault (OCMF 1.4.1, table 10): M manipulated, X exchanged.
_STATES_OF_INTENT = {"M": "meter_manipulated", "X": "meter_exchanged"}


def on_record(transaction: Transaction, policy: Policy) -> list[RawFinding]:
    """Return one finding for each cause and record: flags, states, exceptions, missing and falling values."""
    findings: dict[tuple[str, str], RawFinding] = {}
    highest: dict[tuple[str, str], int] = {}
    for record in statements(transaction):
        for reading in record.readings:
            for cause, detail in _states(reading):
                key = (cause, record.payload_digest)
                findings.setdefault(key, raised("R16", cause, [record], detail=detail, at_utc_ms=reading.time_utc_ms))
            fallen = _fallen(record, reading, highest)
            if fallen is not None:
                findings.setdefault(("value_backwards", record.payload_digest), fallen)
    return list(findings.values())


def _states(reading: Reading) -> list[tuple[str, str]]:
    """Return cause and detail of everything that the reading says against itself."""
    found = []
    if "E" in reading.error_flags:
        found.append(("energy_flag", reading.context or "-"))
    if "t" in reading.error_flags:
        found.append(("time_flag", reading.context or "-"))
    if reading.context == EXCEPTION and not reading.error_flags:
        found.append(("exception", "X"))
    if reading.status not in (GOOD, None):
        state = reading.status or ""
        found.append((_STATES_OF_INTENT.get(state, "meter_state"), state))
    bounds = reading.context == BEGIN or reading.context in ENDS
    if bounds and reading.value is None and not found:
        found.append(("value_missing", reading.context or "-"))
    return found


def _fallen(record: MeterRecord, reading: Reading, highest: dict[tuple[str, str], int]) -> RawFinding | None:
    """Return a finding where a register shows less than before; registers are kept apart by meter and OBIS code."""
    value = reading.register_milli_wh
    if value is None:
        return None
    key = (record.meter_serial or "", register_of(reading.obis))
    before = highest.get(key)
    highest[key] = value
    if before is None or value >= before:
        return None
    return raised(
        "R16",
        "value_backwards",
        [record],
        quantity="energy",
        expected=before,
        found=value,
        detail=reading.context or "-",
        at_utc_ms=reading.time_utc_ms,
    )


RULE = Rule(
    id="R16",
    name="reading_in_error",
    title_zh="中间读数异常",
    title_en="A reading in error",
    explain_zh="交易过程中任何一个读数带有错误标志、异常状态、异常事件，或示值倒退，其后的电量不得用于结算。",
    explain_en="Where any reading of a transaction carries an error flag, a bad state, an exception, or shows less than "
    "before, the energy after it may not be billed.",
    basis=(
        Basis("OCMF 1.4.1, Table 7, TX (X: unusable from this reading on), EF, ST; Table 10", "confirmed"),
        Basis("Comparison of public verifiers: intermediate readings are checked by none", "confirmed"),
    ),
    causes=(
        Cause(
            "energy_flag",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 的读数（{detail}）标明电量不可用。",
            "A reading ({detail}) of meter {meter} is flagged: its energy is not usable.",
        ),
        Cause(
            "time_flag",
            Severity.WARNING,
            False,
            "电能表 {meter} 的读数（{detail}）标明时间不可用。",
            "A reading ({detail}) of meter {meter} is flagged: its time is not usable.",
        ),
        Cause(
            "exception",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 在充电过程中记录了异常，自此电量与时间均不可用。",
            "Meter {meter} recorded an exception while charging: from there on neither energy nor time is usable.",
        ),
        Cause(
            "meter_manipulated",
            Severity.GRAVE,
            False,
            "电能表 {meter} 报告被操纵（状态 {detail}）。",
            "Meter {meter} reports manipulation (status {detail}).",
        ),
        Cause(
            "meter_exchanged",
            Severity.GRAVE,
            False,
            "电能表 {meter} 报告已被更换（状态 {detail}）。",
            "Meter {meter} reports that it was exchanged (status {detail}).",
        ),
        Cause(
            "meter_state",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 的读数状态为 {detail}，不是正常。",
            "A reading of meter {meter} has status {detail}, which is not good.",
        ),
        Cause(
            "value_missing",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 的首末读数（{detail}）没有示值。",
            "A begin or end reading ({detail}) of meter {meter} has no value.",
        ),
        Cause(
            "value_backwards",
            Severity.VIOLATION,
            False,
            "电能表 {meter} 的示值在交易过程中倒退：先为 {expected} {unit}，后为 {found} {unit}。",
            "Meter {meter}: the register goes backwards in a transaction: first {expected} {unit}, then {found} {unit}.",
        ),
    ),
    example="""
        record PG=T10 B=100.0@10:00 X=110.0@10:10 EF=E E=120.5@10:30 EF=
        expect R16 energy_flag
    """,
    needs=("records",),
    on_record=on_record,
)
