"""The notation of scenarios about records alone: really signed OCMF, through decoder, verifier and joining.

    record PG=T10 MS=MS-1 B=100.0@10:00 E=120.5@10:30        one record; its readings in their order
    record PG=T10 B=100.0@10:00 X=110.0@10:10 EF=E           RU, RI, ST, EF, CK behind a reading belong to it on
    record PG=T10 ... signature=raw                          raw, forged, unpadded; key=none, key=record
    again                                                    the last record once more, byte for byte
    expect R09 other_meter                                   exactly these findings, no others

Times are of 2026-05-01 +0200 with synchronised clocks, unless `@2026-05-02T10:00` or CK=U. A record without a key
(`MS=`) takes the default; `MS=-` leaves the field out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from anxin.domain.batch import JudgedRecord
from anxin.domain.source import Source
from anxin.formats.ocmf import encode_frame
from anxin.formats.signed_records import signed_record
from anxin.formats.transactions import join
from anxin.reconcile.book import rule_book
from anxin.reconcile.policy import load_policy
from anxin.reconcile.rule import RawFinding
from anxin.trust.der import read_signature
from anxin.trust.signing import SigningKey, new_signing_key
from anxin.trust.verify import judge_signed

DEFAULTS = {"FV": "1.0", "GI": "GATEWAY", "GS": "GS-1", "PG": "T10", "MS": "MS-1", "IT": "ISO14443", "ID": "1F2D3A4F"}
CONTEXTS = frozenset("BCXELRAPST")
OF_READING = frozenset({"RU", "RI", "ST", "EF"})


@dataclass
class RecordScenario:
    """A parsed scenario: the signed records with their keys, and the findings expected."""

    records: list[tuple[bytes, str | None, str | None]] = field(default_factory=list)
    expected: list[tuple[str, str]] = field(default_factory=list)


@cache
def signing_key() -> SigningKey:
    """Return the meter's key of all scenarios, made here."""
    return new_signing_key("ECDSA-secp256r1-SHA256", b"scenarios")


def parse(text: str) -> RecordScenario:
    """Return the scenario that `text` tells."""
    scenario = RecordScenario()
    for line in filter(None, (raw.strip() for raw in text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "record":
            scenario.records.append(_record(rest.split()))
        elif word == "again":
            scenario.records.append(scenario.records[-1])
        elif word == "expect":
            rule, cause = rest.split()
            scenario.expected.append((rule, cause))
        else:
            raise ValueError(f"no such line in a scenario: {line}")
    return scenario


def run(scenario: RecordScenario) -> list[RawFinding]:
    """Return what the rule book finds on the scenario's records."""
    judged = []
    for row, (raw, given, companion) in enumerate(scenario.records, start=1):
        signed = signed_record(raw, Source("scenario", row), key_text=companion)
        judged.append(JudgedRecord(signed, judge_signed(signed, given)))
    policy = load_policy()
    return [
        finding
        for transaction in join(judged)
        for rule in rule_book()
        if rule.on_record is not None
        for finding in rule.on_record(transaction, policy)
    ]


def _record(words: list[str]) -> tuple[bytes, str | None, str | None]:
    head: dict[str, Any] = {**DEFAULTS, "IS": True}
    defaults = {"RU": "kWh", "RI": "1-0:1.8.0", "ST": "G"}
    readings: list[dict[str, Any]] = []
    signature, key, clock = "good", "given", "S"
    for name, _, value in (word.partition("=") for word in words):
        if name in CONTEXTS:
            shown, _, at = value.partition("@")
            moment = at if "T" in at else f"2026-05-01T{at}"
            reading = {"TM": f"{moment}:00,000+0200 {clock}", "TX": name, **(defaults if not readings else {})}
            readings.append(reading | ({"RV": _Bare(shown)} if shown else {}))
        elif name in OF_READING:
            (readings[-1] if readings else defaults)[name] = value
        elif name == "CK":
            clock = value
            if readings:
                readings[-1]["TM"] = readings[-1]["TM"][:-1] + value
        elif name == "signature":
            signature = value
        elif name == "key":
            key = value
        elif value == "-":
            head.pop(name, None)
        else:
            head[name] = value
    return _signed(head, readings, signature, key)


def _signed(
    head: dict[str, Any], readings: list[dict[str, Any]], how: str, key: str
) -> tuple[bytes, str | None, str | None]:
    payload = _json(head | {"RD": readings}).encode()
    signer = signing_key()
    der = signer.sign(payload)
    if how == "raw":
        pair = read_signature(der)
        der = pair.r.to_bytes(32, "big") + pair.s.to_bytes(32, "big")
    elif how == "forged":
        der = signer.sign(payload + b" ")
    raw = encode_frame(payload, {"SA": signer.algorithm, "SD": der.hex()})
    return raw, signer.public_key if key == "given" else None, signer.public_key if key == "record" else None


class _Bare(str):
    """A number's text, written into JSON as it stands."""

    __slots__ = ()


def _json(value: Any) -> str:
    if isinstance(value, _Bare):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json(v) for v in value) + "]"
    return json.dumps(value)
