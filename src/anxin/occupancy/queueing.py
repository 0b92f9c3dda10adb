"""What more connectors would do: recorded sessions and estimated blocked ones, served first come first served.

    1  each recorded session comes when it began and takes as long as it took
    2  blocked ones are added by the hour: a Poisson number of them, at even moments, as long as some recorded session
    3  whoever comes takes the connector that is free first, and waits until it is

The dice of step 2 are PCG64 seeded with (seed, CRC-32 of the cell): the same seed gives the same drivers, and with more
connectors the very same drivers come. With the same drivers nobody waits longer where there are more connectors (the
ordered free times of Kiefer and Wolfowitz 1955 are never later), so what is seen is the effect and no chance.
"""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass

import numpy as np

from anxin.occupancy.erlang import Floats
from anxin.occupancy.intervals import Ints
from anxin.occupancy.rollup import HOUR_MS, share_ppm

#: Who waits longer than this counts as one who waited.
LONG_WAIT_MS = 300_000


@dataclass(frozen=True, slots=True)
class Demand:
    """Drivers by the moment that they come (UTC ms, in order) and how long each takes (ms)."""

    arrival: Ints
    duration: Ints


@dataclass(frozen=True, slots=True)
class Service:
    """How drivers were served: times in ms; `waited_ppm` is the share that waited longer than LONG_WAIT_MS."""

    connectors: int
    drivers: int
    mean_wait_ms: int
    p95_wait_ms: int
    longest_wait_ms: int
    waited_ppm: int | None


def waits(demand: Demand, connectors: int) -> Ints:
    """Return how long each driver waits (ms). `connectors` is at least 1."""
    free = [-(1 << 60)] * connectors
    found = np.zeros(len(demand.arrival), np.int64)
    for place, (at, length) in enumerate(zip(demand.arrival.tolist(), demand.duration.tolist(), strict=True)):
        begin = max(at, free[0])
        found[place] = begin - at
        heapq.heapreplace(free, begin + length)
    return found


def service_of(demand: Demand, connectors: int) -> Service:
    """Return how the drivers would be served by so many connectors."""
    waited = waits(demand, connectors)
    count = len(waited)
    if not count:
        return Service(connectors, 0, 0, 0, 0, None)
    longer = np.array([np.count_nonzero(waited > LONG_WAIT_MS)], np.int64)
    return Service(
        connectors,
        count,
        int(waited.sum()) // count,
        int(np.sort(waited)[(count * 95 - 1) // 100]),
        int(waited.max()),
        int(share_ppm(longer, np.array([count], np.int64))[0]),
    )


def with_blocked(recorded: Demand, first_hour: int, blocked_per_hour: Floats, seed: int, cell: str) -> Demand:
    """Return recorded drivers and estimated blocked ones: `blocked_per_hour[n]` are expected in hour first_hour + n."""
    if not len(recorded.arrival):
        return recorded
    dice = np.random.Generator(np.random.PCG64([seed, zlib.crc32(cell.encode())]))
    count = dice.poisson(blocked_per_hour)
    hour = np.repeat(np.arange(len(count), dtype=np.int64) + first_hour, count)
    arrival = hour * HOUR_MS + dice.integers(0, HOUR_MS, len(hour))
    duration = recorded.duration[dice.integers(0, len(recorded.duration), len(hour))]
    return in_order(Demand(np.append(recorded.arrival, arrival), np.append(recorded.duration, duration)))


def in_order(demand: Demand) -> Demand:
    """Return drivers in the order in which they come."""
    order = np.lexsort((demand.duration, demand.arrival))
    return Demand(demand.arrival[order], demand.duration[order])
