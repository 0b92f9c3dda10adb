"""`anxin check FILE`: the command line over `flow.check`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from anxin.cli.log_check import MARKS
from anxin.domain.errors import InputError, PolicyError
from anxin.domain.finding import Finding
from anxin.domain.meter_record import Answer, MeterSession, Reading
from anxin.domain.quantities import iso_of, kwh_text
from anxin.domain.source import Deviation
from anxin.evidence.pack_reader import MAX_PACK_BYTES
from anxin.flow import check
from anxin.flow.check_log import LogCheck
from anxin.formats.meter_envelope import ContentKey
from anxin.reconcile.policy import load_policy
from anxin.trust.pdf_seal import MAX_PDF_BYTES

UNREADABLE = 2
#: Bytes of a certificate in PEM: a few kilobytes, with its chain some tens.
MAX_CERT_BYTES = 65_536

_ANSWERS = {
    Answer.AUTHENTIC: ("真实", "authentic"),
    Answer.FORGED: ("伪造", "forged"),
    Answer.MALFORMED: ("格式不合规", "malformed"),
    Answer.CANNOT_JUDGE: ("无法判断", "cannot be judged"),
}
_REASONS_ZH = {
    "signature_matches": "签名与公钥及原文一致",
    "signature_mismatch": "签名可读，但与公钥及原文不符",
    "signature_undecodable": "签名数据无法按 DER 解读",
    "signature_der_unpadded": "签名整数缺少前导零；宽松读取时签名成立",
    "signature_der_not_strict": "签名不是严格的 DER；宽松读取时签名成立",
    "signature_raw": "签名为裸 r‖s，不是 DER；宽松读取时签名成立",
    "sa_hash_mismatch": "声明的摘要算法与实际不符；按 SHA-256 读取时签名成立",
    "key_bare_coordinates": "公钥只有坐标，没有格式说明；宽松读取时签名成立",
    "no_key": "没有公钥",
    "key_unreadable": "公钥无法读取",
    "key_not_on_curve": "公钥不在曲线上",
    "key_unsupported": "公钥种类不受支持",
    "key_algorithm_mismatch": "公钥与签名算法不属于同一曲线",
    "algorithm_unknown": "签名算法未知",
    "sm2_unavailable": "本机没有可用的国密 SM2 实现",
    "cannot_open": "容器中的数据无法打开",
}


def add_parser(subparsers: Any) -> None:
    """Add the command to an `argparse` group of subcommands."""
    parser = subparsers.add_parser(
        "check",
        help="核验签名记录 · is a signed meter record authentic, what does it say, what is odd?",
        epilog="退出码 exit codes: 0 真实且无异常 authentic, nothing odd · "
        "1 不真实或有发现 not authentic, or findings · 2 无法判断 could not judge",
    )
    parser.add_argument(
        "file", metavar="FILE",
        help="OCMF 记录或 SAFE XML 容器、AXE1 信封、证据包、检定证书 PDF"
        " · OCMF records, SAFE XML, AXE1 envelopes, an evidence pack, a certificate's PDF",
    )  # fmt: skip
    parser.add_argument(
        "--log-key", metavar="VKEY-or-FILE", help="证据包：从别处取得的日志公钥 · a pack: the log's key, from elsewhere"
    )
    parser.add_argument(
        "--cert", metavar="PEM-FILE", type=Path,
        help="检定证书：从别处取得的平台签名证书 · a certificate PDF: the platform's certificate, from elsewhere",
    )  # fmt: skip
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--key", metavar="HEX-or-FILE", help="公钥或其文件 · the public key (hex, base64, PEM) or its file"
    )
    keys.add_argument("--keys", metavar="REGISTER.json", type=Path, help="登记册中的公钥 · a register's keys")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="规则参数 · a policy file over the default one")
    parser.add_argument("--json", action="store_true", help="只输出 JSON · nothing but JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit code: 0 authentic, 1 not authentic or findings, 2 could not judge."""
    try:
        policy = load_policy(args.policy)
        keys = _known_keys(args)
        if (data := _opened(Path(args.file), b"PK", MAX_PACK_BYTES)) is not None:
            return _run_pack(args, data, keys.content)
        if (data := _opened(Path(args.file), b"%PDF-", MAX_PDF_BYTES)) is not None:
            return _run_certificate(args, data)
        report = check.check_file(Path(args.file), keys, policy)
    except (InputError, PolicyError) as error:
        if args.json:
            print(json.dumps({"records": [], "session": {"findings": []}, "error": str(error)}, ensure_ascii=False))
        said = _printable(str(error))
        print(f"无法读取：{said}\ncannot read: {said}", file=sys.stderr)
        return UNREADABLE
    if args.json:
        print(json.dumps(document_of(report), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_printable(line) for line in lines_of(report)))
    return report.exit_code


