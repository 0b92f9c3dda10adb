"""`anxin check`: one file of signed records. Is it authentic, what does it say, what is odd?

1. read the file, whatever dialect it is of       4. run the rules on each transaction
2. judge each record's signature                  5. give each finding to the record that it is about,
3. join the records to transactions                  or to the session where it is about several
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from anxin.domain.batch import Batch, JudgedRecord, SignedRecord, Transaction
from anxin.domain.errors import FormatError, InputError, KeyTextError, PolicyError
from anxin.domain.finding import Finding, Severity
from anxin.domain.meter_record import Answer, MeterSession
from anxin.domain.source import Deviation, Source
from anxin.formats import meter_envelope, ocmf, safe_xml, sniff
from anxin.formats.meter_envelope import ContentKey
from anxin.formats.register import load_keys, load_register
from anxin.formats.signed_records import signed_record, split_records
from anxin.formats.transactions import digest_of, join, session_of
from anxin.reconcile.book import rule_book
from anxin.reconcile.policy import Policy
from anxin.reconcile.sentences import finding_of
from anxin.trust.keyring import KeyRing
from anxin.trust.keys import read_key
from anxin.trust.verify import judge_signed

#: Largest file checked at once. `anxin check` holds a file in memory; ledgers of millions belong to `anxin audit`.
MAX_FILE_BYTES = 64 * 1024 * 1024
#: Largest key file: a PEM or a line of hex. Registers are read up to MAX_FILE_BYTES.
MAX_KEY_FILE_BYTES = 64 * 1024
#: Findings from this severity on make the check fail.
ALARMS = (Severity.WARNING, Severity.VIOLATION, Severity.GRAVE)


@dataclass(slots=True)
class CheckedRecord:
    """One record with its answer, everything odd about it, and what the rules found on it alone."""

    judged: JudgedRecord
    deviations: tuple[Deviation, ...]
    findings: list[Finding] = field(default_factory=list)

    @property
    def record_id(self) -> str:
        """SHA-256 of the signed bytes: the record's identity, the same for a copy and for a high-s twin."""
        return digest_of(self.judged)


@dataclass(slots=True)
class CheckReport:
    """The outcome for one file: its records in their order, its sessions, and findings about several records."""

    records: list[CheckedRecord]
    sessions: list[MeterSession]
    session_findings: list[Finding]

    @property
    def findings(self) -> list[Finding]:
        """All findings, the records' first."""
        return [f for record in self.records for f in record.findings] + self.session_findings

    @property
    def exit_code(self) -> int:
        """0 authentic and nothing to say; 1 not authentic, or findings; 2 nothing, or not everything, could be judged:
        no record could be decoded, or a signature has no usable key."""
        if all(record.judged.signed.record is None for record in self.records):
            return 2
        answers = {record.judged.judgement.answer for record in self.records}
        if answers & {Answer.FORGED, Answer.MALFORMED}:
            return 1
        if Answer.CANNOT_JUDGE in answers:
            return 2
        return 1 if any(finding.severity in ALARMS for finding in self.findings) else 0


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What the user gave: public keys (a register's ring, or one key's text) and keys that open envelopes."""

    public: KeyRing | str | None = None
    content: tuple[ContentKey, ...] = ()


def check_file(path: Path, keys: KnownKeys, policy: Policy) -> CheckReport:
    """Return the report on a file. Raises InputError where it cannot be read at all."""
    batch = read_signed(path, keys.content)
    judged = [JudgedRecord(signed, judge_signed(signed, keys.public)) for signed in batch.signed_records]
    transactions = join(judged)
    records = _with_deviations(judged, batch)
    report = CheckReport(records, [session_of(transaction)[0] for transaction in transactions], [])
    by_id: dict[str, list[CheckedRecord]] = {}
    for record in records:
        by_id.setdefault(record.record_id, []).append(record)
    for transaction in transactions:
        for finding in findings_on(transaction, policy):
            _file_finding(report, by_id, finding)
    return report


def findings_on(transaction: Transaction, policy: Policy) -> list[Finding]:
    """Return what the rule book finds on the records of one transaction, in the order of the rules."""
    return [
        finding_of(raw)
        for rule in rule_book()
        if rule.on_record is not None
        for raw in rule.on_record(transaction, policy)
    ]


def read_signed(path: Path, content_keys: tuple[ContentKey, ...] = ()) -> Batch:
    """Return the signed records of a file, its dialect told by its content. Raises InputError."""
    data, name = read_bytes(path, MAX_FILE_BYTES), str(path)
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InputError(f"{name}: the file is empty")
    batch = Batch()
    try:
        if safe_xml.looks_like_xml(data):
            return safe_xml.decode(data, name)
        if data.startswith(meter_envelope.MAGIC + bytes((meter_envelope.VERSION,))):
            batch.signed_records.append(meter_envelope.decode_binary(data, Source(name, 1), content_keys))
            return batch
    except FormatError as error:
        raise InputError(f"{name}: {error} ({error.rule})") from None
    companion = None
    for row, raw in split_records(data):
        if not _is_attempt(raw) and (key := _key_in(raw)) is not None:
            companion = key
        else:
            batch.signed_records.append(_from_line(raw, Source(name, row), content_keys))
    if companion is not None:
        batch.signed_records = [replace(r, key_text=r.key_text or companion) for r in batch.signed_records]
    if not any(_is_attempt(record.raw) or record.cannot_open for record in batch.signed_records):
        raise InputError(f"{name}: {_unknown_dialect(data, name)}")
    return batch


def _from_line(raw: bytes, source: Source, content_keys: tuple[ContentKey, ...]) -> SignedRecord:
    if raw.startswith(meter_envelope.LINE_PREFIX):
        try:
            return meter_envelope.decode_line(raw, source, content_keys)
        except FormatError as error:
            return SignedRecord(source, raw, None, error.rule, str(error))
    return signed_record(raw, source)


def _key_in(raw: bytes) -> str | None:
    """Return the public key that a line by itself is, None where it is none: people paste record and key together."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        read_key(text)
    except KeyTextError:
        return None
    return text


