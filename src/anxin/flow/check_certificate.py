"""`anxin check certificate.pdf`: is a certificate what the platform issued, and does it hold together? Offline.

1  the signature over every byte of the file, by the platform's certificate; by its own where none is given, said so
2  the attached result: its digest is the one that the signed file names
3  the page: drawn anew from the result, it says the same words and figures
4  the conclusion: the result judged again from its readings by the procedure's data
5  revoked since? Only the platform knows: the public address is named, nothing is asked
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from anxin.domain.errors import EvidenceError, FormatError, InputError
from anxin.flow.certificate_grounds import grounds_of
from anxin.flow.certificate_view import view_of
from anxin.flow.check_log import LogCheck
from anxin.formats.pdf import attached, page_text
from anxin.formats.verification_result import MAX_RESULT_BYTES, result_in
from anxin.report.certificate import RESULT_NAME, certificate_pdf
from anxin.trust.pdf_seal import certificate_sha256, embedded_certificate, verify_pdf


@dataclass(slots=True)
class CertificateCheck(LogCheck):
    """All steps, the number that the paper bears, and the file's digest, as the public check tells it."""

    number: str = ""
    pdf_sha256: str = ""


def check_certificate(pdf: bytes, trusted_pem: bytes | None) -> CertificateCheck:
    """Return what a certificate's PDF is worth. `trusted_pem` is the platform's certificate from elsewhere; None: the
    file's own, which says only that the file was not altered since someone signed it. Nothing is raised."""
    check = CertificateCheck(pdf_sha256=hashlib.sha256(pdf).hexdigest())
    # 1 the signature.
    try:
        pem = embedded_certificate(pdf) if trusted_pem is None else trusted_pem
        named, whose = verify_pdf(pdf, pem), certificate_sha256(pem)
    except (EvidenceError, InputError) as error:
        check.add("certificate.signature", False, "签名不成立，或文件已被改动", f"the signature does not hold: {error}")
        return check
    check.add(
        "certificate.signature", True, f"签名覆盖全部字节，签名证书 {whose}",
        f"the signature covers every byte; its certificate is {whose}",
    )  # fmt: skip
    if trusted_pem is None:
        check.add(
            "certificate.signer", None, "未给出平台证书（--cert），只用了文件自带的证书：谁签的未核验",
            "no certificate given (--cert): the file's own was used, and who signed it is not checked",
        )  # fmt: skip
    else:
        check.add("certificate.signer", True, "签名者即所给证书", "signed by the certificate that was given")
    # 2 the attached result.
    document = attached(pdf, RESULT_NAME, 2 * MAX_RESULT_BYTES)
    digest = None if document is None else hashlib.sha256(document).hexdigest()
    holds = digest is not None and digest in named
    _told(
        check, "certificate.result", holds, "附带的机器可读结果，其摘要与文件所载一致", "附带结果缺失或摘要不符",
        "the attached result has the digest that the file names", "no attached result of the named digest",
    )  # fmt: skip
    if document is None or digest is None:
        return check
    # 3 the page.
    try:
        view = view_of(document, digest)
        check.number = view.number
        same = page_text(certificate_pdf(view)) == page_text(pdf)
        body: dict[str, Any] = json.loads(document)
        # 4 the conclusion.
        grounds = grounds_of(result_in(body["result"]), body["zone"], body["issued_utc_ms"])
        said = (body["kind"] == "certificate", body["unconfirmed"])
        agrees = said == (grounds.passed, list(grounds.unconfirmed)) and body["signer_sha256"] == whose
    except FormatError as error:
        rule = "certificate.conclusion" if check.number else "certificate.page"
        check.add(rule, False, "结果无法得出所载结论", f"{error.rule}: {error}")
        return check
    _told(
        check, "certificate.page", same, "页面文字与数字同附带结果一致", "页面文字或数字与附带结果不符",
        "the page says what the attached result says", "the page says something else than the attached result",
    )  # fmt: skip
    _told(
        check, "certificate.conclusion", agrees, "由原始读数重新判定，结论相同", "重新判定的结论或未确认项不同",
        "judged again from the readings: the same conclusion", "judged again: another conclusion",
    )  # fmt: skip
    if view.specimen is not None:
        check.add("certificate.specimen", None, view.specimen.zh, view.specimen.en, False)
    if body["unconfirmed"]:
        check.add(
            "certificate.unconfirmed", None, f"所依据的 {len(body['unconfirmed'])} 项限值或数据未经确认，文件已注明",
            f"{len(body['unconfirmed'])} numbers that it rests on are not confirmed, which it says on its face", False,
        )  # fmt: skip
    # 5 revoked since.
    check.add(
        "certificate.revoked", None, f"是否已撤销须在线查询：{view.address}",
        f"whether it was revoked since is told only online: {view.address}", False,
    )  # fmt: skip
    return check


def _told(check: CertificateCheck, step: str, holds: bool, zh: str, zh_not: str, en: str, en_not: str) -> None:
    check.add(step, holds, zh if holds else zh_not, en if holds else en_not)
