"""The same matching in pandas, as an analyst would write it: the peer of bench.audit. Prints seconds and memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd


def main(city: Path) -> None:
    """Read, drop copies, merge, compare, look at neighbours of each meter and connector, write the verdicts."""
    began = time.perf_counter()
    orders = pd.read_parquet(city / "orders.parquet")
    records = pd.read_parquet(city / "records.parquet")
    orders = orders.drop_duplicates("order_id")
    records = records.drop_duplicates("record_id")
    both = orders.merge(records, how="outer", on="transaction_id", suffixes=("", "_record"), indicator=True)
    off = (both["energy_milli_wh"] - both["energy_milli_wh_record"]).abs()
    allowed = both["energy_quantum_milli_wh"] + both["energy_quantum_milli_wh_record"]
    both["state"] = both["_merge"].astype(str)
    both.loc[(both["_merge"] == "both") & (off > allowed), "state"] = "disagree"
    both["late_start"] = (both["start_utc_ms"] - both["begin_utc_ms"]).abs() > 181_000
    chain = records.sort_values(["meter_id", "begin_utc_ms", "page_first"])
    gap = chain["begin_register_milli_wh"] - chain.groupby("meter_id")["end_register_milli_wh"].shift()
    page = chain["page_first"] - chain.groupby("meter_id")["page_last"].shift() - 1
    suspicious = chain[(gap.abs() > 2_000) | (page.fillna(0) != 0)]
    busy = orders.sort_values(["connector_id", "start_utc_ms", "end_utc_ms"])
    until = busy.groupby("connector_id")["end_utc_ms"].transform(lambda ends: ends.cummax().shift())
    overlapping = busy[busy["start_utc_ms"] < until]
    both[["order_id", "record_id", "state", "late_start", "energy_milli_wh", "energy_milli_wh_record"]].to_parquet(
        city / "pandas.parquet"
    )
    counts = both["state"].value_counts().to_dict()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"seconds": seconds, "peak_gb": peak, "states": counts, "suspicious": len(suspicious),
                      "overlapping": len(overlapping)}))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
