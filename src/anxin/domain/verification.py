"""Verification (检定) of a charger: the procedure, what was measured, what follows from it.

Energies are thousandths of a watt-hour, powers milliwatts, times UTC milliseconds, errors and limits parts per million
of the true value. A number that a regulation sets carries where it stands and whether that was read or is unconfirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SourceStatus(StrEnum):
    """How far a number is known. What is not CONFIRMED is shown so, also on a certificate's face.

    ASSUMED is said of a bench's own figures (how long a step takes, how a source settles), never of a regulation's.
    """

    CONFIRMED = "confirmed"
    SECONDARY = "secondary"
    DERIVED = "derived"
    UNCONFIRMED = "unconfirmed"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Sourced:
    """A number with its name, its unit, its source (document and clause, or address), and how far it is known."""

    name: str
    value: int
    unit: str
    source: str
    status: SourceStatus

    def __str__(self) -> str:
        return f"{self.name} = {self.value} {self.unit} ({self.status.value}): {self.source}"


@dataclass(frozen=True, slots=True)
class SourcedText:
    """A statement (a date, a rule's name) with its source and how far it is known."""

    name: str
    value: str
    source: str
    status: SourceStatus

    def __str__(self) -> str:
        return f"{self.name} = {self.value} ({self.status.value}): {self.source}"


class Item(StrEnum):
    """What a procedure looks at."""

    APPEARANCE = "appearance"
    WORKING_ERROR = "working_error"
    CLOCK_ERROR = "clock_error"
    INSULATION = "insulation"
    INDICATION_ERROR = "indication_error"
    AMOUNT_ERROR = "amount_error"


class VerificationKind(StrEnum):
    """Why a charger is verified."""

    FIRST = "first"
    PERIODIC = "periodic"
    AFTER_REPAIR = "after_repair"
    INSPECTION = "inspection"


class LoadMethod(StrEnum):
    """Virtual: voltage and current from separate circuits, so that the meter sees power that no one consumes."""

    VIRTUAL = "virtual"
    REAL = "real"


class Outcome(StrEnum):
    """Of one item, one point, or the whole. INDETERMINATE: stopped, or too near the limit for its uncertainty."""

    PASS = "pass"
    FAIL = "fail"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One point: current in milliamperes, voltage in millivolts (of one phase), phases (0: direct current), and
    the power factor in thousandths."""

    current_ma: int
    voltage_mv: int
    phases: int
    power_factor_permille: int = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading, exact: what the charger indicated and what the standard measured, in one unit.

    By registers both are milli-Wh; by pulses they are what `verification.working_error.by_pulses` makes of the two
    counts. The error is the fraction (indicated - true) / true, and every conclusion is drawn from it unrounded.
    """

    indicated: int
    true: int


@dataclass(frozen=True, slots=True)
class PointResult:
    """The working error measured at one point.

    readings         what was counted; all figures below follow from it
    readings_ppm     each reading's error to the nearest millionth, to be shown
    error_ppm        their mean; `rounded_ppm` after the regulation's rule; `limit_ppm` the limit that applies
    expanded_uncertainty_ppm   95.45 % (k = 2 where degrees of freedom abound), by the budget of the plan and the
                     readings' own spread
    """

    point: LoadPoint
    readings: tuple[Reading, ...]
    readings_ppm: tuple[int, ...]
    error_ppm: int
    rounded_ppm: int
    limit_ppm: int
    expanded_uncertainty_ppm: int
    energy_milli_wh: int
    duration_ms: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ItemResult:
    """One item of the procedure: `measured`, `limit` and `unit` as exact text where it is a number."""

    item: Item
    outcome: Outcome
    measured: str | None = None
    limit: str | None = None
    unit: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """The standard that was used: its own certificate must be valid on the day."""

    serial: str
    accuracy_class: str
    expanded_uncertainty_ppm: int
    certificate_no: str
    valid_to_utc_ms: int


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """All that one verification found; what a certificate or a notice of failure is made from.

    run_id        made by the bench before it starts: a result that is uploaded twice counts once
    procedure     id of the procedure's data file; `procedure_sha256` its digest
    software_sha256   of the bench's program
    stopped       why it ended early, None where it went through
    unconfirmed   the numbers used that are not confirmed, each with its source, as `str(Sourced)` says them
    simulated     an instrument of the bench said of itself that it is simulated: of a real charger it says nothing
    """

    run_id: str
    charger_id: str
    procedure: str
    procedure_sha256: str
    kind: VerificationKind
    method: LoadMethod
    accuracy_class: str
    begun_utc_ms: int
    ended_utc_ms: int
    items: tuple[ItemResult, ...]
    points: tuple[PointResult, ...]
    outcome: Outcome
    reference: Reference
    verified_by: str
    checked_by: str | None
    temperature_milli_c: int | None
    humidity_permille: int | None
    longitude: str | None
    latitude: str | None
    crs: str | None
    software: str
    software_sha256: str
    valid_to_utc_ms: int | None = None
    stopped: str | None = None
    unconfirmed: tuple[str, ...] = ()
    simulated: bool = False
