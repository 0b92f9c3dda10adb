"""Three colours and grey: how taken the connectors of a place were in a window.

    taken    = charging + occupied           what a driver could not use because another one did
    usable   = taken + idle                  time in which it served or could have served
    share    = taken / usable
    observed = (usable + blocked + faulty) / all time of connectors that were there

Red where the share reaches `busy_ppm`, green where it stays below `idle_ppm`, yellow between; grey where less than
`least_observed_ppm` was observed, and where nothing was usable. Faulty time is no idle time: a station of ten with nine
faulty and one charging is busy, not idle. The thresholds are policy (`occupancy.*`), docs/policy.md argues them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from anxin.occupancy.intervals import Ints
from anxin.occupancy.rollup import Column, counted_ms, observed_ms, share_ppm


class Colour(StrEnum):
    """红 busy, 黄 normal, 绿 idle, 灰 not known."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    GREY = "grey"


#: A colour's number in arrays is its place here.
COLOURS = (Colour.GREY, Colour.GREEN, Colour.YELLOW, Colour.RED)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Shares in millionths."""

    busy_ppm: int
    idle_ppm: int
    least_observed_ppm: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Colours of many places, row by row: `colour` is a place in COLOURS, shares are millionths, -1 where there is
    nothing to divide by."""

    colour: Ints
    taken_ppm: Ints
    observed_ppm: Ints


def picture_of(totals: Ints, thresholds: Thresholds) -> Picture:
    """Return the colours of rows of totals."""
    taken = totals[:, Column.CHARGING] + totals[:, Column.OCCUPIED]
    share = share_ppm(taken, taken + totals[:, Column.IDLE])
    observed = share_ppm(observed_ms(totals), counted_ms(totals))
    colour = np.select(
        [(share < 0) | (observed < thresholds.least_observed_ppm), share >= thresholds.busy_ppm,
         share < thresholds.idle_ppm],
        [0, 3, 1],
        2,
    )  # fmt: skip
    return Picture(colour, share, observed)
