"""The history of a connector: words on its state become runs, in whatever order they come.

    1  words are put in by the time that they speak of; of two for one moment the later message stands
    2  a word that repeats the state before it, MERGE_MS after it or sooner, is kept once: it only prolongs the run
    3  another state in the midst of a run cuts it in two; the rest goes on at the next word that is known of it

Words in order, and late ones that change a state, are placed to the millisecond. Where another state comes late into a
run of many repeats, the repeats between the first and the last are not known any more: the rest of the run goes on at
most MERGE_MS too late. A replay of the messages mends that as well.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from anxin.domain.connector_status import StatusRun, StatusWord

#: Two words of one state farther apart than this are two runs: nobody is taken to have repeated a word that he did not.
MERGE_MS = 300_000


def with_words(runs: Sequence[StatusRun], words: Iterable[StatusWord]) -> list[StatusRun]:
    """Return the runs of one connector, in the order of their times, with these words put in."""
    kept = list(runs)
    for word in sorted(words, key=lambda w: (w.at_utc_ms, w.message_index)):
        _put(kept, word)
    return kept


def _put(runs: list[StatusRun], word: StatusWord) -> None:
    at = word.at_utc_ms
    here = bisect_right(runs, at, key=lambda r: r.at_utc_ms) - 1
    before = runs[here] if here >= 0 else None
    rest: list[StatusRun] = []
    exchanged = False
    if before is not None and at <= before.heard_utc_ms:
        if before.state is word.state:
            return
        if before.at_utc_ms == at:
            if word.message_index <= before.message_index:
                return
            del runs[here]
            here -= 1
            exchanged = True
        else:
            runs[here] = replace(before, heard_utc_ms=at - 1)
        if before.heard_utc_ms > at:
            rest = [replace(before, at_utc_ms=min(at + MERGE_MS, before.heard_utc_ms))]
    runs[here + 1 : here + 1] = [_run(word), *rest]
    places = [here + 1 + len(rest), here + 1]  # from behind, so that the places before stay what they are
    # A word that took another's place stays a run of its own: in a longer one its number would be lost, and the word
    # that it replaced would stand again where it is taken twice.
    for place in places if exchanged else [*places, here]:
        _join(runs, place)


def _join(runs: list[StatusRun], place: int) -> None:
    """Make one of a run and the next, where the next repeats it."""
    if not 0 <= place < len(runs) - 1:
        return
    one, two = runs[place], runs[place + 1]
    if one.state is two.state and two.at_utc_ms - one.heard_utc_ms <= MERGE_MS:
        runs[place : place + 2] = [replace(one, heard_utc_ms=two.heard_utc_ms)]


def _run(word: StatusWord) -> StatusRun:
    return StatusRun(word.state, word.at_utc_ms, word.at_utc_ms, word.received_utc_ms, word.message_index, word.sender)
