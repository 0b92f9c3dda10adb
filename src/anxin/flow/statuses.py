"""Words on connectors' states into their history, in the judge's transaction.

    1  who may say it: the operator that the register names, or the charger itself; another's word is a message and no
       more; of a connector that the register does not know, each sender's words are kept apart
    2  when it was: never later than it came; a clock that was never set counts from when it came
    3  the words are put into the runs of their connector (occupancy/history.py); only what changes is written
    4  hours that are counted already and that a late word changes are noted

If the process dies, the transaction is gone and the same messages are taken again. A word taken twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anxin.domain.connector_status import StatusReport, StatusRun, StatusWord
from anxin.flow.platform import Directory
from anxin.occupancy.history import with_words
from anxin.store import statuses as store
from anxin.store.statuses import Key, Late

#: What a late word changes is counted anew so far back from the hour that is closed next; older pictures stand, the
#: history itself takes the word.
MAX_LATE_MS = 31 * 86_400_000
#: 2010-01-01. A word that is dated earlier counts from its arrival: a clock that was never set says 1970, and no public
#: charger ran then.
UNSET_BEFORE_UTC_MS = 1_262_304_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """A report with its message, when that came, and its sender."""

    report: StatusReport
    received_utc_ms: int
    message_index: int
    sender: str


def key_of(directory: Directory, sender: str, connector_id: str) -> Key | None:
    """Return under which key a sender's word on a connector is kept: None where it is another's."""
    connector = directory.connectors.get(connector_id)
    if connector is None:
        return connector_id, sender
    return (connector_id, "") if sender in (connector.operator_id, connector.charger_id) else None


def keep_statuses(connection: Any, directory: Directory, said: Iterable[Said], silence_ms: int) -> list[Said]:
    """Put words into the history; return those that were not taken because the connector is another operator's."""
    words: dict[Key, list[StatusWord]] = {}
    foreign = []
    for s in said:
        key = key_of(directory, s.sender, s.report.connector_id)
        if key is None:
            foreign.append(s)
        else:
            words.setdefault(key, []).append(_word(s))
    if words:
        _keep(connection, directory, words, silence_ms)
    return foreign


def _word(said: Said) -> StatusWord:
    at = min(said.report.at_utc_ms, said.received_utc_ms)
    if at < UNSET_BEFORE_UTC_MS:
        at = said.received_utc_ms
    return StatusWord(said.report.state, at, said.received_utc_ms, said.message_index, said.sender)


def _keep(connection: Any, directory: Directory, words: dict[Key, list[StatusWord]], silence_ms: int) -> None:
    owners = {i: directory.connectors[i].operator_id for i, apart in words if not apart}
    numbers = store.numbers(connection, list(words), owners)
    latest = store.latest_runs(connection, list(numbers.values()))
    first = {numbers[key]: min(w.at_utc_ms for w in said) for key, said in words.items()}
    # A word after all that is known needs the latest run alone.
    late = [(no, at) for no, at in first.items() if no in latest and at <= latest[no].heard_utc_ms]
    around = store.runs_around(connection, late)
    closing = store.closing_utc_ms(connection)
    changes = _Changes()
    for key, said in words.items():
        no = numbers[key]
        last = latest.get(no)
        if no in around:
            stored = around[no]
            before = [*stored[:-1], replace(stored[-1], heard_utc_ms=last.heard_utc_ms)] if last and stored else []
        else:
            before = [last] if last else []
            stored = [replace(last, heard_utc_ms=last.at_utc_ms)] if last else []
        after = with_words(before, said)
        if after != before:
            changes.add(no, key, stored, after)
            if first[no] < closing and not key[1]:
                changes.late.append(_late(no, said, after, closing, silence_ms))
    store.put_runs(connection, changes.gone, changes.put)
    store.put_latest(connection, changes.latest)
    store.put_late(connection, changes.late)


class _Changes:
    """What has to be written."""

    def __init__(self) -> None:
        self.gone: list[tuple[int, int]] = []
        self.put: list[tuple[int, StatusRun]] = []
        self.latest: list[tuple[int, Key, StatusRun]] = []
        self.late: list[Late] = []

    def add(self, no: int, key: Key, stored: Sequence[StatusRun], after: Sequence[StatusRun]) -> None:
        old = {r.at_utc_ms: r for r in stored}
        kept = {r.at_utc_ms for r in after}
        self.gone += [(no, at) for at in old if at not in kept]
        self.put += [(no, r) for r in after[:-1] if old.get(r.at_utc_ms) != r]
        last = after[-1]
        known = old.get(last.at_utc_ms)
        # How long the latest run goes on stands in connector_status alone: a repeated word writes one small row.
        if known is None or replace(known, heard_utc_ms=last.heard_utc_ms) != last:
            self.put.append((no, last))
        self.latest.append((no, key, last))


def _late(no: int, said: Sequence[StatusWord], after: Sequence[StatusRun], closing: int, silence_ms: int) -> Late:
    """Changed is the time from the first late word to the run after the last one, or as long as a state holds."""
    moments = [w.at_utc_ms for w in said if w.at_utc_ms < closing]
    later = [r.at_utc_ms for r in after if r.at_utc_ms > max(moments)]
    holds = max(r.heard_utc_ms for r in after) + silence_ms
    return Late(no, max(min(moments), closing - MAX_LATE_MS), min([*later[1:2], holds]))
