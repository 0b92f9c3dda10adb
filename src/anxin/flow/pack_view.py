"""What the summary of an evidence pack shows: figures, sessions, findings, handling, evidence; in both languages."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from anxin.domain.quantities import kwh_text, moment_of, money_text
from anxin.domain.register import Register
from anxin.evidence.note import Signer
from anxin.flow.pack_files import MANIFEST
from anxin.report.pack_summary import (
    MAX_ROWS,
    AttachmentRow,
    EvidenceRow,
    Field,
    Figure,
    FindingRow,
    PackSummary,
    SessionRow,
    StepRow,
    Words,
)
from anxin.trust.pdf_seal import PdfSigner, certificate_sha256

if TYPE_CHECKING:
    from anxin.flow.packing import Pack

#: Characters of one text of a step in the summary; the pack's own files hold the whole.
MAX_SAID_CHARS = 300
_SEVERITY = {"note": "提示 note", "warning": "警告 warning", "violation": "违规 violation", "grave": "严重 grave"}
_STATE = {
    "agree": "一致 agree", "disagree": "不一致 disagree", "order_only": "仅有订单 order only",
    "record_only": "仅有记录 record only", "pending": "待补传 pending",
}  # fmt: skip
_ALARM_STATE = {
    "open": "待处理 open", "sent": "已下发 sent", "answered": "已答复 answered", "review": "核查中 under review",
    "proposed": "待复核 proposed", "closed": "已办结 closed",
}  # fmt: skip
_ACT = {
    "opened": "生成 opened", "joined": "并入 joined", "lightened": "减轻 lightened", "comment": "备注 comment",
    "attachment": "附件 attachment", "assigned": "指派 assigned", "escalated": "逾期升级 escalated",
    "complaint": "投诉 complaint", "send": "下发 send", "answer": "答复 answer", "review": "核查 review",
    "propose": "拟结论 propose", "confirm": "复核同意 confirm", "refuse": "复核退回 refuse", "reopen": "重开 reopen",
}  # fmt: skip
_CONCLUSION = {
    "operator_fault": "运营商责任 operator's fault", "device_fault": "设备故障 device's fault",
    "platform_fault": "平台差错 platform's fault", "explained": "已说明 explained",
}  # fmt: skip
_ANSWER = {
    "authentic": "真实 authentic", "forged": "伪造 forged", "malformed": "格式不合规 malformed",
    "cannot_judge": "无法判断 cannot judge",
}  # fmt: skip
_PURPOSE = Words(
    "本摘要由平台依据同包证据生成并签名；以所附原始字节为准。",
    "Made and signed by the platform from the evidence in this pack; what counts is that evidence, byte for byte.",
)
_CHECK = Words(
    "核验：anxin check 本包.zip --log-key 日志公钥；或按 README.zh-CN.txt 用 sha256sum 与 openssl 逐步核对。"
    "日志公钥须从平台公布处取得。",
    "To check: anxin check PACK.zip --log-key KEY, or step by step with sha256sum and openssl as README.txt says. Take"
    " the log's key from where the platform publishes it.",
)


def summary_of(pack: Pack, register: Register, signer: Signer, seal: PdfSigner, zone_name: str) -> PackSummary:
    """Return the summary's view of a pack whose manifest is written."""
    zone = ZoneInfo(zone_name)

    def at(utc_ms: int | None) -> str:
        return "–" if utc_ms is None else moment_of(utc_ms, zone).strftime("%Y-%m-%d %H:%M:%S")

    alarm = pack.subject.alarm or {}
    notes = [Words(n["zh"], n["en"]) for n in pack.left_out[:MAX_ROWS]]
    counts = {"findings": len(pack.findings), "sessions": len(pack.verdicts), "evidence": len(pack.evidence)}
    cut = [name for name, count in counts.items() if count > MAX_ROWS] + (
        ["handling"] if len(pack.subject.steps) > MAX_ROWS else []
    )
    if cut or len(pack.left_out) > MAX_ROWS:
        notes.append(
            Words(
                f"本摘要各表最多列 {MAX_ROWS} 行，其余见同包 JSON 文件。",
                f"Tables of this summary show {MAX_ROWS} rows at most; the pack's JSON files hold all of them.",
            )
        )
    manifest = hashlib.sha256(pack.files[MANIFEST]).hexdigest()
    return PackSummary(
        title=f"证据摘要 {pack.subject.number} · Evidence summary",
        author=signer.name,
        number=pack.subject.number,
        made=f"{moment_of(pack.made_utc_ms, zone).strftime('%Y-%m-%d %H:%M:%S %z')}",
        made_utc_ms=pack.made_utc_ms,
        purpose=_PURPOSE,
        manifest_sha256=manifest,
        check=_CHECK,
        counts={name: f"{count:,}" for name, count in counts.items()},
        subject=_subject(alarm, pack, register, at),
        figures=_figures(alarm, pack),
        findings=[_finding(f, at) for f in pack.findings[:MAX_ROWS]],
        sessions=[_session(v) for v in pack.verdicts[:MAX_ROWS]],
        steps=[_step(s, at) for s in pack.subject.steps[:MAX_ROWS]],
        evidence=[_evidence(pack, e, at) for e in pack.evidence[:MAX_ROWS]],
        attachments=[_attachment(pack, a) for a in pack.attachments[:MAX_ROWS]],
        notes=notes,
        anchors=[
            Field("清单 SHA-256", "manifest", manifest),
            Field("日志", "log", signer.name),
            Field("日志公钥", "log key", signer.vkey),
            Field("签名证书", "certificate", certificate_sha256(seal.certificate_pem)),
        ],
    )


