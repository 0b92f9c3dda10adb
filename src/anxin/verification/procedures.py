"""Procedures of verification as dated data: which items, which limits, which load points, and where each number stands.

The files are `data/procedures/*.toml` in the form that `sourced` reads; docs/procedures.md shows them all. No limit of
a regulation stands in code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from anxin.domain.errors import PolicyError
from anxin.domain.verification import Item, Sourced, SourcedText, VerificationKind
from anxin.verification.sourced import SourcedFile, package_files, parse

Used = tuple[Sourced | SourcedText, ...]


class Place(StrEnum):
    """How a procedure takes an item: as one that is judged, or as a condition before the others begin."""

    ITEM = "item"
    PRECONDITION = "precondition"


class Rounding(StrEnum):
    """How a value in the middle of two steps is rounded."""

    HALF_EVEN = "half_even"
    HALF_AWAY = "half_away"


class DecisionRule(StrEnum):
    """How the uncertainty enters the conclusion (ILAC-G8:09/2019, 4.2).

    SIMPLE    4.2.1: the rounded value against the limit, allowed only while U is within the stated part of the limit
    GUARDED   4.2.3 with w = U: between limit - U and limit + U there is no conclusion
    """

    SIMPLE = "simple"
    GUARDED = "guarded"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that applies, with all that its application needs, and every number used for it.

    maximum        largest allowed absolute value, in the item's unit (ppm, ms, or ten-thousandths of the currency unit)
    interval       step of rounding in the same unit; 0 where nothing is rounded
    uncertainty_part   the expanded uncertainty may be at most maximum / uncertainty_part
    """

    item: Item
    maximum: int
    interval: int
    rounding: Rounding
    decision: DecisionRule
    uncertainty_part: int
    used: Used

    @property
    def allowed_uncertainty(self) -> int:
        """The largest expanded uncertainty under which a conclusion is drawn, rounded down."""
        return self.maximum // self.uncertainty_part


@dataclass(frozen=True, slots=True)
class PointRule:
    """A load point that a procedure asks for.

    name            as in the file
    permille_of_max current in thousandths of the largest current
    energy_mmq      energy in minimum measured quantities, None where none is asked for
    """

    name: str
    permille_of_max: int
    energy_mmq: int | None
    used: Used


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure: reads its file's numbers and says with each what was used."""

    file: SourcedFile

    @property
    def id(self) -> str:
        """The file's id, `jjg-1148-2022`."""
        return self.file.text("id")

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the file's bytes: two results under one digest were judged by the same numbers."""
        return self.file.sha256

    @property
    def currents(self) -> tuple[str, ...]:
        """`AC`, `DC` or both."""
        return tuple(self.file.text("currents").split(","))

    @property
    def classes(self) -> tuple[str, ...]:
        """Accuracy classes in the order of the file."""
        return tuple(dict.fromkeys(n.split(".")[1] for n in self.file.numbers if n.startswith("classes.")))

    @property
    def items(self) -> dict[Item, Place]:
        """What is looked at, in the order of the file."""
        stated = [(n.removeprefix("items."), v.value) for n, v in self.file.statements.items() if n[:6] == "items."]
        return {Item(name): Place(place) for name, place in stated}

    @property
    def period_years(self) -> Sourced:
        """Years for which a passed verification of a charger in use holds."""
        return self.file.number("period.in_use")

    def working_error(
        self, accuracy_class: str, kind: VerificationKind = VerificationKind.PERIODIC, *, low_current: bool = False
    ) -> Limit:
        """Return the limit of the working error. `low_current`: below the transitional current, where one is set.

        Raises PolicyError for a class that the procedure does not know.
        """
        if accuracy_class not in self.classes:
            raise PolicyError(
                f"{self.id} 没有等级 · has no class {accuracy_class}; known are {', '.join(self.classes)}"
            )
        base = f"classes.{accuracy_class}.working_error"
        when = "first" if kind is VerificationKind.FIRST else "later"
        names = [f"{base}_low"] * low_current + [f"{base}_{when}", base]
        found = next((self.file.numbers[n] for n in names if n in self.file.numbers), None)
        if found is None:
            raise PolicyError(f"{self.id}: class {accuracy_class} states no working error")
        return self._limit(Item.WORKING_ERROR, found, is_rounded=True)

    def indication_error(self, accuracy_class: str) -> Limit:
        """Return the limit of the indication error; a procedure without that item is a PolicyError."""
        found = self.file.number(f"classes.{accuracy_class}.indication_error")
        return self._limit(Item.INDICATION_ERROR, found, is_rounded=True)

    def clock_error(self, kind: VerificationKind) -> Limit:
        """Return the limit of the clock moment error in ms. What is not a first verification is a subsequent one."""
        name = "clock.first" if kind is VerificationKind.FIRST else "clock.later"
        return self._limit(Item.CLOCK_ERROR, self.file.number(name), is_rounded=False)

    def amount_error(self) -> Limit:
        """Return the limit of the amount to pay, in ten-thousandths of the currency unit."""
        return self._limit(Item.AMOUNT_ERROR, self.file.number("amount.limit"), is_rounded=False)

    def insulation(self) -> Sourced:
        """Return the least insulation resistance in kilo-ohms."""
        return self.file.number("insulation.minimum")

    def _limit(self, item: Item, maximum: Sourced, *, is_rounded: bool) -> Limit:
        """Return a limit. Its interval of rounding MUST divide it: a limit between two steps would be a smaller one."""
        mode, rule = self.file.statement("rounding.mode"), self.file.statement("decision.rule")
        parts, third = self.file.number("rounding.parts_of_limit"), self.file.number("uncertainty.parts_of_limit")
        used: Used = (maximum, rule, third)
        interval = 0
        if is_rounded:
            interval, rest = divmod(maximum.value, parts.value)
            if rest or not interval:
                raise PolicyError(f"{self.file.name}: {maximum.name} is no multiple of {parts.value}")
            used = (maximum, parts, mode, rule, third)
        return Limit(item, maximum.value, interval, Rounding(mode.value), DecisionRule(rule.value), third.value, used)

    @property
    def points(self) -> tuple[PointRule, ...]:
        """The load points asked for, in the order of the file."""
        names = dict.fromkeys(n.split(".")[1] for n in self.file.numbers if n.startswith("points."))
        rules = []
        for name in names:
            current = self.file.number(f"points.{name}.current")
            energy = self.file.numbers.get(f"points.{name}.energy")
            used: Used = (current,) if energy is None else (current, energy)
            rules.append(PointRule(name, current.value, None if energy is None else energy.value, used))
        return tuple(rules)


