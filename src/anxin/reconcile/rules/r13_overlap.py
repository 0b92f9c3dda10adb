"""R13: two orders at the same time on one connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import Severity
from anxin.reconcile.raising import raised
from anxin.reconcile.rule import Basis, Cause, Rule

if TYPE_CHECKING:
    from anxin.reconcile.matching import Ground
    from anxin.reconcile.policy import Policy


def on_facts(ground: Ground, policy: Policy) -> list[Any]:
    """Orders that start while another order on the same connector is running.

    Strictly: an order that starts in the very step of time in which another ends does not overlap it, but one that
    starts with another does, even if it is shown with no length at all. Compared with the latest end so far, so that
    a long order that covers several later ones meets each of them.
    """
    orders = ground.orders.filter(
        ground.orders.connector_id.notnull() & (ground.orders.end_utc_ms >= ground.orders.start_utc_ms)
    ).select("order_no", "connector_id", "operator_id", "start_utc_ms", "end_utc_ms")
    order = ["start_utc_ms", ibis.desc("end_utc_ms"), "order_no"]
    # A connector where no two neighbours clash has no clash at all: only the others need the latest end so far. That
    # first look goes by the hash of the place; two places with one hash would only be looked at in vain.
    marked = orders.select("order_no", "start_utc_ms", "end_utc_ms", mark=orders.connector_id.hash())
    neighbour = ibis.window(group_by="mark", order_by=order)
    nearby = marked.select("mark", "start_utc_ms", before=marked.end_utc_ms.lag().over(neighbour))
    clashing = nearby.filter(nearby.start_utc_ms < nearby.before).select("mark").distinct()
    orders = orders.filter(orders.connector_id.hash().isin(clashing.mark))
    earlier = ibis.window(group_by="connector_id", order_by=order, rows=(None, -1))
    seen = orders.mutate(busy_until=orders.end_utc_ms.max().over(earlier))
    clash = seen.filter(seen.start_utc_ms < seen.busy_until)
    # The order it meets is the earlier one that ends last; of several, the first that came.
    busy = orders.select("connector_id", busy_until="end_utc_ms", busy_no="order_no", busy_from="start_utc_ms")
    met = clash.join(busy, ["connector_id", "busy_until"])
    together = (met.busy_from == met.start_utc_ms) & (
        (met.busy_until > met.end_utc_ms) | ((met.busy_until == met.end_utc_ms) & (met.busy_no < met.order_no))
    )
    met = met.filter((met.busy_from < met.start_utc_ms) | together)
    met = met.group_by(["order_no", "connector_id", "operator_id", "start_utc_ms", "busy_until"]).agg(
        previous_no=met.busy_no.min()
    )
    return [
        raised(
            met,
            "R13",
            "overlap",
            quantity="time",
            expected="busy_until",
            found="start_utc_ms",
            order_no="order_no",
            other_order_no="previous_no",
            at_utc_ms="start_utc_ms",
        ),
    ]


RULE = Rule(
    id="R13",
    name="overlap",
    title_zh="同一接口订单重叠",
    title_en="Orders overlap on one connector",
    explain_zh="一个接口同一时间只能给一辆车充电：另一订单进行期间不应有新订单开始。",
    explain_en="A connector charges one car at a time: no order may start while another is running.",
    basis=(Basis("Perth & Kinross public ledger: 64 overlaps on one connector", "confirmed"),),
    causes=(
        Cause(
            "overlap",
            Severity.WARNING,
            False,
            "接口 {connector} 上的订单 {orders} 时间重叠：{found} 开始时，前一订单要到 {expected} 才结束。",
            "Orders {orders} overlap on connector {connector}: one starts at {found} while the other ends at {expected}.",
        ),
    ),
    example="""
        order  O1 C1 10:00-11:00 20.00
        order  O2 C1 10:30-11:30 20.00
        order  O3 C1 11:30-12:00 10.00
        expect R13 overlap O2 O1
    """,
    on_facts=on_facts,
)