def read_key_argument(text: str) -> str:
    """Return the text of `--key`: the key itself, or the content of the file that it names. Raises InputError."""
    try:
        path = Path(text)
        if len(text) < 4096 and path.is_file():
            return read_bytes(path, MAX_KEY_FILE_BYTES).decode("utf-8-sig", "replace").strip()
    except (OSError, ValueError):
        return text  # too long for a path, or no path at all: it is the key
    return text


def read_keys(path: Path) -> KnownKeys:
    """Return the keys of a register file or of a keys file. Raises InputError, PolicyError."""
    data = read_bytes(path, MAX_FILE_BYTES)
    try:
        public, content = load_keys(data, str(path))
    except PolicyError as no_keys_file:
        try:
            public, content = load_register(data, str(path)).keys, ()
        except PolicyError as no_register:
            raise (no_register if b"anxin-register" in data[:400] else no_keys_file) from None
    return KnownKeys(KeyRing(public), content)


def read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's bytes. Raises InputError where it is absent, a directory, not readable, or beyond `limit`."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; a file is wanted")
        if path.exists() and path.stat().st_size > limit:
            raise InputError(f"{path}: {path.stat().st_size} bytes; no more than {limit} are read")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{str(path)[:200]!a}: {error}") from None
    if len(data) > limit:
        raise InputError(f"{path}: more than {limit} bytes")
    return data


def _is_attempt(raw: bytes) -> bool:
    """Return whether a line at least tries to be a record: a header, a bar, an object; or an envelope."""
    if ocmf.looks_like_ocmf(raw) or raw.startswith(meter_envelope.LINE_PREFIX):
        return True
    return b"|{" in raw[:16].replace(b" ", b"")


def _unknown_dialect(data: bytes, name: str) -> str:
    """Return why a file without any signed record is refused, naming what it is instead where that can be told."""
    try:
        dialect = sniff.sniff(data[: sniff.HEAD_BYTES], name)
    except InputError as error:
        return str(error).removeprefix(f"{name}: ")
    return f"{dialect.value} holds no signed record by itself; orders and ledgers are for `anxin audit`"


def _with_deviations(judged: list[JudgedRecord], batch: Batch) -> list[CheckedRecord]:
    """Return the records with everything odd about them: their container's doing, their own, and their signature's."""
    of_container: dict[Source, list[Deviation]] = {}
    for source, deviation in batch.deviations:
        of_container.setdefault(source, []).append(deviation)
    checked = []
    for record in judged:
        own = record.signed.record.deviations if record.signed.record is not None else ()
        container = of_container.get(record.signed.source, [])
        checked.append(CheckedRecord(record, (*container, *own, *record.judgement.deviations)))
    return checked


def _file_finding(report: CheckReport, by_id: dict[str, list[CheckedRecord]], finding: Finding) -> None:
    """Give a finding to the one record that it is about; of several copies to the one that it can be meant for."""
    named = by_id.get(finding.record_ids[0], []) if len(finding.record_ids) == 1 else []
    if not named:
        report.session_findings.append(finding)
        return
    if finding.rule == "R03":
        target = named[-1]
    elif finding.cause in ("forged", "cannot_judge", "authentic_if_read_so", "undecodable"):
        target = next((r for r in named if r.judged.judgement.answer is not Answer.AUTHENTIC), named[0])
    else:
        target = named[0]
    target.findings.append(finding)
