"""Words on a state become a history: in order, out of order, and said again."""

from __future__ import annotations

import itertools
import random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anxin.domain.connector_status import State, StatusRun, StatusWord
from anxin.occupancy.history import MERGE_MS, with_words

#: A busy machine is no fault of what is tested.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
IDLE, CHARGING, FAULT, OFFLINE = State.IDLE, State.CHARGING, State.FAULT, State.OFFLINE
MINUTE = 60_000


def word(state: State, at: int, index: int = 0) -> StatusWord:
    return StatusWord(state, at, at + 5, index, "op")


def states(runs: list[StatusRun]) -> list[tuple[State, int, int]]:
    return [(r.state, r.at_utc_ms, r.heard_utc_ms) for r in runs]


def said_at(words: list[StatusWord], moment: int) -> State | None:
    """Return what the last word before a moment said: counted anew from all words, of one moment the later message."""
    before = [w for w in words if w.at_utc_ms <= moment]
    return max(before, key=lambda w: (w.at_utc_ms, w.message_index)).state if before else None


def state_at(runs: list[StatusRun], moment: int) -> State | None:
    before = [r for r in runs if r.at_utc_ms <= moment]
    return max(before, key=lambda r: r.at_utc_ms).state if before else None


def test_a_state_said_again_is_kept_once() -> None:
    words = [word(IDLE, n * MINUTE, n) for n in range(100)]
    (run,) = with_words([], words)
    assert (run.at_utc_ms, run.heard_utc_ms, run.message_index) == (0, 99 * MINUTE, 0)


def test_a_silence_between_equal_words_is_not_filled() -> None:
    runs = with_words([], [word(IDLE, 0), word(IDLE, MERGE_MS + 1)])
    assert states(runs) == [(IDLE, 0, 0), (IDLE, MERGE_MS + 1, MERGE_MS + 1)]


def test_a_late_word_lands_between_and_what_was_said_after_it_stays() -> None:
    runs = with_words([], [word(IDLE, 0, 0), word(IDLE, 4 * MINUTE, 2)])
    assert states(runs) == [(IDLE, 0, 4 * MINUTE)]
    runs = with_words(runs, [word(FAULT, 2 * MINUTE, 1)])
    assert [(s, at) for s, at, _ in states(runs)] == [(IDLE, 0), (FAULT, 2 * MINUTE), (IDLE, 4 * MINUTE)]


def test_of_two_words_for_one_moment_the_later_message_stands_in_either_order() -> None:
    for order in ([0, 1], [1, 0]):
        runs: list[StatusRun] = []
        for n in order:
            runs = with_words(runs, [[word(IDLE, 7, 1), word(CHARGING, 7, 2)][n]])
        assert states(runs) == [(CHARGING, 7, 7)]


WORDS = st.lists(
    st.tuples(st.sampled_from([IDLE, CHARGING, FAULT, OFFLINE]), st.integers(0, 400)), min_size=1, max_size=40
).map(lambda said: [word(state, minute * 30_000, n) for n, (state, minute) in enumerate(said)])


@UNHURRIED
@given(WORDS, st.lists(st.integers(0, 401 * 30_000), min_size=5, max_size=5))
def test_words_in_the_order_of_their_times_say_at_each_moment_what_the_last_of_them_said(
    words: list[StatusWord], moments: list[int]
) -> None:
    runs: list[StatusRun] = []
    for w in sorted(words, key=lambda w: (w.at_utc_ms, w.message_index)):
        runs = with_words(runs, [w])
    for moment in moments:
        assert state_at(runs, moment) == said_at(words, moment)


@UNHURRIED
@given(WORDS, st.randoms(use_true_random=False))
def test_in_any_order_no_state_is_placed_further_off_than_a_merge_and_a_replay_mends_it(
    words: list[StatusWord], dice: random.Random
) -> None:
    shuffled = list(words)
    dice.shuffle(shuffled)
    runs: list[StatusRun] = []
    for w in shuffled:
        runs = with_words(runs, [w])
    assert [r.at_utc_ms for r in runs] == sorted({r.at_utc_ms for r in runs})
    assert all(r.at_utc_ms <= r.heard_utc_ms for r in runs)
    assert all(a.heard_utc_ms < b.at_utc_ms for a, b in itertools.pairwise(runs))
    # A word is not lost: at its own moment its state stands, unless a later one speaks of the same moment.
    for w in words:
        told = state_at(runs, w.at_utc_ms)
        if told != said_at(words, w.at_utc_ms):
            earlier = [v for v in words if 0 <= w.at_utc_ms - v.at_utc_ms <= MERGE_MS]
            assert told in {v.state for v in earlier}
    replayed = with_words(runs, words)
    for w in words:
        assert state_at(replayed, w.at_utc_ms) == said_at(words, w.at_utc_ms)


@UNHURRIED
@example(
    [
        word(IDLE, 61 * 30_000, 0),
        word(IDLE, 64 * 30_000, 1),
        word(CHARGING, 53 * 30_000, 2),
        word(CHARGING, 61 * 30_000, 3),
    ]
)
@given(WORDS)
def test_words_taken_twice_change_nothing(words: list[StatusWord]) -> None:
    runs = with_words([], words)
    assert with_words(runs, words) == runs


SPREAD = st.lists(st.sampled_from([IDLE, CHARGING, FAULT]), min_size=1, max_size=30).map(
    lambda said: [word(state, n * (MERGE_MS + 1), n) for n, state in enumerate(said)]
)


@UNHURRIED
@given(SPREAD, st.randoms(use_true_random=False))
def test_words_that_no_merge_touches_give_the_same_history_in_any_order(
    words: list[StatusWord], dice: random.Random
) -> None:
    shuffled = list(words)
    dice.shuffle(shuffled)
    runs: list[StatusRun] = []
    for w in shuffled:
        runs = with_words(runs, [w])
    assert runs == with_words([], words)
    assert states(runs) == [(w.state, w.at_utc_ms, w.at_utc_ms) for w in words]
