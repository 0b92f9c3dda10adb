"""The evidence pack: one ZIP for one alarm, or for a set of findings, that stands alone without the platform.

1  findings, their verdicts, and the numbers of all messages that they rest on
2  the messages as received, with receipts and proofs; of what was erased, the receipt alone
3  signed records as they were opened, with the answer that each was given
4  register entries and public keys of the meters concerned, policy and rules in force when it was judged
5  the alarm, the steps of its handling, its attachments
6  manifest, summary (signed), README, and the sums under the log's signature

MUST      say in the manifest whatever is left out, and why
MUST NOT  write a driver's reference anywhere but inside a message as it was received
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from anxin import __version__
from anxin.domain.message import Kind, Message
from anxin.domain.register import Register
from anxin.evidence.note import Signer, parse_vkey
from anxin.evidence.proofs import Proofs
from anxin.flow import pack_files, pack_readme, pack_view
from anxin.flow.decoding import decode
from anxin.flow.intake import now_utc_ms
from anxin.flow.local_register import register_around
from anxin.flow.pack_files import json_bytes
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.flow.receipts import receipt_document
from anxin.formats.register import dump_register
from anxin.report.pack_summary import summary_pdf
from anxin.store import packs
from anxin.store.packs import KeptMessage
from anxin.trust.pdf_seal import PdfSigner, pdf_signer

FORMAT = "anxin-evidence-pack-1"
#: Findings of one pack, the gravest first; an alarm of more says how many stayed behind.
MAX_FINDINGS = 2_000
#: Messages of one pack: a finding rests on an order and some records.
MAX_MESSAGES = 10_000
#: Bytes of one message: a table of a whole day is evidence of its sender's, with many drivers in it; its receipt goes.
MAX_MESSAGE_BYTES = 1024 * 1024
#: Bytes of all messages and attachments of one pack, so that it can be made in memory and sent by mail.
MAX_CONTENT_BYTES = 128 * 1024 * 1024
#: How long a pack waits for its last messages to be published; the log is written every second.
PUBLISHED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class PackedAttachment:
    """An attachment of an alarm: its number, name and type, and its bytes."""

    attachment_id: int
    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PackSubject:
    """What a pack is about. `findings` are numbers of findings, `deeds` places of deeds in the log.

    alarm   the alarm as its page shows it; None for a bare set of findings
    steps   the steps of its handling, in order, as JSON values; `index` is where a step's deed stands in the log
    findings_in_all   how many there are, where `findings` are fewer
    """

    number: str
    findings: tuple[int, ...]
    alarm: dict[str, Any] | None = None
    steps: tuple[dict[str, Any], ...] = ()
    attachments: tuple[PackedAttachment, ...] = ()
    findings_in_all: int = 0


@dataclass(slots=True)
class Pack:
    """A pack while it is put together: its files by name, and what its manifest and summary say of them."""

    subject: PackSubject
    made_utc_ms: int
    files: dict[str, bytes] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def leave_out(self, what: str, zh: str, en: str) -> None:
        """Say that something is not in the pack, and why."""
        self.left_out.append({"what": what, "zh": zh, "en": en})


class Packer:
    """Makes packs of one platform. It reads the published log from its folder."""

    def __init__(self, platform: Platform, signer: Signer | None = None) -> None:
        settings = platform.settings
        self.platform = platform
        self.signer = signer or log_signer(settings)
        self.proofs = Proofs(log_folder(settings), parse_vkey(self.signer.vkey))
        self._seal: PdfSigner | None = None

    @property
    def seal(self) -> PdfSigner:
        """Who signs summaries. Raises InputError where the settings' key cannot be used."""
        if self._seal is None:
            s = self.platform.settings
            folder = s.data_dir / "secrets"
            self._seal = pdf_signer(folder, f"{s.log_origin} evidence packs", s.pack_key_file, s.pack_cert_file)
        return self._seal

    def make(self, subject: PackSubject) -> Pack:
        """Return a pack with all its files. Raises StoreError, EvidenceError (the log cannot be read), InputError."""
        pack = Pack(subject, now_utc_ms())
        with self.platform.database.transaction() as connection:
            # 1 findings, verdicts, messages that they rest on.
            indexes = _judgement(pack, connection)
            # 2 messages with receipts and proofs, 3 their signed records.
            room = MAX_CONTENT_BYTES - sum(len(a.data) for a in subject.attachments)
            kept = packs.kept(connection, indexes, MAX_MESSAGE_BYTES, room)
            answers = packs.answers(connection, indexes)
            standing = packs.standing(connection, {(r["policy"], r["software"]) for r in pack.findings + pack.verdicts})
        self._evidence(pack, kept, answers)
        # 4 register, policy, rules.
        register = self._register(pack, {a.key_id for a in answers})
        _standing(pack, standing)
        # 5 the alarm.
        _alarm(pack)
        # 6 manifest, summary, README, sums.
        self._seal_up(pack, register)
        return pack

    def _evidence(self, pack: Pack, kept: list[KeptMessage], answers: list[packs.SignedAnswer]) -> None:
        """Steps 2 and 3. Whatever does not fit is said to be left out; its receipt and proof are there."""
        told = {(a.message_index, a.position): a for a in answers}
        self._wait_published(max((k.receipt.index for k in kept), default=-1))
        unproven = 0
        for message in kept:
            receipt = message.receipt
            folder = f"evidence/{receipt.index:012d}"
            line: dict[str, Any] = {
                "index": receipt.index, "kind": receipt.kind, "sender": receipt.sender,
                "message_id": receipt.message_id, "received_utc_ms": receipt.received_utc_ms,
                "folder": folder, "state": "whole", "proof": True, "records": [],
            }  # fmt: skip
            pack.files[f"{folder}/receipt.json"] = json_bytes(receipt_document(self.signer, receipt))
            found = self.proofs.inclusion(receipt.index)
            if found is None:
                line["proof"] = False
                unproven += 1
            else:
                pack.files[f"{folder}/proof.txt"] = found[0].encode()
            if receipt.salt is None:
                line["state"] = "erased"
                pack.leave_out(
                    folder, f"消息 {receipt.index} 已依法删除：只附其回执与证明。",
                    f"Message {receipt.index} was erased as the law asks: its receipt and proof alone are here.",
                )  # fmt: skip
            elif message.payload is None:
                line["state"] = "left_out"
                pack.leave_out(
                    folder, f"消息 {receipt.index} 有 {message.size_bytes} 字节，超出上限：只附其回执与证明。",
                    f"Message {receipt.index} has {message.size_bytes} bytes, beyond the limit: its receipt and proof"
                    " are here.",
                )  # fmt: skip
            else:
                pack.files[f"{folder}/payload"] = message.payload
                if message.envelope is not None:
                    pack.files[f"{folder}/envelope"] = message.envelope
                line["records"] = self._records(pack, folder, message, message.payload, told)
            pack.evidence.append(line)
        if unproven:
            pack.leave_out(
                "proof.txt", f"{unproven} 条消息尚未公布：没有证明，稍后可用回执取得。",
                f"{unproven} messages are not published yet: no proof of theirs is here; ask for it with the receipt.",
            )  # fmt: skip

    def _records(
        self, pack: Pack, folder: str, message: KeptMessage, payload: bytes, told: dict[Any, packs.SignedAnswer]
    ) -> list[dict[str, Any]]:
        """Step 3: the signed records in a message, each as the bytes that its meter signed."""
        r = message.receipt
        if r.kind.startswith("deed."):
            return []
        received = Message(Kind(r.kind), r.sender, r.message_id, payload, message.envelope)
        decoded = decode(r.index, received, r.received_utc_ms, self.platform.directory, self.platform.settings.zone)
        lines = []
        for position, signed in enumerate(decoded.batch.signed_records):
            answer = told.get((r.index, position))
            line: dict[str, Any] = {
                "file": None, "answer": answer and answer.answer, "reason": answer and answer.reason,
                "key_id": answer and answer.key_id,
            }  # fmt: skip
            if signed.cannot_open is None:
                line["file"] = f"{folder}/record-{position + 1}"
                pack.files[line["file"]] = signed.raw
                if signed.key_text is not None:
                    line["key_text"] = signed.key_text
            lines.append(line)
        return lines

    def _wait_published(self, index: int) -> None:
        """Wait for the publisher, which is a process of its own, to write what has just been kept."""
        until = time.monotonic() + PUBLISHED_WITHIN_S
        while time.monotonic() < until:
            newest = self.proofs.newest()
            if newest is not None and newest.size > index:
                return
            time.sleep(0.05)

    def _register(self, pack: Pack, key_ids: set[str | None]) -> Register:
        """Step 4: the register's entries of the connectors and meters that the findings and verdicts name."""
        rows = pack.findings + pack.verdicts
        alarm = pack.subject.alarm or {}
        places = {r.get("connector_id") or r.get("place") for r in rows} | {alarm.get("connector_id")}
        meters = {r.get("meter_id") for r in rows} | {alarm.get("meter_id")}
        meters |= {line["sender"] for line in pack.evidence if line["kind"] == Kind.METER_ENVELOPE}
        found = register_around(self.platform.directory.register, places, meters, key_ids)
        pack.files["register/register.json"] = dump_register(found)
        return found

    def _seal_up(self, pack: Pack, register: Register) -> None:
        """Step 6."""
        seal, signer = self.seal, self.signer
        newest = self.proofs.newest()
        pack.files["log/vkey"] = f"{signer.vkey}\n".encode()
        pack.files["log/key.pem"] = pack_readme.ed25519_pem(signer.public_key)
        pack.files["signer.pem"] = seal.certificate_pem
        pack.files["README.txt"], pack.files["README.zh-CN.txt"] = pack_readme.readmes(pack, signer)
        manifest = {
            "format": FORMAT, "number": pack.subject.number, "made_utc_ms": pack.made_utc_ms,
            "software": f"anxin-charging {__version__}",
            "log": {"origin": signer.name, "vkey": signer.vkey, "size": newest.size if newest else 0},
            "counts": {
                "findings": len(pack.findings), "verdicts": len(pack.verdicts), "messages": len(pack.evidence),
                "steps": len(pack.subject.steps), "attachments": len(pack.attachments),
            },
            "evidence": pack.evidence, "attachments": pack.attachments, "left_out": pack.left_out,
            "files": pack_files.file_lines(pack.files),
        }  # fmt: skip
        pack.files[pack_files.MANIFEST] = json_bytes(manifest)
        view = pack_view.summary_of(pack, register, signer, seal, self.platform.settings.zone)
        pack.files[pack_files.SUMMARY] = seal.sign(summary_pdf(view), f"evidence pack {pack.subject.number}")
        pack_files.sealed(pack.files, pack.subject.number, signer)


