"""A database that is not new: millions of records already stored, so that indexes have the depth of a year.

The rows are made by the server itself: payloads of a sealed record's size, from 14,000 meters in turn, with the
facts that the judge would have left. Their entries are random as well: such a log can be published and extended, not
audited row by row.
"""

from __future__ import annotations

import sys
import time

import psycopg

METERS = 14_000
PAYLOAD_BYTES = 792  # mean of the city's envelopes
STEP = 400_000
TABLES = ("message", "fact_signed_record", "fact_record", "verdict")
#: When the first of these records was received, and how far apart they are: 14.4 million in about a year.
FIRST_UTC_MS, APART_MS = 1_760_000_000_000, 2_100

_MESSAGES = """
insert into message (index, kind, sender, message_id, received_utc_ms, payload_sha256, envelope_sha256, salt, entry,
  payload)
select i, 'meter.envelope', 'filled-' || lpad((i % {meters})::text, 6, '0'),
       'filled-' || lpad((i % {meters})::text, 6, '0') || '-E1/' || i, {first} + i * {apart},
       sha256(int8send(i)), null, sha256(int8send(i + 1)), sha256(int8send(-i)),
       substr(decode(repeat(md5(i::text), {hashes}), 'hex'), 1, {bytes})
from generate_series({low}::bigint, {high}::bigint - 1) i
"""
_SIGNED = """
insert into fact_signed_record (message_index, position, transaction_key, key_id, answer, reason)
select i, 0, 'filled-T' || i, 'filled-' || lpad((i % {meters})::text, 6, '0') || '-K1', 'authentic', 'signature_matches'
from generate_series({low}::bigint, {high}::bigint - 1) i
"""
_RECORDS = """
insert into fact_record (transaction_key, record_id, source_file, source_row, transaction_id, meter_id, connector_id,
  begin_utc_ms, end_utc_ms, clock, begin_register_milli_wh, end_register_milli_wh, energy_milli_wh,
  energy_quantum_milli_wh, time_quantum_ms, page_context, page_first, page_last, algorithm, key_id, answer, reason,
  closed, received_utc_ms, local_date)
select 'filled-T' || i, encode(sha256(int8send(i)), 'hex'), 'message:' || i, 1, 'filled-T' || i,
  'filled-' || lpad((i % {meters})::text, 6, '0'), 'filled-C' || lpad((i % {meters})::text, 6, '0'),
  {first} + i * {apart} - 3600000, {first} + i * {apart} - 60000, 'S', i / {meters} * 20000000,
  i / {meters} * 20000000 + 20000000,
  20000000, 1000, 1000, 'T', i / {meters}, i / {meters}, 'ECDSA-secp256r1-SHA256',
  'filled-' || lpad((i % {meters})::text, 6, '0') || '-K1', 'authentic', 'signature_matches', true,
  {first} + i * {apart}, '2026-01-01'
from generate_series({low}::bigint, {high}::bigint - 1) i
"""
_VERDICTS = """
insert into verdict (session_key, state, method, place, operator_id, order_id, record_id, start_utc_ms, end_utc_ms,
  order_energy_milli_wh, record_energy_milli_wh, amount_e4, findings, policy, software, as_of_utc_ms, judged_utc_ms,
  digest)
select 'order:filled:' || i, 'agree', 'id', 'filled-C' || lpad((i % {meters})::text, 6, '0'), 'filled-O' || i % 108,
  'filled-T' || i, encode(sha256(int8send(i)), 'hex'), {first} + i * {apart} - 3600000, {first} + i * {apart} - 60000,
  20000000, 20000000, 240000, 0, 'filled', 'filled', {first} + i * {apart}, {first} + i * {apart}, sha256(int8send(i))
from generate_series({low}::bigint, {high}::bigint - 1) i
"""


def fill(url: str, records: int) -> None:
    """Bring a platform's database to `records` stored records with their facts and verdicts."""
    with psycopg.connect(url, autocommit=True) as connection:
        have = _one(connection, "select size from log_head")
        if have >= records:
            return
        # Rows are checked by what made them, and indexes are built when all of them are there.
        connection.execute("set synchronous_commit = off")
        connection.execute("set session_replication_role = replica")
        indexes = connection.execute(
            "select indexname, indexdef from pg_indexes where tablename = any(%s) and not indexname like '%%_pkey'",
            (list(TABLES),),
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"drop index {name}".encode())
        began, first = time.monotonic(), have
        while have < records:
            low, high = have, min(records, have + STEP)
            numbers = {
                "meters": METERS, "first": FIRST_UTC_MS, "apart": APART_MS, "low": low, "high": high,
                "hashes": PAYLOAD_BYTES // 16 + 1, "bytes": PAYLOAD_BYTES,
            }  # fmt: skip
            with connection.transaction():
                for statement in (_MESSAGES, _SIGNED, _RECORDS, _VERDICTS):
                    connection.execute(statement.format(**numbers).encode())
                connection.execute("update log_head set size = %s", (high,))
                connection.execute("update counter set value = %s where name = 'judged'", (high,))
            have = high
            rate = (have - first) / max(time.monotonic() - began, 1)
            print(f"\rfilled {have:,} of {records:,} ({rate:,.0f}/s)", end="", file=sys.stderr, flush=True)
        connection.execute("set maintenance_work_mem = '1GB'")
        for name, definition in indexes:
            print(f"\rindex {name:<40}", end="", file=sys.stderr, flush=True)
            connection.execute(definition.encode())
        print(file=sys.stderr)
        for table in TABLES:
            connection.execute(f"analyze {table}".encode())


def _one(connection: psycopg.Connection[tuple[int]], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
