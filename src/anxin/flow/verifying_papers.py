"""From a result that the platform has taken to its papers: certificate or notice of failure, and the charger's label.

Who issues is an officer of the regulator with a token of his own; a bench's token opens no such door.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from anxin.domain.errors import InputError, PeerError, PolicyError
from anxin.domain.quantities import moment_of
from anxin.domain.verification import VerificationResult
from anxin.flow.verifying_documents import LOOPBACK, MAX_TOKEN_CHARS, TIMEOUT_S
from anxin.formats.pdf import attached
from anxin.formats.verification_result import MAX_RESULT_BYTES, result_value
from anxin.report.certificate import RESULT_NAME
from anxin.report.label import label_pdf

CERTIFICATES = "/api/certificates"


@dataclass(frozen=True, slots=True)
class Papers:
    """What was issued: the paper's number, and the files of paper and label."""

    number: str
    certificate: Path
    label: Path


def issue(
    result: VerificationResult, regulator: str, token_file: Path, beside: Path, *, accept_unconfirmed: bool
) -> Papers:
    """Have the paper of a result issued, and write it and the label beside the result's file.

    PolicyError where the address is neither https nor this machine, PeerError where the regulator's app is silent or
    refuses (the result stays, and may be handed in again), InputError where a file cannot be read or written.
    """
    url = httpx.URL(regulator.rstrip("/") + CERTIFICATES)
    if url.scheme != "https" and not (url.scheme == "http" and url.host in LOOPBACK):
        raise PolicyError("令牌只经 https 发送 · a token goes over https only, or to this machine")
    try:
        token = token_file.read_text("ascii")[:MAX_TOKEN_CHARS].strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"读不了令牌文件 · cannot read the token's file {token_file}") from None
    headers = {"authorization": f"Bearer {token}"}
    body = json.dumps(result_value(result), ensure_ascii=False).encode()
    with httpx.Client(headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        asked = client.build_request("POST", url, content=body, headers={"content-type": "application/json"},
                                     params={"accept_unconfirmed": str(accept_unconfirmed).lower()})  # fmt: skip
        line = _answer(client, asked, 201).json()
        pdf = _answer(client, client.build_request("GET", f"{url}/{line['number']}/pdf"), 200).content
    certificate, label = beside.with_suffix(".pdf"), beside.with_name(f"{beside.stem}-label.pdf")
    try:
        certificate.write_bytes(pdf)
        label.write_bytes(_label(line, pdf))
    except OSError as error:
        raise InputError(f"写不了文件 · cannot write beside {beside}: {error.strerror}") from None
    return Papers(str(line["number"]), certificate, label)


def _label(line: dict[str, Any], pdf: bytes) -> bytes:
    """The label says what the paper's own document says: its address, its zone."""
    document = json.loads(attached(pdf, RESULT_NAME, 2 * MAX_RESULT_BYTES) or b"{}")
    zone, valid = ZoneInfo(document["zone"]), line["valid_to_utc_ms"]
    until = None if valid is None else moment_of(valid, zone).strftime("%Y-%m-%d")
    return label_pdf(line["charger_id"], line["number"], document["address"], until, line["issued_utc_ms"],
                     author=document["issuer"], specimen=line["specimen"])  # fmt: skip


def _answer(client: httpx.Client, request: httpx.Request, wanted: int) -> httpx.Response:
    try:
        answer = client.send(request)
        told = answer.json() if answer.status_code != wanted else {}
    except (httpx.HTTPError, ValueError) as error:
        raise PeerError("peer.papers", f"监管端未答复 · the regulator's app: {type(error).__name__}") from None
    if answer.status_code != wanted:
        said = str(told.get("detail") or told.get("title") or "")[:300]
        raise PeerError("peer.papers", f"未出证 · no paper was issued: {answer.status_code} {said}")
    return answer
