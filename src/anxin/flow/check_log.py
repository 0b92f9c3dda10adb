"""What a receipt and a proof are worth, found out offline, with keys that came from elsewhere.

1  the receipt's signature, by the log's key
2  the receipt's entry, recomputed from its statement and salt
3  the record that its holder has, against the digests in the receipt
4  the entry's place in the log, by the proof's audit path under its checkpoint
5  the checkpoint's signature, by the log's key
6  the witnesses' cosignatures on the checkpoint: how many, and when

Each step holds, fails, or was not checked; the three are never merged. A step that is not checked is said to be so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from anxin.domain.errors import EvidenceError
from anxin.domain.quantities import iso_of
from anxin.evidence.commitment import fits
from anxin.evidence.note import COSIGNATURE, Checkpoint, Note, Verifier, parse_checkpoint, parse_note
from anxin.evidence.proofs import Proof, parse_proof
from anxin.evidence.tree import root_of_inclusion
from anxin.flow.receipts import SignedReceipt, parse_receipt, receipt_text

#: A cosignature farther in the future than clocks differ says nothing about when.
FUTURE_S = 300


class Outcome(StrEnum):
    """What came of a step."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Step:
    """One step and what came of it. `needed` steps that were not checked leave the whole without an answer."""

    name: str
    outcome: Outcome
    zh: str
    en: str
    needed: bool = True


@dataclass(slots=True)
class LogCheck:
    """All steps, in their order."""

    steps: list[Step] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all that is needed holds; 1 something fails; 2 something needed could not be checked."""
        if any(s.outcome is Outcome.FAILS for s in self.steps):
            return 1
        return 2 if any(s.outcome is Outcome.NOT_CHECKED and s.needed for s in self.steps) else 0

    def add(self, name: str, holds: bool | None, zh: str, en: str, needed: bool = True) -> None:
        """Enter a step: it holds, it does not, or (None) it was not checked."""
        outcome = {True: Outcome.HOLDS, False: Outcome.FAILS, None: Outcome.NOT_CHECKED}[holds]
        self.steps.append(Step(name, outcome, zh, en, needed))


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the holder trusts: the log's key, witnesses' keys, how many of them, and how old their word may be."""

    log: Verifier | None = None
    witnesses: Sequence[Verifier] = ()
    quorum: int | None = None
    max_age_s: int | None = None


def check_documents(
    receipt: bytes | None, proof: bytes | None, record: bytes | None, entry: bytes | None, trust: Trust, now_s: int
) -> LogCheck:
    """Return what a receipt, a proof, or both are worth. A document that is malformed is a step that fails."""
    check = LogCheck()
    held: SignedReceipt | None = None
    if receipt is not None:
        try:
            held = parse_receipt(receipt)
        except EvidenceError as error:
            check.add("receipt.form", False, "回执格式不合规", f"the receipt is malformed: {error}")
            return check
        _check_receipt(check, held, record, trust)
        entry = held.receipt.entry
    if proof is None:
        check.add(
            "proof.inclusion", None, "没有证明：未核对是否已写入日志", "no proof was given: inclusion not checked",
            False,
        )  # fmt: skip
        return check
    try:
        taken = parse_proof(proof)
        note = parse_note(taken.signed)
        checkpoint = parse_checkpoint(note.text)
    except EvidenceError as error:
        check.add("proof.form", False, "证明格式不合规", f"the proof is malformed: {error}")
        return check
    _check_inclusion(check, taken, checkpoint, held, entry)
    _check_log(check, note, checkpoint, trust.log)
    _check_witnesses(check, note, trust, now_s)
    return check


