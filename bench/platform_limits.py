"""What this machine can do at most: verifications by openssl, and synced group commits of the same database."""

from __future__ import annotations

import secrets
import statistics
import time

import psycopg

from bench.platform_fill import PAYLOAD_BYTES
from bench.signatures import openssl_per_second

COMMIT_SECONDS = 10
GROUP = 100


def limits(url: str) -> dict[str, float]:
    """Return verifications a CPU-second (P-256, SM2), and rows a second and a commit's median of bare group commits:
    100 rows of a record's size and indexes, one connection, nothing else."""
    rows, times = 0, []
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists bench_limit (like message including indexes)")
        connection.execute("truncate bench_limit")
        connection.commit()
        end = time.monotonic() + COMMIT_SECONDS
        while time.monotonic() < end:
            began = time.monotonic()
            with connection.cursor() as cursor, cursor.copy(
                "copy bench_limit (index, kind, sender, message_id, received_utc_ms, payload_sha256, salt, entry,"
                " payload) from stdin (format binary)"
            ) as copy:  # fmt: skip
                copy.set_types(["int8", "text", "text", "text", "int8", "bytea", "bytea", "bytea", "bytea"])
                for number in range(rows, rows + GROUP):
                    digest = secrets.token_bytes(32)
                    sender = f"limit-{number % 14_000:06d}"
                    copy.write_row((
                        number, "meter.envelope", sender, f"{sender}-E1/{number}", 0, digest, digest, digest,
                        secrets.token_bytes(PAYLOAD_BYTES),
                    ))  # fmt: skip
            connection.commit()
            rows += GROUP
            times.append(time.monotonic() - began)
        connection.execute("drop table bench_limit")
        connection.commit()
    return {
        "openssl_p256_verify_per_cpu_s": openssl_per_second("ecdsap256"),
        "openssl_sm2_verify_per_cpu_s": openssl_per_second("sm2"),
        "bare_group_commit_rows_per_s": round(rows / sum(times)),
        "bare_group_commit_of_100_p50_ms": round(1000 * statistics.median(times), 2),
    }
