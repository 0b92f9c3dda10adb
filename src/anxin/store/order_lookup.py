"""Orders of one operator looked up by their ids, whether they have been judged or not."""

from __future__ import annotations

from collections.abc import Sequence

from anxin.domain.message import Kind
from anxin.store.database import Database


def unjudged_orders(database: Database, operator_id: str, message_ids: Sequence[str]) -> list[bytes]:
    """Return the payloads of an operator's T/CEC orders that are kept and not facts yet, first one first."""
    with database.transaction(operator_id) as connection:
        rows = connection.execute(
            "select own_payload(index) from message where kind = %s and sender = %s and message_id = any(%s)"
            " and index >= (select value from counter where name = 'judged') and salt is not null order by index",
            (Kind.TCEC_ORDER.value, operator_id, list(message_ids)),
            binary=True,
        ).fetchall()
    return [bytes(row[0]) for row in rows]


def judged_orders(
    database: Database, operator_id: str, order_ids: Sequence[str]
) -> dict[str, tuple[int | None, int | None]]:
    """Return (energy in mWh, amount in e4) of an operator's orders by id, each as it was sent first."""
    with database.transaction(operator_id) as connection:
        rows = connection.execute(
            "select distinct on (order_id) order_id, energy_milli_wh, amount_e4 from fact_order"
            " where operator_id = %s and order_id = any(%s) order by order_id, message_index, order_no",
            (operator_id, list(order_ids)),
        ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def recent_checks(database: Database, operator_id: str, since_utc_ms: int, count: int) -> list[bytes]:
    """Return the payloads of an operator's checks that came since a moment, newest first, at most `count`."""
    with database.transaction(operator_id) as connection:
        rows = connection.execute(
            "select own_payload(index) from message where kind = %s and sender = %s and received_utc_ms >= %s"
            " and salt is not null order by index desc limit %s",
            (Kind.TCEC_CHECK.value, operator_id, since_utc_ms, count),
            binary=True,
        ).fetchall()
    return [bytes(row[0]) for row in rows]
