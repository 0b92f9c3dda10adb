"""Surveillance without a database: known values, properties, and second ways to the same figures."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anxin.domain.errors import PolicyError
from anxin.surveillance.days import Counts, Day, SessionRow, day_of, day_tests
from anxin.surveillance.gaps import Gaps, Reading
from anxin.surveillance.late import wilson
from anxin.surveillance.lean import DriftTest, drift_test, lean_evidence
from anxin.surveillance.policy import SurveillancePolicy, load_surveillance_policy
from anxin.surveillance.quality import quality_of
from anxin.surveillance.ranking import charger_evidence, score_of, silence_reason, steps_of
from anxin.surveillance.sequential import NAT, Thresholds, operating, thresholds, walk
from anxin.surveillance.silence import HOUR_MS, WEEK_HOURS, Profile, profile_of, silence_evidence

POLICY = load_surveillance_policy()
TESTS = day_tests(POLICY)
WH = 1_000
UNCAPPED = DriftTest(250, Thresholds(10**15, -(10**15)), 10**15)


def test_thresholds_are_those_of_wald_s_book() -> None:
    """alpha = 0.01, beta = 0.03: ln A = 4.6 by Ville; Wald's lower is ln(0.03/0.99) = -3.497."""
    found = thresholds(100, 33)
    assert found.upper == math.ceil(NAT * math.log(100))
    assert found.lower / NAT == pytest.approx(math.log((1 / 33) / 0.99), abs=1e-6)


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.integers(-(10**5), 10**5), st.integers(1, 999))
def test_evidence_is_the_log_likelihood_ratio_of_two_normal_means(q: int, r: int, d: int, delta: int) -> None:
    found = lean_evidence(10**9 + d, 10**9, q, r, replace(UNCAPPED, delta_permille=delta))
    if abs(d) > q + r:
        assert found is None
        return
    m0 = Fraction(r, 2)
    m1 = m0 + Fraction(delta, 1000) * (q + r)
    variance = Fraction(q * q + 2 * r * r, 12)
    assert found is not None
    for x, z in ((d, found[0]), (-d, found[1])):
        ratio = ((x - m0) ** 2 - (x - m1) ** 2) / (2 * variance)
        assert z == math.floor(ratio * NAT)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(-200, 200), st.integers(2, 10**6))
def test_units_do_not_matter(q: int, r: int, d: int, scale: int) -> None:
    small = lean_evidence(10_000 + d, 10_000, q, r, TESTS.lean)
    large = lean_evidence((10_000 + d) * scale, 10_000 * scale, q * scale, r * scale, TESTS.lean)
    assert small == large
    one, other = Gaps(), Gaps()
    one.add(Reading("M", 0, 1_000, q), Reading("M", 1_000 + d, 2_000, r), TESTS.gaps)
    other.add(Reading("M", 0, 1_000 * scale, q * scale), Reading("M", (1_000 + d) * scale, 0, r * scale), TESTS.gaps)
    assert (one.count, one.up, one.down, one.sum_milli_wh * scale) == (
        other.count, other.up, other.down, other.sum_milli_wh,
    )  # fmt: skip


def rounded(true_wh: float, step_wh: int) -> int:
    return math.floor(true_wh / step_wh + 0.5) * step_wh


@pytest.mark.parametrize(("q", "r"), [(1, 1), (10, 1), (100, 1), (10, 10), (1, 10)])
def test_an_honest_session_is_no_evidence_in_the_mean_of_its_exponential(q: int, r: int) -> None:
    """The supermartingale that the error rate rests on, by counting every case: E exp(z) <= 1, both directions."""
    total, cases = [0.0, 0.0], 0
    for begin in range(0, 10 * r, 1):  # the register's true begin and the true energy, in tenths of the record's digit
        for energy in range(0, 10 * max(q, r) * 2, 1):
            low, high = rounded(begin / 10, r), rounded((begin + energy) / 10, r)
            order = rounded(energy / 10, q)
            found = lean_evidence(order * WH, (high - low) * WH, q * WH, r * WH, TESTS.lean)
            cases += 1
            for n in range(2):
                total[n] += math.exp(found[n] / NAT) if found else 1.0
    assert total[0] / cases <= 1
    assert total[1] / cases <= 1


