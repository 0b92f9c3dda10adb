"""Uptime by the two formulas, against counts by hand."""

from __future__ import annotations

from anxin.domain.connector_status import State
from anxin.occupancy.intervals import Interval
from anxin.occupancy.uptime import Exclusion, nevi_uptime, total, uk_reliability

HOUR = 3_600_000


def spans(*parts: tuple[State, int]) -> list[Interval]:
    found, at = [], 0
    for state, hours in parts:
        found.append(Interval(at, at + hours * HOUR, state))
        at += hours * HOUR
    return found


DAY = spans(
    (State.IDLE, 10), (State.CHARGING, 5), (State.RESERVED, 1), (State.BLOCKED, 2), (State.FAULT, 1),
    (State.OUT_OF_SERVICE, 1), (State.OFFLINE, 2), (State.UNKNOWN, 2),
)  # fmt: skip


def test_the_uk_counts_available_charging_reserved_and_leaves_out_blocked_and_unknown() -> None:
    figure = uk_reliability(DAY)
    assert (figure.up_ms, figure.down_ms, figure.excluded_ms, figure.unobserved_ms) == (
        16 * HOUR, 2 * HOUR, 2 * HOUR, 4 * HOUR
    )  # fmt: skip
    assert figure.share_ppm == 16_000_000 // 18


def test_nevi_takes_offline_as_an_outage_and_leaves_out_what_is_proved() -> None:
    plain = nevi_uptime(DAY)
    assert (plain.up_ms, plain.down_ms, plain.unobserved_ms) == (18 * HOUR, 4 * HOUR, 2 * HOUR)
    fault_from = 18 * HOUR
    granted = [
        Exclusion(fault_from, fault_from + HOUR, "vandalism", "report 17"),
        Exclusion(fault_from, fault_from + HOUR, "utility_interruption", "notice 4"),
        Exclusion(0, 5 * HOUR, "scheduled_maintenance", "while it was idle"),
        Exclusion(fault_from + HOUR, fault_from + 2 * HOUR, "bad_mood", "none"),
        Exclusion(fault_from + HOUR, fault_from + 2 * HOUR, "vandalism", ""),
    ]
    figure = nevi_uptime(DAY, granted)
    assert (figure.down_ms, figure.excluded_ms) == (3 * HOUR, HOUR)
    assert figure.share_ppm == 19_000_000 // 22


def test_the_edges_of_the_targets_and_nothing_at_all() -> None:
    assert uk_reliability(spans((State.IDLE, 99), (State.FAULT, 1))).share_ppm == 990_000
    assert nevi_uptime(spans((State.IDLE, 97), (State.OFFLINE, 3))).share_ppm == 970_000
    assert uk_reliability(spans((State.UNKNOWN, 5))).share_ppm is None
    assert nevi_uptime([]).share_ppm is None
    both = total([uk_reliability(spans((State.IDLE, 1))), uk_reliability(spans((State.FAULT, 3)))])
    assert both.share_ppm == 250_000
