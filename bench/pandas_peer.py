"""The same matching in pandas, as an analyst would write it: the peer of bench.match_only. Prints seconds and memory.

Copies, ids, overlaps on one connector, groups, links between neighbouring sessions, brackets: the steps of
docs/decisions/0006-matching.md, each in pandas' own way.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd

MS_PER_DAY = 86_400_000
SLACK_MS = 180_000


def main(city: Path) -> None:
    """Match a city's columns and count the sessions."""
    began = time.perf_counter()
    orders = pd.read_parquet(city / "orders.parquet").drop_duplicates("order_id").reset_index(names="order_no")
    records = pd.read_parquet(city / "records.parquet").drop_duplicates("record_id").reset_index(names="record_no")
    # By id.
    joined = orders.merge(records, how="left", on="transaction_id", suffixes=("", "_record"))
    lone_orders = joined[joined["record_no"].isna()]
    lone_records = records[~records["record_no"].isin(joined["record_no"])]
    # By place and time: what is left over against everything on the same connector.
    pairs = pd.concat([_overlaps(lone_orders, records), _overlaps(orders, lone_records)]).drop_duplicates()
    # Groups.
    edges = pd.concat([joined.loc[joined["record_no"].notna(), ["order_no", "record_no"]], pairs])
    many = edges[edges.duplicated("order_no", keep=False) | edges.duplicated("record_no", keep=False)]
    many = edges[edges["order_no"].isin(many["order_no"]) | edges["record_no"].isin(many["record_no"])]
    labels = many.assign(label=many["order_no"])
    while True:
        label = labels.groupby("record_no")["label"].transform("min")
        label = labels.assign(label=label).groupby("order_no")["label"].transform("min")
        if label.equals(labels["label"]):
            break
        labels = labels.assign(label=label)
    sums = _group_sums(labels, orders, records)
    simple = joined[~joined["order_no"].isin(many["order_no"])]
    alone = lone_records[~lone_records["record_no"].isin(many["record_no"])]
    off = (simple["energy_milli_wh"] - simple["energy_milli_wh_record"]).abs()
    wrong = int((off > simple["energy_quantum_milli_wh"] + simple["energy_quantum_milli_wh_record"]).sum())
    # Links and brackets.
    chain = records.sort_values(["meter_id", "begin_utc_ms", "page_first", "record_no"])
    before = chain.groupby("meter_id")[["end_register_milli_wh", "page_last", "end_utc_ms"]].shift()
    gap = chain["begin_register_milli_wh"] - before["end_register_milli_wh"]
    odd = (gap.abs() > 2_000) | ((chain["page_first"] - before["page_last"] - 1).fillna(0) != 0)
    links = chain[odd].assign(gap=gap[odd], since=before.loc[odd, "end_utc_ms"])
    inside = lone_orders.merge(links, on="connector_id", suffixes=("", "_next"))
    inside = inside[
        (inside["start_utc_ms"] >= inside["since"] - SLACK_MS)
        & (inside["end_utc_ms"] <= inside["begin_utc_ms_next"] + SLACK_MS)
    ]
    held = inside.groupby("record_no_next")["energy_milli_wh"].sum()
    sessions = len(simple) + len(alone) + len(sums)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"seconds": seconds, "peak_gb": peak, "sessions": sessions, "simple_differ": wrong,
                      "links": len(links), "brackets": len(held)}))  # fmt: skip


def _overlaps(orders: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Pairs (order_no, record_no) on one connector that overlap for half of the shorter; the smaller side's days."""
    o = orders[["order_no", "connector_id", "start_utc_ms", "end_utc_ms"]].copy()
    r = records[["record_no", "connector_id", "begin_utc_ms", "end_utc_ms"]].rename(columns={"end_utc_ms": "ended"})
    small, large = (o, r.copy()) if len(o) < len(r) else (r.copy(), o)
    start = {"o": "start_utc_ms", "r": "begin_utc_ms"}
    small_start, large_start = (start["o"], start["r"]) if small is o else (start["r"], start["o"])
    small["day"] = [list(range(int(s) // MS_PER_DAY - 2, int(s) // MS_PER_DAY + 3)) for s in small[small_start]]
    small = small.explode("day").astype({"day": "int64"})
    large["day"] = large[large_start] // MS_PER_DAY
    both = small.merge(large, on=["connector_id", "day"])
    shared = both[["end_utc_ms", "ended"]].min(axis=1) - both[["start_utc_ms", "begin_utc_ms"]].max(axis=1)
    lengths = pd.concat([both["end_utc_ms"] - both["start_utc_ms"], both["ended"] - both["begin_utc_ms"]], axis=1)
    found: pd.DataFrame = both.loc[(shared > 0) & (2 * shared >= lengths.min(axis=1)), ["order_no", "record_no"]]
    return found


def _group_sums(labels: pd.DataFrame, orders: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """One row a session of several orders or records: sums of each side."""
    billed = labels[["label", "order_no"]].drop_duplicates().merge(orders, on="order_no")
    measured = labels[["label", "record_no"]].drop_duplicates().merge(records, on="record_no")
    sides = (billed.groupby("label")["energy_milli_wh"].sum(), measured.groupby("label")["energy_milli_wh"].sum())
    return pd.concat(sides, axis=1, keys=["billed", "measured"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
