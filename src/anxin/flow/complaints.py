"""A driver's complaint about a bill: kept at once with the same answer to everybody, compared with orders afterwards.

1  limits: complaints of one address; tries on one order number
2  the complaint is kept, its text and contact sealed, with a deed that commits to it: one transaction
3  the desk compares, apart from the answer: where order number and amount are those of a kept order, it joins or
   opens an alarm; what fits none is looked at again for some days, because orders may come late

What a driver has is his bill: the order number and the amount. Neither alone is enough. The answer is the same, and
takes as long, whether the order exists or not. Whoever guesses amounts has a few tries a day on one order, and learns
at best from his complaint's later state that a bill had this amount: docs/complaints.md reckons it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from anxin.domain.errors import CaseError, FormatError
from anxin.domain.message import Kind
from anxin.domain.party import Party
from anxin.domain.quantities import amount_e4, decimal_of
from anxin.flow import casework
from anxin.flow.alarm_rules import AlarmRules
from anxin.flow.deeds import keep_deed
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.flow.rates import CALLER, Buckets, guessed
from anxin.store import alarms
from anxin.store import complaints as store
from anxin.store.complaints import Complaint

#: Characters of an order number: T/CEC has 27, OCPI 36.
MAX_ORDER_CHARS = 64
#: Characters of what a driver writes, and of how he can be reached.
MAX_COMPLAINT_CHARS, MAX_CONTACT_CHARS = 2_000, 120
#: Complaints compared with orders in one go.
MAX_COMPARED = 100
#: A complaint that fits no order is looked at again so long: backfill of an operator may be days late.
LATE_MS = 7 * 86_400_000
DAY_MS = 86_400_000
#: Letters of a number: no I, L, O, U, which are misread (Crockford's Base32).
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Reason(StrEnum):
    """What a driver complains of."""

    ENERGY = "energy"
    AMOUNT = "amount"
    PRICE = "price"
    NOT_CHARGED = "not_charged"
    NOT_STOPPED = "not_stopped"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Filing:
    """What a driver sends: the number and the amount of his bill (decimal text), a reason, and, if he likes, words and
    how he can be reached."""

    order_id: str
    amount: str
    reason: Reason
    text: str = ""
    contact: str = ""


class Complaints:
    """Takes complaints, tells their filers how they stand, and shows them to the regulator."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        s = platform.settings
        self._addresses = Buckets(s.complaints_per_address_hour / 3_600, s.complaints_per_address_hour)

    def file(self, filing: Filing) -> dict[str, str]:
        """Keep a complaint; return its number and the secret that reads its state. Raises LimitError, FormatError."""
        order_id = _plain(filing.order_id, "order_id", MAX_ORDER_CHARS, needed=True, lines=False)
        text = _plain(filing.text, "text", MAX_COMPLAINT_CHARS, needed=False, lines=True)
        contact = _plain(filing.contact, "contact", MAX_CONTACT_CHARS, needed=False, lines=False)
        amount = amount_e4(decimal_of(filing.amount, "amount"), "amount")
        if amount < 0:
            raise FormatError("complaint.amount", "金额不能为负 · a bill is not negative", "amount")
        caller = CALLER.get()
        # 1 limits of the address. A try too many on an order is kept and not compared: the answer stays the same.
        self._addresses.take_all({"unknown" if caller is None else caller.address: 1})
        number = "C-" + "".join(secrets.choice(_LETTERS) for _ in range(10))
        secret, salt, now = secrets.token_urlsafe(18), secrets.token_bytes(32), now_utc_ms()
        seal = self.platform.vault.seal
        said = {"order_id": order_id, "amount_e4": amount, "reason": filing.reason, "text": text, "contact": contact}
        with self.platform.database.transaction() as connection:
            tries = store.tries(connection, order_id, now - DAY_MS)
            # 2 kept.
            deed = keep_deed(
                connection, Kind.DEED_ALARM, "driver", number,
                {"complaint": number, "commitment": commitment(salt, said)}, now,
            )  # fmt: skip
            kept = Complaint(
                0, number, _digest(secret), now, order_id, amount, filing.reason.value,
                seal(text.encode(), f"complaint.text/{number}") if text else None,
                seal(contact.encode(), f"complaint.contact/{number}") if contact else None,
                salt, deed.index, tries < self.platform.settings.complaints_per_order_day,
            )  # fmt: skip
            store.put(connection, kept)
        return {"number": number, "secret": secret}

    def state(self, number: str, secret: str) -> dict[str, Any]:
        """Return how a complaint stands, for who filed it. Raises CaseError: a wrong secret and an absent number are
        told alike, and count as a guess."""
        with self.platform.database.transaction() as connection:
            found = store.told(connection, number)
        right = hmac.compare_digest(_digest(secret), bytes(32) if found is None else bytes(found.secret_sha256))
        if found is None or not right:
            guessed()
            raise CaseError("complaint.absent", "没有此编号或口令 · no complaint of this number and secret")
        return {
            "number": number, "filed_utc_ms": found.filed_utc_ms, "reason": found.reason,
            "state": found.state, "conclusion": found.conclusion,
        }  # fmt: skip

    def listed(self, party: Party, before: int | None, limit: int) -> list[dict[str, Any]]:
        """Return complaints that an officer sees, newest first: nothing that a driver wrote, nor how to reach him."""
        with self.platform.database.transaction() as connection:
            return [_document(c) for c in store.page(connection, party.districts, before, limit)]

    def read(self, party: Party, number: str) -> dict[str, Any]:
        """Return one complaint with its words and contact. That is a reading of personal data: a leaf of the log.

        Raises CaseError `complaint.absent`.
        """
        now = now_utc_ms()
        with self.platform.database.transaction() as connection:
            found = self._visible(connection, party, number)
            document = _document(found)
            for name, sealed in (("text", found.sealed_text), ("contact", found.sealed_contact)):
                context = f"complaint.{name}/{number}"
                document[name] = None if sealed is None else self.platform.vault.open(bytes(sealed), context).decode()
            deed_id = f"complaint/{number}/{secrets.token_hex(8)}"
            keep_deed(
                connection, Kind.DEED_READING, party.party_id, deed_id, {"what": "complaint", "ids": [number]}, now
            )
        return document

    def erase(self, party: Party, number: str, reason: str) -> None:
        """Erase what a driver wrote and how he can be reached; that he did stays. Raises CaseError, FormatError."""
        why, now = _plain(reason, "reason", MAX_CONTACT_CHARS, needed=True, lines=False), now_utc_ms()
        with self.platform.database.transaction() as connection:
            found = self._visible(connection, party, number)
            if found.erased_utc_ms is not None:
                raise CaseError("complaint.erased", "已删除 · erased before")
            store.erase(connection, found.complaint_id, now)
            said = {"complaint": number, "act": "erased", "reason": why}
            keep_deed(connection, Kind.DEED_ALARM, party.party_id, f"{number}/erased", said, now)

    def _visible(self, connection: Any, party: Party, number: str) -> Complaint:
        found = store.one(connection, number)
        if found is not None and party.districts:
            alarm = None if found.alarm_id is None else alarms.one(connection, found.alarm_id)
            found = found if casework.visible(alarm, party) else None
        if found is None:
            raise CaseError("complaint.absent", "没有此投诉 · no complaint of this number")
        return found


