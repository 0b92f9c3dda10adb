"""`anxin check pack.zip`: is an evidence pack what the platform made, and does it hold together? Offline.

1  the container, in its one form
2  every file against the sums, and the log's signature over them
3  every message: bytes, receipt, entry, proof, checkpoint
4  every meter's signature anew from the raw record: four answers, against those that the platform gave
5  whether a record is the one inside the bytes as received
6  manifest against files and receipts; what the pack says that it leaves out
7  the summary's signature, and the manifest that it names

Steps 1 to 3 share no code with what writes packs and log (evidence/pack_reader.py, evidence/pack_auditor.py).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from anxin.domain.errors import EvidenceError, FormatError, InputError, PolicyError
from anxin.domain.source import Source
from anxin.evidence.pack_auditor import PackAudit, audit_message, audit_sums, log_key
from anxin.evidence.pack_reader import PackRefusedError, read_pack
from anxin.flow.check_log import LogCheck
from anxin.formats import meter_envelope
from anxin.formats.meter_envelope import ContentKey
from anxin.formats.register import load_register
from anxin.formats.signed_records import signed_record
from anxin.trust.keyring import KeyRing
from anxin.trust.pdf_seal import verify_pdf
from anxin.trust.verify import judge_signed

FORMAT = "anxin-evidence-pack-1"
#: Faults of one step that are listed one by one; more are only counted.
MAX_FAULTS = 50
#: Texts inside a payload that are looked through for a record, and how deep they nest.
MAX_TEXTS, MAX_DEPTH = 100_000, 24


@dataclass(slots=True)
class PackCheck(LogCheck):
    """All steps, and what the pack is about: its number, the log's name, the answers on its signed records."""

    number: str = ""
    origin: str = ""
    answers: Counter[str] = field(default_factory=Counter)


def check_pack(data: bytes, trusted_vkey: str | None, content_keys: tuple[ContentKey, ...] = ()) -> PackCheck:
    """Return what a pack is worth. Nothing is raised for what is wrong with it; a refused container is a step that
    fails. `trusted_vkey` is the log's key from elsewhere; None: the pack's own, and that is said."""
    check = PackCheck()
    try:
        files = read_pack(data)
    except PackRefusedError as error:
        check.add("pack.container", False, "不是证据包，拒绝读取", f"refused: {error}")
        return check
    check.add(
        "pack.container", True, f"容器合规，{len(files)} 个文件", f"the container has its one form, {len(files)} files"
    )
    own = files.get("log/vkey", b"").decode("utf-8", "replace").strip()
    vkey = _vkey(check, trusted_vkey, own)
    if vkey is None:
        return check
    audit = PackAudit()
    audit_sums(files, log_key(vkey)[1], audit)
    _told(check, "pack.sums", audit, f"{audit.sums} 个文件与清单一致，清单由日志公钥签名",
          f"{audit.sums} files are those of the sums, which the log's key signed")  # fmt: skip
    manifest = _manifest(check, files)
    if manifest is None:
        return check
    check.number, check.origin = str(manifest["number"])[:120], log_key(vkey)[0]
    _messages(check, files, manifest, vkey)
    _records(check, files, manifest, content_keys)
    _manifest_holds(check, files, manifest)
    _summary(check, files)
    for left in manifest["left_out"]:
        check.add("pack.left_out", None, f"未附：{left['zh']}", f"left out: {left['en']}", False)
    return check


def _vkey(check: PackCheck, trusted: str | None, own: str) -> str | None:
    """The key to check with; None where neither is one."""
    vkey = trusted or own
    try:
        log_key(vkey)
    except (ValueError, binascii.Error):
        check.add("pack.log_key", False, "日志公钥无法读取", "the log's key cannot be read")
        return None
    if trusted is None:
        check.add(
            "pack.log_key", None, "未给出日志公钥（--log-key）：以下只说明本包前后一致，不说明它出自平台",
            "no --log-key: what follows shows that the pack agrees with itself, not that the platform made it",
        )  # fmt: skip
    else:
        check.add(
            "pack.log_key", own == trusted.strip(), "包内日志公钥即所给公钥", "the pack's log key is the one given"
        )
    return vkey


def _told(check: PackCheck, name: str, audit: PackAudit, zh: str, en: str) -> None:
    """Enter a step: it holds, or each fault of its own, by file."""
    if not audit.faults:
        check.add(name, True, zh, en)
    for file, text in audit.faults[:MAX_FAULTS]:
        check.add(name, False, f"{file} 不成立", f"{file}: {text}")
    if len(audit.faults) > MAX_FAULTS:
        more = len(audit.faults) - MAX_FAULTS
        check.add(name, False, f"另有 {more} 处不成立", f"and {more} more faults")


