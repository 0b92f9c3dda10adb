"""The report's figures over all sessions: sums, days, operators, differences, what each rule puts at stake.

Everything is summed on the engine over verdicts.parquet as it was written: the page then says what the file says, and
the join of millions of sessions is not paid again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis

from anxin.domain.finding import SessionState
from anxin.report.view import DIFFERENCE_EDGES_MILLI_WH, DayRow, OperatorRow, Totals

if TYPE_CHECKING:
    from anxin.flow.audit import Judged

#: Days and operators that are brought to the page: three centuries, and more operators than a country has. Ids made up
#: by a broken file must not fill the memory; worst first, so that what is left out is what agrees.
MAX_DAYS, MAX_OPERATORS = 100_000, 20_000
#: Sums of amounts and energies stay exact beyond 64 bits.
_WIDE = "decimal(38, 0)"
#: Causes whose figures are prices: they add up to nothing.
_PRICES = ("price_not_published",)
_STATES = tuple(state.value for state in SessionState)


def _sum(column: Any) -> Any:
    return column.cast(_WIDE).sum()


def _first(judged: Judged, expression: Any) -> dict[str, int | None]:
    """The one row of an aggregate, as integers."""
    row = judged.engine.rows(expression).to_pylist()[0]
    return {name: None if value is None else int(value) for name, value in row.items()}


def totals(judged: Judged, verdicts: Any, *, one_currency: bool) -> Totals:
    """Return the sums over sessions that have both sides, and what only one side has.

    The recomputed amount is the billed one less what R06 found too much and plus what it found too little: a session
    within the tolerance of rounding counts as billed. None where R06 did not run, or where currencies are mixed.
    """
    present = judged.verdicts.ground.facts.present
    both = (verdicts.orders > 0) & (verdicts.records > 0)
    like = both & verdicts.order_energy_milli_wh.notnull() & verdicts.record_energy_milli_wh.notnull()
    sums = _first(
        judged,
        verdicts.agg(
            billed=verdicts.order_energy_milli_wh.cast(_WIDE).sum(where=like),
            metered=verdicts.record_energy_milli_wh.cast(_WIDE).sum(where=like),
            amount=verdicts.amount_e4.cast(_WIDE).sum(where=both),
            orders_alone=verdicts.order_energy_milli_wh.cast(_WIDE).sum(where=verdicts.records == 0),
            records_alone=verdicts.record_energy_milli_wh.cast(_WIDE).sum(where=verdicts.orders == 0),
        ),
    )
    amount = sums["amount"] if one_currency else None
    recomputed = None
    if amount is not None and "R06" not in {rule for rule, _ in judged.verdicts.not_run}:
        found = judged.verdicts.findings
        off = found.filter((found.rule == "R06") & found.cause.isin(("amount_over", "amount_under")))
        recomputed = amount - (_first(judged, off.agg(off=_sum(off.found - off.expected)))["off"] or 0)
    return Totals(
        billed_milli_wh=sums["billed"] or 0,
        metered_milli_wh=sums["metered"] or 0,
        amount_billed_e4=amount,
        amount_recomputed_e4=recomputed,
        unmatched_order_milli_wh=(sums["orders_alone"] or 0) if "orders" in present else None,
        unmatched_record_milli_wh=(sums["records_alone"] or 0) if "records" in present else None,
    )


def daily(judged: Judged, verdicts: Any) -> tuple[DayRow, ...]:
    """Return the sessions of each local day by state, in order of the day."""
    days = verdicts.mutate(day=ibis.coalesce(verdicts.local_date, ""))
    counted = days.group_by("day").agg(**{s: (days.state == s).sum().cast("int64") for s in _STATES})
    rows = judged.engine.rows(counted.order_by("day").limit(MAX_DAYS)).to_pylist()
    return tuple(DayRow(row["day"], *(row[s] for s in _STATES)) for row in rows)


def operators(judged: Judged, verdicts: Any) -> tuple[OperatorRow, ...]:
    """Return every operator with its sessions; a record without an order counts for the operator of its connector."""
    connectors = judged.verdicts.ground.facts.connectors
    owners = connectors.group_by("connector_id").agg(owner=connectors.operator_id.min())
    owned = verdicts.left_join(owners, "connector_id").drop("connector_id_right")
    owned = owned.mutate(operator=ibis.coalesce(owned.operator_id, owned.owner, ""))
    difference = owned.order_energy_milli_wh - owned.record_energy_milli_wh
    counted = owned.group_by("operator").agg(
        sessions=owned.count(),
        **{s: (owned.state == s).sum().cast("int64") for s in ("disagree", "order_only", "record_only")},
        difference=_sum(difference),
    )
    worst_first = [ibis.desc("disagree"), ibis.desc("order_only"), "operator"]
    rows = judged.engine.rows(counted.order_by(worst_first).limit(MAX_OPERATORS)).to_pylist()
    names = {o.operator_id: o.name for o in judged.register.operators}
    refused = _rejects_by_operator(judged)
    return tuple(
        OperatorRow(
            row["operator"], names.get(row["operator"], "") if row["operator"] else "（未说明 not stated）",
            row["sessions"], row["disagree"], row["order_only"], row["record_only"], int(row["difference"] or 0),
            refused.get(row["operator"], 0),
        )
        for row in rows
    )  # fmt: skip


def _rejects_by_operator(judged: Judged) -> dict[str, int]:
    """Rows refused, of the files whose every order is of one operator; what cannot be placed counts for nobody."""
    rejected = {f.path: f.rejected for f in judged.imported.files if f.rejected}
    if not rejected:
        return {}
    orders = judged.verdicts.ground.facts.orders
    named = orders.filter(orders.source_file.isin(sorted(rejected)))
    by_file = named.group_by("source_file").agg(first=named.operator_id.min(), last=named.operator_id.max())
    found: dict[str, int] = {}
    for row in judged.engine.rows(by_file).to_pylist():
        if row["first"] is not None and row["first"] == row["last"]:
            found[row["first"]] = found.get(row["first"], 0) + rejected[row["source_file"]]
    return found


def differences(judged: Judged, verdicts: Any) -> tuple[int, ...]:
    """Return how many sessions fall into each bin of DIFFERENCE_EDGES_MILLI_WH; empty where none has both sides."""
    off = verdicts.order_energy_milli_wh - verdicts.record_energy_milli_wh
    # The bin of a difference is the number of edges that it reaches.
    reached = [(off >= edge).cast("int64") for edge in DIFFERENCE_EDGES_MILLI_WH]
    bins = verdicts.filter(off.notnull()).select(bin=sum(reached[1:], start=reached[0]))
    rows = judged.engine.rows(bins.group_by("bin").agg(n=bins.count())).to_pylist()
    counts = {row["bin"]: row["n"] for row in rows}
    return tuple(counts.get(i, 0) for i in range(len(reached) + 1)) if counts else ()


def at_stake(judged: Judged) -> dict[tuple[str, str], int]:
    """Return what the findings of each rule differ by in all: (rule, `energy` or `amount`) -> mWh or ten-thousandths.

    A finding of which one side only is known (an order without a record) puts that side at stake.
    """
    every = judged.verdicts.findings
    found = every.filter(every.quantity.isin(("energy", "amount")) & every.cause.notin(_PRICES))
    size = ibis.coalesce(found.found - found.expected, found.found, found.expected).abs()
    summed = found.group_by(["rule", "quantity"]).agg(total=_sum(size))
    rows = judged.engine.rows(summed).to_pylist()
    return {(row["rule"], row["quantity"]): int(row["total"]) for row in rows if row["total"] is not None}


def currencies(judged: Judged) -> tuple[str, ...]:
    """Return the currencies that the orders name, most frequent first."""
    orders = judged.verdicts.ground.facts.orders
    named = orders.filter(orders.currency.notnull() & (orders.currency != ""))
    counted = named.group_by("currency").agg(n=named.count())
    rows = judged.engine.rows(counted.order_by([ibis.desc("n"), "currency"]).limit(10)).to_pylist()
    return tuple(row["currency"] for row in rows)