def compare_complaints(platform: Platform, rules: AlarmRules) -> int:
    """Step 3, at the desk, for all that wait; return how many joined an alarm. Raises StoreError."""
    with platform.database.transaction() as connection:
        now, joined = now_utc_ms(), 0
        for complaint in store.waiting(connection, now - LATE_MS, MAX_COMPARED):
            order = store.billed(connection, complaint.order_id, complaint.amount_e4)
            if order is None:
                continue
            alarm_id = casework.join_complaint(
                connection, platform, rules, complaint.number, order.session_key, order.connector_id, now,
                order.operator_id,
            )  # fmt: skip
            store.join(connection, complaint.complaint_id, alarm_id, now)
            joined += 1
        store.follow(connection)
    return joined


def commitment(salt: bytes, said: dict[str, Any]) -> str:
    """Return HMAC-SHA-256 (hex) under the complaint's salt over the canonical JSON of what was filed: who kept what he
    sent can show it, and nobody can guess it from the log."""
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()


def _document(c: Complaint) -> dict[str, Any]:
    return {
        "complaint_id": c.complaint_id, "number": c.number, "filed_utc_ms": c.filed_utc_ms, "order_id": c.order_id,
        "amount_e4": c.amount_e4, "reason": c.reason, "alarm_id": c.alarm_id, "compared": c.compared,
        "written": c.sealed_text is not None, "contact_given": c.sealed_contact is not None,
        "erased_utc_ms": c.erased_utc_ms,
    }  # fmt: skip


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _plain(text: str, field: str, most: int, *, needed: bool, lines: bool) -> str:
    """Return a text without blanks at its ends. Raises FormatError where it is too long or holds controls."""
    found = text.replace("\r\n", "\n").strip()
    allowed = found.replace("\n", "") if lines else found
    if len(found) > most or (needed and not found) or (allowed and not allowed.isprintable()):
        raise FormatError(
            f"complaint.{field}", f"至多 {most} 字，不含控制字符 · at most {most} characters, no controls", field
        )
    return found
