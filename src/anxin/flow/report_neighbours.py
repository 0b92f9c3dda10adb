"""The registers of one meter's neighbouring sessions: what was read before and after a case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from anxin.report.view import RegisterPoint

if TYPE_CHECKING:
    from anxin.flow.audit import Judged

#: Neighbouring sessions on each side of a case.
NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a case stands in the life of its meter; `own` are the numbers of its own records."""

    session_no: int
    meter_id: str | None
    at_utc_ms: int | None
    own: frozenset[int]


def neighbours(judged: Judged, anchors: Iterable[Anchor]) -> dict[int, tuple[RegisterPoint, ...]]:
    """Return the readings around each anchor, by session number: its own records and NEIGHBOURS on each side.

    All anchors are placed at once: they are sorted among their meters' records, and the number of records up to an
    anchor is the place that its neighbours are counted from.
    """
    kept = [a for a in anchors if a.meter_id is not None and a.at_utc_ms is not None]
    if not kept:
        return {}
    engine = judged.engine
    table = pa.table(
        {
            "session_no": pa.array([a.session_no for a in kept], pa.int64()),
            "meter_id": pa.array([a.meter_id for a in kept], pa.string()),
            "begin_utc_ms": pa.array([a.at_utc_ms for a in kept], pa.int64()),
        }
    )
    spots = engine.load_arrow("report_anchors", table)
    records = judged.verdicts.ground.records
    read = records.filter(records.begin_utc_ms.notnull() & records.begin_register_milli_wh.notnull())
    columns = ("meter_id", "begin_utc_ms", "page_first", "record_no", "end_utc_ms", "begin_register_milli_wh",
               "end_register_milli_wh")  # fmt: skip
    chain = engine.stage("report_chain", read.select(*columns).semi_join(spots, "meter_id"))
    window = ibis.window(group_by="meter_id", order_by=["begin_utc_ms", "page_first", "record_no"])
    placed = engine.stage("report_placed", chain.mutate(place=ibis.row_number().over(window) + 1))
    # An anchor's place: how many records of its meter began no later.
    before = placed.select("place", meter="meter_id", began="begin_utc_ms")
    pairs = spots.left_join(before, [spots.meter_id == before.meter, before.began <= spots.begin_utc_ms])
    anchored = pairs.group_by(["session_no", "meter_id"]).agg(anchor=ibis.coalesce(pairs.place.max(), 0))
    anchored = engine.stage("report_anchored", anchored)
    own = {a.session_no: a.own for a in kept}
    offsets = engine.load_arrow(
        "report_offsets", pa.table({"offset": pa.array(range(-2 * NEIGHBOURS, 2 * NEIGHBOURS + 1), pa.int64())})
    )
    wide = anchored.cross_join(offsets)
    wide = wide.select("session_no", "meter_id", "anchor", place=wide.anchor + wide.offset)
    wide = engine.stage("report_places", wide)
    near = wide.join(placed, ["meter_id", "place"]).order_by(["session_no", "place"])
    by_session: dict[int, list[dict[str, Any]]] = {}
    for row in engine.rows(near).to_pylist():
        by_session.setdefault(row["session_no"], []).append(row)
    return {no: tuple(_points(rows, own[no])) for no, rows in by_session.items()}


def _points(rows: Sequence[dict[str, Any]], own: frozenset[int]) -> Iterable[RegisterPoint]:
    """Own records as the case's begin and end, and NEIGHBOURS more on each side of them."""
    mine = [row["place"] for row in rows if row["record_no"] in own]
    anchor = rows[0]["anchor"]
    # Without a record of its own, a case lies between the records on both sides of its anchor.
    low, high = (min(mine), max(mine)) if mine else (anchor + 1, anchor)
    for row in rows:
        place = row["place"]
        if not low - NEIGHBOURS <= place <= high + NEIGHBOURS:
            continue
        is_own = row["record_no"] in own
        begin = "case_begin" if is_own and place == low else "begin"
        end = "case_end" if is_own and place == high else "end"
        yield RegisterPoint(row["begin_utc_ms"], row["begin_register_milli_wh"], begin)
        if row["end_register_milli_wh"] is not None:
            ended = row["begin_utc_ms"] if row["end_utc_ms"] is None else row["end_utc_ms"]
            yield RegisterPoint(ended, row["end_register_milli_wh"], end)
