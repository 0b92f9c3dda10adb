"""Certificates of verification and notices of failure: rows, and numbers without a gap."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Certificate:
    """One paper without its bytes. `kind` is `certificate` or `notice`; a notice has no `valid_to_utc_ms`.

    unconfirmed   how many numbers that it rests on are not confirmed
    specimen      of a charger of a virtual city: it shows what a paper looks like, and is none
    """

    number: str
    kind: str
    year: int
    sequence: int
    run_id: str
    charger_id: str
    operator_id: str
    issued_utc_ms: int
    issued_by: str
    verified_utc_ms: int
    valid_to_utc_ms: int | None
    unconfirmed: int
    document_sha256: bytes
    pdf_sha256: bytes
    deed_index: int
    specimen: bool = False
    revoked_utc_ms: int | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None
    revoked_deed_index: int | None = None


@dataclass(frozen=True, slots=True)
class PublicPaper:
    """What anyone may know of a paper: no person, no reason, no figure. The outer app reads these columns alone."""

    number: str
    kind: str
    charger_id: str
    verified_utc_ms: int
    valid_to_utc_ms: int | None
    unconfirmed: int
    document_sha256: bytes
    pdf_sha256: bytes
    revoked_utc_ms: int | None
    specimen: bool = False


_NAMES = tuple(f.name for f in dataclasses.fields(Certificate))
_COLUMNS = ", ".join(_NAMES)
_PUBLIC = ", ".join(f.name for f in dataclasses.fields(PublicPaper))


def next_sequence(connection: Any, kind: str, year: int) -> int:
    """Return the next number of a kind and a year, from 1. Others wait until the caller's transaction ends; where it
    is rolled back the number was never given."""
    row = connection.execute(
        "insert into certificate_counter (kind, year, last) values (%s, %s, 1)"
        " on conflict (kind, year) do update set last = certificate_counter.last + 1 returning last",
        (kind, year),
    ).fetchone()
    return int(row[0])


def put(connection: Any, c: Certificate, document: bytes, pdf: bytes) -> None:
    """Enter a paper with its bytes."""
    marks = ", ".join(["%s"] * (len(_NAMES) + 2))
    connection.execute(
        f"insert into certificate ({_COLUMNS}, document, pdf) values ({marks})".encode(),
        (*(getattr(c, n) for n in _NAMES), document, pdf),
    )


def one(connection: Any, number: str, *, lock: bool = False) -> Certificate | None:
    """Return a paper by its number, None where there is none; `lock` holds it for a change."""
    text = f"select {_COLUMNS} from certificate where number = %s" + (" for update" if lock else "")
    row = connection.execute(text.encode(), (number,)).fetchone()
    return None if row is None else _certificate(row)


def of_run(connection: Any, run_id: str) -> str | None:
    """Return the number of the paper on a bench's run, None where there is none."""
    row = connection.execute("select number from certificate where run_id = %s", (run_id,)).fetchone()
    return None if row is None else str(row[0])


def pdf_of(connection: Any, number: str) -> bytes | None:
    """Return the signed PDF of a number, None where there is none."""
    row = connection.execute("select pdf from certificate where number = %s", (number,)).fetchone()
    return None if row is None else bytes(row[0])


def told(connection: Any, number: str) -> PublicPaper | None:
    """Return what anyone may know of a number, None where there is none."""
    row = connection.execute(f"select {_PUBLIC} from certificate where number = %s".encode(), (number,)).fetchone()
    return None if row is None else PublicPaper(*row)


def of_charger(connection: Any, charger_id: str, limit: int) -> list[PublicPaper]:
    """Return a charger's papers, the latest verification first."""
    rows = connection.execute(
        f"select {_PUBLIC} from certificate where charger_id = %s"
        " order by verified_utc_ms desc, number desc limit %s".encode(),
        (charger_id, limit),
    )
    return [PublicPaper(*row) for row in rows]


def page(connection: Any, chargers: list[str] | None, before: str | None, limit: int) -> list[Certificate]:
    """Return papers, newest first, those issued before the one numbered `before`; of these chargers, None: of all."""
    rows = connection.execute(
        f"select {_COLUMNS} from certificate where (%(chargers)s::text[] is null or charger_id = any(%(chargers)s))"
        " and (%(before)s::text is null or (issued_utc_ms, number) <"
        "  (select issued_utc_ms, number from certificate where number = %(before)s))"
        " order by issued_utc_ms desc, number desc limit %(limit)s".encode(),
        {"chargers": chargers, "before": before, "limit": limit},
    )
    return [_certificate(row) for row in rows]


def revoke(connection: Any, number: str, now_utc_ms: int, by: str, reason: str, deed_index: int) -> None:
    """Enter that a paper is revoked."""
    connection.execute(
        "update certificate set revoked_utc_ms = %s, revoked_by = %s, revoked_reason = %s, revoked_deed_index = %s"
        " where number = %s",
        (now_utc_ms, by, reason, deed_index, number),
    )


def _certificate(row: Any) -> Certificate:
    values = dict(zip(_NAMES, row, strict=True))
    for name in ("document_sha256", "pdf_sha256"):
        values[name] = bytes(values[name])
    return Certificate(**values)
