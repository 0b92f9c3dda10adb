"""The evidence log: from a receipt to its proof while messages come in, and what an audit costs.

python -m bench.evidence [--seconds 30] [--rate 2000] [--entries 1000000]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from anxin.domain.message import Kind, Message
from anxin.evidence.auditor import Row, audit_log, folder_of
from anxin.evidence.note import Signer, parse_vkey
from anxin.evidence.proofs import Proofs
from anxin.evidence.publisher import LogPublisher
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.publishing import log_folder, log_signer, publish_for_ever
from anxin.settings import Settings
from anxin.store import messages
from anxin.store.database import Database, migrate
from anxin.store.embedded import EmbeddedServer
from anxin.store.log_rows import message_rows
from bench.common import write

#: Messages of one commit, as the intake groups them at this rate.
GROUP = 100
#: A signed record in its envelope has about so many bytes.
PAYLOAD_BYTES = 1_200


def receipt_to_proof(database: Database, settings: Settings, rate: int, seconds: int) -> dict[str, Any]:
    """Messages at a rate, the publisher beside them: ms from each commit to the proof of its last message."""
    key = parse_vkey(log_signer(settings).vkey)
    stop = threading.Event()
    thread = threading.Thread(target=publish_for_ever, args=(database, settings, stop), daemon=True)
    thread.start()
    waiting: list[tuple[int, float]] = []
    lags: list[float] = []
    proof_ms: list[float] = []
    proofs = Proofs(log_folder(settings), key)

    def watch() -> None:
        while not stop.is_set():
            newest = proofs.newest()
            size = newest.size if newest else 0
            while waiting and waiting[0][0] < size:
                index, since = waiting.pop(0)
                started = time.perf_counter()
                if proofs.inclusion(index) is not None:
                    lags.append((time.monotonic() - since) * 1_000)
                    proof_ms.append((time.perf_counter() - started) * 1_000)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    payload = os.urandom(PAYLOAD_BYTES)
    begun = time.monotonic()
    sent = 0
    while time.monotonic() - begun < seconds:
        group = [
            Message(Kind.METER_ENVELOPE, "meter", f"{sent + i}", payload + b"%d" % (sent + i)) for i in range(GROUP)
        ]
        last = messages.append(database, group, now_utc_ms(), committed_entry)[-1]
        waiting.append((last.receipt.index, time.monotonic()))
        sent += GROUP
        time.sleep(max(0.0, begun + sent / rate - time.monotonic()))
    took = time.monotonic() - begun
    while waiting:
        time.sleep(0.05)
    stop.set()
    thread.join()
    watcher.join()
    lags.sort()
    proof_ms.sort()
    return {
        "messages": sent, "per_second": round(sent / took),
        "receipt_to_proof_ms": {q: round(lags[int(len(lags) * q / 100.001)]) for q in (50, 99, 100)},
        "making_a_proof_ms": {q: round(proof_ms[int(len(proof_ms) * q / 100.001)], 2) for q in (50, 99, 100)},
    }  # fmt: skip


def audit_with_messages(database: Database, settings: Settings) -> dict[str, Any]:
    """The whole audit, rows and all."""
    started = time.monotonic()
    audit = audit_log(
        folder_of(log_folder(settings)), log_signer(settings).vkey, (Row(*row) for row in message_rows(database))
    )
    seconds = time.monotonic() - started
    return {"rows": audit.rows, "faults": audit.fault_count, "per_second": round(audit.rows / seconds)}


def audit_of_tree(folder: Path, entries: int) -> dict[str, Any]:
    """A log of so many entries published in one go, and its tree audited; peak memory of this process so far."""
    signer = Signer("bench.example/log", bytes(32))

    def take(first: int, count: int) -> list[bytes]:
        return [hashlib.sha256(i.to_bytes(8, "big")).digest() for i in range(first, first + count)]

    started = time.monotonic()
    LogPublisher(folder, signer).publish(take, entries)
    published = time.monotonic() - started
    started = time.monotonic()
    audit = audit_log(folder_of(folder), signer.vkey)
    seconds = time.monotonic() - started
    return {
        "entries": audit.size, "faults": audit.fault_count, "published_per_second": round(entries / published),
        "audited_per_second": round(entries / seconds),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anxin-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        found: dict[str, Any] = {"tree": audit_of_tree(folder / "tree", args.entries)}
        server = EmbeddedServer(folder / "postgres").start()
        try:
            with Database(server.url) as database:
                migrate(database)
                settings = Settings(data_dir=folder)
                found["publication"] = receipt_to_proof(database, settings, args.rate, args.seconds)
                found["audit"] = audit_with_messages(database, settings)
        finally:
            server.stop()
    write("evidence", found)


if __name__ == "__main__":
    main()