def _manifest(check: PackCheck, files: dict[str, bytes]) -> dict[str, Any] | None:
    try:
        found = json.loads(files["manifest.json"])
        if found["format"] != FORMAT:
            raise ValueError(f"format is not {FORMAT}")
        for line in found["evidence"]:
            if not isinstance(line["folder"], str) or line["state"] not in ("whole", "erased", "left_out"):
                raise ValueError("a line of evidence has another form")
            if any(not isinstance(r, dict) for r in line["records"]):
                raise ValueError("a line of evidence has another form")
        for left in found["left_out"]:
            _ = f"{left['zh']}{left['en']}"
        _ = [(f["name"], f["sha256"]) for f in found["files"]], found["number"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        check.add(
            "pack.manifest", False, "manifest.json 无法读取", f"manifest.json: {type(error).__name__}: {error}"[:200]
        )
        return None
    manifest: dict[str, Any] = found
    return manifest


def _messages(check: PackCheck, files: dict[str, bytes], manifest: dict[str, Any], vkey: str) -> None:
    """Step 3."""
    audit = PackAudit()
    for line in manifest["evidence"]:
        receipt = audit_message(files, line["folder"], vkey, audit)
        if receipt is None:
            continue
        same = all(receipt[n] == line[n] for n in ("index", "kind", "sender", "message_id", "received_utc_ms"))
        erased = receipt["salt"] is None
        if not same or erased != (line["state"] == "erased"):
            audit.fault("manifest.json", f"says something else of message {receipt['index']} than its receipt")
        if (f"{line['folder']}/payload" in files) != (line["state"] == "whole"):
            audit.fault("manifest.json", f"message {receipt['index']}: its bytes are not there as it says")
    sizes = "–" if not audit.sizes else f"{max(audit.sizes)}"
    _told(
        check, "pack.messages", audit,
        f"{audit.receipts} 份回执、{audit.entries} 个存证条目、{audit.proofs} 份证明成立（日志 {sizes} 条）",
        f"{audit.receipts} receipts, {audit.entries} entries, {audit.proofs} proofs hold (log of {sizes})",
    )  # fmt: skip
    for index in audit.erased:
        check.add(
            "pack.erased", None, f"消息 {index} 已删除：只有回执，条目无法重算",
            f"message {index} was erased: its receipt alone is here, and its entry cannot be derived", False,
        )  # fmt: skip
    for index in audit.unproven:
        check.add("pack.proof", None, f"消息 {index} 没有证明", f"message {index} has no proof: inclusion not checked")


def _records(
    check: PackCheck, files: dict[str, bytes], manifest: dict[str, Any], content_keys: tuple[ContentKey, ...]
) -> None:
    """Steps 4 and 5."""
    audit, unlinked, linked = PackAudit(), 0, 0
    try:
        ring = KeyRing(load_register(files.get("register/register.json", b""), "register/register.json").keys)
    except PolicyError as error:
        check.add("pack.signatures", False, "登记信息无法读取", str(error)[:200])
        return
    for line in manifest["evidence"]:
        for record in line["records"]:
            name = record.get("file")
            raw = files.get(name) if isinstance(name, str) else None
            if raw is None:
                if name is not None:
                    audit.fault(str(name)[:120], "is missing")
                continue
            key_text = record.get("key_text")
            signed = signed_record(raw, Source(str(name), 1), key_text=key_text if isinstance(key_text, str) else None)
            answer = judge_signed(signed, ring).answer.value
            check.answers[answer] += 1
            if record.get("answer") not in (answer, None):
                audit.fault(str(name), f"the platform answered {str(record.get('answer'))[:40]}, it is {answer} here")
            held = _is_inside(raw, files.get(f"{line['folder']}/payload", b""), content_keys)
            if held is False:
                audit.fault(str(name), "is not in the message that it is said to come from")
            unlinked, linked = unlinked + (held is None), linked + (held is True)
    told = "，".join(f"{n} {c}" for n, c in sorted(check.answers.items())) or "0"
    _told(check, "pack.signatures", audit, f"电能表签名重新核验，与平台所答一致：{told}",
          f"meters' signatures verified anew, with the platform's answers: {told}")  # fmt: skip
    if linked:
        check.add("pack.records", True, f"{linked} 份记录即所收消息中的原文",
                  f"{linked} records are those inside the messages as received")  # fmt: skip
    if unlinked:
        check.add(
            "pack.records", None, f"{unlinked} 份记录来自加密信封或表格，未与所收字节核对（信封需 --keys）",
            f"{unlinked} records came in encrypted envelopes or tables and are not compared with the bytes received"
            " (envelopes: with their content keys, --keys); the meter's own signature says who made them", False,
        )  # fmt: skip


def _is_inside(raw: bytes, payload: bytes, content_keys: tuple[ContentKey, ...]) -> bool | None:
    """Return whether a record is inside a payload; None where that cannot be seen: without a key, or in a table."""
    if raw and raw in payload:
        return True
    if payload.startswith(meter_envelope.MAGIC):
        return _is_enveloped(raw, payload, content_keys)
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None  # a table: how its cells are written is its dialect's business
    return bool(raw.strip()) and any(raw.strip() in text for text in _texts(document))


def _is_enveloped(raw: bytes, payload: bytes, content_keys: tuple[ContentKey, ...]) -> bool | None:
    try:
        envelope = meter_envelope.parse(payload)
        if len(envelope.ciphertext) != len(raw):
            return False
        if not any(k.key_id == envelope.key_id for k in content_keys):
            return None
        return meter_envelope.open_envelope(envelope, content_keys) == raw
    except FormatError:
        return False


def _texts(document: Any) -> Iterator[bytes]:
    """Yield the texts of JSON values, as they are and out of Base64."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    for _ in range(MAX_TEXTS):
        if not waiting:
            return
        value, depth = waiting.pop()
        if isinstance(value, str):
            yield value.encode("utf-8", "replace")
            try:
                yield base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                continue
        elif depth < MAX_DEPTH and isinstance(value, dict | list):
            inside = value.values() if isinstance(value, dict) else value
            waiting += [(v, depth + 1) for v in inside]


def _manifest_holds(check: PackCheck, files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    """Step 6: the manifest lists every file but itself, the summary and the sums, with its digest."""
    audit = PackAudit()
    listed = {f["name"]: f["sha256"] for f in manifest["files"]}
    wanted = files.keys() - {"manifest.json", "summary.pdf", "SHA256SUMS", "SHA256SUMS.sig"}
    for name in sorted(wanted | listed.keys(), key=str):
        if name not in files or name not in listed:
            audit.fault(str(name)[:120], "is in the manifest or in the pack, not in both")
        elif hashlib.sha256(files[name]).hexdigest() != listed[name]:
            audit.fault(name, "is not the file of the manifest")
    for attachment in manifest.get("attachments", ()):
        if attachment.get("file") not in files:
            audit.fault(str(attachment.get("file"))[:120], "an attachment that is missing")
    known = {line["folder"] for line in manifest["evidence"]}
    for name in files:
        if name.startswith("evidence/") and name.rpartition("/")[0] not in known:
            audit.fault(name, "belongs to no message of the manifest")
    _steps_hold(files, manifest, audit)
    _told(check, "pack.manifest", audit, f"manifest.json 所列 {len(listed)} 个文件一致",
          f"the {len(listed)} files of manifest.json are as it says")  # fmt: skip


def _steps_hold(files: dict[str, bytes], manifest: dict[str, Any], audit: PackAudit) -> None:
    """Each step that is a person's deed has its deed among the messages, by the same person and on the same words; each
    attachment's digest stands in such a deed."""
    if "alarm/steps.json" not in files:
        return
    attached: set[str] = set()
    try:
        for step in json.loads(files["alarm/steps.json"]):
            if step["index"] is None:
                continue
            payload = files.get(f"evidence/{int(step['index']):012d}/payload")
            if payload is None:
                audit.fault("alarm/steps.json", f"the deed {step['index']} of a step is not in the pack")
                continue
            deed = json.loads(payload)
            text = json.dumps(step["said"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            said = hashlib.sha256(text.encode()).hexdigest()
            if deed["by"] != step["by"] or deed.get("said_sha256", said) != said:
                audit.fault("alarm/steps.json", f"step {step['index']}: its deed says something else")
            attached.add(str(deed.get("sha256")))
        for attachment in manifest.get("attachments", ()):
            name = str(attachment["file"])
            if hashlib.sha256(files.get(name, b"")).hexdigest() not in attached:
                audit.fault(name[:120], "no step's deed names this attachment")
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        audit.fault("alarm/steps.json", f"cannot be read: {type(error).__name__}")


def _summary(check: PackCheck, files: dict[str, bytes]) -> None:
    """Step 7."""
    digest = hashlib.sha256(files.get("manifest.json", b"")).hexdigest()
    try:
        named = verify_pdf(files.get("summary.pdf", b""), files.get("signer.pem", b""))
    except (EvidenceError, InputError) as error:
        check.add("pack.summary", False, "summary.pdf 不成立", f"summary.pdf: {error}")
        return
    check.add(
        "pack.summary", digest in named, "摘要签名成立，所载清单摘要即 manifest.json",
        "the summary's signature holds, and it names this manifest.json",
    )  # fmt: skip
