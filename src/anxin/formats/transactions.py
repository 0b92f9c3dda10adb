"""Signed records to transactions, and a transaction to the one session that the rule book looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from anxin.domain.batch import JudgedRecord, Side, Transaction
from anxin.domain.billable import BEGIN, ENDS, TARIFF_CHANGE, Billable, billable_of
from anxin.domain.meter_record import (
    CLOCK_ORDER,
    Answer,
    Clock,
    MeterRecord,
    MeterSession,
    Reading,
    RecordPeriod,
)

_PLACE_TYPES = ("EVSEID", "CBIDC")
_WEAKEST_FIRST = (Answer.FORGED, Answer.MALFORMED, Answer.CANNOT_JUDGE, Answer.AUTHENTIC)


_Identity = tuple[str | None, str | None, str | None]


@dataclass(slots=True)
class _Group:
    """The records of one transaction id (or of none) in the order received: begins that wait, by what they come from,
    and ends that came before their begin."""

    waiting: dict[_Identity, list[list[JudgedRecord]]] = field(default_factory=dict)
    ends: list[list[JudgedRecord]] = field(default_factory=list)

    def wait(self, identity: _Identity, members: list[JudgedRecord]) -> None:
        """Let a transaction wait for its end."""
        self.waiting.setdefault(identity, []).append(members)

    def match(self, identity: _Identity, *, close: bool) -> list[JudgedRecord] | None:
        """Return the waiting transaction that a record of `identity` belongs to, and forget it if that closes it."""
        source = identity if identity in self.waiting else None
        if source is None and len(self.waiting) == 1:
            source = next(iter(self.waiting))
            if len(self.waiting[source]) != 1:
                return None
        if source is None:
            return None
        members = self.waiting[source][-1]
        if close:
            self.waiting[source].pop()
            if not self.waiting[source]:
                del self.waiting[source]
        return members


def join(judged: Iterable[JudgedRecord]) -> list[Transaction]:
    """Return the transactions that these records make, in the order in which each began to appear.

    Records that state one transaction id belong together; a record with begin and end is a transaction of its own
    (one transaction may have several after a power failure). A begin is joined with the next end of the same meter,
    gateway and place, or, where only one is open, with the next end whatever it says: a splice must be seen, not
    hidden as two halves. The same payload again stays with its original and makes nothing new.
    """
    groups: dict[str | None, _Group] = {}
    by_digest: dict[str, list[JudgedRecord]] = {}
    order: list[list[JudgedRecord]] = []
    for record in judged:
        group = groups.setdefault(record.signed.transaction_id, _Group())
        digest = digest_of(record)
        if digest in by_digest:
            by_digest[digest].append(record)
            continue
        members = _place(group, record)
        by_digest[digest] = members
        if len(members) == 1:
            order.append(members)
    return [Transaction(_id_of(members), tuple(members)) for members in order]


def session_of(transaction: Transaction) -> tuple[MeterSession, list[RecordPeriod]]:
    """Return the session that a transaction's records make, and its energy per tariff period (OCMF TX = T).

    The same payload counts once, with the best answer on it; over different payloads the weakest answer and the
    weakest clock decide. Energy is None where a flag, a state or a missing reading makes it unusable.
    """
    members = _distinct(transaction.records)
    decoded = [member.signed.record for member in members if member.signed.record is not None]
    readings = [reading for record in decoded for reading in record.readings]
    bill = billable_of(readings)
    begin = bill.begin or next((r for r in readings if r.context == BEGIN), None)
    end = bill.end or next((r for r in reversed(readings) if r.context in ENDS), None)
    weakest = min(members, key=lambda member: _WEAKEST_FIRST.index(member.judgement.answer))
    first, last = (decoded[0], decoded[-1]) if decoded else (None, None)
    record_id = record_id_of([digest_of(member) for member in members])
    quanta = [r.quantum_milli_wh for r in (bill.begin, bill.end) if r is not None]
    session = MeterSession(
        record_id=record_id,
        source_file=members[0].signed.source.file,
        source_row=members[0].signed.source.row,
        transaction_id=transaction.transaction_id,
        meter_id=_first(decoded, "meter_serial") or _first(decoded, "gateway_serial") or members[0].signed.meter_id,
        gateway_id=_first(decoded, "gateway_serial"),
        connector_id=_connector(members, decoded),
        user_ref=_first(decoded, "user_ref"),
        begin_utc_ms=begin.time_utc_ms if begin else None,
        end_utc_ms=end.time_utc_ms if end else None,
        clock=_weakest_clock([r for r in (begin, end) if r is not None]).value,
        begin_register_milli_wh=bill.begin.register_milli_wh if bill.begin else None,
        end_register_milli_wh=bill.end.register_milli_wh if bill.end else None,
        energy_milli_wh=bill.energy_milli_wh,
        energy_quantum_milli_wh=max(quanta, default=1000),
        page_context=first.page_context if first else None,
        page_first=first.page_number if first else None,
        page_last=last.page_number if last else None,
        algorithm=first.algorithm if first else None,
        key_id=weakest.judgement.key_id,
        answer=weakest.judgement.answer.value,
        reason=weakest.judgement.reason,
        firmware=_first(decoded, "meter_firmware") or _first(decoded, "gateway_firmware"),
        closed=end is not None,
        received_utc_ms=max((m.signed.received_utc_ms for m in members if m.signed.received_utc_ms), default=None),
        local_date=_local_date(begin),
    )
    return session, _periods(record_id, bill)


def digest_of(record: JudgedRecord) -> str:
    """Return the identity of a record: the SHA-256 of its payload, or of all its bytes where none could be decoded."""
    decoded = record.signed.record
    return decoded.payload_digest if decoded is not None else hashlib.sha256(record.signed.raw).hexdigest()


def record_id_of(digests: Sequence[str]) -> str:
    """Return the identity of a session: its one record's digest, or the SHA-256 over several, one a line."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _place(group: _Group, record: JudgedRecord) -> list[JudgedRecord]:
    """Put a record where it belongs and return the members of that transaction."""
    side, stated = _side(record), record.signed.transaction_id is not None
    identity, alone = _identity(record.signed.record), [record]
    if side is Side.BEGIN:
        # A container may hold the end before its begin; only a stated id allows to read it so.
        if group.ends:
            members = group.ends.pop(0)
            members.insert(0, record)
            return members
        group.wait(identity, alone)
    elif side is not Side.WHOLE:
        known = group.match(identity, close=side is Side.END)
        if known is not None:
            known.append(record)
            return known
        if side is Side.END and stated:
            group.ends.append(alone)
    return alone


