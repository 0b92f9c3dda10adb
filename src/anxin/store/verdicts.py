"""Verdicts and findings: each version is kept with the policy and software that gave it; the present one is marked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anxin.domain.finding import Finding
from anxin.store.database import Database
from anxin.store.surveillance import note


@dataclass(frozen=True, slots=True)
class Verdict:
    """State of one session. `session_key` names it for as long as its first order (or record) is the same;
    `*_quantum_milli_wh` is what the display of that side resolves, over all its orders (or records)."""

    session_key: str
    state: str
    method: str | None
    place: str | None
    operator_id: str | None
    order_id: str | None
    record_id: str | None
    start_utc_ms: int | None
    end_utc_ms: int | None
    order_energy_milli_wh: int | None
    record_energy_milli_wh: int | None
    amount_e4: int | None
    findings: int
    order_quantum_milli_wh: int | None = None
    record_quantum_milli_wh: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a judgement speaks about: verdicts and findings of these places in this span are exchanged."""

    places: Sequence[str]
    from_utc_ms: int
    to_utc_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Under what a verdict was given, and when."""

    policy: str
    software: str
    as_of_utc_ms: int
    judged_utc_ms: int


@dataclass(frozen=True, slots=True)
class Present:
    """All present verdicts and findings in short: how many, and a text that differs where any of them does."""

    verdicts: int
    findings: int
    text: str


def present(database: Database) -> Present:
    """Return what stands now, in short; in whatever order it was judged."""
    with database.transaction() as connection:
        rows = [
            connection.execute(
                f"select count(*), coalesce(sum(hashtextextended(concat_ws('|', {key}, digest), 0)::numeric), 0)"
                f" from {table} where present".encode()
            ).fetchone()
            for table, key in (("verdict", "session_key"), ("finding", "rule"))
        ]
    counts = [(0, 0) if r is None else (int(r[0]), int(r[1])) for r in rows]
    return Present(counts[0][0], counts[1][0], _digest(counts).hex()[:32])


_VERDICT = tuple(f.name for f in dataclasses.fields(Verdict))
_FINDING = (
    "rule", "cause", "severity", "disagrees", "zh", "en", "expected", "found", "difference", "tolerance", "unit",
    "order_ids", "record_ids", "connector_id", "meter_id", "operator_id", "at_utc_ms",
)  # fmt: skip


def exchange_verdicts(
    connection: Any, scope: Scope, verdicts: Sequence[Verdict], standing: Standing
) -> tuple[int, list[str]]:
    """Make these the present verdicts of the scope; what is unchanged stays as it is.

    Returns how many are new, and the keys of all sessions that were or are in the scope.
    """
    new = {v.session_key: (_digest([getattr(v, n) for n in _VERDICT]), v) for v in verdicts}
    rows = connection.execute(
        "select session_key, digest, place, start_utc_ms, end_utc_ms from verdict where present"
        " and (session_key = any(%s) or (place = any(%s) and start_utc_ms between %s and %s))",
        (list(new), list(scope.places), scope.from_utc_ms, scope.to_utc_ms),
        binary=True,
    ).fetchall()
    old = {r[0]: bytes(r[1]) for r in rows}
    gone = [key for key, digest in old.items() if key not in new or new[key][0] != digest]
    if gone:
        connection.execute("update verdict set present = false where present and session_key = any(%s)", (gone,))
    left = set(gone)
    spans = [(r[2], r[3], r[4]) for r in rows if r[0] in left]
    fresh = [(digest, v) for key, (digest, v) in sorted(new.items()) if old.get(key) != digest]
    columns = (*_VERDICT, "policy", "software", "as_of_utc_ms", "judged_utc_ms", "digest")
    with connection.cursor() as cursor, cursor.copy(f"copy verdict ({', '.join(columns)}) from stdin".encode()) as copy:
        for digest, v in fresh:
            copy.write_row((*(getattr(v, n) for n in _VERDICT), *dataclasses.astuple(standing), digest))
    note(connection, [*spans, *((v.place, v.start_utc_ms, v.end_utc_ms) for _, v in fresh)])
    return len(fresh), sorted(new.keys() | old.keys())


def exchange_findings(
    connection: Any,
    scope: Scope,
    session_keys: Sequence[str],
    rules: Sequence[str],
    findings: Iterable[tuple[str | None, str | None, Finding]],
    standing: Standing,
) -> int:
    """Make these (session key, place, finding) the present findings of the scope; return how many are new.

    Exchanged are the findings on these sessions, and those on no session at the scope's places in its span. `rules`
    are those that were run; findings of other rules stay as they are.
    """
    new = {_digest([key, *_finding_values(f)]): (key, place, f) for key, place, f in findings}
    rows = connection.execute(
        "select digest, place, at_utc_ms from finding where present and rule = any(%s) and session_key = any(%s)"
        " union all select digest, place, at_utc_ms from finding where present and rule = any(%s)"
        " and session_key is null and place = any(%s) and (at_utc_ms between %s and %s or at_utc_ms is null)",
        (list(rules), list(session_keys), list(rules), list(scope.places), scope.from_utc_ms, scope.to_utc_ms),
        binary=True,
    )
    old = {bytes(r[0]): (r[1], r[2], r[2]) for r in rows}
    gone = [d for d in old if d not in new]
    if gone:
        connection.execute(
            "update finding set present = false, retired_utc_ms = %s where present and digest = any(%s)",
            (standing.judged_utc_ms, gone),
        )
    columns = ("session_key", "place", *_FINDING, "policy", "software", "judged_utc_ms", "digest")
    rows_in = [
        (key, place, *_finding_values(f), standing.policy, standing.software, standing.judged_utc_ms, digest)
        for digest, (key, place, f) in sorted(new.items())
        if digest not in old
    ]
    connection.cursor().executemany(
        f"insert into finding ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
        " on conflict (digest) where present do nothing".encode(),
        rows_in,
    )
    added = ((place, f.at_utc_ms, f.at_utc_ms) for digest, (_, place, f) in new.items() if digest not in old)
    note(connection, [*(old[d] for d in gone), *added])
    return len(rows_in)


def _finding_values(f: Finding) -> tuple[Any, ...]:
    return tuple(list(v) if isinstance(v, tuple) else v for v in (getattr(f, n) for n in _FINDING))


def _digest(values: Any) -> bytes:
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).digest()
