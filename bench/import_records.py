"""Reads, verifies and makes sessions of a file of OCMF records, as an audit does. Prints rate and peak memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from anxin.flow.importing import Known, import_files
from anxin.formats.register import load_keys
from anxin.reconcile.policy import load_policy
from anxin.trust.keyring import KeyRing


def main(lines: Path, keys: Path) -> None:
    """Import `lines` with the public keys in `keys`."""
    public, _ = load_keys(keys.read_bytes(), str(keys))
    began = time.perf_counter()
    imported = import_files((), (lines,), Known(load_policy(), KeyRing(public)))
    seconds = time.perf_counter() - began
    count = sum(table.num_rows for table in imported.tables["records"])
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"sessions": count, "answers": dict(imported.answers), "seconds": seconds,
                      "records_per_s": count / seconds, "peak_mb": own / 1024,
                      "largest_worker_mb": workers / 1024}))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
