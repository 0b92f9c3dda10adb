"""Receipts and proofs of an evidence pack, derived again by code that shares nothing with the log's writer.

1  the sums: each file's SHA-256, no file missing, none too many, and the log's signature over the list
2  each message: payload and envelope against the receipt, the receipt's signature, the entry from salt and statement
3  each proof: the audit path from the entry to the checkpoint's root (RFC 9162, 2.1.3.2), the checkpoint's signature
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from anxin.evidence.auditor import open_signed

SUMS, SEAL = "SHA256SUMS", "SHA256SUMS.sig"
_RECEIPT = {
    "origin", "index", "kind", "sender", "message_id", "received_utc_ms", "payload_sha256", "envelope_sha256", "salt",
    "entry", "signature",
}  # fmt: skip


@dataclass(slots=True)
class PackAudit:
    """What was found: counts of what holds, and every fault with the name of its file.

    erased    messages whose receipt has no salt: their entries cannot be derived again
    unproven  messages without a proof
    bare      messages whose bytes are not in the pack
    sizes     sizes of the log that the checkpoints speak of
    """

    sums: int = 0
    receipts: int = 0
    entries: int = 0
    proofs: int = 0
    erased: list[int] = field(default_factory=list)
    unproven: list[int] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def fault(self, name: str, text: str) -> None:
        """Note a fault of a file."""
        self.faults.append((name, text))


def log_key(vkey: str) -> tuple[str, Ed25519PublicKey]:
    """Return a log's name and key. Raises ValueError where the verifier key contradicts itself."""
    name, _, rest = vkey.strip().partition("+")
    stated, _, body = rest.partition("+")
    raw = base64.b64decode(body, validate=True)
    if hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != stated or raw[:1] != b"\1" or len(raw) != 33:
        raise ValueError("not a log's verifier key: name+hash+key")
    return name, Ed25519PublicKey.from_public_bytes(raw[1:])


def audit_sums(files: dict[str, bytes], key: Ed25519PublicKey, audit: PackAudit) -> None:
    """Step 1."""
    sums = files.get(SUMS, b"")
    try:
        key.verify(files.get(SEAL, b""), sums)
    except InvalidSignature:
        audit.fault(SEAL, "the log's key has not signed this SHA256SUMS")
    head, *lines = sums.split(b"\n")
    if not head.startswith(b"# anxin-evidence-pack/v1 ") or lines[-1:] != [b""]:
        audit.fault(SUMS, "not a list of a pack's sums")
        return
    listed: dict[str, str] = {}
    for line in lines[:-1]:
        digest, _, name = line.decode("ascii", "replace").partition("  ")
        if name in listed:
            audit.fault(SUMS, f"names {name[:80]!a} twice")
        listed[name] = digest
    for name, content in files.items():
        if name in (SUMS, SEAL):
            continue
        if name not in listed:
            audit.fault(name, "is not in the list of sums")
        elif hashlib.sha256(content).hexdigest() != listed[name]:
            audit.fault(name, "is not the file of its sum: one of the two was altered")
        else:
            audit.sums += 1
    for name in listed.keys() - files.keys():
        audit.fault(name[:120], "is missing")


def audit_message(files: dict[str, bytes], folder: str, vkey: str, audit: PackAudit) -> dict[str, Any] | None:
    """Steps 2 and 3 for the message in a folder; return its receipt's fields, None where it has none."""
    name = f"{folder}/receipt.json"
    try:
        receipt = _receipt(files[name])
        origin, key = log_key(vkey)
        entry, index = bytes.fromhex(receipt["entry"]), int(receipt["index"])
        said = f"anxin-receipt/v1\n{receipt['origin']}\n{index}\n{entry.hex()}\n"
        if receipt["origin"] != origin:
            raise ValueError("a receipt of another log")
        key.verify(bytes.fromhex(receipt["signature"]), said.encode())
    except KeyError:
        audit.fault(name, "is missing")
        return None
    except InvalidSignature:
        audit.fault(name, "is not signed by the log's key")
        return None
    except (ValueError, TypeError, RecursionError) as error:
        audit.fault(name, f"not a receipt: {error}"[:200])
        return None
    audit.receipts += 1
    _bytes_as_received(files, folder, receipt, audit)
    _entry(name, receipt, entry, audit)
    proof = files.get(f"{folder}/proof.txt")
    if proof is None:
        audit.unproven.append(index)
    else:
        try:
            audit.sizes.add(_included(proof, index, entry, vkey))
            audit.proofs += 1
        except ValueError as error:
            audit.fault(f"{folder}/proof.txt", str(error)[:200])
    return receipt


