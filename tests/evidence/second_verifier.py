"""A second verifier of receipts and proofs, written from the specifications alone (docs/formats/evidence-log.md; C2SP
signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof; RFC 6962, 2.1). It imports nothing of the project."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

B64 = r"[A-Za-z0-9+/]+={0,2}"
NUMBER = r"(?:0|[1-9][0-9]*)"
PROOF = re.compile(
    rf"c2sp\.org/tlog-proof@v1\n(?:extra {B64}\n)?index ({NUMBER})\n((?:{B64}\n)*)\n(([^\n]+)\n({NUMBER})\n({B64})\n)\n"
    rf"((?:\u2014 [^\s+]+ {B64}\n)+)"
)
FIELDS = {"origin", "index", "kind", "sender", "message_id", "received_utc_ms", "payload_sha256", "envelope_sha256",
          "salt", "entry", "signature"}  # fmt: skip


def decode(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if base64.b64encode(value).decode() != text:
        raise ValueError("two texts for one value")
    return value


def vkey_of(vkey: str) -> tuple[str, bytes, int, bytes]:
    name, _, key = vkey.split("+", 2)
    material = decode(key)
    return name, hashlib.sha256(name.encode() + b"\n" + material).digest()[:4], material[0], material[1:]


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def signatures(lines: str, vkey: str) -> list[bytes]:
    name, ident, _, _ = vkey_of(vkey)
    found = []
    for line in lines[:-1].split("\n"):
        _, signer, body = line.split(" ")
        raw = decode(body)
        if (signer, raw[:4]) == (name, ident):
            found.append(raw[4:])
    return found


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 6962, 2.1.1, read backwards: PATH(m, D[n]) ends with the sibling at the top."""
    if size == 1:
        if path:
            raise ValueError("a path too long")
        return leaf
    if not path:
        raise ValueError("a path too short")
    k = 1
    while k * 2 < size:
        k *= 2
    if index < k:
        return hashlib.sha256(b"\1" + root_from(leaf, index, k, path[:-1]) + path[-1]).digest()
    return hashlib.sha256(b"\1" + path[-1] + root_from(leaf, index - k, size - k, path[:-1])).digest()


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def octets(text: str) -> bytes:
    if not re.fullmatch("(?:[0-9a-f]{2})+", text):
        raise ValueError("not lower-case hex")
    return bytes.fromhex(text)


def entry_of_receipt(data: bytes, vkey: str) -> tuple[str, int, bytes]:
    """Return origin, index and entry of a receipt that holds. Raises ValueError."""
    r = json.loads(data.decode(), object_pairs_hook=once)
    if set(r) != FIELDS or not isinstance(r["index"], int) or not isinstance(r["received_utc_ms"], int):
        raise ValueError("fields")
    envelope = "-" if r["envelope_sha256"] is None else octets(r["envelope_sha256"]).hex()
    said = (
        f"anxin-evidence/v1\n{r['kind']}\n{r['sender']}\n{r['message_id']}\n{r['received_utc_ms']}\n"
        f"{octets(r['payload_sha256']).hex()}\n{envelope}\n"
    )
    entry = hmac.new(octets(r["salt"]), said.encode(), hashlib.sha256).digest()
    if octets(r["entry"]) != entry:
        raise ValueError("entry")
    name, _, _, key = vkey_of(vkey)
    text = f"anxin-receipt/v1\n{r['origin']}\n{r['index']}\n{entry.hex()}\n"
    if r["origin"] != name or not verify(key, octets(r["signature"]), text.encode()):
        raise ValueError("signature")
    return r["origin"], r["index"], entry


def included(entry: bytes, index: int, path: str, size: int, root: str) -> bool:
    steps = [decode(line) for line in path.split("\n")[:-1]]
    if any(len(s) != 32 for s in steps) or not index < size:
        return False
    return root_from(hashlib.sha256(b"\0" + entry).digest(), index, size, steps) == decode(root)


def cosigned(lines: str, witness: str, text: str) -> bool:
    found = signatures(lines, witness)
    messages = [f"cosignature/v1\ntime {int.from_bytes(s[:8], 'big')}\n{text}".encode() for s in found]
    key = vkey_of(witness)[3]
    return bool(found) and all(verify(key, s[8:], m) for s, m in zip(found, messages, strict=True))


def accepts(receipt: bytes, proof: bytes, vkey: str, witnesses: list[str]) -> bool:
    """Whether receipt and proof hold under the log's key and all of these witnesses' keys."""
    try:
        origin, index, entry = entry_of_receipt(receipt, vkey)
        found = PROOF.fullmatch(proof.decode())
        if found is None:
            return False
        number, path, text, of, size, root, lines = found.groups()
        own = signatures(lines, vkey)
        return (
            (of, int(number)) == (origin, index)
            and included(entry, index, path, int(size), root)
            and bool(own)
            and all(verify(vkey_of(vkey)[3], s, text.encode()) for s in own)
            and all(cosigned(lines, witness, text) for witness in witnesses)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
