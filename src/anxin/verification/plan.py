"""The plan of a verification: points, readings, durations, energy, out of the physics of charger, bench and procedure.

1 points      what the procedure asks for, in amperes of this charger
2 readings    the fewest pulses (or digits of the register) and readings whose expanded uncertainty stays allowed
3 schedule    persons, source and port, each doing one thing at a time: the shortest order
4 energy      power times time of what really flows: to a load, or only into the bench

Virtual and real load take the same procedure; they differ in what a bench's data file says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from anxin.domain.errors import PolicyError
from anxin.domain.verification import LoadMethod, LoadPoint, VerificationKind
from anxin.verification.procedures import Limit, PointRule, Procedure, Used
from anxin.verification.schedule import Placed, Task, shortest
from anxin.verification.sourced import SourcedFile, package_files
from anxin.verification.uncertainty import (
    SHRINKS,
    Budget,
    Distribution,
    Influence,
    Source,
    budget,
    edges,
    of,
    quantisation,
    repeatability,
)

#: More readings than this at one point are no plan: the bench is too coarse for the limit.
MAX_READINGS = 10
#: Pulses, or digits, of one reading. A day of 480 kW at 10,000 pulses a kWh stays below.
MAX_QUANTA = 10**9
MS_PER_H = 3_600_000
MILLI_WH_PER_KWH = 1_000_000


@dataclass(frozen=True, slots=True)
class Charger:
    """What the plan must know of a charger.

    current           `AC` or `DC`; `phases` 1 or 3 for AC, 0 for DC; `voltage_mv` of one phase
    constant          pulses per kWh of its test output, None where it has none: then its register is read
    register_milli_wh one digit of the energy that it shows
    clock_digit_ms    one digit of the time that it shows
    """

    current: str
    power_w: int
    voltage_mv: int
    phases: int
    accuracy_class: str
    constant: int | None
    register_milli_wh: int
    clock_digit_ms: int = 1_000
    time_of_use: bool = True

    @property
    def maximum_ma(self) -> int:
        """Rated power over nominal voltage, the rule for chargers without marked currents."""
        return self.power_w * 1_000_000 // (self.voltage_mv * max(1, self.phases))


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """A point with its readings.

    power_mw      what the meter sees; `reached` False where the load cannot take the power that the procedure asks for
    quanta        pulses, or digits of the register, of one reading
    duration_ms   of all readings, the wait for the first pulse included; settling is apart
    limited_by    why it is not shorter: `least` (the procedure's least), `energy` (its least energy), or the influence
                  that the length holds down
    """

    name: str
    point: LoadPoint
    power_mw: int
    reached: bool
    readings: int
    quanta: int
    reading_ms: int
    duration_ms: int
    limit: Limit
    budget: Budget
    limited_by: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan.

    total_ms          from the person's arrival at the charger to the last seal
    person_ms         what of it the person is busy; `measuring_ms` what the source is
    energy_seen_milli_wh    what the meter counts; `energy_drawn_milli_wh` what is really taken from the grid
    limited_by        what the longest chain is made of most: `person`, `source` or `port`
    """

    method: LoadMethod
    by_pulses: bool
    points: tuple[PlannedPoint, ...]
    steps: tuple[Placed, ...]
    total_ms: int
    person_ms: int
    measuring_ms: int
    energy_seen_milli_wh: int
    energy_drawn_milli_wh: int
    limited_by: str
    used: Used

    @property
    def reached(self) -> bool:
        """Whether every point is at the current that the procedure asks for."""
        return all(point.reached for point in self.points)


@cache
def bench_data(method: LoadMethod) -> SourcedFile:
    """Return the data of the bench with virtual or with real load."""
    return package_files("benches")[method.value]


def plan(
    procedure: Procedure,
    charger: Charger,
    bench: SourcedFile,
    kind: VerificationKind = VerificationKind.PERIODIC,
    wanted_ppm: int | None = None,
    maximum_power_w: int | None = None,
) -> Plan:
    """Return the shortest plan by which every point's expanded uncertainty stays within the part of the limit allowed.

    `wanted_ppm` asks for less; `maximum_power_w` replaces what the bench's file says its load takes. Raises PolicyError
    where no number of readings reaches it, naming the largest influence, and for a class that is not known.
    """
    method = LoadMethod(bench.text("id"))
    most_w = bench.number("source.maximum_power").value if maximum_power_w is None else maximum_power_w
    # 1 Points, 2 readings.
    points = tuple(_point(procedure, charger, bench, rule, kind, wanted_ppm, most_w) for rule in procedure.points)
    # 3 Schedule.
    clock_ms = _clock_ms(procedure, charger, bench, kind)
    tasks = _tasks(bench, points, clock_ms, by_pulses=charger.constant is not None)
    steps = shortest(tasks)
    source_ms = sum(t.duration_ms for t in tasks if "source" in t.resources)
    person_ms = sum(t.duration_ms for t in tasks if "person" in t.resources)
    # 4 Energy.
    settle_ms = bench.number("time.settle").value * 1000
    seen = sum(_milli_wh(p.power_mw, p.duration_ms + settle_ms) for p in points)
    drawn = seen if method is LoadMethod.REAL else 0
    on_ms = max(s.end_ms for s in steps if "source" in s.task.resources)
    drawn += _milli_wh(bench.number("source.auxiliary").value * 1000, on_ms)
    if method is LoadMethod.VIRTUAL:
        drawn += sum(_milli_wh(_virtual_mw(bench, p.point), p.duration_ms + settle_ms) for p in points)
    used = [*(u for p in points for u in p.limit.used), *(u for r in procedure.points for u in r.used)]
    used += [procedure.file.number("load.readings_at_least"), *bench.numbers.values()]
    return Plan(
        method, charger.constant is not None, points, steps, max(s.end_ms for s in steps), person_ms, source_ms,
        seen, drawn, _limited_by(steps), tuple(dict.fromkeys(used)),
    )  # fmt: skip


def _milli_wh(power_mw: int, duration_ms: int) -> int:
    return power_mw * duration_ms // MS_PER_H


def _virtual_mw(bench: SourcedFile, point: LoadPoint) -> int:
    """Return what the bench itself consumes at a point: the current's heat in its loop, and the voltage circuit."""
    loops = max(1, point.phases)
    heat_mw = point.current_ma**2 * bench.number("source.loop_resistance").value * loops // 10**9
    burden_mw = bench.number("source.voltage_burden").value * 1000
    return heat_mw * 1000 // bench.number("source.efficiency").value + burden_mw


def _point(
    procedure: Procedure,
    charger: Charger,
    bench: SourcedFile,
    rule: PointRule,
    kind: VerificationKind,
    wanted_ppm: int | None,
    most_w: int,
) -> PlannedPoint:
    numbers = procedure.file.numbers
    current_ma = charger.maximum_ma * rule.permille_of_max // 1000
    if charger.current == "AC" and "charger.imin_at_least" in numbers:
        current_ma = max(current_ma, min(charger.maximum_ma, numbers["charger.imin_at_least"].value))
    per_ampere = charger.voltage_mv * max(1, charger.phases)  # mW per ampere
    most_ma = most_w * 1_000_000 // per_ampere
    reached, current_ma = current_ma <= most_ma, min(current_ma, most_ma)
    power_mw = current_ma * per_ampere // 1000
    limit = procedure.working_error(charger.accuracy_class, kind)
    target = limit.allowed_uncertainty if wanted_ppm is None else min(wanted_ppm, limit.allowed_uncertainty)
    # Milli-Wh of one pulse or digit, and how long one takes.
    quantum = MILLI_WH_PER_KWH / charger.constant if charger.constant else float(charger.register_milli_wh)
    quantum_ms = quantum * MS_PER_H / power_mw
    least_quanta = (
        numbers["load.pulses_at_least"].value if "load.pulses_at_least" in numbers and charger.constant else 1
    )
    energy_quanta = 0
    if rule.energy_mmq is not None:
        energy = rule.energy_mmq * procedure.file.number("load.minimum_measured_quantity").value
        energy_quanta = math.ceil(energy / quantum)
    least = max(least_quanta, energy_quanta)
    point = LoadPoint(current_ma, charger.voltage_mv, charger.phases)

    def budget_of(quanta: int, readings: int) -> Budget:
        return budget(_influences(bench, charger, point, quanta, quanta * quantum_ms), readings)

    first = procedure.file.number("load.readings_at_least").value
    best: tuple[int, int] | None = None
    for readings in range(first, MAX_READINGS + 1):
        quanta = _fewest(lambda n, r=readings: budget_of(n, r).expanded_ppm <= target, least)  # type: ignore[misc]
        if quanta is not None and (best is None or quanta * readings < best[0] * best[1]):
            best = (quanta, readings)
    if best is None:
        worst = max(budget_of(MAX_QUANTA, MAX_READINGS).components, key=lambda c: c.contribution_ppm)
        raise PolicyError(
            f"{rule.name}: 不确定度达不到 {target} ppm · no reading reaches an expanded uncertainty of {target} ppm: "
            f"{worst.influence.source.value} alone contributes {worst.contribution_ppm:.0f} ppm"
        )
    quanta, readings = best
    found = budget_of(quanta, readings)
    limited_by = "least" if least_quanta >= energy_quanta else "energy"
    if quanta > least:
        shrinking = [c for c in found.components if c.influence.source in SHRINKS]
        limited_by = max(shrinking, key=lambda c: c.contribution_ppm).influence.source.value
    # Pulses come when they come: a reading begins with one, on average half an interval late, at worst a whole one.
    waits = 1 if charger.constant else 0
    duration_ms = math.ceil((quanta * readings + waits) * quantum_ms)
    return PlannedPoint(
        rule.name, point, power_mw, reached, readings, quanta, math.ceil(quanta * quantum_ms), duration_ms, limit,
        found, limited_by,
    )  # fmt: skip


def _fewest(enough: Callable[[int], bool], least: int) -> int | None:
    """Return the smallest number from `least` on that is enough, None where none up to MAX_QUANTA is."""
    high = max(1, least)
    while not enough(high):
        if high >= MAX_QUANTA:
            return None
        high = min(high * 2, MAX_QUANTA)
    low = least
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def _influences(
    bench: SourcedFile, charger: Charger, point: LoadPoint, quanta: int, reading_ms: float
) -> list[Influence]:
    """Return the influences on one reading, in ppm."""

    def number(name: str) -> int:
        return bench.number(name).value

    jitter = number("reading.pulse_jitter" if charger.constant else "reading.register_jitter")
    found = [
        of(Source.REFERENCE, Distribution.NORMAL, number("reference.expanded_uncertainty")),
        of(Source.DRIFT, Distribution.UNIFORM, number("reference.drift")),
        of(Source.TIME_BASE, Distribution.UNIFORM, number("reference.time_base")),
        edges(jitter, reading_ms),
        repeatability(number("reading.repeatability"), number("reading.repeatability_freedom")),
    ]
    if not charger.constant:
        # A pulse marks the moment when a whole quantum is full; a register's digit was full some time ago.
        found.append(quantisation(quanta))
    if bench.text("id") == LoadMethod.REAL.value:
        # mA x microohm / mV is ppm of a thousandth: 10^-9 V over 10^-3 V, as ppm.
        drop_ppm = point.current_ma * number("path.lead_resistance") / point.voltage_mv
        found.append(of(Source.PATH, Distribution.UNIFORM, drop_ppm * number("path.unknown_part") / 1000))
    else:
        found.append(of(Source.PATH, Distribution.UNIFORM, number("path.coupling")))
    return found


def _clock_ms(procedure: Procedure, charger: Charger, bench: SourcedFile, kind: VerificationKind) -> int | None:
    """Return how long the clock test takes, None where there is none.

    A clock's digit is read at once where half of it is small enough against the limit; else its change is waited for.
    """
    if not charger.time_of_use or "clock.first" not in procedure.file.numbers:
        return None
    limit = procedure.clock_error(kind)
    half = charger.clock_digit_ms / 2
    expanded = 2 * math.hypot(half / math.sqrt(3), bench.number("reading.clock_uncertainty").value / math.sqrt(3))
    read = bench.number("time.clock_read").value * 1000
    return read if expanded * limit.uncertainty_part <= limit.maximum else read + charger.clock_digit_ms


def _tasks(
    bench: SourcedFile, points: tuple[PlannedPoint, ...], clock_ms: int | None, *, by_pulses: bool
) -> list[Task]:
    """Return the tasks with what they hold and wait for.

    While pulses are counted the meter's port is free, so that its clock can be read; a register is read through it.
    """

    def ms(name: str) -> int:
        return bench.number(name).value * 1000

    person, source, port = frozenset({"person"}), frozenset({"source"}), frozenset({"port"})
    tasks = [
        Task("identify", ms("person.identify"), person),
        Task("insulation", ms("person.insulation"), person, ("identify",)),
        Task("connect", ms("person.connect"), person, ("insulation",)),
        Task("inspect", ms("person.inspect"), person, ("identify",)),
        Task("warm_up", ms("time.warm_up"), source),
        Task("start", ms("time.start"), source, ("warm_up", "connect")),
    ]
    before = "start"
    for point in points:
        tasks.append(Task(f"settle:{point.name}", ms("time.settle"), source, (before,)))
        held = source if by_pulses else source | port
        before = f"measure:{point.name}"
        tasks.append(Task(before, point.duration_ms, held, (f"settle:{point.name}",)))
    measured = [before]
    if clock_ms is not None:
        tasks.append(Task("clock", clock_ms, port, ("connect",)))
        measured.append("clock")
    tasks.append(Task("disconnect", ms("person.disconnect"), person, tuple(measured)))
    tasks.append(Task("seal", ms("person.seal"), person, ("disconnect", "inspect")))
    return tasks


def _limited_by(steps: tuple[Placed, ...]) -> str:
    """Return the resource that holds most of the chain which ends last, walked back from its end."""
    spent: dict[str, int] = {}
    at = max(s.end_ms for s in steps)
    while at > 0:
        ending = [s for s in steps if s.end_ms == at and s.task.duration_ms > 0]
        step = max(ending, key=lambda s: s.task.duration_ms)
        for resource in step.task.resources:
            spent[resource] = spent.get(resource, 0) + step.task.duration_ms
        at = step.begin_ms
    return max(spent, key=lambda r: spent[r])
