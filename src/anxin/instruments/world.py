"""The simulated charger, meter and bench that the simulated instruments speak for: physics, and planted faults.

Power flows in whole milliwatts over whole milliseconds, so that energies are exact; noise comes from a seed.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace

from anxin.domain.errors import PolicyError
from anxin.instruments.bench import Calibration
from anxin.instruments.clock import BenchClock

#: Milliwatts times milliseconds of one kilowatt-hour, and of one milliwatt-hour.
KWH = 1_000_000 * 3_600_000
MILLI_WH = KWH // 1_000_000
PPM = 1_000_000
REFERENCE_CONSTANT = 10_000_000
DAY_MS = 86_400_000
#: Register of the simulated meter when it is met, in kWh.
FIRST_REGISTER_KWH = 1_234

#: Faults that can be planted from a step on; what each does stands with the instrument that shows it.
FAULTS = (
    "source_silent", "reference_silent", "counter_silent", "meter_silent", "reference_broken", "counter_broken",
    "meter_broken", "meter_foreign", "reference_expired", "reference_drift", "wired_reverse", "meter_reverse",
    "wired_phase", "elsewhere", "programmed", "clock_set", "constant_changed", "source_tripped", "pulses_lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planted:
    """What is wrong with the simulated world.

    gain_ppm, clock_offset_ms, clock_drift_ppm   the meter's error, its clock's, and how its clock runs
    noise_ppm      standard deviation of one reading of the standard
    fault, step    one of FAULTS, shown from the begin of that step of the run on; without a step from the start
    """

    gain_ppm: int = 0
    clock_offset_ms: int = 0
    clock_drift_ppm: int = 0
    noise_ppm: int = 50
    seed: int = 1
    fault: str | None = None
    step: str | None = None


def planted_of(texts: list[str]) -> Planted:
    """Return what `gain=12000 clock=4000 fault=meter_silent@measure:full` and the like say; PolicyError otherwise."""
    names = {"gain": "gain_ppm", "clock": "clock_offset_ms", "drift": "clock_drift_ppm", "noise": "noise_ppm",
             "seed": "seed"}  # fmt: skip
    found = Planted()
    for text in texts:
        name, _, value = text.partition("=")
        if name == "fault" and value.partition("@")[0] in FAULTS:
            fault, _, step = value.partition("@")
            found = replace(found, fault=fault, step=step or None)
        elif name in names and value.lstrip("-").isdigit() and len(value) <= 12:
            found = replace(found, **{names[name]: int(value)})  # type: ignore[arg-type]
        else:
            raise PolicyError(
                f"不能植入 · cannot be planted: {text}; known are {', '.join(names)} with a whole number, and "
                f"fault=NAME[@STEP] of {', '.join(FAULTS)}"
            )
    return found


@dataclass
class World:
    """The state of everything simulated. Methods take the lock; instruments ask from threads of their own."""

    clock: BenchClock
    constant: int
    address: str = "330109000017"
    longitude_e6: int = 120_153_600
    latitude_e6: int = 30_287_500
    planted: Planted = field(default_factory=Planted)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._random = random.Random(self.planted.seed)
        self._reached = self.planted.step is None
        self.voltage_mv = self.current_ma = self.phases = 0
        self.on = False
        self._began = self._at = self.clock.now_utc_ms()
        self._true = self._measured = 0
        self._wanted: int | None = None
        self._told: set[str] = set()
        self._from = 0

    def step(self, name: str) -> None:
        """Say that a step of the run begins: a fault planted from it on shows from now on."""
        with self.lock:
            self._reached = self._reached or name == self.planted.step

    def has(self, fault: str) -> bool:
        """Whether a fault shows now."""
        return self._reached and self.planted.fault == fault

    def changed(self, fault: str) -> bool:
        """Whether a count has risen since it was first read: before that, nobody could see that it did."""
        with self.lock:
            first = fault not in self._told
            self._told.add(fault)
            return self.has(fault) and not first

    def set(self, name: str, value: int) -> None:
        """Set voltage_mv, current_ma, phases or on; what flowed until now is counted first."""
        with self.lock:
            self._advance()
            setattr(self, name, bool(value) if name == "on" else value)

    @property
    def output(self) -> bool:
        """Whether the source gives anything."""
        return self.on and not self.has("source_tripped")

    def phase_millidegrees(self) -> int:
        """Return the angle between current and voltage."""
        return 60_000 if self.has("wired_phase") else 180_000 if self.has("wired_reverse") else 0

    def power_mw(self) -> int:
        """Return what truly flows."""
        if not self.output:
            return 0
        full = self.voltage_mv * self.current_ma * max(1, self.phases) // 1000
        return -full if self.has("wired_reverse") else full // 2 if self.has("wired_phase") else full

    def energy_milli_wh(self) -> int:
        """Return what the standard has counted, with its noise."""
        with self.lock:
            self._advance()
            return self._measured // MILLI_WH

    def register(self) -> int:
        """Return the meter's register in hundredths of a kWh."""
        with self.lock:
            self._advance()
            return FIRST_REGISTER_KWH * 100 + self._seen() * 100 // KWH

    def meter_clock_ms(self) -> int:
        """Return the time that the meter shows, in UTC ms."""
        now = self.clock.now_utc_ms()
        return now + self.planted.clock_offset_ms + (now - self._began) * self.planted.clock_drift_ppm // PPM

    def begin_count(self, pulses: int) -> None:
        """Begin to count with the meter's next pulse."""
        with self.lock:
            self._advance()
            self._from = self._seen() * self.constant // KWH + 1
            self._wanted = pulses

    def is_counted(self) -> bool:
        """Whether all pulses have come."""
        with self.lock:
            self._advance()
            if self._wanted is None or self.has("pulses_lost"):
                return False
            return self._seen() * self.constant // KWH >= self._from + self._wanted

    def counted(self) -> tuple[int, int]:
        """Return the meter's pulses and the standard's between the first and the last of them."""
        with self.lock:
            pulses = self._wanted or 0
            # Between two pulses the meter sees a whole quantum; true energy is that without the meter's own error.
            true = pulses * REFERENCE_CONSTANT * PPM * PPM // (self.constant * (PPM + self.planted.gain_ppm)) // PPM
            return pulses, self._noisy(true)

    def calibration(self) -> Calibration:
        """Return the standard's certificate."""
        valid = self._began + (-DAY_MS if self.has("reference_expired") else 200 * DAY_MS)
        return Calibration("S-2026-17", "0.05", "DL-2026-77", 500, valid)

    def _noisy(self, value: int) -> int:
        return value + round(value * self._random.gauss(0, self.planted.noise_ppm) / PPM)

    def _seen(self) -> int:
        return self._true * (PPM + self.planted.gain_ppm) // PPM

    def _advance(self) -> None:
        now = self.clock.now_utc_ms()
        flowed = abs(self.power_mw()) * (now - self._at)
        self._true += flowed
        self._measured += self._noisy(flowed) if flowed else 0
        self._at = now
