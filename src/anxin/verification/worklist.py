"""What is verified next: what is due, what a sample asks for, and the rest by risk; each way switchable by policy.

Pure: the day, the register's verifications, the measures and the seed of the draw come in. The draw is by SHA-256 of
seed and charger id, so that anyone who knows the seed draws the same sample, and nobody who does not can foresee it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from anxin.domain.verification import Outcome
from anxin.verification.conclusion import valid_through
from anxin.verification.procedures import Procedure
from anxin.verification.sampling import SamplingPlan, smallest_plan
from anxin.verification.sourced import SourcedFile, package_files

PPM = 1_000_000


class Why(StrEnum):
    """Why a charger stands in the list. The order is that of the list."""

    NEVER_VERIFIED = "never_verified"
    FAILED = "failed"
    OVERDUE = "overdue"
    DUE = "due"
    SAMPLED = "sampled"
    RISK = "risk"


RANK = {why: place for place, why in enumerate(Why)}


@dataclass(frozen=True, slots=True)
class Measures:
    """What is known of a charger. None where it is not measured: that counts nothing, and is said.

    last_verified, last_outcome   of its last verification
    occupied_ppm     part of the time that it was occupied
    open_alarms      alarms that are not closed
    bias_ppm         error that surveillance estimates, either sign
    """

    charger_id: str
    batch: str
    last_verified: date | None = None
    last_outcome: Outcome | None = None
    occupied_ppm: int | None = None
    open_alarms: int | None = None
    bias_ppm: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the work list: why, since or until when, and the points of each measure."""

    charger_id: str
    why: Why
    due: date | None
    points: Mapping[str, int]

    @property
    def score(self) -> int:
        """Sum of the points."""
        return sum(self.points.values())


def default_policy() -> SourcedFile:
    """Return the policy of the work list that the package holds."""
    return package_files("worklist")["default-2026-11"]


def due_day(procedure: Procedure, measures: Measures) -> date | None:
    """Return the last day of the charger's verification, None where it was never verified or did not pass."""
    if measures.last_verified is None or measures.last_outcome is not Outcome.PASS:
        return None
    return valid_through(procedure, measures.last_verified)[0]


def points_of(policy: SourcedFile, measures: Measures, today: date) -> dict[str, int]:
    """Return the points of each measure that is switched on, rounded down; full at `full.*`, never more."""
    age = None if measures.last_verified is None else max(0, (today - measures.last_verified).days)
    values = {
        "utilisation": (measures.occupied_ppm, PPM),
        "alarms": (measures.open_alarms, policy.number("full.alarms").value),
        "surveillance": (
            None if measures.bias_ppm is None else abs(measures.bias_ppm), policy.number("full.surveillance").value,
        ),
        "age": (age, policy.number("full.age").value),
    }  # fmt: skip
    return {
        name: policy.number(f"weight.{name}").value * min(max(value, 0), full) // full
        for name, (value, full) in values.items()
        if value is not None and _on(policy, name)
    }


def sample(charger_ids: Iterable[str], plan: SamplingPlan, seed: str) -> list[str]:
    """Return the chargers drawn: the `plan.size` smallest by SHA-256 of seed and id, in that order."""

    def place(charger_id: str) -> bytes:
        return hashlib.sha256(f"{seed}\n{charger_id}".encode()).digest()

    return sorted(set(charger_ids), key=place)[: plan.size]


def work_list(
    policy: SourcedFile,
    procedures: Mapping[str, Procedure],
    chargers: Sequence[Measures],
    today: date,
    seed: str,
) -> list[Entry]:
    """Return the work list: due first by day, then the samples of each batch, then the rest by points.

    `procedures` gives each charger's own by its id. A way that is switched off adds nothing: without `use.due` no
    charger stands there for its day, without `use.sampling` none for a sample, and a measure that is off has no points.
    A charger with no points and no other reason is left out. The list is a function of its arguments, ties by id.
    """
    entries: dict[str, Entry] = {}
    drawn = _drawn(policy, chargers, seed) if _on(policy, "sampling") else set()
    ahead = timedelta(days=policy.number("due.ahead").value)
    for charger in chargers:
        points = points_of(policy, charger, today)
        due = due_day(procedures[charger.charger_id], charger)
        why: Why | None = None
        if _on(policy, "due"):
            if charger.last_verified is None:
                why = Why.NEVER_VERIFIED
            elif due is None:
                why = Why.FAILED
            elif due < today:
                why = Why.OVERDUE
            elif due <= today + ahead:
                why = Why.DUE
        if why is None and charger.charger_id in drawn:
            why = Why.SAMPLED
        if why is None and sum(points.values()) > 0:
            why = Why.RISK
        if why is not None:
            entries[charger.charger_id] = Entry(charger.charger_id, why, due, points)
    return sorted(entries.values(), key=_order)


def _order(entry: Entry) -> tuple[int, date, int, str]:
    by_day = entry.due if entry.why in (Why.OVERDUE, Why.DUE) and entry.due is not None else date.min
    return RANK[entry.why], by_day, -entry.score, entry.charger_id


def _drawn(policy: SourcedFile, chargers: Sequence[Measures], seed: str) -> set[str]:
    batches: dict[str, list[str]] = {}
    for charger in chargers:
        batches.setdefault(charger.batch, []).append(charger.charger_id)
    drawn: set[str] = set()
    for batch, ids in batches.items():
        drawn.update(sample(ids, plan_of(policy, len(set(ids))), f"{seed}\n{batch}"))
    return drawn


def plan_of(policy: SourcedFile, batch: int) -> SamplingPlan:
    """Return the policy's sampling plan for a batch of that many chargers."""
    names = ("acceptable", "producer_risk", "rejectable", "consumer_risk")
    return smallest_plan(batch, *(policy.number(f"sampling.{name}").value for name in names))


def _on(policy: SourcedFile, way: str) -> bool:
    return policy.number(f"use.{way}").value != 0
