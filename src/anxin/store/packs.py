"""What an evidence pack takes from the database: findings, their sessions, the messages behind them, and standing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from anxin.domain.message import Kind, Receipt

_FINDING = (
    "finding_id, present, place, session_key, rule, cause, severity, disagrees, zh, en, expected, found, difference,"
    " tolerance, unit, order_ids, record_ids, connector_id, meter_id, operator_id, at_utc_ms, policy, software,"
    " judged_utc_ms, retired_utc_ms"
)
_VERDICT = (
    "verdict_id, session_key, present, state, method, place, operator_id, order_id, record_id, start_utc_ms,"
    " end_utc_ms, order_energy_milli_wh, record_energy_milli_wh, amount_e4, findings, policy, software,"
    " as_of_utc_ms, judged_utc_ms"
)


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message with its receipt. Payload and envelope are None where it was erased."""

    receipt: Receipt
    payload: bytes | None
    envelope: bytes | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """The answer that was given on one signed record of a message."""

    message_index: int
    position: int
    key_id: str | None
    answer: str
    reason: str


def findings(connection: Any, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return findings by their numbers, the gravest first and then by when they happened."""
    rows: list[dict[str, Any]] = (
        connection.cursor(row_factory=dict_row)
        .execute(
            f"select {_FINDING} from finding where finding_id = any(%s) order by"
            " array_position(array['grave', 'violation', 'warning', 'note'], severity), at_utc_ms, finding_id".encode(),
            (list(numbers),),
        )
        .fetchall()
    )
    return rows


def findings_of_alarm(connection: Any, alarm_id: int, most: int) -> tuple[list[int], int]:
    """Return the numbers of an alarm's present findings, the gravest first, at most `most`; and how many there are."""
    rows = connection.execute(
        "select finding_id, count(*) over () from alarm_finding where alarm_id = %s and present order by"
        " array_position(array['grave', 'violation', 'warning', 'note'], severity), finding_id limit %s",
        (alarm_id, most),
    ).fetchall()
    return [int(row[0]) for row in rows], int(rows[0][1]) if rows else 0


def verdicts(connection: Any, session_keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the present verdict of each session, else its last one, by when the session began."""
    rows: list[dict[str, Any]] = (
        connection.cursor(row_factory=dict_row)
        .execute(
            f"select * from (select distinct on (session_key) {_VERDICT} from verdict where session_key = any(%s)"
            " order by session_key, present desc, verdict_id desc) v order by start_utc_ms, session_key".encode(),
            (sorted(session_keys),),
        )
        .fetchall()
    )
    return rows


def messages_behind(connection: Any, order_ids: Iterable[str], record_ids: Iterable[str]) -> list[int]:
    """Return the numbers of all messages that these orders and records came in, in order."""
    rows = connection.execute(
        "select message_index from fact_order where order_id = any(%(orders)s)"
        " union select s.message_index from fact_record r join fact_signed_record s using (transaction_key)"
        "  where r.record_id = any(%(records)s)"
        " union select substring(source_file from 9)::bigint from fact_record"
        "  where record_id = any(%(records)s) and source_file ~ '^message:[0-9]+$'"
        " order by 1",
        {"orders": sorted(set(order_ids)), "records": sorted(set(record_ids))},
    )
    return [int(row[0]) for row in rows]


def conflicting(connection: Any, indexes: Sequence[int]) -> list[int]:
    """Return these messages and the earlier ones under the same ids, in order."""
    rows = connection.execute(
        "select unnest(array[index, conflicts_with]) from message where index = any(%s)", (list(indexes),)
    )
    return sorted({int(row[0]) for row in rows if row[0] is not None})


def erasures_of(connection: Any, indexes: Sequence[int]) -> list[int]:
    """Return the numbers of the deeds by which some of these messages were erased."""
    rows = connection.execute(
        "select d.index from message m join message d on d.kind = %s and d.message_id = m.index::text"
        " where m.index = any(%s) and m.payload is null order by 1",
        (Kind.DEED_ERASURE.value, list(indexes)),
    )
    return [int(row[0]) for row in rows]


def kept(connection: Any, indexes: Sequence[int], max_bytes: int, max_all_bytes: int) -> list[KeptMessage]:
    """Return messages by their numbers, in order. The bytes of one beyond `max_bytes`, and of those that come when
    `max_all_bytes` are full, stay behind."""
    rows = connection.execute(
        "select index, kind, sender, message_id, received_utc_ms, payload_sha256, envelope_sha256, salt, entry,"
        " case when fits then payload end, case when fits then envelope end, size from ("
        "  select *, size <= %(most)s and sum(case when size <= %(most)s then size else 0 end)"
        "   over (order by index) <= %(all)s as fits from ("
        "   select *, coalesce(length(payload), 0) + coalesce(length(envelope), 0) as size from message"
        "    where index = any(%(indexes)s)) sized) m order by index",
        {"most": max_bytes, "all": max_all_bytes, "indexes": list(indexes)},
        binary=True,
    ).fetchall()
    return [KeptMessage(Receipt(*row[:9]), row[9], row[10], int(row[11])) for row in rows]


def answers(connection: Any, indexes: Sequence[int]) -> list[SignedAnswer]:
    """Return the answers on the signed records of these messages."""
    rows = connection.execute(
        "select message_index, position, key_id, answer, reason from fact_signed_record"
        " where message_index = any(%s) order by message_index, position",
        (list(indexes),),
    )
    return [SignedAnswer(*row) for row in rows]


def keep_standing(connection: Any, policy: str, software: str, policy_body: Any, rules_body: Any) -> None:
    """Keep in full what is judged under from now on."""
    connection.execute(
        "insert into standing values (%s, %s, %s, %s) on conflict do nothing",
        (policy, software, Jsonb(policy_body), Jsonb(rules_body)),
    )


def standing(connection: Any, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Return policy and rules in full, by digest of the policy and software."""
    wanted = sorted(set(pairs))
    rows = connection.execute(
        "select s.* from unnest(%s::text[], %s::text[]) as w (policy, software)"
        " join standing s using (policy, software)",
        ([p for p, _ in wanted], [s for _, s in wanted]),
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}
