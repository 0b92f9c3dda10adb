"""Running a verification on a bench: instruments are asked, `verification.conclusion` judges, a result comes out.

    identify    meter's constant and counters, instruments there
    reference   its own certificate is valid, its self-test has not drifted
    place       the bench stands where the charger stands; air
    inspect     what the person found: appearance and function, insulation
    warm_up, start, then settle and measure of each point
    clock       against the bench's time
    close       pulses still come; then the source is switched off

At the end of each step everything is looked at again (`_Run.guard`): a fault that begins in any step is seen before the
next one. The first fault ends the run; what was measured is kept in the result, whose outcome is then INDETERMINATE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from anxin.domain.coordinates import Crs, Point, distance_m
from anxin.domain.errors import AnxinError, InstrumentError, PolicyError
from anxin.domain.quantities import moment_of, utc_ms
from anxin.domain.verification import (
    Item,
    ItemResult,
    LoadMethod,
    Outcome,
    PointResult,
    Reading,
    Reference,
    VerificationKind,
    VerificationResult,
)  # fmt: skip
from anxin.flow.verifying_grounds import run_budget, software_sha256
from anxin.instruments.bench import Calibration, PulseCounter, ReferenceStandard, Source
from anxin.instruments.clock import BenchClock
from anxin.instruments.dlt645 import ZONE, Meter
from anxin.verification.conclusion import judge_clock, judge_point, overall, readings_wanted, valid_through
from anxin.verification.plan import MAX_READINGS, Charger, Plan, PlannedPoint
from anxin.verification.procedures import Place, Procedure, Used
from anxin.verification.sourced import SourcedFile, unconfirmed
from anxin.verification.working_error import by_pulses, by_registers, error_ppm

#: How far the bench may stand from the charger's place: a receiver between buildings, and a parking lot.
MAX_PLACE_M = 200
#: True power may be off what was set by so many thousandths, and the angle by so many millidegrees: else it is wiring.
MAX_POWER_PERMILLE = 50
MAX_PHASE_MILLIDEGREES = 5_000
#: A count that takes longer than so many times what the plan says has lost pulses.
MAX_COUNT_TIMES = 2
#: How often the counter is asked while it counts, and the least that a look may be apart.
LOOKS, LEAST_LOOK_MS = 20, 100
#: The items that this bench can measure.
ITEMS = {Item.APPEARANCE, Item.INSULATION, Item.WORKING_ERROR, Item.CLOCK_ERROR}
SOFTWARE = "anxin bench run"
#: What stands in the identity (`*IDN?`) or serial number of an instrument that is none.
SIMULATED = "SIMULATED"


@dataclass(frozen=True, slots=True)
class Instruments:
    """What the bench is connected to. `counter` None where the charger's register is read."""

    source: Source
    reference: ReferenceStandard
    meter: Meter
    counter: PulseCounter | None


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be verified, and what people say of it.

    place           where the register says that the charger stands, WGS-84
    appearance      what the person found, None: not looked at; `insulation_kohm` measured, None: not measured
    """

    run_id: str
    charger_id: str
    charger: Charger
    kind: VerificationKind
    place: Point
    verified_by: str
    checked_by: str | None = None
    appearance: Outcome | None = None
    insulation_kohm: int | None = None


#: Told at the begin of each step: its name, how many are done, how many there are.
Progress = Callable[[str, int, int], None]


def steps_of(plan: Plan) -> tuple[str, ...]:
    """Return the names of a run's steps, in order."""
    points = [f"{act}:{p.name}" for p in plan.points for act in ("settle", "measure")]
    return ("identify", "reference", "place", "inspect", "warm_up", "start", *points, "clock", "close")


def verify(
    procedure: Procedure, plan: Plan, bench: SourcedFile, task: Task, instruments: Instruments, clock: BenchClock,
    progress: Progress = lambda *_: None,
) -> VerificationResult:  # fmt: skip
    """Return the result of one run, whatever happens in it. Raises PolicyError only for what cannot begin."""
    foreign = set(procedure.items) - ITEMS
    if foreign:
        raise PolicyError(f"{procedure.id}: 本装置不能检 · this bench cannot measure {', '.join(sorted(foreign))}")
    if not plan.reached:
        raise PolicyError("负载达不到规程所需电流 · the load cannot take the current that the procedure asks for")
    run = _Run(procedure, plan, bench, task, instruments, clock)
    steps = steps_of(plan)
    stopped: str | None = None
    for number, step in enumerate(steps):
        try:
            progress(step, number, len(steps))
            run.do(step)
            run.guard()
        except KeyboardInterrupt:
            stopped = f"{step}: 人工中止 · stopped by hand"
        except (AnxinError, OSError, ValueError, ArithmeticError) as error:
            stopped = f"{step}: {error}"[:480]
        if stopped is not None:
            break
    stopped = run.switch_off(stopped)
    progress("done", len(steps), len(steps))
    return run.result(stopped)


