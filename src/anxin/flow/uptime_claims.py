"""Outages that are left out of uptime: an operator claims with evidence, the regulator accepts or refuses.

1  the operator's own connectors, a span that is over, a cause that the formula names, and a file as evidence
2  what the file claims to be is looked at in a process of its own
3  claim, evidence and deed (with the file's SHA-256) are one transaction
4  an officer accepts or refuses once, with a reason: a deed too
5  uptime is shown without and with what was accepted; open claims change nothing and are counted beside it
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import CaseError, FormatError
from anxin.domain.message import Kind
from anxin.domain.party import REGULATOR, Party
from anxin.flow import occupancy_views as views
from anxin.flow.child import in_child
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.occupancy_reading import Occupancy
from anxin.formats.attachments import checked_attachment
from anxin.occupancy.intervals import intervals
from anxin.occupancy.uptime import NEVI_CAUSES, Exclusion, nevi_uptime
from anxin.store import statuses
from anxin.store import uptime_claims as store
from anxin.store.uptime_claims import Claim

#: Connectors of one claim, and days: a station that a flood takes is one claim, a year is twelve.
MAX_CLAIM_CONNECTORS, MAX_CLAIM_DAYS = 500, 31
#: Open claims of one operator.
MAX_OPEN_CLAIMS = 200
#: Claims that one answer on uptime takes in, and connectors of theirs whose history is read for it.
MAX_CLAIMS, MAX_CLAIMED = 5_000, 5_000
MAX_STATEMENT_CHARS = 1_000
DAY_MS = 86_400_000
#: Files looked at at once.
READERS = 2
#: Runs of one connector in a month: changes every two minutes.
_RUNS = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator asks: connectors, span (UTC ms), a cause of NEVI_CAUSES, and why in his words."""

    connector_ids: tuple[str, ...]
    from_utc_ms: int
    to_utc_ms: int
    cause: str
    statement: str


