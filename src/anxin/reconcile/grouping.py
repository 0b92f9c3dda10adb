"""Sessions out of pairs: one order to many records and many to one become one row with sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.errors import EngineError
from anxin.domain.meter_record import CLOCK_ORDER, Answer

if TYPE_CHECKING:
    from anxin.reconcile.engine import Engine

#: Rounds of label propagation: a chain of this many orders and records in one session is a defect of the data.
MAX_GROUP_ROUNDS = 64

#: Weakest last, so that the greatest rank of a group is its weakest member.
CLOCK_RANK = {clock.value: rank for rank, clock in enumerate(CLOCK_ORDER)}
ANSWER_RANK = {
    a.value: r for r, a in enumerate((Answer.AUTHENTIC, Answer.CANNOT_JUDGE, Answer.MALFORMED, Answer.FORGED))
}

_ORDER_SIDE = {
    "order_no": "order_no",
    "order_id": "order_id",
    "operator_id": "operator_id",
    "order_connector_id": "connector_id",
    "tariff_id": "tariff_id",
    "local_date": "local_date",
    "order_start_utc_ms": "start_utc_ms",
    "order_end_utc_ms": "end_utc_ms",
    "order_time_quantum_ms": "time_quantum_ms",
    "order_energy_milli_wh": "energy_milli_wh",
    "order_quantum_milli_wh": "energy_quantum_milli_wh",
    "amount_e4": "amount_e4",
}
_RECORD_SIDE = {
    "record_no": "record_no",
    "record_id": "record_id",
    "record_begin_utc_ms": "begin_utc_ms",
    "record_end_utc_ms": "end_utc_ms",
    "record_time_quantum_ms": "time_quantum_ms",
    "record_energy_milli_wh": "energy_milli_wh",
    "record_quantum_milli_wh": "energy_quantum_milli_wh",
    "record_end_register_milli_wh": "end_register_milli_wh",
}


def rank_of(column: Any, ranks: dict[str, int]) -> Any:
    return column.cases(*ranks.items(), else_=len(ranks) - 1)


def _order_side(orders: Any) -> Any:
    return orders.select(transaction_id=orders.transaction_id, **{n: orders[c] for n, c in _ORDER_SIDE.items()})


def _record_side(records: Any, **more: Any) -> Any:
    return records.select(
        **more,
        transaction_id=records.transaction_id,
        clock_rank=rank_of(records.clock, CLOCK_RANK),
        answer_rank=rank_of(records.answer, ANSWER_RANK),
        **{n: records[c] for n, c in _RECORD_SIDE.items()},
    )


def joined_by_id(orders: Any, records: Any, engine: Engine) -> Any:
    """Every order with the records that share its transaction id; record columns are null where none does.

    A record's place is long, and most often the order's own: the join carries only its hash, and whether it is the
    same place; where orders state no place at all, the record's is carried along.
    """
    left = _order_side(orders)
    right = _record_side(
        records,
        placed=records.connector_id.notnull(),
        place_mark=records.connector_id.hash(),
        record_place=records.connector_id,
    )
    placeless = not engine.shortcut(orders.agg(placed=~ibis.coalesce(orders.connector_id.isnull().any(), False)))
    if not placeless:
        right = right.drop("record_place")
    both = left.left_join(right, left.transaction_id == right.transaction_id)
    place = both.order_connector_id
    both = both.mutate(
        connector_id=ibis.coalesce(place, both.record_place) if placeless else place,
        same_place=~(place.notnull() & ibis.coalesce(both.placed, False) & (place.hash() != both.place_mark)),
    )
    dropped = [c for c in both.columns if c.startswith("transaction_id")]
    return both.drop(*dropped, "order_connector_id", "placed", "place_mark", *(["record_place"] if placeless else []))


def tangled_edges(orders: Any, joined: Any, overlaps: Any, engine: Engine) -> Any:
    """All pairs of sessions that may not be one-to-one: any pair with an end in more than one pair."""
    by_id = joined.filter(joined.record_no.notnull()).select("order_no", "record_no")
    many_orders = by_id.group_by("order_no").agg(n=ibis._.count()).filter(ibis._.n > 1).select("order_no")
    many = many_orders.union(overlaps.select("order_no"), distinct=True)
    touched = by_id.semi_join(many, "order_no")
    of_records = overlaps.select("record_no")
    # Where each order's transaction is its own id (T/CEC 102), no two orders can share a record by id.
    shared = orders.filter(orders.transaction_id != orders.order_id)
    if not is_empty(engine, shared):
        many_records = by_id.group_by("record_no").agg(n=ibis._.count()).filter(ibis._.n > 1).select("record_no")
        of_records = of_records.union(many_records, distinct=True)
    touched = touched.union(by_id.semi_join(of_records, "record_no"), distinct=True)
    return touched.union(overlaps.select("order_no", "record_no"), distinct=True)


def groups(edges: Any, lone_records: Any, engine: Engine) -> Any:
    """Connected components of the edges: (session_no, order_no, record_no), one row an edge.

    The label of a component is its smallest order number; it is found by passing labels along edges until nothing
    changes. Raises EngineError where that takes more than MAX_GROUP_ROUNDS rounds.
    """
    labelled = engine.stage("labels_0", edges.mutate(label=edges.order_no))
    for round_no in range(1, MAX_GROUP_ROUNDS + 1):
        by_record = labelled.group_by("record_no").agg(least=labelled.label.min())
        first = labelled.join(by_record, "record_no")
        first = first.mutate(label=ibis.least(first.label, first.least)).drop("least")
        by_order = first.group_by("order_no").agg(least=first.label.min())
        second = first.join(by_order, "order_no")
        second = second.mutate(label=ibis.least(second.label, second.least)).drop("least")
        staged = engine.stage(f"labels_{round_no}", second)
        if round_no % engine.rounds_at_once:
            labelled = staged
            continue
        totals = labelled.agg(before=labelled.label.sum()).cross_join(staged.agg(after=staged.label.sum()))
        settled = engine.rows(totals.select(same=ibis.coalesce(totals.before == totals.after, True)))["same"][0].as_py()
        labelled = staged
        if settled:
            return labelled.select("order_no", "record_no", session_no=labelled.label * 2)
    raise EngineError(f"orders and records form a chain longer than {MAX_GROUP_ROUNDS} links on one connector")


_ORDER_FIGURES = ("order_start_utc_ms", "order_end_utc_ms", "order_time_quantum_ms", "order_energy_milli_wh",
                  "order_quantum_milli_wh", "amount_e4")  # fmt: skip
_RECORD_FIGURES = ("record_begin_utc_ms", "record_end_utc_ms", "record_time_quantum_ms", "record_energy_milli_wh",
                   "record_quantum_milli_wh")  # fmt: skip
SESSION_COLUMNS = (
    "session_no", "method", "order_no", "record_no", "order_id", "record_id", "orders", "records", "operator_id",
    "connector_id", "same_place", "tariff_id", "local_date", *_ORDER_FIGURES, *_RECORD_FIGURES,
    "record_end_register_milli_wh", "clock_rank", "answer_rank",
)  # fmt: skip


def sessions(
    orders: Any, records: Any, joined: Any, lone_records: Any, members: Any, overlaps: Any, engine: Engine
) -> Any:
    """One row a session, of whatever shape, with the columns SESSION_COLUMNS.

    Nearly all sessions are one order and one record: they stay where the join put them, and only the rest is staged.
    """
    # Sessions of at most one order and one record, straight from the join.
    simple = joined if is_empty(engine, members) else joined.anti_join(members, "order_no")
    simple = simple.mutate(
        session_no=simple.order_no * 2,
        method=ibis.ifelse(simple.record_no.notnull(), "id", "none"),
        orders=ibis.literal(1, "int64"),
        records=simple.record_no.notnull().cast("int64"),
    )
    # Records that no order claims.
    unclaimed = records.semi_join(lone_records.anti_join(members, "record_no"), "record_no")
    alone = _record_side(unclaimed, connector_id=unclaimed.connector_id, local_date=unclaimed.local_date)
    alone = alone.mutate(
        session_no=alone.record_no * 2 + 1,
        method=ibis.literal("none"),
        orders=ibis.literal(0, "int64"),
        records=ibis.literal(1, "int64"),
        same_place=ibis.literal(True),
        **{n: ibis.null("int64") for n in ("order_no", *_ORDER_FIGURES)},
        **{n: ibis.null("string") for n in ("order_id", "operator_id", "tariff_id")},
    )
    grouped = _grouped(orders, records, members, overlaps)
    rest = engine.stage("rest", alone.select(*SESSION_COLUMNS).union(grouped.select(*SESSION_COLUMNS)))
    simple = simple.select(*SESSION_COLUMNS)
    return simple if is_empty(engine, rest) else simple.union(rest)


def is_empty(engine: Engine, table: Any) -> bool:
    """Return whether a staged table has no row: a join with nothing is then left out of what follows."""
    return engine.shortcut(table.agg(none=table.count() == 0))


def _grouped(orders: Any, records: Any, members: Any, overlaps: Any) -> Any:
    """Sessions of several orders or records, or matched by overlap: sums and outermost times of each side."""
    of_order = members.select("session_no", "order_no").distinct()
    o = _order_side(orders).join(of_order, "order_no")
    order_sums = o.group_by("session_no").agg(
        order_no=o.order_no.min(),
        order_id=o.order_id.argmin(o.order_no),
        orders=o.count(),
        operator_id=o.operator_id.min(),
        order_connector_id=o.order_connector_id.min(),
        tariff_id=o.tariff_id.min(),
        local_date=o.local_date.min(),
        order_start_utc_ms=o.order_start_utc_ms.min(),
        order_end_utc_ms=all_or_null(o.order_end_utc_ms, o.order_end_utc_ms.max()),
        order_time_quantum_ms=o.order_time_quantum_ms.max(),
        order_energy_milli_wh=all_or_null(o.order_energy_milli_wh, total(o.order_energy_milli_wh)),
        order_quantum_milli_wh=total(o.order_quantum_milli_wh),
        amount_e4=all_or_null(o.amount_e4, total(o.amount_e4)),
    )
    of_record = members.select("session_no", "record_no").distinct()
    r = _record_side(records, record_connector_id=records.connector_id).join(of_record, "record_no")
    record_sums = r.group_by("session_no").agg(
        record_no=r.record_no.min(),
        record_id=r.record_id.argmin(r.record_no),
        records=r.count(),
        record_connector_id=r.record_connector_id.min(),
        record_begin_utc_ms=r.record_begin_utc_ms.min(),
        record_end_utc_ms=all_or_null(r.record_end_utc_ms, r.record_end_utc_ms.max()),
        record_time_quantum_ms=r.record_time_quantum_ms.max(),
        record_energy_milli_wh=all_or_null(r.record_energy_milli_wh, total(r.record_energy_milli_wh)),
        record_quantum_milli_wh=total(r.record_quantum_milli_wh),
        record_end_register_milli_wh=r.record_end_register_milli_wh.max(),
        clock_rank=r.clock_rank.max(),
        answer_rank=r.answer_rank.max(),
    )
    by_overlap = members.semi_join(overlaps, "order_no").select("session_no").distinct()
    by_overlap = by_overlap.mutate(overlapping=ibis.literal(True))
    both = order_sums.join(record_sums, "session_no").left_join(by_overlap, "session_no")
    return both.mutate(
        method=ibis.ifelse(both.overlapping.notnull(), "overlap", "id"),
        connector_id=ibis.coalesce(both.order_connector_id, both.record_connector_id),
        same_place=ibis.coalesce(both.order_connector_id == both.record_connector_id, ibis.literal(True)),
    )


def total(column: Any) -> Any:
    return column.sum().cast("int64")


def all_or_null(column: Any, aggregate: Any) -> Any:
    """An aggregate that is null as soon as one of its terms is: a sum over an unknown is unknown."""
    return ibis.ifelse(column.isnull().any(), ibis.null("int64"), aggregate)