def _receipt(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict) or found.keys() != _RECEIPT:
        raise ValueError("it has other fields")
    for field_name in ("kind", "sender", "message_id", "origin"):
        if not isinstance(found[field_name], str) or "\n" in found[field_name]:
            raise ValueError(f"{field_name} is no text of one line")
    for field_name in ("index", "received_utc_ms"):
        if type(found[field_name]) is not int or found[field_name] < 0:
            raise ValueError(f"{field_name} is no whole number")
    return found


def _bytes_as_received(files: dict[str, bytes], folder: str, receipt: dict[str, Any], audit: PackAudit) -> None:
    payload, envelope = files.get(f"{folder}/payload"), files.get(f"{folder}/envelope")
    if payload is None:
        audit.bare.append(receipt["index"])
        if envelope is not None:
            audit.fault(f"{folder}/envelope", "an envelope without what was in it")
        return
    if hashlib.sha256(payload).hexdigest() != receipt["payload_sha256"]:
        audit.fault(f"{folder}/payload", "is not what the receipt is for")
    if (None if envelope is None else hashlib.sha256(envelope).hexdigest()) != receipt["envelope_sha256"]:
        audit.fault(f"{folder}/envelope", "is not what the receipt is for")


def _entry(name: str, receipt: dict[str, Any], entry: bytes, audit: PackAudit) -> None:
    if receipt["salt"] is None:
        audit.erased.append(receipt["index"])
        return
    said = (
        f"anxin-evidence/v1\n{receipt['kind']}\n{receipt['sender']}\n{receipt['message_id']}\n"
        f"{receipt['received_utc_ms']}\n{receipt['payload_sha256']}\n{receipt['envelope_sha256'] or '-'}\n"
    )
    try:
        derived = hmac.new(bytes.fromhex(receipt["salt"]), said.encode(), hashlib.sha256).digest()
    except (ValueError, TypeError):
        derived = b""
    if derived == entry:
        audit.entries += 1
    else:
        audit.fault(name, "its entry is not that of its fields")


def _included(proof: bytes, index: int, entry: bytes, vkey: str) -> int:
    """Return the size of the log that an entry is proved to be in. Raises ValueError."""
    head, blank, signed = proof.partition(b"\n\n")
    first, number, *path = head.decode("ascii").split("\n")
    if first != "c2sp.org/tlog-proof@v1" or not blank or number != f"index {index}":
        raise ValueError("not a proof of this entry")
    size, root = open_signed(signed, vkey)
    if not index < size:
        raise ValueError("the checkpoint is older than the entry")
    # RFC 9162, 2.1.3.2: from the leaf up, with the place of the node and of the last node of its level.
    place, last, top = index, size - 1, hashlib.sha256(b"\0" + entry).digest()
    for line in path:
        other = base64.b64decode(line, validate=True)
        if len(other) != 32 or last == 0 or base64.b64encode(other).decode() != line:
            raise ValueError("the path is too long, or no path")
        if place & 1 or place == last:
            top = hashlib.sha256(b"\1" + other + top).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            top = hashlib.sha256(b"\1" + top + other).digest()
        place, last = place >> 1, last >> 1
    if last != 0 or top != root:
        raise ValueError("the path does not lead to the checkpoint's root")
    return size