class Claims:
    """Takes claims and decisions on them, and says what of an outage is left out."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.platform, self.occupancy = occupancy.platform, occupancy
        self._readers = asyncio.Semaphore(READERS)

    async def file(self, party: Party, operator_id: str, asked: Asked, name: str, data: bytes) -> dict[str, Any]:
        """Keep a claim; return it. Raises FormatError, CaseError (`claim.connector`, `claim.open`)."""
        # 1
        asked = self._checked(operator_id, asked)
        # 2
        most = self.platform.settings.attachment_max_bytes
        if len(data) > most:
            raise FormatError("attachment.size", f"附件至多 {most} 字节 · at most {most} bytes", "file")
        async with self._readers:
            media_type = await asyncio.to_thread(in_child, checked_attachment, name, data, most)
        # 3
        return await asyncio.to_thread(self._keep, party, operator_id, asked, name, media_type, data)

    def listed(
        self, operator_id: str | None, seen: Any, state: str | None, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return claims, newest first; who does not see all gets those whose connectors he sees."""
        with self.platform.database.transaction() as connection:
            found = store.page(connection, operator_id, state, before, limit)
        return [document_of(c) for c in found if self._seen(c, seen)]

    def evidence(self, operator_id: str | None, seen: Any, claim_id: int) -> tuple[Claim, bytes]:
        """Return a claim with the bytes of its evidence. Raises CaseError `case.absent`."""
        with self.platform.database.transaction() as connection:
            claim = self._own(connection, operator_id, seen, claim_id)
            return claim, store.evidence(connection, claim_id)

    def decide(self, party: Party, seen: Any, claim_id: int, accept: bool, reason: str) -> dict[str, Any]:
        """Step 4. Raises CaseError `case.absent`, `claim.decided`, FormatError."""
        reason, state, now = _plain(reason, "reason"), "accepted" if accept else "refused", now_utc_ms()
        with self.platform.database.transaction() as connection:
            claim = self._own(connection, None, seen, claim_id, lock=True)
            if claim.state != "open":
                raise CaseError("claim.decided", "已有决定 · decided before")
            said = {"claim": claim_id, "decision": state, "reason": reason, "claim_index": claim.deed_index}
            deed = keep_deed(connection, Kind.DEED_UPTIME, party.party_id, f"{claim_id}/decision", said, now)
            store.decide(connection, claim_id, state, party.party_id, now, reason, deed.index)
            decided = store.one(connection, claim_id)
        assert decided is not None
        return document_of(decided)

    def excluded(self, by: str, from_utc_ms: int, to_utc_ms: int, seen: Any) -> dict[str, tuple[int, int, int]]:
        """Return {group: (outage left out in ms, accepted claims, open ones)} of a span, of groups with claims.

        Raises CaseError `claim.many` where more claims touch the span than are taken in: no wrong figure is given.
        """
        places, now = self.occupancy.places(), now_utc_ms()
        with self.platform.database.transaction() as connection:
            claims = store.touching(connection, from_utc_ms, to_utc_ms, MAX_CLAIMS + 1)
        accepted: dict[str, list[Claim]] = defaultdict(list)
        grouping = places.groupings[by]
        counts: dict[str, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
        for claim in claims:
            for connector in claim.connector_ids:
                no = places.numbers.get(connector)
                # A connector that has changed hands since is no longer the claimant's to speak of.
                if no is None or not _of(places.connectors[no], claim) or not (seen is None or seen[no]):
                    continue
                if grouping.of_row[no] >= 0:
                    counts[grouping.keys[grouping.of_row[no]]][claim.state != "accepted"].add(claim.claim_id)
                if claim.state == "accepted":
                    accepted[connector].append(claim)
        if len(claims) > MAX_CLAIMS or len(accepted) > MAX_CLAIMED:
            raise CaseError("claim.many", "此期间的申请过多 · too many claims in this time")
        left_out: dict[str, int] = defaultdict(int)
        for connector, its in accepted.items():
            group = grouping.of_row[places.numbers[connector]]
            if group >= 0:
                left_out[grouping.keys[group]] += self._left_out(connector, its, from_utc_ms, min(to_utc_ms, now))
        return {key: (left_out[key], len(done), len(waiting)) for key, (done, waiting) in counts.items()}

    def uptime(self, by: str, month: str, zone: str, seen: Any) -> dict[str, Any]:
        """Step 5: the answer of `views.uptime`, and beside each group's figures those without what was accepted, and
        how many claims are accepted and open. Raises InputError, CaseError `claim.many`."""
        answer = views.uptime(self.occupancy, by, month, zone, seen)
        left_out = self.excluded(by, answer["from_utc_ms"], answer["to_utc_ms"], seen)
        for group in answer["groups"]:
            plain = group["nevi_uptime"]
            excluded, accepted, waiting = left_out.get(group["key"], (0, 0, 0))
            excluded = min(excluded, plain["down_ms"])
            up, whole = plain["up_ms"] + excluded, plain["up_ms"] + plain["down_ms"]
            group["nevi_uptime_excluding"] = plain | {
                "share_ppm": up * 1_000_000 // whole if whole else None,
                "up_ms": up, "down_ms": whole - up, "excluded_ms": excluded,
            }  # fmt: skip
            group["claims"] = {"accepted": accepted, "open": waiting}
        return answer

    def _left_out(self, connector_id: str, claims: Sequence[Claim], from_utc_ms: int, to_utc_ms: int) -> int:
        """Outage of one connector that its accepted claims cover, ms."""
        if from_utc_ms >= to_utc_ms:
            return 0
        runs = statuses.history(self.platform.database, connector_id, from_utc_ms, to_utc_ms, _RUNS)
        spans = intervals(runs, from_utc_ms, to_utc_ms, self.occupancy.silence_ms)
        return nevi_uptime(spans, [_exclusion(c) for c in claims]).excluded_ms

    def _checked(self, operator_id: str, asked: Asked) -> Asked:
        names = tuple(dict.fromkeys(asked.connector_ids))
        if not 1 <= len(names) <= MAX_CLAIM_CONNECTORS:
            raise FormatError("claim.connectors", f"1-{MAX_CLAIM_CONNECTORS} connectors", "connector")
        if asked.cause not in NEVI_CAUSES:
            raise FormatError("claim.cause", f"one of {', '.join(sorted(NEVI_CAUSES))}", "cause")
        if not 0 < asked.to_utc_ms - asked.from_utc_ms <= MAX_CLAIM_DAYS * DAY_MS or asked.to_utc_ms > now_utc_ms():
            raise FormatError("claim.span", f"a span that is over, of at most {MAX_CLAIM_DAYS} days", "to")
        known = self.platform.directory.connectors
        if any(i not in known or known[i].operator_id != operator_id for i in names):
            raise CaseError("claim.connector", "不是贵方的接口 · a connector that is not yours")
        return Asked(names, asked.from_utc_ms, asked.to_utc_ms, asked.cause, _plain(asked.statement, "statement"))

    def _keep(
        self, party: Party, operator_id: str, asked: Asked, name: str, media_type: str, data: bytes
    ) -> dict[str, Any]:
        digest, now = hashlib.sha256(data).digest(), now_utc_ms()
        with self.platform.database.transaction() as connection:
            if store.hold(connection, operator_id) >= MAX_OPEN_CLAIMS:
                raise CaseError("claim.open", f"至多 {MAX_OPEN_CLAIMS} 件待决 · at most {MAX_OPEN_CLAIMS} open claims")
            said = {
                "operator_id": operator_id, "connectors": list(asked.connector_ids), "cause": asked.cause,
                "from_utc_ms": asked.from_utc_ms, "to_utc_ms": asked.to_utc_ms, "evidence_sha256": digest.hex(),
            }  # fmt: skip
            deed = keep_deed(connection, Kind.DEED_UPTIME, party.party_id, f"claim/{secrets.token_hex(12)}", said, now)
            claim = Claim(
                0, operator_id, list(asked.connector_ids), asked.from_utc_ms, asked.to_utc_ms, asked.cause,
                asked.statement, name, media_type, digest, party.party_id, now, deed.index,
            )  # fmt: skip
            number = store.put(connection, claim, data)
        return document_of(claim) | {"claim_id": number}

    def _own(self, connection: Any, operator_id: str | None, seen: Any, claim_id: int, lock: bool = False) -> Claim:
        claim = store.one(connection, claim_id, lock) if 0 < claim_id < 1 << 63 else None
        if claim is None or operator_id not in (None, claim.operator_id) or not self._seen(claim, seen):
            raise CaseError("case.absent", f"没有此申请 · no such claim of yours ({claim_id})")
        return claim

    def _seen(self, claim: Claim, seen: Any) -> bool:
        """Whether all connectors of a claim are among the rows that a person of some districts sees."""
        if seen is None:
            return True
        numbers = self.occupancy.places().numbers
        return all((no := numbers.get(i)) is not None and bool(seen[no]) for i in claim.connector_ids)


def document_of(c: Claim) -> dict[str, Any]:
    """Return a claim as JSON values; who of the regulator decided stands in the log, not here."""
    return {
        "claim_id": c.claim_id, "operator_id": c.operator_id, "connectors": c.connector_ids,
        "from_utc_ms": c.from_utc_ms, "to_utc_ms": c.to_utc_ms, "cause": c.cause, "statement": c.statement,
        "evidence": {"name": c.evidence_name, "media_type": c.evidence_type, "sha256": c.evidence_sha256.hex()},
        "at_utc_ms": c.at_utc_ms, "message_index": c.deed_index, "state": c.state,
        "decided_utc_ms": c.decided_utc_ms, "decision": c.decision, "decision_index": c.decision_index,
    }  # fmt: skip


def seen_by(occupancy: Occupancy, party: Party) -> Any:
    """Return the rows that bound what a person sees of claims: by his districts; None for all others."""
    return occupancy.mask(None, party.districts) if party.role in REGULATOR else None


def _of(connector: Any, claim: Claim) -> bool:
    return connector is not None and connector.operator_id == claim.operator_id


def _exclusion(c: Claim) -> Exclusion:
    return Exclusion(c.from_utc_ms, c.to_utc_ms, c.cause, f"claim {c.claim_id}, message {c.deed_index}")


def _plain(text: str, field: str) -> str:
    found = text.strip()
    if not found or len(found) > MAX_STATEMENT_CHARS or not found.isprintable():
        raise FormatError(f"claim.{field}", f"1-{MAX_STATEMENT_CHARS} characters, no controls", field)
    return found
