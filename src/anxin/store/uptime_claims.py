"""Claims that an outage is to be left out of uptime: rows, and the evidence beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_COLUMNS = (
    "claim_id, operator_id, connector_ids, from_utc_ms, to_utc_ms, cause, statement, evidence_name, evidence_type,"
    " evidence_sha256, by, at_utc_ms, deed_index, state, decided_by, decided_utc_ms, decision, decision_index"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as it stands: `state` is open, accepted or refused; `*_index` are its deeds in the evidence log."""

    claim_id: int
    operator_id: str
    connector_ids: list[str]
    from_utc_ms: int
    to_utc_ms: int
    cause: str
    statement: str
    evidence_name: str
    evidence_type: str
    evidence_sha256: bytes
    by: str
    at_utc_ms: int
    deed_index: int
    state: str = "open"
    decided_by: str | None = None
    decided_utc_ms: int | None = None
    decision: str | None = None
    decision_index: int | None = None


def hold(connection: Any, operator_id: str) -> int:
    """Return how many claims of an operator are open; others of him wait until this transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 230))", (operator_id,))
    row = connection.execute(
        "select count(*) from uptime_claim where operator_id = %s and state = 'open'", (operator_id,)
    ).fetchone()
    return int(row[0])


def put(connection: Any, c: Claim, evidence: bytes) -> int:
    """Keep a claim with its evidence; return its number."""
    row = connection.execute(
        "insert into uptime_claim (operator_id, connector_ids, from_utc_ms, to_utc_ms, cause, statement,"
        " evidence_name, evidence_type, evidence_sha256, evidence, by, at_utc_ms, deed_index)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning claim_id",
        (c.operator_id, c.connector_ids, c.from_utc_ms, c.to_utc_ms, c.cause, c.statement, c.evidence_name,
         c.evidence_type, c.evidence_sha256, evidence, c.by, c.at_utc_ms, c.deed_index),
    ).fetchone()  # fmt: skip
    return int(row[0])


def one(connection: Any, claim_id: int, lock: bool = False) -> Claim | None:
    """Return a claim, None where there is none; `lock` holds it until the end of the transaction."""
    for_update = " for update" if lock else ""
    row = connection.execute(
        f"select {_COLUMNS} from uptime_claim where claim_id = %s{for_update}", (claim_id,)
    ).fetchone()
    return None if row is None else Claim(*row)


def evidence(connection: Any, claim_id: int) -> bytes:
    """Return the bytes of a claim's evidence. The claim must be there."""
    row = connection.execute("select evidence from uptime_claim where claim_id = %s", (claim_id,)).fetchone()
    return bytes(row[0])


def decide(connection: Any, claim_id: int, state: str, by: str, now_utc_ms: int, reason: str, deed_index: int) -> None:
    """Write a decision."""
    connection.execute(
        "update uptime_claim set state = %s, decided_by = %s, decided_utc_ms = %s, decision = %s, decision_index = %s"
        " where claim_id = %s",
        (state, by, now_utc_ms, reason, deed_index, claim_id),
    )


def page(connection: Any, operator_id: str | None, state: str | None, before: int | None, limit: int) -> list[Claim]:
    """Return claims, newest first, below a number; of one operator and in one state where these are given."""
    rows = connection.execute(
        f"select {_COLUMNS} from uptime_claim where (%(operator)s::text is null or operator_id = %(operator)s)"
        " and (%(state)s::text is null or state = %(state)s)"
        " and (%(before)s::bigint is null or claim_id < %(before)s) order by claim_id desc limit %(limit)s",
        {"operator": operator_id, "state": state, "before": before, "limit": limit},
    )
    return [Claim(*r) for r in rows]


def touching(connection: Any, from_utc_ms: int, to_utc_ms: int, limit: int) -> list[Claim]:
    """Return open and accepted claims that touch a span, in the order of their numbers, at most `limit`."""
    rows = connection.execute(
        f"select {_COLUMNS} from uptime_claim where state <> 'refused' and from_utc_ms < %s and to_utc_ms > %s"
        " order by claim_id limit %s",
        (to_utc_ms, from_utc_ms, limit),
    )
    return [Claim(*r) for r in rows]