def _opened(path: Path, magic: bytes, most: int) -> bytes | None:
    """Return the bytes of a file that begins so, None for every other. Raises InputError."""
    try:
        with path.open("rb") as file:
            if file.read(len(magic)) != magic:
                return None
    except (OSError, ValueError):
        return None  # what is wrong with it is said where files are read
    return check.read_bytes(path, most)


def _run_pack(args: argparse.Namespace, data: bytes, content_keys: tuple[ContentKey, ...]) -> int:
    from anxin.flow.check_pack import check_pack

    vkey = None if args.log_key is None else check.read_key_argument(args.log_key)
    found = check_pack(data, vkey, content_keys)
    if args.json:
        document = {"pack": found.number, "log": found.origin}
        return _say_steps(found, document | {"answers": dict(found.answers)})
    print(_printable(f"证据包 evidence pack {found.number} · {found.origin}"))
    return _say_steps(found, None)


def _run_certificate(args: argparse.Namespace, data: bytes) -> int:
    from anxin.flow.check_certificate import check_certificate

    trusted = None if args.cert is None else check.read_bytes(args.cert, MAX_CERT_BYTES)
    found = check_certificate(data, trusted)
    if args.json:
        return _say_steps(found, {"certificate": found.number, "pdf_sha256": found.pdf_sha256})
    print(_printable(f"检定证书 certificate {found.number or '?'} · SHA-256 {found.pdf_sha256}"))
    return _say_steps(found, None)


def _say_steps(found: LogCheck, document: dict[str, Any] | None) -> int:
    """Print the steps, as JSON inside `document` where one is given; return the exit code."""
    if document is not None:
        steps = [{"step": s.name, "outcome": s.outcome.value, "zh": s.zh, "en": s.en} for s in found.steps]
        whole = document | {"steps": steps, "exit_code": found.exit_code}
        print(json.dumps(whole, ensure_ascii=False, indent=2))
        return found.exit_code
    for s in found.steps:
        print(_printable(f"{MARKS[s.outcome.value]}  {s.zh} · {s.en}"))
    print(("全部成立 · it holds", "不成立 · it does not hold", "无法判断 · could not judge")[found.exit_code])
    return found.exit_code


def _known_keys(args: argparse.Namespace) -> check.KnownKeys:
    if args.keys is not None:
        return check.read_keys(args.keys)
    return check.KnownKeys(check.read_key_argument(args.key) if args.key else None)


def document_of(report: check.CheckReport) -> dict[str, Any]:
    """Return the report as JSON values. Energies are exact kWh text, times ISO 8601 in UTC."""
    return {
        "records": [_record(record) for record in report.records],
        "session": {
            "findings": [_finding(finding) for finding in report.session_findings],
            "sessions": [_session(session) for session in report.sessions],
        },
    }


def lines_of(report: check.CheckReport) -> list[str]:
    """Return the report for people: Chinese first, then English."""
    lines = []
    for number, record in enumerate(report.records, start=1):
        judgement = record.judged.judgement
        zh, en = _ANSWERS[judgement.answer]
        because = _REASONS_ZH.get(judgement.reason, judgement.detail)
        place = f"{record.judged.signed.source.file}:{record.judged.signed.source.row}"
        lines += [
            f"记录 {number}（{place}）：{zh}（{because}）",
            f"Record {number} ({place}): {en} ({judgement.detail})",
        ]
        lines += [f"    {_reading_line(reading)}" for reading in _readings(record)]
        lines += [f"    ≠ {d.kind}: {d.detail} [{d.clause}]" for d in record.deviations]
        lines += _finding_lines(record.findings)
    for session in report.sessions:
        if session.energy_milli_wh is not None:
            energy = kwh_text(session.energy_milli_wh)
            times = f"{iso_of(session.begin_utc_ms) or '–'} → {iso_of(session.end_utc_ms) or '–'}"
            meter = session.meter_id or "–"
            lines += [
                f"充电电量：{energy} kWh，{times}，电能表 {meter}",
                f"Energy: {energy} kWh, {times}, meter {meter}",
            ]
    return lines + _finding_lines(report.session_findings)


