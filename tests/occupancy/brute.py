"""The same counted anew, minute by minute of a list of words: no run, no array, no roll-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from anxin.domain.connector_status import State, StatusWord

#: What is counted in one step, ms. Words of the tests stand on such steps.
STEP_MS = 30_000


def state_at(words: Sequence[StatusWord], moment: int, silence_ms: int) -> State:
    """Return what the last word up to a moment said; unknown before the first and after too long a silence."""
    said = [w for w in words if w.at_utc_ms <= moment]
    if not said:
        return State.UNKNOWN
    last = max(said, key=lambda w: (w.at_utc_ms, w.message_index))
    return last.state if moment < last.at_utc_ms + silence_ms else State.UNKNOWN


def counted(words: Sequence[StatusWord], start: int, end: int, silence_ms: int) -> Counter[State]:
    """Return for how many ms a connector was in each state; words, silence and window stand on STEP_MS."""
    found: Counter[State] = Counter()
    for moment in range(start, end, STEP_MS):
        found[state_at(words, moment, silence_ms)] += STEP_MS
    return found
