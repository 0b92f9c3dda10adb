"""Matching alone, by the rule book's own code on DuckDB: what bench.pandas_peer is held against. Prints its seconds."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from anxin.domain.register import Register
from anxin.flow.importing import Imported
from anxin.flow.loading import load_facts
from anxin.reconcile.engine import DuckDBEngine
from anxin.reconcile.matching import match
from anxin.reconcile.policy import load_policy


def main(city: Path) -> None:
    """Match a city's columns: copies, ids, overlaps, groups, links, brackets; count the sessions."""
    imported = Imported(parquet={"orders": [city / "orders.parquet"], "records": [city / "records.parquet"]})
    with tempfile.TemporaryDirectory() as scratch:
        engine = DuckDBEngine(Path(scratch))
        began = time.perf_counter()
        ground = match(load_facts(imported, Register(), None, engine), load_policy(), engine)
        sessions = engine.rows(ground.sessions.agg(n=ground.sessions.count()))["n"][0].as_py()
        seconds = time.perf_counter() - began
        engine.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"seconds": seconds, "peak_gb": peak, "sessions": sessions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
