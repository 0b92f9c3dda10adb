"""Receipts as documents: what a sender keeps, signed by the log's key. The same message has the same one for ever.

text    "anxin-receipt/v1\n" origin "\n" index "\n" entry, hex "\n"
signed  Ed25519 over that text; the entry commits to everything else in the document
"""

from __future__ import annotations

from typing import Any

from anxin.domain.message import Accepted, Receipt
from anxin.evidence.note import Signer


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
        "salt": receipt.salt.hex(),
        "entry": receipt.entry.hex(),
        "signature": signer.sign(receipt_text(signer.name, receipt).encode()).hex(),
    }


def accepted_document(signer: Signer, accepted: Accepted) -> dict[str, Any]:
    """Return what a door answers for an accepted message."""
    document: dict[str, Any] = {"receipt": receipt_document(signer, accepted.receipt), "repeated": accepted.repeated}
    if accepted.conflicts_with is not None:
        document["conflicts_with"] = accepted.conflicts_with
    return document
