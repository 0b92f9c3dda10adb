"""What stands in the log for a message: a salted commitment, so that nobody's session can be guessed from the log.

    statement   "anxin-evidence/v1\n" kind "\n" sender "\n" message id "\n" received, UTC ms, decimal "\n"
                SHA-256 of the payload, hex "\n" SHA-256 of the envelope, hex, or "-" "\n"
    entry       HMAC-SHA-256(key = salt, message = statement in UTF-8), 32 bytes

The salt has 32 random bytes of its own for every message. When payload and salt are erased, the entry stays in the log
and says nothing about what it was.
"""

from __future__ import annotations

import hmac

from anxin.domain.message import Receipt

STATEMENT_HEAD = "anxin-evidence/v1"
SALT_BYTES = 32


def statement(
    kind: str,
    sender: str,
    message_id: str,
    received_utc_ms: int,
    payload_sha256: bytes,
    envelope_sha256: bytes | None,
) -> bytes:
    """Return the bytes that an entry commits to. No part may hold a line feed: the doors refuse ids with controls."""
    parts = (kind, sender, message_id)
    if any("\n" in part for part in parts):
        raise ValueError("a line feed in a statement")
    envelope = "-" if envelope_sha256 is None else envelope_sha256.hex()
    lines = (STATEMENT_HEAD, *parts, str(received_utc_ms), payload_sha256.hex(), envelope)
    return "".join(f"{line}\n" for line in lines).encode()


def entry_of(salt: bytes, statement_bytes: bytes) -> bytes:
    """Return the 32 bytes that the log holds for a statement."""
    return hmac.digest(salt, statement_bytes, "sha256")


def fits(receipt: Receipt) -> bool:
    """Return whether a receipt's entry is the one of its other fields; without its salt that cannot be seen: False."""
    if receipt.salt is None:
        return False
    said = statement(
        receipt.kind,
        receipt.sender,
        receipt.message_id,
        receipt.received_utc_ms,
        receipt.payload_sha256,
        receipt.envelope_sha256,
    )
    return hmac.compare_digest(entry_of(receipt.salt, said), receipt.entry)