def _side(record: JudgedRecord) -> Side:
    """Return which end of a transaction a record is: what it says itself, else what its container says."""
    contexts = {r.context for r in record.signed.record.readings} if record.signed.record else set()
    begins, ends = BEGIN in contexts, not contexts.isdisjoint(ENDS)
    if begins or ends:
        return Side.WHOLE if begins and ends else Side.BEGIN if begins else Side.END
    if record.signed.side is not Side.UNSTATED:
        return record.signed.side
    # Neither begin nor end: something in between, or a fiscal reading that stands alone.
    return Side.UNSTATED if contexts - {None} else Side.WHOLE


def _identity(record: MeterRecord | None) -> _Identity:
    return (record.meter_serial, record.gateway_serial, record.place_id) if record else (None, None, None)


def _id_of(members: Sequence[JudgedRecord]) -> str | None:
    return next((m.signed.transaction_id for m in members if m.signed.transaction_id), None)


def _distinct(records: Sequence[JudgedRecord]) -> list[JudgedRecord]:
    best: dict[str, JudgedRecord] = {}
    for record in records:
        digest = digest_of(record)
        known = best.get(digest)
        if known is None or _WEAKEST_FIRST.index(record.judgement.answer) > _WEAKEST_FIRST.index(
            known.judgement.answer
        ):
            best[digest] = record
    return list(best.values())


def _first(records: Sequence[MeterRecord], name: str) -> str | None:
    return next((value for record in records if (value := getattr(record, name))), None)


def _connector(members: Sequence[JudgedRecord], decoded: Sequence[MeterRecord]) -> str | None:
    stated = next((r.place_id for r in decoded if r.place_id and r.place_type in _PLACE_TYPES), None)
    return stated or next((m.signed.connector_id for m in members if m.signed.connector_id), None)


def _weakest_clock(readings: Sequence[Reading]) -> Clock:
    return max((r.clock for r in readings), key=CLOCK_ORDER.index, default=Clock.ABSENT)


def _local_date(begin: Reading | None) -> str | None:
    """The day on the calendar of the reading's own offset: TM is written in local time (OCMF table 7)."""
    if begin is None or begin.time_utc_ms is None or begin.time_text is None:
        return None
    return begin.time_text[:10]


def _periods(record_id: str, bill: Billable) -> list[RecordPeriod]:
    if bill.energy_milli_wh is None:
        return []
    marks = [r for r in bill.readings if r.context in (BEGIN, TARIFF_CHANGE) or r is bill.end]
    if len(marks) < 3:
        return []
    periods = []
    for number, (left, right) in enumerate(pairwise(marks), start=1):
        if left.time_utc_ms is None or right.time_utc_ms is None:
            return []
        energy = (right.register_milli_wh or 0) - (left.register_milli_wh or 0)
        periods.append(RecordPeriod(record_id, number, left.time_utc_ms, right.time_utc_ms, energy))
    return periods