@dataclass
class _Run:
    """One run: what is connected, and what was found so far."""

    procedure: Procedure
    plan: Plan
    bench: SourcedFile
    task: Task
    at: Instruments
    clock: BenchClock
    items: list[ItemResult] = field(default_factory=list)
    points: list[PointResult] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)
    calibration: Calibration | None = None
    air: tuple[int, int] | None = None
    position: tuple[str, str] | None = None
    power_mw: int = 0
    counters: tuple[int, int] | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        self.begun = self.clock.now_utc_ms()

    def do(self, step: str) -> None:
        """Do one step. Every fault is raised."""
        act, _, name = step.partition(":")
        if name:
            point = next(p for p in self.plan.points if p.name == name)
            (self._settle if act == "settle" else self._measure)(point)
        else:
            getattr(self, f"_{act}")()

    def _identify(self) -> None:
        # A simulated instrument says so itself: nobody has to be told to say it for it.
        self.simulated = SIMULATED in self.at.source.identity().upper()
        constant = self.at.meter.constant()
        if self.task.charger.constant is not None and constant != self.task.charger.constant:
            raise InstrumentError("constant", "meter", f"{constant} imp/kWh, planned with {self.task.charger.constant}")
        self.constant, self.counters = constant, self.at.meter.counters()

    def _reference(self) -> None:
        self.calibration = self.at.reference.calibration()
        most = self.bench.number("reference.expanded_uncertainty").value
        if self.calibration.expanded_uncertainty_ppm > most:
            raise InstrumentError(
                "reference", "reference", f"U {self.calibration.expanded_uncertainty_ppm} ppm > {most}"
            )

    def _place(self) -> None:
        longitude, latitude = self.at.reference.position()
        self.position, self.air = (str(longitude), str(latitude)), self.at.reference.air()

    def _inspect(self) -> None:
        if self.task.appearance is not None:
            self.items.append(ItemResult(Item.APPEARANCE, self.task.appearance))
        if Item.INSULATION in self.procedure.items and self.task.insulation_kohm is not None:
            least = self.procedure.insulation()
            self.used.append((least,))
            found = self.task.insulation_kohm
            outcome = Outcome.PASS if found >= least.value else Outcome.FAIL
            self.items.append(ItemResult(Item.INSULATION, outcome, str(found), str(least.value), "kOhm"))
            if outcome is Outcome.FAIL and self.procedure.items[Item.INSULATION] is Place.PRECONDITION:
                raise InstrumentError("insulation", "charger", f"绝缘 · insulation {found} kOhm < {least.value}")

    def _warm_up(self) -> None:
        self.clock.wait(self.bench.number("time.warm_up").value * 1000)

    def _start(self) -> None:
        self._set(self.plan.points[0])
        self.at.source.output(on=True)
        self.clock.wait(self.bench.number("time.start").value * 1000)

    def _settle(self, point: PlannedPoint) -> None:
        self._set(point)
        self.clock.wait(self.bench.number("time.settle").value * 1000)

    def _set(self, point: PlannedPoint) -> None:
        self.at.source.set(point.point.voltage_mv, point.point.current_ma, point.point.phases)
        self.power_mw = point.power_mw

    def _measure(self, point: PlannedPoint) -> None:
        """Take readings until the procedure has enough and the uncertainty allows a conclusion, or no more may be."""
        begun, limit = self.clock.now_utc_ms(), point.limit
        readings: list[Reading] = []
        energy = 0
        expanded = limit.maximum
        while len(readings) < MAX_READINGS and (
            readings_wanted(self.procedure, limit, readings) or expanded > limit.allowed_uncertainty
        ):
            reading, true_milli_wh = self._by_register(point) if self.at.counter is None else self._by_pulses(point)
            readings.append(reading)
            energy += true_milli_wh
            self.guard()
            if len(readings) > 1:
                errors = [float(error_ppm(r)) for r in readings]
                expanded = run_budget(point.budget, errors).expanded_ppm
        result, judged = judge_point(
            self.procedure, limit, point.point, readings, expanded, energy, self.clock.now_utc_ms() - begun
        )
        self.points.append(result)
        self.used.append(limit.used)
        remark = f"{point.name}: {judged.reason_zh} · {judged.reason_en}" if judged.reason_en else point.name
        self.items.append(
            ItemResult(Item.WORKING_ERROR, result.outcome, str(result.rounded_ppm), str(limit.maximum), "ppm", remark)
        )

    def _by_pulses(self, point: PlannedPoint) -> tuple[Reading, int]:
        assert self.at.counter is not None
        standard = self._count(self.at.counter, point, point.quanta)
        constant = self.at.reference.constant()
        if constant <= 0 or standard <= 0:
            raise InstrumentError("broken_reply", "counter", f"{standard} pulses of {constant} imp/kWh")
        return by_pulses(point.quanta, self.constant, standard, constant), standard * 1_000_000 // constant

    def _count(self, counter: PulseCounter, point: PlannedPoint, pulses: int) -> int:
        """Return the standard's pulses while the charger gives `pulses`, of the first whole interval on."""
        counter.begin(pulses)
        planned_ms = point.reading_ms * (pulses + 1) // point.quanta + 1
        look_ms = max(LEAST_LOOK_MS, planned_ms // LOOKS)
        latest = self.clock.now_utc_ms() + MAX_COUNT_TIMES * planned_ms + look_ms
        while not counter.is_done():
            if self.clock.now_utc_ms() > latest:
                raise InstrumentError("pulses", "counter", f"{pulses} 个脉冲未到 · pulses did not come")
            self.clock.wait(look_ms)
        charger, standard = counter.counts()
        if charger != pulses:
            raise InstrumentError("broken_reply", "counter", f"{charger} pulses, {pulses} were asked for")
        return standard

    def _by_register(self, point: PlannedPoint) -> tuple[Reading, int]:
        true, shown = self.at.reference.energy_milli_wh(), self.at.meter.energy_milli_wh()
        self.clock.wait(point.reading_ms)
        true, shown = self.at.reference.energy_milli_wh() - true, self.at.meter.energy_milli_wh() - shown
        if true <= 0 or shown < 0:
            raise InstrumentError("broken_reply", "meter", f"registers ran by {shown} and {true} mWh")
        return by_registers(shown, true), true

    def _clock(self) -> None:
        if Item.CLOCK_ERROR not in self.procedure.items or not self.task.charger.time_of_use:
            return
        limit = self.procedure.clock_error(self.task.kind)
        before = self.clock.now_utc_ms()
        shown = self.at.meter.clock_utc_ms()
        asked_ms = self.clock.now_utc_ms() - before
        # Shown in whole digits, cut off: half a digit later on average. The moment of asking adds its own half.
        digit = self.task.charger.clock_digit_ms
        half = self.bench.number("reading.clock_uncertainty").value + digit // 2 + asked_ms // 2
        self.clock.wait(self.bench.number("time.clock_read").value * 1000)
        expanded = -(-half * 1155 // 1000)  # 2 / sqrt(3): k = 2 of a uniform spread, the sum of both for the worse
        judged = judge_clock(limit, shown + digit // 2, before + asked_ms // 2, expanded)
        self.used.append(limit.used)
        self.items.append(
            ItemResult(
                Item.CLOCK_ERROR, judged.outcome, str(round(judged.rounded)), str(limit.maximum), "ms",
                f"{judged.reason_zh} · {judged.reason_en}" if judged.reason_en else None,
            )
        )  # fmt: skip

    def _close(self) -> None:
        """See that pulses still come, with power still on; the guard follows, and then the source is switched off."""
        if self.at.counter is not None:
            self._count(self.at.counter, self.plan.points[-1], 1)

    def guard(self) -> None:
        """Look at everything that may have changed. The first thing that is not as it must be is raised."""
        now = self.clock.now_utc_ms()
        found = self.at.reference.calibration()
        if found.valid_to_utc_ms < now:
            raise InstrumentError(
                "reference_expired", "reference", f"证书过期 · certificate {found.certificate_no} ended"
            )
        if self.calibration is not None and found != self.calibration:
            raise InstrumentError("reference", "reference", "标准器被换 · not the same standard as at the begin")
        drift, most = self.at.reference.drift_ppm(), self.bench.number("reference.drift").value
        if abs(drift) > most:
            raise InstrumentError("reference_drift", "reference", f"漂移 · drifted by {drift} ppm, at most {most}")
        longitude, latitude = self.at.reference.position()
        away = distance_m(Point(float(longitude), float(latitude), Crs.WGS84), self.task.place)
        if away > MAX_PLACE_M:
            raise InstrumentError("elsewhere", "bench", f"位置不符 · {away:.0f} m from where the charger stands")
        counters = self.at.meter.counters()
        if self.counters is not None and counters != self.counters:
            raise InstrumentError("programmed", "meter", f"编程或校时 · counters {self.counters}, then {counters}")
        if self.task.charger.constant is not None and self.at.meter.constant() != self.task.charger.constant:
            raise InstrumentError("constant", "meter", "脉冲常数改变 · its constant has changed")
        if self.at.counter is not None:
            self.at.counter.is_done()
        if self.at.source.is_on() != bool(self.power_mw):
            raise InstrumentError("source", "source", "输出状态不符 · its output is not as it was switched")
        if self.power_mw:
            self._wiring()

    def _wiring(self) -> None:
        """See that what truly flows is what was set, forward, at the angle set, and that the meter sees it forward."""
        power, phase = self.at.reference.power_mw(), self.at.reference.phase_millidegrees()
        if power <= 0 or self.at.meter.is_backward():
            raise InstrumentError("wiring", "bench", f"功率方向相反，检查接线 · power flows backward ({power} mW)")
        if abs(phase) > MAX_PHASE_MILLIDEGREES:
            raise InstrumentError("wiring", "bench", f"相位不符，检查接线 · phase off by {phase} millidegrees")
        if abs(power - self.power_mw) * 1000 > MAX_POWER_PERMILLE * self.power_mw:
            raise InstrumentError("wiring", "bench", f"功率不符，检查接线 · {power} mW where {self.power_mw} were set")

    def switch_off(self, stopped: str | None) -> str | None:
        """Switch the source off, whatever happened; return why the run stopped, this included."""
        try:
            self.at.source.output(on=False)
        except (AnxinError, OSError, ValueError) as error:
            return stopped or f"close: {error}"[:480]
        return stopped

    def result(self, stopped: str | None) -> VerificationResult:
        """Return what was found. A run that stopped has no conclusion, even where a point failed before."""
        ended, task = self.clock.now_utc_ms(), self.task
        outcome = Outcome.INDETERMINATE
        valid_to: int | None = None
        if stopped is None:
            outcome = overall(self.procedure, self.items, time_of_use=task.charger.time_of_use)
        if outcome is Outcome.PASS:
            last, used = valid_through(self.procedure, moment_of(ended, ZONE).date())
            self.used.append(used)
            valid_to = utc_ms(datetime.combine(last + timedelta(days=1), time(), ZONE)) - 1000
        known = self.calibration or Calibration("", "", "", 0, 0)
        return VerificationResult(
            run_id=task.run_id, charger_id=task.charger_id,
            procedure=self.procedure.id, procedure_sha256=self.procedure.sha256,
            kind=task.kind, method=LoadMethod(self.bench.text("id")), accuracy_class=task.charger.accuracy_class,
            begun_utc_ms=self.begun, ended_utc_ms=ended,
            items=tuple(self.items), points=tuple(self.points), outcome=outcome,
            reference=Reference(
                known.serial, known.accuracy_class, known.expanded_uncertainty_ppm, known.certificate_no,
                known.valid_to_utc_ms,
            ),
            verified_by=task.verified_by, checked_by=task.checked_by,
            temperature_milli_c=self.air[0] if self.air else None, humidity_permille=self.air[1] if self.air else None,
            longitude=self.position[0] if self.position else None,
            latitude=self.position[1] if self.position else None, crs=Crs.WGS84.value if self.position else None,
            software=SOFTWARE, software_sha256=software_sha256(), valid_to_utc_ms=valid_to, stopped=stopped,
            unconfirmed=unconfirmed(dict.fromkeys(u for used in (*self.used, self.plan.used) for u in used)),
            simulated=self.simulated or SIMULATED in known.serial.upper(),
        )  # fmt: skip
