"""Attachments of alarms: rows with their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_COLUMNS = "attachment_id, alarm_id, step_no, at_utc_ms, by, inner_only, name, media_type, sha256, length(content)"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment without its bytes. `inner_only`: the regulator's own, which no operator sees."""

    attachment_id: int
    alarm_id: int
    step_no: int
    at_utc_ms: int
    by: str
    inner_only: bool
    name: str
    media_type: str
    sha256: bytes
    size_bytes: int


def held(connection: Any, alarm_id: int) -> tuple[int, int]:
    """Return how many attachments an alarm has, and their bytes."""
    row = connection.execute(
        "select count(*), coalesce(sum(length(content)), 0) from attachment where alarm_id = %s", (alarm_id,)
    ).fetchone()
    return int(row[0]), int(row[1])


def put(connection: Any, attachment: Attachment, content: bytes) -> int:
    """Keep an attachment; return its number."""
    a = attachment
    row = connection.execute(
        "insert into attachment (alarm_id, step_no, at_utc_ms, by, inner_only, name, media_type, sha256, content)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning attachment_id",
        (a.alarm_id, a.step_no, a.at_utc_ms, a.by, a.inner_only, a.name, a.media_type, a.sha256, content),
    ).fetchone()
    return int(row[0])


def of_alarm(connection: Any, alarm_id: int, with_inner: bool) -> list[Attachment]:
    """Return an alarm's attachments in their order; without the regulator's own where so asked."""
    rows = connection.execute(
        f"select {_COLUMNS} from attachment where alarm_id = %s and (%s or not inner_only) order by attachment_id",
        (alarm_id, with_inner),
    )
    return [Attachment(*row) for row in rows]


def content(connection: Any, alarm_id: int, attachment_id: int) -> tuple[Attachment, bytes] | None:
    """Return one attachment of an alarm with its bytes, None where it has no such one."""
    row = connection.execute(
        f"select {_COLUMNS}, content from attachment where alarm_id = %s and attachment_id = %s",
        (alarm_id, attachment_id),
        binary=True,
    ).fetchone()
    return None if row is None else (Attachment(*row[:-1]), bytes(row[-1]))