def _printable(line: str) -> str:
    """Replace control characters: what a record says must not steer the terminal that shows it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _finding_lines(findings: list[Finding]) -> list[str]:
    return [line for f in findings for line in (f"  ! {f.rule} {f.severity.value}  {f.zh}", f"    {f.en}")]


def _reading_line(reading: Reading) -> str:
    value = f"{reading.value} {reading.unit or ''}".strip() if reading.value is not None else "–"
    flags = f" EF={reading.error_flags}" if reading.error_flags else ""
    when, register = reading.time_text or "–", reading.obis or "–"
    return f"{reading.context or '-'}  {when}  {value}  {register}  ST={reading.status}{flags}"


def _readings(record: check.CheckedRecord) -> tuple[Reading, ...]:
    decoded = record.judged.signed.record
    return decoded.readings if decoded is not None else ()


def _record(record: check.CheckedRecord) -> dict[str, Any]:
    signed, judgement = record.judged.signed, record.judged.judgement
    decoded = signed.record
    about = None
    if decoded is not None:
        page = f"{decoded.page_context}{decoded.page_number}" if decoded.page_number is not None else None
        about = {
            "dialect": decoded.dialect,
            "format_version": decoded.format_version,
            "algorithm": decoded.algorithm,
            "meter": {"serial": decoded.meter_serial, "vendor": decoded.meter_vendor, "model": decoded.meter_model},
            "gateway": {"id": decoded.gateway_id, "serial": decoded.gateway_serial},
            "page": page,
            "place": {"type": decoded.place_type, "id": decoded.place_id},
            "user": {"type": decoded.user_type, "level": decoded.user_level, "pseudonym": decoded.user_ref},
            "tariff_text": decoded.tariff_text,
        }
    return {
        "answer": judgement.answer.value,
        "reason": judgement.reason,
        "detail": judgement.detail,
        "if_read_so": judgement.if_read_so.value if judgement.if_read_so is not None else None,
        "record_id": record.record_id,
        "key_id": judgement.key_id,
        "file": signed.source.file,
        "row": signed.source.row,
        "transaction_id": signed.transaction_id,
        "deviations": [_deviation(deviation) for deviation in record.deviations],
        "findings": [_finding(finding) for finding in record.findings],
        "readings": [_reading(reading) for reading in _readings(record)],
        "says": about,
    }


def _deviation(deviation: Deviation) -> dict[str, Any]:
    return {
        "kind": deviation.kind,
        "clause": deviation.clause,
        "detail": deviation.detail,
        "field": deviation.field,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "cause": finding.cause,
        "severity": finding.severity.value,
        "zh": finding.zh,
        "en": finding.en,
        "expected": finding.expected,
        "found": finding.found,
        "difference": finding.difference,
        "tolerance": finding.tolerance,
        "unit": finding.unit,
        "record_ids": list(finding.record_ids),
    }


def _reading(reading: Reading) -> dict[str, Any]:
    energy = reading.register_milli_wh
    return {
        "time": iso_of(reading.time_utc_ms),
        "time_text": reading.time_text,
        "clock": reading.clock.value,
        "context": reading.context,
        "value": str(reading.value) if reading.value is not None else None,
        "unit": reading.unit,
        "energy_kwh": kwh_text(energy) if energy is not None else None,
        "obis": reading.obis,
        "current_type": reading.current_type,
        "status": reading.status,
        "error_flags": reading.error_flags,
    }


def _session(session: MeterSession) -> dict[str, Any]:
    energy = session.energy_milli_wh
    return {
        "session_id": session.record_id,
        "transaction_id": session.transaction_id,
        "meter_id": session.meter_id,
        "connector_id": session.connector_id,
        "begin": iso_of(session.begin_utc_ms),
        "end": iso_of(session.end_utc_ms),
        "clock": session.clock,
        "energy_kwh": kwh_text(energy) if energy is not None else None,
        "answer": session.answer,
        "closed": session.closed,
    }