def _judgement(pack: Pack, connection: Any) -> list[int]:
    """Step 1: findings and verdicts into the pack; return the numbers of the messages behind them and of deeds."""
    numbers = pack.subject.findings
    found = packs.findings(connection, numbers)
    pack.findings = found[:MAX_FINDINGS]
    in_all = max(len(found), pack.subject.findings_in_all)
    if in_all > len(pack.findings):
        _tell_of_more(pack, "findings", in_all, len(pack.findings), "条发现", "findings")
    keys = {f["session_key"] for f in pack.findings if f["session_key"]}
    pack.verdicts = packs.verdicts(connection, keys)
    orders = {o for f in pack.findings for o in f["order_ids"]} | {v["order_id"] for v in pack.verdicts} - {None}
    records = {r for f in pack.findings for r in f["record_ids"]} | {v["record_id"] for v in pack.verdicts} - {None}
    behind = set(packs.messages_behind(connection, orders, records))
    # A finding on two messages under one id names the later one by its place (flow/conflicts.py).
    places = [f["place"] for f in pack.findings if (f["place"] or "").startswith("conflict:")]
    behind |= set(packs.conflicting(connection, [int(p.partition(":")[2]) for p in places]))
    deeds = {s["index"] for s in pack.subject.steps if s.get("index") is not None}
    behind |= set(packs.erasures_of(connection, sorted(behind)))
    chosen = sorted(behind - deeds)[: max(0, MAX_MESSAGES - len(deeds))]
    _tell_of_more(pack, "evidence", len(behind | deeds), MAX_MESSAGES, "条消息", "messages")
    pack.files["judgement/findings.json"] = json_bytes(pack.findings)
    pack.files["judgement/verdicts.json"] = json_bytes(pack.verdicts)
    return sorted({*chosen, *deeds})


