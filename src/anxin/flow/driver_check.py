"""A driver's own session, by the number and amount of his bill: what was billed, what the meter signed, what was found,
and all that his own browser needs to verify signature and log without believing this platform.

1  the database looks the bill up, and counts wrong amounts on one number (migration 0390)
2  the meter's record is opened as it was signed; the key is the register's
3  each message brings its receipt and the proof that the log holds it

The answer is one document (`anxin-session-1`, docs/formats/session.md) that can be kept as a file and checked for ever.
It tells whoever holds the bill what stands on it, and nothing of who charged: an order with fields beyond the bill's
comes without its bytes, and says so.
"""

from __future__ import annotations

import json
from typing import Any

from anxin.domain.errors import CaseError, FormatError
from anxin.domain.message import Kind, Message, Receipt
from anxin.domain.quantities import amount_e4, decimal_of
from anxin.evidence.note import Signer
from anxin.evidence.proofs import Proofs
from anxin.flow.certificates import operator_name
from anxin.flow.charger_page import charger_document
from anxin.flow.complaints import MAX_ORDER_CHARS
from anxin.flow.decoding import decode
from anxin.flow.live_reading import rule_titles
from anxin.flow.platform import Platform
from anxin.flow.rates import guessed
from anxin.flow.receipts import receipt_document
from anxin.formats.tcec102_fields import DETAIL_FIELDS, ORDER_FIELDS
from anxin.store.driver_check import session_of_bill

FORMAT = "anxin-session-1"
#: What an order says of a person or his vehicle.
_PERSONAL = frozenset({"Vin"})


class DriverCheck:
    """Answers drivers, on the outer app."""

    def __init__(self, platform: Platform, proofs: Proofs, signer: Signer) -> None:
        self.platform, self.proofs, self.signer = platform, proofs, signer
        self._titles = rule_titles()

    def session(self, order_id: str, amount: str) -> dict[str, Any]:
        """Return the session of a bill. Raises CaseError `session.absent`, one answer to a number that is not here, to
        another amount, and to too many tries today; FormatError where number or amount are none; StoreError."""
        number = order_id.strip()
        if not number or len(number) > MAX_ORDER_CHARS or not number.isprintable():
            raise FormatError("session.order_id", "订单号 · the number of an order", "order_id")
        found = session_of_bill(self.platform.database, number, amount_e4(decimal_of(amount, "amount"), "amount"))
        if found is None:
            guessed()
            raise CaseError(
                "session.absent",
                "没有这张账单：请核对订单号与金额；若刚充完电，请过几分钟再试；同一订单号每天试错次数有限"
                " · no such bill: check number and amount; try again some minutes after charging; wrong amounts on one"
                " number are limited each day",
            )
        evidence = [self._evidence(m) for m in found["messages"]]
        order, charger = found["order"], self._charger(found["order"]["connector_id"])
        return {
            "format": FORMAT,
            "platform": self.platform.settings.open_data_publisher or self.platform.settings.ocpi_name,
            "log": {"origin": self.signer.name, "vkey": self.signer.vkey},
            "order": order | {"operator": operator_name(self.platform, order["operator_id"])},
            "record": found["record"],
            "verdict": found["verdict"],
            "findings": [self._finding(f) for f in found["findings"]],
            "charger": charger,
            "evidence": evidence,
        }

    def _finding(self, f: dict[str, Any]) -> dict[str, Any]:
        zh, en = self._titles.get(f["rule"], (f["rule"], f["rule"]))
        return f | {"title_zh": zh, "title_en": en}

    def _charger(self, connector_id: str | None) -> dict[str, Any] | None:
        connector = self.platform.directory.connectors.get(connector_id or "")
        try:
            return None if connector is None else charger_document(self.platform, connector.charger_id)
        except CaseError:
            return None

    def _evidence(self, row: dict[str, Any]) -> dict[str, Any]:
        """Step 2 and 3 for one message."""
        octets = {n: None if row[n] is None else bytes.fromhex(row[n])
                  for n in ("payload_sha256", "envelope_sha256", "salt", "entry", "payload")}  # fmt: skip
        receipt = Receipt(
            row["index"], row["kind"], row["sender"], row["message_id"], row["received_utc_ms"],
            octets["payload_sha256"] or b"", octets["envelope_sha256"], octets["salt"], octets["entry"] or b"",
        )  # fmt: skip
        proven = self.proofs.inclusion(receipt.index)
        payload = octets["payload"]
        withheld = payload is None
        if payload is not None and receipt.kind == Kind.TCEC_ORDER and not _only_the_bill(payload):
            payload, withheld = None, True
        return {
            "receipt": receipt_document(self.signer, receipt),
            "proof": None if proven is None else proven[0],
            "payload": None if payload is None else payload.hex(),
            "withheld": withheld,
            "records": [] if payload is None else self._records(receipt, payload),
        }

    def _records(self, receipt: Receipt, payload: bytes) -> list[dict[str, Any]]:
        if receipt.kind != Kind.METER_ENVELOPE:
            return []
        directory = self.platform.directory
        message = Message(Kind.METER_ENVELOPE, receipt.sender, receipt.message_id, payload)
        decoded = decode(receipt.index, message, receipt.received_utc_ms, directory, self.platform.settings.zone)
        lines = []
        for signed in decoded.batch.signed_records:
            if signed.cannot_open is not None:
                continue
            keys = () if signed.record is None else directory.ring.keys_of(signed.record, receipt.sender)
            lines.append({
                "signed": signed.raw.decode("utf-8", "replace"),
                "keys": [{"key_id": k.key_id, "meter_id": k.meter_id, "public_key": k.public_key} for k in keys],
            })  # fmt: skip
        return lines


def _only_the_bill(payload: bytes) -> bool:
    """Whether an order's JSON has the standard's fields alone, none of which tells of a person."""
    try:
        order = json.loads(payload)
        details = order.get("ChargeDetails") or []
        return order.keys() <= ORDER_FIELDS - _PERSONAL and all(d.keys() <= DETAIL_FIELDS for d in details)
    except (ValueError, AttributeError, TypeError):
        return False
