"""What a run's result rests on beside its readings: the uncertainty with the readings' own spread, and the program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from anxin.verification.uncertainty import Budget, Source, budget, repeatability, repeatability_of

#: Beyond this part of what chance allows, the readings scatter more than the bench is known to.
CHANCE = 0.99
_PACKAGES = ("anxin.instruments", "anxin.verification", "anxin.flow")


def run_budget(planned: Budget, errors_ppm: Sequence[float]) -> Budget:
    """Return the budget of a point's mean: the plan's influences with the spread that the readings show.

    The bench's known spread and that of the readings are pooled by their degrees of freedom (GUM 4.2.4, H.3.6). Where
    the readings scatter more than chance allows (F test, 99 %), they alone count, with the few degrees that they have.
    """
    from scipy.special import fdtri

    known = next(c.influence for c in planned.components if c.influence.source is Source.REPEATABILITY)
    others = [c.influence for c in planned.components if c.influence.source is not Source.REPEATABILITY]
    own = repeatability_of(errors_ppm)
    if own.spread_ppm**2 > known.spread_ppm**2 * float(fdtri(own.freedom, known.freedom, CHANCE)):
        return budget([*others, own], len(errors_ppm))
    freedom = own.freedom + known.freedom
    variance = (own.freedom * own.spread_ppm**2 + known.freedom * known.spread_ppm**2) / freedom
    return budget([*others, repeatability(variance**0.5, freedom)], len(errors_ppm))


@cache
def software_sha256() -> str:
    """Return one SHA-256 over the bench's program: its source files by name, and what each holds."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted(resources.files(package).iterdir(), key=lambda f: f.name):
            if file.name.endswith(".py") and (package != "anxin.flow" or file.name.startswith("verifying")):
                digest.update(f"{package}/{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
