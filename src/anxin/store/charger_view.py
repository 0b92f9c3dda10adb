"""What the regulator reads of one session and of one charger: rows as they stand, to be shown side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

Row = dict[str, Any]
_ORDER = (
    "order_no, message_index, order_id, source_row, operator_id, connector_id, transaction_id, meter_id, start_utc_ms,"
    " end_utc_ms, energy_milli_wh, energy_quantum_milli_wh, amount_e4, energy_amount_e4, service_amount_e4, currency,"
    " tariff_id, meter_begin_milli_wh, meter_end_milli_wh, loss_ratio_ppm, received_utc_ms"
)
_RECORD = (
    "record_id, transaction_id, meter_id, gateway_id, connector_id, begin_utc_ms, end_utc_ms, clock,"
    " begin_register_milli_wh, end_register_milli_wh, energy_milli_wh, page_context, page_first, page_last, algorithm,"
    " key_id, answer, reason, firmware, closed, received_utc_ms"
)


def _rows(connection: Any, query: str, values: Sequence[object]) -> list[Row]:
    found: list[Row] = connection.cursor(row_factory=dict_row).execute(query.encode(), values).fetchall()
    return found


def session(connection: Any, session_key: str) -> Row | None:
    """Return a session's present verdict with its orders, records, findings and the messages behind them; None where
    there is none of this key."""
    verdicts = _rows(connection, "select * from verdict where present and session_key = %s", (session_key,))
    if not verdicts:
        return None
    verdict = verdicts[0]
    verdict["digest"] = bytes(verdict["digest"]).hex()
    orders = _rows(
        connection,
        f"select {_ORDER} from fact_order where order_id = %s and operator_id is not distinct from %s"
        " order by order_no",
        (verdict["order_id"], verdict["operator_id"]),
    )
    periods = _rows(
        connection,
        "select distinct on (period_no) period_no, start_utc_ms, end_utc_ms, energy_milli_wh, energy_price_e4,"
        " service_price_e4, energy_amount_e4, service_amount_e4 from fact_order_period where order_id = %s"
        " order by period_no, message_index",
        (verdict["order_id"],),
    )
    query = f"select {_RECORD} from fact_record where record_id = %s order by record_no"
    records = _rows(connection, query, (verdict["record_id"],))
    findings = _rows(
        connection,
        "select finding_id, rule, cause, severity, disagrees, zh, en, expected, found, difference, tolerance, unit,"
        " judged_utc_ms from finding where present and session_key = %s order by finding_id",
        (session_key,),
    )
    messages = _rows(
        connection,
        "select index, kind, sender, message_id, received_utc_ms, encode(payload_sha256, 'hex') as payload_sha256,"
        " payload is null as erased from message where index in ("
        " select message_index from fact_order where order_id = %(order)s"
        " union select s.message_index from fact_record r join fact_signed_record s using (transaction_key)"
        "  where r.record_id = %(record)s) order by index",
        {"order": verdict["order_id"], "record": verdict["record_id"]},  # type: ignore[arg-type]
    )
    return {"verdict": verdict, "orders": orders, "order_periods": periods, "records": records,
            "findings": findings, "messages": messages}  # fmt: skip


def registers(connection: Any, connectors: Sequence[str], limit: int) -> list[Row]:
    """Return the readings of these connectors' records, the latest first: what their registers drew over time."""
    return _rows(
        connection,
        "select connector_id, meter_id, record_id, begin_utc_ms, end_utc_ms, begin_register_milli_wh,"
        " end_register_milli_wh, energy_milli_wh, answer, firmware from fact_record where connector_id = any(%s)"
        " and end_utc_ms is not null order by end_utc_ms desc limit %s",
        (list(connectors), limit),
    )


def sessions(connection: Any, connectors: Sequence[str], limit: int) -> list[Row]:
    """Return the present verdicts at these connectors, the latest first."""
    return _rows(
        connection,
        "select session_key, state, place, order_id, record_id, start_utc_ms, end_utc_ms, order_energy_milli_wh,"
        " record_energy_milli_wh, amount_e4, findings from verdict where present and place = any(%s)"
        " order by start_utc_ms desc nulls last limit %s",
        (list(connectors), limit),
    )


def alarms(connection: Any, charger_id: str, limit: int) -> list[Row]:
    """Return a charger's alarms, the newest first."""
    return _rows(
        connection,
        "select alarm_id, cause, severity, state, opened_utc_ms, closed_utc_ms, due_utc_ms, conclusion, sessions"
        " from alarm where charger_id = %s order by alarm_id desc limit %s",
        (charger_id, limit),
    )


def seal_events(connection: Any, charger_id: str, limit: int) -> list[Row]:
    """Return the events of a charger's seals, each with its message, the latest first."""
    return _rows(
        connection,
        "select f.message_index, f.seal_id, f.kind, f.act, f.at_utc_ms, m.sender from fact_seal_event f"
        " join message m on m.index = f.message_index where f.charger_id = %s order by f.at_utc_ms desc limit %s",
        (charger_id, limit),
    )


def verifications(connection: Any, charger_id: str, limit: int) -> list[Row]:
    """Return what benches reported of a charger, each with its message, the latest first."""
    return _rows(
        connection,
        "select message_index, certificate_no, verified_utc_ms, valid_to_utc_ms, passed from fact_verification"
        " where charger_id = %s order by verified_utc_ms desc limit %s",
        (charger_id, limit),
    )


def firmware(connection: Any, connectors: Sequence[str], limit: int) -> list[Row]:
    """Return when each firmware was first named by a record of these connectors' meters."""
    return _rows(
        connection,
        "select meter_id, firmware, min(begin_utc_ms) as since_utc_ms from fact_record where connector_id = any(%s)"
        " and firmware is not null group by 1, 2 order by 3 desc limit %s",
        (list(connectors), limit),
    )
