"""Array types, streams of randomness, and the arithmetic on runs of one connector."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_MASK = np.uint64(0xFFFFFFFFFFFFFFFF)


class Stream(IntEnum):
    """Each stage draws from its own stream, so that a change in one leaves the others' draws alone."""

    WORLD = 1
    SESSIONS = 2
    MESS = 3
    CHEATS = 4


def generator(seed: int, stream: Stream) -> np.random.Generator:
    """Return the generator of one stage of one city."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(stream)])))


def mix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return well-mixed 64-bit values (the finaliser of SplitMix64, Steele et al., OOPSLA 2014)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: npt.NDArray[np.uint64] = (mixed ^ (mixed >> np.uint64(31))) & _MASK
    return result


def sums_before(values: Ints, group: Ints) -> Ints:
    """Return for each element the sum of the earlier elements of its group; groups stand in one run each."""
    before: Ints = np.cumsum(values) - values
    first = np.flatnonzero(np.diff(group, prepend=-1))
    lengths = np.diff(np.append(first, len(group)))
    result: Ints = before - np.repeat(before[first], lengths)
    return result


def served_in_turn(arrival: Ints, occupied: Ints, group: Ints) -> Ints:
    """Return the start of each session where a connector serves one after another.

    start[i] = max(arrival[i], start[i-1] + occupied[i-1]) inside a group (Lindley 1952), without a loop:
    start = S + cummax(arrival - S) with S the sum of what was occupied before. A step per group, larger than any
    difference, keeps one connector's maximum out of the next one's.
    """
    before = sums_before(occupied, group)
    slack = arrival - before
    step = int(slack.max() - slack.min()) + 1 if len(slack) else 1
    lifted = slack + group * step
    result: Ints = np.maximum.accumulate(lifted) - group * step + before
    return result
