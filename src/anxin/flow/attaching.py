"""Attachments of an alarm: looked at in a process of its own, then kept with a step and a deed in one transaction.

1  size and place: the alarm is the caller's to see, and has room
2  what the file claims to be, by its content, in a process of its own
3  the alarm locked; step, deed (with the file's SHA-256) and bytes are one transaction
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from anxin.domain.errors import CaseError, FormatError
from anxin.domain.party import REGULATOR, Party
from anxin.flow import casework
from anxin.flow.alarm_rules import alarm_event
from anxin.flow.child import in_child
from anxin.flow.intake import now_utc_ms
from anxin.flow.packing import PackedAttachment
from anxin.flow.platform import Platform
from anxin.formats.attachments import checked_attachment
from anxin.store import alarms
from anxin.store import attachments as store
from anxin.store.attachments import Attachment
from anxin.store.events import put_events

#: Files looked at at once, each in a process of its own; others wait.
READERS = 2


class AttachmentDesk:
    """Takes and gives attachments."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._readers = asyncio.Semaphore(READERS)

    async def add(self, party: Party, alarm_id: int, name: str, data: bytes, inner_only: bool) -> dict[str, Any]:
        """Keep an attachment and return it as a document. `inner_only` is the regulator's to ask for.

        Raises CaseError (`case.absent`, `case.attachments`), FormatError (`attachment.*`).
        """
        settings = self.platform.settings
        # 1 size and place, before a process is started for it.
        if len(data) > settings.attachment_max_bytes:
            most = settings.attachment_max_bytes
            raise FormatError("attachment.size", f"附件至多 {most} 字节 · at most {most} bytes", "file")
        await asyncio.to_thread(self._room, party, alarm_id, len(data))
        # 2 what it is.
        async with self._readers:
            media_type = await asyncio.to_thread(
                in_child, checked_attachment, name, data, settings.attachment_max_bytes
            )
        # 3 kept.
        return await asyncio.to_thread(self._keep, party, alarm_id, name, media_type, data, inner_only)

    def _room(self, party: Party, alarm_id: int, size: int) -> None:
        with self.platform.database.transaction() as connection:
            alarm = alarms.one(connection, alarm_id) if 0 < alarm_id < 1 << 63 else None
            if alarm is None or not casework.visible(alarm, party):
                raise _absent(alarm_id)
            self._refuse_full(connection, alarm_id, size)

    def _refuse_full(self, connection: Any, alarm_id: int, size: int) -> None:
        settings = self.platform.settings
        count, held = store.held(connection, alarm_id)
        if count >= settings.attachments_per_alarm or held + size > settings.attachments_alarm_max_bytes:
            raise CaseError("case.attachments", "此告警的附件已满 · this alarm holds as many attachments as it may")

    def _keep(
        self, party: Party, alarm_id: int, name: str, media_type: str, data: bytes, inner_only: bool
    ) -> dict[str, Any]:
        inner_only = inner_only and party.role in REGULATOR
        digest, now = hashlib.sha256(data).digest(), now_utc_ms()
        with self.platform.database.transaction() as connection:
            casework.locked_alarm(connection, party, alarm_id)
            self._refuse_full(connection, alarm_id, len(data))
            words = {
                "media_type": media_type, "size": str(len(data)), "sha256": digest.hex(),
                "inner": "true" if inner_only else "false",
            }  # fmt: skip
            changed = casework.written(connection, party, alarm_id, "attachment", words, now, {})
            row = Attachment(
                0, alarm_id, changed.version, now, party.party_id, inner_only, name, media_type, digest, len(data)
            )
            number = store.put(connection, row, data)
            put_events(connection, [alarm_event(changed, "attachment", outside=not inner_only)], now)
        return document_of(row) | {"attachment_id": number, "version": changed.version}

    def listed(self, party: Party, alarm_id: int) -> list[dict[str, Any]]:
        """Return an alarm's attachments as a party sees them. Raises CaseError `case.absent`."""
        with self.platform.database.transaction() as connection:
            alarm = alarms.one(connection, alarm_id) if 0 < alarm_id < 1 << 63 else None
            if alarm is None or not casework.visible(alarm, party):
                raise _absent(alarm_id)
            return [document_of(a) for a in store.of_alarm(connection, alarm_id, party.role in REGULATOR)]

    def given(self, party: Party, alarm_id: int, attachment_id: int) -> tuple[Attachment, bytes]:
        """Return one attachment with its bytes. Raises CaseError `case.absent`: foreign and absent are told alike."""
        with self.platform.database.transaction() as connection:
            alarm = alarms.one(connection, alarm_id) if 0 < alarm_id < 1 << 63 else None
            found = store.content(connection, alarm_id, attachment_id) if 0 < attachment_id < 1 << 63 else None
            seen = alarm is not None and casework.visible(alarm, party)
            if not seen or found is None or (found[0].inner_only and party.role not in REGULATOR):
                raise _absent(alarm_id)
        return found


def packed(connection: Any, alarm_id: int) -> tuple[PackedAttachment, ...]:
    """Return an alarm's attachments for its evidence pack, the regulator's own among them."""
    found = []
    for a in store.of_alarm(connection, alarm_id, with_inner=True):
        kept = store.content(connection, alarm_id, a.attachment_id)
        if kept is not None:
            found.append(PackedAttachment(a.attachment_id, a.name, a.media_type, kept[1]))
    return tuple(found)


def document_of(a: Attachment) -> dict[str, Any]:
    """Return an attachment as JSON values, without its bytes."""
    return {
        "attachment_id": a.attachment_id, "name": a.name, "media_type": a.media_type, "size": a.size_bytes,
        "sha256": a.sha256.hex(), "by": a.by, "at_utc_ms": a.at_utc_ms, "step": a.step_no, "inner": a.inner_only,
    }  # fmt: skip


def _absent(alarm_id: int) -> CaseError:
    return CaseError("case.absent", f"没有此告警或附件 · no such alarm or attachment of yours ({alarm_id})")