def _subject(alarm: dict[str, Any], pack: Pack, register: Register, at: Any) -> list[Field]:
    def first(name: str) -> str | None:
        return alarm.get(name) or next((r[name] for r in pack.findings if r.get(name)), None)

    names = {o.operator_id: o.name for o in register.operators}
    chargers = {c.connector_id: c.charger_id for c in register.connectors}
    sites = {s.station_id: s.name for s in register.stations}
    stations = {c.connector_id: sites.get(c.station_id) for c in register.connectors}
    operator, connector = first("operator_id"), first("connector_id")
    times = [t for v in pack.verdicts for t in (v["start_utc_ms"], v["end_utc_ms"]) if t is not None]
    times += [t for f in pack.findings if (t := f["at_utc_ms"]) is not None]
    lines = [
        ("运营商", "operator", f"{names.get(operator, '')} {operator}".strip() if operator else None),
        ("场站", "station", stations.get(connector or "")),
        ("充电桩", "charger", alarm.get("charger_id") or chargers.get(connector or "")),
        ("充电接口", "connector", connector),
        ("电能表", "meter", first("meter_id")),
        ("期间", "period", f"{at(min(times))[:10]} → {at(max(times))[:10]}" if times else None),
        ("状态", "state", _ALARM_STATE.get(str(alarm.get("state")))),
        ("结论", "conclusion", _CONCLUSION.get(str(alarm.get("conclusion")))),
    ]
    return [Field(zh, en, value) for zh, en, value in lines if value]


def _figures(alarm: dict[str, Any], pack: Pack) -> list[Figure]:
    found = [
        Figure("发现", "findings", f"{alarm.get('findings', len(pack.findings)):,}"),
        Figure("涉及笔数", "sessions", f"{alarm.get('sessions', len(pack.verdicts)):,}"),
    ]
    excess = alarm.get("excess_milli_wh")
    if excess is None:
        both = [(v["order_energy_milli_wh"], v["record_energy_milli_wh"]) for v in pack.verdicts]
        excess = sum(max(0, o - r) for o, r in both if o is not None and r is not None)
    found.append(Figure("多计电量", "energy billed beyond measured", kwh_text(excess), "kWh", excess > 0))
    money = alarm.get("excess_e4")
    if money is not None:
        found.append(Figure("多收金额", "money billed beyond", money_text(money), "CNY", money > 0))
    return found


def _finding(f: dict[str, Any], at: Any) -> FindingRow:
    unit = f["unit"] or ""
    parts = [("应为 expected", f["expected"]), ("实为 found", f["found"]), ("差 difference", f["difference"]),
             ("允差 tolerance", f["tolerance"])]  # fmt: skip
    figures = " · ".join(f"{name} {value} {unit}".strip() for name, value in parts if value is not None)
    grave = f["severity"] in ("violation", "grave")
    return FindingRow(f["rule"], _SEVERITY[f["severity"]], grave, f["zh"], f["en"], figures, at(f["at_utc_ms"]))


def _session(v: dict[str, Any]) -> SessionRow:
    order, record = v["order_energy_milli_wh"], v["record_energy_milli_wh"]
    difference = None if order is None or record is None else order - record
    return SessionRow(
        v["order_id"] or v["session_key"],
        _STATE.get(v["state"], v["state"]),
        "–" if order is None else kwh_text(order),
        "–" if record is None else kwh_text(record),
        "–" if difference is None else f"{'+' if difference > 0 else ''}{kwh_text(difference)}",
        "–" if v["amount_e4"] is None else money_text(v["amount_e4"]),
        difference is not None and difference > 0,
    )


def _step(s: dict[str, Any], at: Any) -> StepRow:
    said = s.get("said") or {}
    text = " · ".join(str(v) for v in said.values())
    if len(text) > MAX_SAID_CHARS:
        text = f"{text[:MAX_SAID_CHARS]}…"
    act = str(s.get("act"))
    index = s.get("index")
    return StepRow(at(s.get("at_utc_ms")), _ACT.get(act, act), str(s.get("by", "")), text,
                   "–" if index is None else str(index))  # fmt: skip


def _evidence(pack: Pack, e: dict[str, Any], at: Any) -> EvidenceRow:
    digest = json.loads(pack.files[f"{e['folder']}/receipt.json"])["payload_sha256"]
    answers = {r["answer"] for r in e["records"]} - {None}
    said = " / ".join(_ANSWER.get(a, a) for a in sorted(answers)) or "–"
    if e["state"] == "erased":
        said = "已删除 erased"
    return EvidenceRow(
        str(e["index"]), e["kind"], e["sender"], at(e["received_utc_ms"]), digest[:16], said,
        answers <= {"authentic"} and e["state"] != "erased",
    )  # fmt: skip


def _attachment(pack: Pack, a: dict[str, Any]) -> AttachmentRow:
    data = pack.files[a["file"]]
    return AttachmentRow(a["name"], a["media_type"], f"{len(data):,}", hashlib.sha256(data).hexdigest()[:16])