def _check_receipt(check: LogCheck, held: SignedReceipt, record: bytes | None, trust: Trust) -> None:
    receipt = held.receipt
    if trust.log is None:
        check.add("receipt.signature", None, "没有日志公钥：未核对回执签名", "no key of the log: signature not checked")
    else:
        own = trust.log.name == held.origin
        text = receipt_text(held.origin, receipt)
        check.add(
            "receipt.signature", own and trust.log.holds(text, held.signature),
            "回执签名：日志公钥", "the receipt is signed by the log's key",
        )  # fmt: skip
    if receipt.salt is None:
        check.add(
            "receipt.entry", None, "该消息已删除，回执不含盐值：无法重算存证条目",
            "the message was erased and the receipt has no salt: the entry cannot be recomputed",
        )  # fmt: skip
    else:
        check.add(
            "receipt.entry", fits(receipt), "存证条目由回执内容重算一致", "the entry is that of the receipt's fields"
        )
    if record is None:
        check.add("record", None, "没有原始记录：未核对", "no record was given: not compared", False)
        return
    digest = hashlib.sha256(record).digest()
    check.add(
        "record", digest in (receipt.payload_sha256, receipt.envelope_sha256),
        "原始记录与回执摘要一致", "the record is the one in the receipt",
    )  # fmt: skip


def _check_inclusion(
    check: LogCheck, proof: Proof, checkpoint: Checkpoint, held: SignedReceipt | None, entry: bytes | None
) -> None:
    if held is not None:
        check.add(
            "proof.same", proof.index == held.receipt.index and checkpoint.origin == held.origin,
            "证明与回执为同一日志、同一序号", "proof and receipt name the same log and number",
        )  # fmt: skip
    if entry is None:
        check.add(
            "proof.inclusion", None, "没有回执或条目：未核对条目是否在日志中",
            "neither receipt nor entry was given: inclusion not checked",
        )  # fmt: skip
        return
    try:
        holds = root_of_inclusion(entry, proof.index, checkpoint.size, proof.path) == checkpoint.root
    except EvidenceError:
        holds = False
    check.add(
        "proof.inclusion", holds, f"条目 {proof.index} 在 {checkpoint.size} 条的日志中",
        f"entry {proof.index} is in the log of {checkpoint.size}",
    )  # fmt: skip


def _check_log(check: LogCheck, note: Note, checkpoint: Checkpoint, log: Verifier | None) -> None:
    if log is None:
        check.add("proof.log", None, "没有日志公钥：未核对检查点签名", "no key of the log: checkpoint not checked")
        return
    check.add(
        "proof.log", checkpoint.origin == log.name and note.signed_by(log),
        "检查点签名：日志公钥", "the checkpoint is signed by the log's key",
    )  # fmt: skip


def _check_witnesses(check: LogCheck, note: Note, trust: Trust, now_s: int) -> None:
    known = {w.public_key: w for w in trust.witnesses if w.kind == COSIGNATURE}
    if not known:
        check.add(
            "proof.witnesses", None, "没有见证公钥：未核对见证副署", "no witness's key: cosignatures not checked",
            False,
        )  # fmt: skip
        return
    quorum = len(known) if trust.quorum is None else trust.quorum
    false = [w.name for w in known.values() if note.of(w) and not note.signed_by(w)]
    times = sorted((at for w in known.values() if (at := note.cosigned_at_s(w)) is not None), reverse=True)
    since = times[quorum - 1] if len(times) >= quorum else None
    when = f"; {iso_of(since * 1_000)}" if since is not None and since < 1 << 37 else ""
    holds = not false and since is not None and times[0] <= now_s + FUTURE_S
    check.add(
        "proof.witnesses", holds, f"见证副署 {len(times)} / {len(known)}，需 {quorum}{when}",
        f"{len(times)} of {len(known)} witnesses cosigned, {quorum} are wanted{when}"
        + (f"; does not hold: {', '.join(false)}" if false else ""),
    )  # fmt: skip
    if trust.max_age_s is not None and since is not None:
        check.add(
            "proof.recent", now_s - since <= trust.max_age_s, f"副署不早于 {trust.max_age_s} 秒前",
            f"cosigned no longer than {trust.max_age_s} s ago",
        )  # fmt: skip
