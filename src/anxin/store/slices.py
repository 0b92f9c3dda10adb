"""A slice of the facts: all that judging some places around some time needs, as Arrow-ready rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from anxin.domain.connector_status import StatusSpan
from anxin.domain.meter_record import MeterSession, RecordPeriod
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.store.database import Database


def _names(kind: type[Any]) -> str:
    return ", ".join(f.name for f in dataclasses.fields(kind))


_ORDER, _RECORD = _names(Order), _names(MeterSession)
#: Facts stand in the order of the messages that they come from ("message:17"), whenever and in whatever company they
#: were decoded: where two are alike, the same one is the first also when everything is judged again.
_ARRIVAL = "length(source_file), source_file, source_row"


@dataclass(slots=True)
class Slice:
    """Rows by facts table, in the columns of the domain's values."""

    orders: list[Order] = field(default_factory=list)
    order_periods: list[OrderPeriod] = field(default_factory=list)
    operator_totals: list[OperatorTotal] = field(default_factory=list)
    records: list[MeterSession] = field(default_factory=list)
    record_periods: list[RecordPeriod] = field(default_factory=list)
    record_findings: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[StatusSpan] = field(default_factory=list)


def slice_of_places(
    database: Database, places: Sequence[str], meters: Sequence[str], from_utc_ms: int, to_utc_ms: int
) -> Slice:
    """Return what was charged at these places (connector ids) and by these meters in a span, with

    - the meters' last record before it and first after it (registers and pages must go on where they stopped),
    - whatever elsewhere shares a transaction, an order id or a record id with it (replays, splices, conflicts).
    """
    found = Slice()
    with database.transaction() as connection:
        connection.execute("set local enable_seqscan = off")
        span = {"places": list(places), "meters": list(meters), "low": from_utc_ms, "high": to_utc_ms}
        record_nos = connection.execute(
            "select record_no, transaction_id, record_id from fact_record"
            " where connector_id = any(%(places)s) and end_utc_ms between %(low)s and %(high)s"
            " union select record_no, transaction_id, record_id from fact_record"
            " where meter_id = any(%(meters)s) and end_utc_ms between %(low)s and %(high)s"
            " union select record_no, transaction_id, record_id from fact_record"
            " where (connector_id = any(%(places)s) or meter_id = any(%(meters)s)) and end_utc_ms is null"
            " union select r.record_no, r.transaction_id, r.record_id from unnest(%(meters)s::text[]) as m (id),"
            " lateral (select * from fact_record where meter_id = m.id and end_utc_ms < %(low)s"
            "   order by end_utc_ms desc limit 1) r"
            " union select r.record_no, r.transaction_id, r.record_id from unnest(%(meters)s::text[]) as m (id),"
            " lateral (select * from fact_record where meter_id = m.id and end_utc_ms > %(high)s"
            "   order by end_utc_ms limit 1) r",
            span,
        ).fetchall()
        order_nos = connection.execute(
            "select order_no, transaction_id, order_id from fact_order"
            " where connector_id = any(%(places)s) and end_utc_ms between %(low)s and %(high)s"
            " union select order_no, transaction_id, order_id from fact_order"
            " where connector_id = any(%(places)s) and end_utc_ms is null",
            span,
        ).fetchall()
        transactions = {r[1] for r in (*record_nos, *order_nos) if r[1]}
        shared = {
            "transactions": list(transactions | {r[2] for r in order_nos}),
            "orders": list({r[2] for r in order_nos} | transactions),
            "records": list({r[2] for r in record_nos}),
            "record_nos": [r[0] for r in record_nos],
            "order_nos": [r[0] for r in order_nos],
        }
        found.records = [
            MeterSession(*r)
            for r in connection.execute(
                f"select {_RECORD} from fact_record where record_no in ("
                " select unnest(%(record_nos)s::bigint[])"
                " union select record_no from fact_record where transaction_id = any(%(transactions)s)"
                " union select record_no from fact_record where record_id = any(%(records)s))"
                f" order by {_ARRIVAL}, record_no",
                shared,
            )
        ]
        found.orders = [
            Order(*r)
            for r in connection.execute(
                f"select {_ORDER} from fact_order where order_no in ("
                " select unnest(%(order_nos)s::bigint[])"
                " union select order_no from fact_order where transaction_id = any(%(transactions)s)"
                " union select order_no from fact_order where order_id = any(%(orders)s))"
                " order by message_index, source_row, order_no",
                shared,
            )
        ]
        ids = {
            "orders": list({o.order_id for o in found.orders}),
            "records": list({r.record_id for r in found.records}),
        }
        found.order_periods = [
            OrderPeriod(*r)
            for r in connection.execute(
                f"select {_names(OrderPeriod)} from fact_order_period where order_id = any(%(orders)s)"
                " order by message_index, period_no",
                ids,
            )
        ]
        found.record_periods = [
            RecordPeriod(*r)
            for r in connection.execute(
                f"select {_names(RecordPeriod)} from fact_record_period where record_id = any(%(records)s)"
                " order by record_id, period_no",
                ids,
            )
        ]
        found.record_findings = [
            r[0]
            for r in connection.execute(
                "select body from fact_record_finding where record_id = any(%(records)s)"
                " order by record_id, body::text",
                ids,
            )
        ]
    return found


def slice_of_operator(database: Database, operator_id: str, from_utc_ms: int, to_utc_ms: int) -> Slice:
    """Return an operator's totals whose spans touch this one, and all his orders that start within those spans."""
    found = Slice()
    with database.transaction() as connection:
        found.operator_totals = [
            OperatorTotal(*r)
            for r in connection.execute(
                f"select {_names(OperatorTotal)} from fact_operator_total"
                " where operator_id = %s and end_utc_ms >= %s and start_utc_ms <= %s order by message_index",
                (operator_id, from_utc_ms, to_utc_ms),
            )
        ]
        if not found.operator_totals:
            return found
        low = min(t.start_utc_ms for t in found.operator_totals)
        high = max(t.end_utc_ms for t in found.operator_totals)
        found.orders = [
            Order(*r)
            for r in connection.execute(
                f"select {_ORDER} from fact_order where operator_id = %s and start_utc_ms between %s and %s"
                " order by message_index, source_row, order_no",
                (operator_id, low, high),
            )
        ]
    return found
