"""A run's result as a file, and as the document that the platform's bench door takes (docs/formats/bench-door.md).

The document follows from the file alone, byte for byte, and is named by the run's id: sent twice, it counts once.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from anxin.domain.errors import InputError, PeerError, PolicyError
from anxin.domain.quantities import iso_of
from anxin.domain.verification import LoadPoint, Outcome, VerificationResult
from anxin.formats.verification_result import MAX_RESULT_BYTES, result_of, result_value
from anxin.instruments.dlt645 import ZONE

RESULTS = "/bench/v1/results"
TIMEOUT_S = 20
#: Characters of a token's file.
MAX_TOKEN_CHARS = 4_096
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def keep(result: VerificationResult, path: Path) -> None:
    """Write a result to its file, whole and synced or not at all. InputError where it cannot be written."""
    text = json.dumps(result_value(result), ensure_ascii=False, indent=2)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise InputError(f"写不了文件 · cannot write {path}: {error.strerror}") from None


def kept(path: Path) -> VerificationResult:
    """Return the result of a file. InputError where there is none to read, FormatError for what is not one."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise InputError(f"读不了文件 · cannot read {path}: {error.strerror}") from None
    return result_of(data)


def bench_document(result: VerificationResult) -> bytes:
    """Return what the bench door takes. PolicyError for a result without a conclusion: it stays a file."""
    if result.outcome is Outcome.INDETERMINATE or result.stopped is not None or not result.points:
        raise PolicyError(f"{result.run_id}: 无结论，不上传 · no conclusion, nothing to send")
    passed = result.outcome is Outcome.PASS
    said: dict[str, Any] = {
        "charger_id": result.charger_id,
        "certificate_no": result.run_id,
        "verified_at": iso_of(result.ended_utc_ms, ZONE),
        "conclusion": "passed" if passed else "failed",
        "points": [
            {
                "load_kw": f"{Decimal(_power_mw(p.point)) / 1_000_000:f}",
                # What was held against the limit: the exact mean, rounded by the procedure.
                "error_percent": f"{Decimal(p.rounded_ppm) / 10_000:f}",
                "limit_percent": f"{Decimal(p.limit_ppm) / 10_000:f}",
            }
            for p in result.points
        ],
        "device": {
            "name": result.software,
            "serial_no": result.reference.serial,
            "certificate_no": result.reference.certificate_no,
        },
        "people": [p for p in (result.verified_by, result.checked_by) if p],
    }
    if passed and result.valid_to_utc_ms is not None:
        said["valid_to"] = iso_of(result.valid_to_utc_ms, ZONE)
    if result.simulated:
        said["simulated"] = True
    return json.dumps(said, ensure_ascii=False, sort_keys=True).encode()


def upload(result: VerificationResult, platform: str, token_file: Path) -> dict[str, Any]:
    """Send a result to the platform and return its receipt's document.

    PolicyError where there is no conclusion or the address is neither https nor this machine, PeerError where the
    platform is silent or refuses: the file stays, and may be sent again.
    """
    body = bench_document(result)
    try:
        url = httpx.URL(platform.rstrip("/") + RESULTS)
    except httpx.InvalidURL as error:
        raise PolicyError(f"不是地址 · not an address: {error}") from None
    if url.scheme != "https" and not (url.scheme == "http" and url.host in LOOPBACK):
        raise PolicyError("令牌只经 https 发送 · a token goes over https only, or to this machine")
    try:
        token = token_file.read_text("ascii")[:MAX_TOKEN_CHARS].strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"读不了令牌文件 · cannot read the token's file {token_file}") from None
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        said: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise PeerError("peer.bench", f"平台未收下 · the platform has not taken it: {type(error).__name__}") from None
    if answer.status_code != 200:
        told = str(said.get("detail") or said.get("title") or said)[:300]
        raise PeerError("peer.bench", f"平台未收下 · the platform has not taken it: {answer.status_code} {told}")
    return said


def _power_mw(point: LoadPoint) -> int:
    return point.current_ma * point.voltage_mv * max(1, point.phases) // 1000
