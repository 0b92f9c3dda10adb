"""The evidence pack of one alarm: who may have it, that he had it, and what goes into it."""

from __future__ import annotations

import io
import secrets
import threading

from anxin.domain.errors import BusyError, CaseError
from anxin.domain.message import Kind
from anxin.domain.party import Party
from anxin.flow import attaching, casework
from anxin.flow.alarm_reading import alarm_document
from anxin.flow.alarm_rules import AlarmRules
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.pack_files import write_zip
from anxin.flow.packing import MAX_FINDINGS, Packer, PackSubject
from anxin.flow.platform import Platform
from anxin.store import alarms, packs

#: Packs made at once by one process: each may take some hundred megabytes while it is made.
MAX_PACKS_AT_ONCE = 2


class AlarmPacks:
    """Makes packs of alarms for the regulator's people."""

    def __init__(self, platform: Platform, rules: AlarmRules) -> None:
        self.platform = platform
        self.rules = rules
        self.packer = Packer(platform)
        self._room = threading.BoundedSemaphore(MAX_PACKS_AT_ONCE)

    def zip_of(self, party: Party, alarm_id: int) -> tuple[str, bytes]:
        """Return the name and the bytes of an alarm's pack. The reading is a leaf of the log before anything is made.

        Raises CaseError `case.absent`, BusyError, StoreError, EvidenceError, InputError.
        """
        if not self._room.acquire(blocking=False):
            raise BusyError(f"{MAX_PACKS_AT_ONCE} packs are being made")
        try:
            subject = self._subject(party, alarm_id)
            out = io.BytesIO()
            write_zip(self.packer.make(subject).files, out)
        finally:
            self._room.release()
        return f"{subject.number}-evidence.zip", out.getvalue()

    def _subject(self, party: Party, alarm_id: int) -> PackSubject:
        number, now = f"AL-{alarm_id}", now_utc_ms()
        with self.platform.database.transaction() as connection:
            alarm = alarms.one(connection, alarm_id) if 0 < alarm_id < 1 << 63 else None
            if alarm is None or not casework.visible(alarm, party):
                raise CaseError("case.absent", f"没有此告警 · no alarm {alarm_id} of yours")
            findings, in_all = packs.findings_of_alarm(connection, alarm_id, MAX_FINDINGS)
            attachments = attaching.packed(connection, alarm_id)
            deed_id = f"pack/{number}/{secrets.token_hex(8)}"
            keep_deed(
                connection, Kind.DEED_READING, party.party_id, deed_id, {"what": "evidence_pack", "ids": [number]}, now
            )
        document = alarm_document(self.platform, alarm_id, self.rules) or {}
        steps = tuple(document.pop("steps", ()))
        document.pop("present_findings", None)
        return PackSubject(number, tuple(findings), document, steps, attachments, in_all)