def _tell_of_more(pack: Pack, what: str, count: int, most: int, zh: str, en: str) -> None:
    if count > most:
        pack.leave_out(what, f"共 {count} {zh}，本包只含 {most} {zh}。", f"{count} {en} in all; {most} are here.")


def _standing(pack: Pack, standing: dict[tuple[str, str], tuple[Any, Any]]) -> None:
    """Step 4: policy and rules in full, as they were."""
    for n, pair in enumerate(sorted({(r["policy"], r["software"]) for r in pack.findings + pack.verdicts}), start=1):
        policy, software = pair
        known = standing.get(pair)
        if known is None:
            pack.leave_out(
                "judgement", f"策略 {policy[:16]}（{software}）的全文未留存。",
                f"The full text of policy {policy[:16]} under {software} was not kept.",
            )  # fmt: skip
            continue
        head = {"policy_sha256": policy, "software": software}
        pack.files[f"judgement/policy-{n}.json"] = json_bytes(head | {"policy": known[0]})
        pack.files[f"judgement/rules-{n}.json"] = json_bytes(head | {"rules": known[1]})


def _alarm(pack: Pack) -> None:
    """Step 5."""
    subject = pack.subject
    if subject.alarm is not None:
        pack.files["alarm/alarm.json"] = json_bytes(subject.alarm)
        pack.files["alarm/steps.json"] = json_bytes(list(subject.steps))
    for a in subject.attachments:
        # The name is its sender's: it stands in the manifest, and never becomes the name of a file.
        name = f"attachments/{a.attachment_id}.{SUFFIXES.get(a.media_type, 'bin')}"
        pack.files[name] = a.data
        pack.attachments.append({
            "attachment_id": a.attachment_id, "name": a.name, "media_type": a.media_type, "file": name,
        })  # fmt: skip


#: What an attachment's file is called in a pack, by its type.
SUFFIXES = {
    "application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "text/csv": "csv", "text/plain": "txt",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
