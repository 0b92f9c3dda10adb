"""Receipts as documents: what a sender keeps, signed by the log's key. The same message has the same one for ever.

text    "anxin-receipt/v1\n" origin "\n" index "\n" entry, hex "\n"
signed  Ed25519 over that text; the entry commits to everything else in the document

The salt is null where the message was erased; who kept the receipt that he was given first can still prove what it
said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from anxin.domain.errors import EvidenceError
from anxin.domain.message import Accepted, Receipt
from anxin.evidence.commitment import fits
from anxin.evidence.note import Signer, Verifier


def receipt_text(origin: str, receipt: Receipt) -> str:
    """Return the text that a receipt's signature is over."""
    return f"anxin-receipt/v1\n{origin}\n{receipt.index}\n{receipt.entry.hex()}\n"


def receipt_document(signer: Signer, receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as JSON values; bytes are hex."""
    return {
        "origin": signer.name,
        "index": receipt.index,
        "kind": receipt.kind,
        "sender": receipt.sender,
        "message_id": receipt.message_id,
        "received_utc_ms": receipt.received_utc_ms,
        "payload_sha256": receipt.payload_sha256.hex(),
        "envelope_sha256": None if receipt.envelope_sha256 is None else receipt.envelope_sha256.hex(),
        "salt": None if receipt.salt is None else receipt.salt.hex(),
        "entry": receipt.entry.hex(),
        "signature": signer.sign(receipt_text(signer.name, receipt).encode()).hex(),
    }


def accepted_document(signer: Signer, accepted: Accepted) -> dict[str, Any]:
    """Return what a door answers for an accepted message."""
    document: dict[str, Any] = {"receipt": receipt_document(signer, accepted.receipt), "repeated": accepted.repeated}
    if accepted.conflicts_with is not None:
        document["conflicts_with"] = accepted.conflicts_with
    return document


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as its holder has it."""

    origin: str
    receipt: Receipt
    signature: bytes


def parse_receipt(data: bytes) -> SignedReceipt:
    """Return the receipt of a JSON document: the receipt itself, or a door's answer that holds it.

    Raises EvidenceError for anything that no receipt has: each has one form, so that none can be altered unseen.
    """
    try:
        found = json.loads(data.decode(), object_pairs_hook=_no_name_twice, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"not the JSON of a receipt: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("receipt"), dict):
        found = found["receipt"]
    if not isinstance(found, dict) or found.keys() != _FIELDS.keys():
        raise EvidenceError("not a receipt: it has other fields")
    for name, kind in _FIELDS.items():
        if type(found[name]) is not kind and not (name in _NULLABLE and found[name] is None):
            raise EvidenceError(f"receipt: {name} is not a {kind.__name__}")
    if found["index"] < 0 or found["received_utc_ms"] < 0:
        raise EvidenceError("receipt: a number below zero")
    octets = {name: _hex(name, found[name], length) for name, length in _LENGTHS.items()}
    payload, entry, signature = octets["payload_sha256"], octets["entry"], octets["signature"]
    if payload is None or entry is None or signature is None:
        raise EvidenceError("receipt: a digest is missing")
    receipt = Receipt(
        found["index"], found["kind"], found["sender"], found["message_id"], found["received_utc_ms"],
        payload, octets["envelope_sha256"], octets["salt"], entry,
    )  # fmt: skip
    return SignedReceipt(found["origin"], receipt, signature)


def open_receipt(document: Any, verifier: Verifier) -> Receipt:
    """Return the receipt in a document (JSON values) whose entry fits and which this log signed. Raises EvidenceError.

    The caller still has to compare sender, id and payload's SHA-256 with what he sent.
    """
    try:
        held = parse_receipt(json.dumps(document).encode())
        holds = fits(held.receipt)
    except (TypeError, ValueError, RecursionError):
        raise EvidenceError("not a receipt") from None
    if not holds:
        raise EvidenceError("the receipt's entry is not the one of its other fields")
    if held.origin != verifier.name or not verifier.holds(receipt_text(held.origin, held.receipt), held.signature):
        raise EvidenceError("the receipt is not signed by the log's key")
    return held.receipt


_FIELDS: dict[str, type] = {
    "origin": str, "index": int, "kind": str, "sender": str, "message_id": str, "received_utc_ms": int,
    "payload_sha256": str, "envelope_sha256": str, "salt": str, "entry": str, "signature": str,
}  # fmt: skip
_NULLABLE = ("envelope_sha256", "salt")
_LENGTHS = {"payload_sha256": 32, "envelope_sha256": 32, "salt": 32, "entry": 32, "signature": 64}


def _hex(name: str, text: str | None, length: int) -> bytes | None:
    if text is None:
        return None
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise EvidenceError(f"receipt: {name} is not hex") from None
    if len(value) != length or value.hex() != text:
        raise EvidenceError(f"receipt: {name} is not {length} bytes in lower-case hex")
    return value


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no whole number")