def load(text: str, name: str) -> Procedure:
    """Return the procedure of a file's text. Raises PolicyError where it contradicts itself."""
    procedure = Procedure(parse(text, name))
    _check(procedure)
    return procedure


@cache
def procedures() -> dict[str, Procedure]:
    """Return every procedure of the package by id."""
    found = [Procedure(file) for file in package_files("procedures").values()]
    for procedure in found:
        _check(procedure)
    return {procedure.id: procedure for procedure in found}


def procedure_of(id_: str) -> Procedure:
    """Return a procedure by its id; an unknown one is a PolicyError that names the known ones."""
    known = procedures()
    if id_ not in known:
        raise PolicyError(f"没有这个检定程序 · no such procedure: {id_}; known are {', '.join(known)}")
    return known[id_]


def for_current(current: str) -> Iterable[Procedure]:
    """Return the procedures that apply to `AC` or `DC`."""
    return [p for p in procedures().values() if current in p.currents]


def _check(procedure: Procedure) -> None:
    """Ask once for everything that a verification will ask for, so that a gap is seen when the file is read."""
    file = procedure.file
    for name in ("id", "document", "title_zh", "title_en", "currents"):
        file.text(name)
    try:
        items = procedure.items
    except ValueError as error:
        raise PolicyError(f"{file.name}: {error}") from None
    if not items or not procedure.classes:
        raise PolicyError(f"{file.name}: states no items or no classes")
    for accuracy_class in procedure.classes:
        for kind in VerificationKind:
            procedure.working_error(accuracy_class, kind)
        if Item.INDICATION_ERROR in items:
            procedure.indication_error(accuracy_class)
    for kind in VerificationKind:
        if Item.CLOCK_ERROR in items:
            procedure.clock_error(kind)
    if Item.AMOUNT_ERROR in items:
        procedure.amount_error()
    if Item.INSULATION in items:
        procedure.insulation()
    least = file.number("load.points_at_least")
    if len(procedure.points) < least.value:
        raise PolicyError(f"{file.name}: {len(procedure.points)} points, at least {least.value} are asked for")
    for name in ("load.readings_at_least", "period.in_use"):
        file.number(name)