def test_ten_honest_digits_of_the_city_are_no_evidence_and_rounding_up_is_found() -> None:
    honest, up = [], []
    for wh in range(20_000, 20_010):
        honest.append(lean_evidence(rounded(wh, 10) * WH, wh * WH, 10 * WH, WH, TESTS.lean))
        up.append(lean_evidence(-(-wh // 10) * 10 * WH, wh * WH, 10 * WH, WH, TESTS.lean))
    assert sum(math.exp(z[0] / NAT) for z in honest if z) / 10 <= 1
    assert sum(z[0] for z in honest if z) < 0 < sum(z[0] for z in up if z)


def test_no_fewer_sessions_decide_than_the_policy_says() -> None:
    limits = TESTS.lean.limits
    worst = max(
        z[0]
        for d in range(-11, 12)
        if (z := lean_evidence((20_000 + d) * WH, 20_000 * WH, 10 * WH, WH, TESTS.lean)) is not None
    )
    needed = POLICY.int("lean.least_sessions")
    assert worst * (needed - 1) < limits.upper <= TESTS.lean.cap * needed
    assert lean_evidence(20_012 * WH, 20_000 * WH, 10 * WH, WH, TESTS.lean) is None


@given(st.lists(st.integers(-3 * NAT, 3 * NAT), max_size=200))
def test_a_walk_is_the_test_written_out(steps: list[int]) -> None:
    limits = Thresholds(5 * NAT, -4 * NAT)
    done = walk(enumerate(steps), limits)
    alerts: list[int] = []
    accepted = value = 0
    for day, step in enumerate(steps):
        value += step
        if value >= 5 * NAT:
            alerts, value = [*alerts, day], 0
        if value <= -4 * NAT:
            accepted, value = accepted + 1, 0
    assert (done.alerts, done.accepted, done.value) == (alerts, accepted, value)
    assert [day for day, _ in done.points] == list(range(len(steps)))


@pytest.mark.parametrize("mean", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_wald_s_approximations_are_what_a_simulation_sees(mean: float) -> None:
    """Normal observations, H0 0 against H1 1, variance 9: chance of an alert and run length, by brute force."""
    rng = random.Random(7)
    limits = thresholds(20, 20)
    alerts = length = 0
    runs = 3_000
    for _ in range(runs):
        value = 0.0
        while limits.lower / NAT < value < limits.upper / NAT:
            value += (rng.gauss(mean, 3) - 0.5) / 9
            length += 1
        alerts += value > 0
    expected = operating((mean - 0.5) / 9, 1 / 3, limits)
    # Overshoot, which Wald neglects, makes runs somewhat longer and errors somewhat rarer.
    assert alerts / runs == pytest.approx(expected.alert, abs=0.03)
    assert expected.sample_number * 0.97 <= length / runs <= expected.sample_number * 1.25


def test_wilson_s_interval_has_its_known_values() -> None:
    """1 of 10 at 95 %: 0.0179 to 0.4042 (Brown, Cai, DasGupta 2001, by the formula); none of 10: 0 to 0.2775."""
    one, none = wilson(1, 10, 40), wilson(0, 10, 40)
    assert one is not None
    assert none is not None
    assert one.low_ppm == pytest.approx(17_876, abs=2)
    assert one.high_ppm == pytest.approx(404_150, abs=2)
    assert none.low_ppm == 0
    assert none.high_ppm == pytest.approx(277_533, abs=2)
    assert wilson(0, 0, 40) is None


@given(st.integers(0, 2_000), st.integers(1, 10**6), st.integers(1, 10**6))
def test_silence_is_the_poisson_chance_averaged_over_what_the_rate_may_be(n: int, seen: int, silent: int) -> None:
    """The same predictive chance as a product of Gamma functions: integral of e^(-l e) Gamma(l; n + 1/2, E)."""
    e, s = seen / 1000, silent / 1000
    log_chance = (n + 0.5) * math.log(e) - (n + 0.5) * math.log(e + s)
    assert silence_evidence(n, seen, silent) == pytest.approx(-NAT * log_chance, rel=1e-6, abs=2)


@given(st.lists(st.integers(0, 100), min_size=168, max_size=168), st.integers(0, 10**7), st.integers(0, 10**7))
def test_exposure_is_the_sum_over_hours(counts: list[int], start: int, length: int) -> None:
    profile = profile_of(counts)
    begin, end = start * 1_000, (start + length) * 1_000
    monday = 4 * 24  # 1970-01-05 was a Monday
    total = 0
    hour = begin // HOUR_MS
    if (end - begin) // HOUR_MS < 3_000:
        while hour * HOUR_MS < end:
            inside = min(end, (hour + 1) * HOUR_MS) - max(begin, hour * HOUR_MS)
            total += profile.weights[(hour - monday) % WEEK_HOURS] * inside // HOUR_MS
            hour += 1
        assert profile.exposure(begin, end) == pytest.approx(total, abs=4 + length // 3_600)
    mean = sum(profile.weights) / WEEK_HOURS
    assert profile.exposure(begin, begin + WEEK_HOURS * HOUR_MS) == pytest.approx(mean * WEEK_HOURS, abs=2)


def session(number: int, difference_wh: int = 0, **more: object) -> SessionRow:
    start = 1_790_000_000_000 // 86_400_000 * 86_400_000 + number * HOUR_MS
    values: dict[str, object] = {
        "session_key": f"S{number}", "state": "agree", "operator_id": "O", "start_utc_ms": start, "has_order": True,
        "has_record": True, "order_energy_milli_wh": (20_000 + difference_wh) * WH,
        "record_energy_milli_wh": 20_000 * WH, "order_quantum_milli_wh": 10 * WH, "record_quantum_milli_wh": WH,
        "order_delay_ms": 60_000, "record_delay_ms": 60_000,
    }  # fmt: skip
    return SessionRow(**(values | more))  # type: ignore[arg-type]  # fields by name


SESSIONS = st.lists(
    st.builds(
        session,
        st.integers(0, 23),
        st.integers(-15, 15),
        state=st.sampled_from(["agree", "disagree", "pending", "order_only", "record_only"]),
        has_record=st.booleans(),
        order_delay_ms=st.one_of(st.none(), st.integers(0, 10**9)),
    ),
    unique_by=lambda s: s.session_key,
    max_size=12,
)


@given(SESSIONS, st.randoms())
def test_a_day_does_not_depend_on_the_order_of_its_sessions(sessions: list[SessionRow], rng: random.Random) -> None:
    mixed = list(sessions)
    rng.shuffle(mixed)
    assert day_of("C", 1, sessions, [], [], TESTS) == day_of("C", 1, mixed, [], [], TESTS)


@given(SESSIONS)
def test_days_add_up_and_every_lost_point_has_its_row(sessions: list[SessionRow]) -> None:
    whole = day_of("C", 1, sessions, [], [("S1", "O")], TESTS)
    parts = [day_of("C", 1, [s], [], [], TESTS).counts for s in sessions]
    total = Counts(inconsistent=1)
    for part in parts:
        total = total.plus(part)
    assert whole.counts == total
    found = {d.name: d.bad for d in quality_of(whole.counts, POLICY).dimensions}
    behind = {name: len(whole.behind.get(name, [])) for name in found}
    late_twice = sum(1 for s in sessions if (s.order_delay_ms or 0) > 86_400_000 < (s.record_delay_ms or 0))
    assert found == behind | {"timeliness": behind["timeliness"] + late_twice}


def days(count: int, difference_wh: int, gap_wh: int = 0, each: int = 3, first: int = 100) -> list[Day]:
    made, register = [], 10**9
    for n in range(count):
        readings = []
        for _ in range(each):
            register += gap_wh * WH
            readings.append(Reading("M", register, register + 20_000 * WH, WH))
            register += 20_000 * WH
        sessions = [session(h, difference_wh) for h in range(each)]
        made.append(day_of("C", first + n, sessions, readings, [], TESTS))
    return made


def test_an_honest_charger_is_not_listed_and_a_leaning_one_is() -> None:
    honest = charger_evidence(days(80, 0), 180, TESTS, POLICY)
    leaning = charger_evidence(days(80, 5), 180, TESTS, POLICY)
    draining = charger_evidence(days(80, 0, gap_wh=1), 180, TESTS, POLICY)
    assert score_of(honest.reasons) == 0
    assert [r.kind for r in leaning.reasons] == ["lean_up"]
    assert [r.kind for r in draining.reasons] == ["gap_up"]
    assert leaning.reasons[0].figures["sum_milli_wh"] == 80 * 3 * 5 * WH
    assert score_of(leaning.reasons) >= 1_000


def test_gaps_between_days_count_and_those_between_meters_do_not() -> None:
    two = days(2, 0, gap_wh=2)
    inside = sum(d.counts.gap_count for d in two)
    assert inside == 4
    cap = TESTS.gaps.cap
    assert steps_of(two, TESTS)["gap_up"] == [(100, 2 * cap), (101, 3 * cap)]
    assert two[1].first is not None
    two[1].first = replace(two[1].first, meter_id="another")
    assert steps_of(two, TESTS)["gap_up"] == [(100, 2 * cap), (101, 2 * cap)]


def test_a_gap_beyond_the_tolerance_is_the_rule_s_matter() -> None:
    assert not any(d.counts.gap_count for d in days(3, 0, gap_wh=3))


def test_silence_grows_with_the_rhythm_that_it_breaks() -> None:
    flat, first = profile_of([0] * 168), 1_790_000_000_000
    week = WEEK_HOURS * HOUR_MS

    def listed(starts: int, silent_hours: int) -> bool:
        last = first + 4 * week
        return silence_reason(first, last, starts, last + silent_hours * HOUR_MS, flat, POLICY) is not None

    assert [listed(28 * 6, h) for h in (48, 72, 96)] == [False, True, True]  # six a day: some three days
    assert [listed(28, h) for h in (72, 24 * 14, 24 * 30)] == [False, False, True]  # one a day: some three weeks
    assert not listed(5, 24 * 365)


def test_quality_is_the_weighted_mean_of_what_has_rows() -> None:
    counts = Counts(sessions=100, paired=90, one_sided=10, disagreeing=9, inconsistent=5, uploads=200, late_orders=10,
                    late_records=10)  # fmt: skip
    found = quality_of(counts, POLICY)
    assert [d.share_ppm for d in found.dimensions] == [900_000, 900_000, 950_000, 900_000]
    assert found.score_ppm == (900_000 * 850 + 950_000 * 150) // 1_000
    assert quality_of(Counts(), POLICY).score_ppm is None
    assert quality_of(Counts(uploads=4, late_orders=1), POLICY).score_ppm == 750_000


def test_a_policy_without_a_value_is_refused() -> None:
    empty = SurveillancePolicy("t", "2026-11-26", "", {})
    with pytest.raises(PolicyError, match=r"lean\.alpha_one_in"):
        drift_test(empty, "lean")
    with pytest.raises(PolicyError, match="must be words"):
        empty.words("quality.consistency_rules")
    assert all(v["status"] in {"confirmed", "secondary", "derived", "unconfirmed"} for v in POLICY.values.values())


def test_the_weights_of_a_profile_are_never_nought() -> None:
    peaked = profile_of([168_000] + [0] * 167)
    assert min(peaked.weights) == NAT // 2
    assert Profile(peaked.weights).exposure(10, 10) == 0
    with pytest.raises(ValueError, match="168"):
        profile_of([1])
