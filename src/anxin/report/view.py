"""Everything that the report page shows, as plain frozen values. Whoever judges fills them in; the page only draws.

Units follow domain/quantities.py: energy in mWh, money in ten-thousandths of `currency`, time in UTC milliseconds.
Texts may come from anywhere (an operator's id is untrusted): the page escapes, clips and unmasks them, so that
nothing here needs to be cleaned first. Words such as a state or a severity are the values of the domain's enums;
a word that the page does not know is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: How many cases one page holds; the rest stands in findings.parquet. Two thousand is more than a desk reads.
MAX_CASES = 2_000
#: How many rejected rows one page holds; all of them stand in rejects.csv.
MAX_REJECTS = 200

#: Edges of the drawing of differences (order minus meter), in mWh: decades on both sides of one display digit
#: (0.01 kWh). A difference d falls into the bin i with edges[i-1] <= d < edges[i]; the outermost bins are open.
DIFFERENCE_EDGES_MILLI_WH = (
    -100_000_000, -10_000_000, -1_000_000, -100_000, -10_000, 10_001, 100_001, 1_000_001, 10_000_001, 100_000_001,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One value of the policy in force. `status` is `confirmed`, `secondary`, `derived` or `unconfirmed`."""

    name: str
    value: str
    unit: str
    source: str
    status: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The policy in force: its title, its date (ISO), its digest and every value."""

    title: str
    dated: str
    sha256: str
    values: tuple[PolicyRow, ...] = ()


@dataclass(frozen=True, slots=True)
class InputRow:
    """One file that was read: name as the user gave it, SHA-256 (hex), dialect, rows read and rows refused."""

    file: str
    sha256: str
    dialect: str
    rows_read: int
    rows_rejected: int


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """Something about a whole file that is said before anything else; `count` rows rest on it."""

    file: str
    rule: str
    count: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the sessions that have both an order and a record, so that like is compared with like.

    `amount_recomputed_e4` is None where no tariff was given; a session within the tolerance counts as
    billed. `unmatched_order_milli_wh` is billed without any record,
    `unmatched_record_milli_wh` measured without any order; both None where not summed.
    """

    billed_milli_wh: int = 0
    metered_milli_wh: int = 0
    amount_billed_e4: int | None = None
    amount_recomputed_e4: int | None = None
    unmatched_order_milli_wh: int | None = None
    unmatched_record_milli_wh: int | None = None

    @property
    def difference_milli_wh(self) -> int:
        """Billed minus metered, mWh: positive where drivers were billed for more than the meters measured."""
        return self.billed_milli_wh - self.metered_milli_wh

    @property
    def leakage_e4(self) -> int | None:
        """Billed minus recomputed, in ten-thousandths; None where either is unknown."""
        if self.amount_billed_e4 is None or self.amount_recomputed_e4 is None:
            return None
        return self.amount_billed_e4 - self.amount_recomputed_e4


@dataclass(frozen=True, slots=True)
class BasisRow:
    """Where a rule comes from, and whether that source was read (`status` as in a policy)."""

    source: str
    status: str


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule that ran: how often it found something, and what is at stake (None where it cannot be summed)."""

    id: str
    title_zh: str
    title_en: str
    severity: str
    count: int
    energy_milli_wh_at_stake: int | None = None
    amount_e4_at_stake: int | None = None
    explain_zh: str = ""
    explain_en: str = ""
    basis: tuple[BasisRow, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleNotRun:
    """A rule that could not run, and the facts that were missing (names of tables: `tariffs`, `keys`, ...)."""

    id: str
    title_zh: str
    title_en: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding as exact text; `unit` is that of expected, found, difference and tolerance."""

    rule: str
    cause: str
    severity: str
    zh: str
    en: str
    expected: str | None = None
    found: str | None = None
    difference: str | None = None
    tolerance: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One field of the order beside the same field of the meter's record, as text; None where a side has none."""

    label_zh: str
    label_en: str
    order_value: str | None
    record_value: str | None
    differs: bool = False


