"""Full audit of columns against a bare join of the same two files and against pandas.

    python -m bench.audit [--sizes 10000 100000 ...] [--pandas 1000000]

The audit is the whole command: read, match, every rule that orders, records, register and keys allow, states, five
files written. The bare joins are DuckDB's hash join of the same two Parquet files on the transaction id: once with a
count and a sum, which reads three columns; once with its rows written to Parquet, as an audit must. pandas does the
same matching only: one merge, differences, duplicates, the register's continuity and overlaps on a connector.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from bench.common import BUILD, anxin, columns_city, write

SIZES = (10_000, 100_000, 1_000_000, 4_000_000, 14_419_000)
PANDAS_SIZE = 4_000_000


def bare_joins(city: Path) -> dict[str, float]:
    """Seconds of the two bare joins."""
    seconds = {}
    joined = f"from '{city}/orders.parquet' o join '{city}/records.parquet' r on o.transaction_id = r.transaction_id"
    for name, query in (
        ("join_count", f"select count(*), sum(o.energy_milli_wh - r.energy_milli_wh) {joined}"),
        (
            "join_written",
            f"copy (select o.order_id, r.record_id, o.connector_id, o.operator_id, o.start_utc_ms, o.end_utc_ms, "
            f"r.begin_utc_ms, r.end_utc_ms as ended, o.energy_milli_wh, r.energy_milli_wh as measured, o.amount_e4 "
            f"{joined}) to '{BUILD}/join.parquet' (format parquet, compression zstd)",
        ),
    ):
        connection = duckdb.connect()
        began = time.perf_counter()
        connection.execute(query).fetchall()
        seconds[name] = time.perf_counter() - began
        connection.close()
    return seconds


def audit(city: Path) -> dict[str, Any]:
    """Seconds and peak memory of the audit command on a city's columns."""
    ran = anxin("audit", "--orders", city / "orders.parquet", "--records", city / "records.parquet", "--register",
                city / "register.json", "--keys", city / "keys.json", "--out", city / "audit", "--json")  # fmt: skip
    if ran.exit_code == 2:
        raise SystemExit("the audit could not judge")
    return {"audit": ran.seconds, "peak_gb": ran.peak_bytes / 1e9}


def main() -> None:
    """Measure, write build/bench/audit.json and draw build/bench/audit.svg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--pandas", type=int, default=PANDAS_SIZE)
    parser.add_argument("--one-size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_size:
        _measure_one(args.one_size)
        return
    rows = []
    for size in args.sizes:
        # A process for each size, so that each peak of memory is its own.
        done = subprocess.run(
            [sys.executable, "-m", "bench.audit", "--one-size", str(size)], capture_output=True, text=True, check=True
        )
        row = {"sessions": size, **last_json(done.stdout)}
        row["times_join_count"] = row["audit"] / row["join_count"]
        row["times_join_written"] = row["audit"] / row["join_written"]
        print(row, file=sys.stderr)
        rows.append(row)
    city = columns_city(args.pandas)
    pandas, ours = _child("bench.pandas_peer", city), _child("bench.match_only", city)
    peer = {"sessions": args.pandas, "pandas": pandas, "match": ours, "times": pandas["seconds"] / ours["seconds"]}
    write("audit", {"rows": rows, "matching": peer})
    _draw(rows)


def _child(module: str, city: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", module, str(city)], capture_output=True, text=True, check=True)
    return last_json(done.stdout)


def last_json(text: str) -> dict[str, Any]:
    """The JSON object on the last line of a child's output."""
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


def _measure_one(size: int) -> None:
    city = columns_city(size)
    before = bare_joins(city)
    measured = audit(city)
    after = bare_joins(city)
    # The machine is shared: the joins are taken before and after, and the mean of both is what the audit is held to.
    joins = {name: (before[name] + after[name]) / 2 for name in before}
    print(json.dumps({**measured, **joins}))


def _draw(rows: list[dict[str, Any]]) -> None:
    import vl_convert

    names = {"audit": "audit", "join_count": "bare join", "join_written": "join, written"}
    values = [
        {"sessions": row["sessions"], "seconds": row[key], "what": name} for row in rows for key, name in names.items()
    ]
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 560,
        "height": 340,
        "data": {"values": values},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "sessions", "type": "quantitative", "scale": {"type": "log"}, "title": "sessions"},
            "y": {"field": "seconds", "type": "quantitative", "scale": {"type": "log"}, "title": "seconds"},
            "color": {"field": "what", "type": "nominal", "title": None},
        },
    }
    svg: str = vl_convert.vegalite_to_svg(specification)
    (BUILD / "audit.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