@dataclass(frozen=True, slots=True)
class RegisterPoint:
    """One reading of the meter's register for the small drawing of a case.

    kind: `begin` and `end` of a neighbouring session, `case_begin` and `case_end` of the session itself,
    `order_begin` and `order_end` as the order claims its registers. Any order; the page sorts by time.
    """

    time_utc_ms: int
    register_milli_wh: int
    kind: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Where a side of the case was read: `side` is `order` or `record`."""

    side: str
    file: str
    row: int


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One session that an inspector should look at, with everything that its judgement rests on.

    session_id   stable id of the session in verdicts.parquet; also the anchor in the page
    state        a SessionState value, or for findings that no session carries `operator_totals`, `meter` or
                 `not_of_a_session`; severity the worst among its findings
    answer       the answer on its signature (Answer value) or None where no record exists; reason a stable id
    amount_e4, expected_amount_e4   as billed, and as recomputed from the signed energy; None where not known
    """

    session_id: str
    state: str
    severity: str
    order_ids: tuple[str, ...] = ()
    record_ids: tuple[str, ...] = ()
    operator_id: str | None = None
    operator_name: str | None = None
    connector_id: str | None = None
    meter_id: str | None = None
    station: str | None = None
    district: str | None = None
    start_utc_ms: int | None = None
    end_utc_ms: int | None = None
    order_energy_milli_wh: int | None = None
    metered_energy_milli_wh: int | None = None
    amount_e4: int | None = None
    expected_amount_e4: int | None = None
    answer: str | None = None
    reason: str | None = None
    key_id: str | None = None
    findings: tuple[FindingRow, ...] = ()
    evidence: tuple[EvidenceRow, ...] = ()
    registers: tuple[RegisterPoint, ...] = ()
    sources: tuple[SourceRow, ...] = ()

    @property
    def difference_milli_wh(self) -> int | None:
        """Order minus meter, mWh; None where one side is missing."""
        if self.order_energy_milli_wh is None or self.metered_energy_milli_wh is None:
            return None
        return self.order_energy_milli_wh - self.metered_energy_milli_wh


@dataclass(frozen=True, slots=True)
class DayRow:
    """Sessions of one local day by state. `local_date` is ISO; an empty text where a session has no date."""

    local_date: str
    agree: int = 0
    disagree: int = 0
    order_only: int = 0
    record_only: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator: sessions, how many of them disagree or lack a side, order minus meter in mWh, rows refused."""

    operator_id: str
    name: str
    sessions: int
    disagree: int
    order_only: int = 0
    record_only: int = 0
    difference_milli_wh: int = 0
    rejects: int = 0


@dataclass(frozen=True, slots=True)
class RejectRow:
    """One refused row: where it stood, which field, which rule refused it and why."""

    file: str
    row: int
    rule: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """How many planted cheats of one kind and size class the audit found."""

    kind: str
    title_zh: str
    title_en: str
    size_class: str
    planted: int
    found: int


@dataclass(frozen=True, slots=True)
class ScoreView:
    """The audit against a truth file. Recall and false alarms are always shown together."""

    rows: tuple[ScoreRow, ...]
    honest_sessions: int
    false_alarms: int


@dataclass(frozen=True, slots=True)
class DistrictShape:
    """One district: rings of (longitude, latitude) in degrees, outer rings and holes alike (even-odd fill).

    Floats are used for drawing only; no judgement rests on them.
    """

    name_zh: str
    name_en: str
    rings: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, slots=True)
class StationMark:
    """One station on the map; `state` is the worst SessionState met there, in the system of the districts."""

    station_id: str
    name: str
    longitude: float
    latitude: float
    state: str
    sessions: int = 0
    disagree: int = 0


@dataclass(frozen=True, slots=True)
class MapView:
    """The districts that the audit covers and the stations in them; `credit` names where the boundaries come from."""

    districts: tuple[DistrictShape, ...]
    stations: tuple[StationMark, ...]
    credit: str = ""


@dataclass(frozen=True, slots=True)
class ReportView:
    """The whole page.

    generated_for_utc_ms   the moment up to which the audit judged; never the wall clock, so that the bytes repeat
    zone                   IANA zone in which times are written
    sessions               number of sessions by SessionState value
    cases                  any number in any order: the page shows the first MAX_CASES by severity, then difference
    cases_total            all cases that exist; None means that `cases` holds them all
    compared               False where orders or records only were given: they were examined, nothing was compared
    differences            the counts that `difference_bins` returns; empty where no session has both sides
    command                the words of the command that makes this report again
    """

    title_zh: str
    title_en: str
    generated_for_utc_ms: int
    software: str
    policy: PolicyView
    sessions: dict[str, int]
    totals: Totals = Totals()
    inputs: tuple[InputRow, ...] = ()
    notices: tuple[NoticeRow, ...] = ()
    findings_by_rule: tuple[RuleRow, ...] = ()
    rules_not_run: tuple[RuleNotRun, ...] = ()
    cases: tuple[CaseRow, ...] = ()
    cases_total: int | None = None
    daily: tuple[DayRow, ...] = ()
    operators: tuple[OperatorRow, ...] = ()
    rejects: tuple[RejectRow, ...] = ()
    rejects_total: int = 0
    differences: tuple[int, ...] = ()
    score: ScoreView | None = None
    map: MapView | None = None
    command: tuple[str, ...] = ()
    zone: str = "Asia/Shanghai"
    currency: str = "CNY"
    compared: bool = True


def difference_bins(differences: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Return the counts for `ReportView.differences` from (order minus meter in mWh, how many sessions) pairs.

    Eleven counts, from "less than -100 kWh" over "within one display digit" to "more than 100 kWh".
    """
    counts = [0] * (len(DIFFERENCE_EDGES_MILLI_WH) + 1)
    for value, sessions in differences:
        counts[sum(value >= edge for edge in DIFFERENCE_EDGES_MILLI_WH)] += sessions
    return tuple(counts)
