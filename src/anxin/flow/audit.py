"""`anxin audit`: orders against signed meter records, from files to verdicts.

1  import    files to facts; what is refused is kept with its reason
2  load      facts, register and policy on the engine
3  judge     match, rule book, states
4  write     verdicts.parquet, findings.parquet, rejects.csv, summary.json, report.html
Nothing here reads a clock: the reference moment is given, or is the latest moment that the facts themselves name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anxin.domain.errors import InputError, PolicyError
from anxin.domain.finding import Finding
from anxin.domain.register import MeterKey, Register
from anxin.domain.source import Reject
from anxin.flow.audit_files import (
    KEPT_FINDINGS_PER_CAUSE,
    VERDICT_COLUMNS,
    Told,
    states_of,
    summary_of,
    write_findings,
    write_json,
    write_rejects,
)
from anxin.flow.check import read_bytes
from anxin.flow.importing import Imported, Known, import_files
from anxin.flow.loading import load_facts
from anxin.formats.meter_envelope import ContentKey
from anxin.formats.register import load_keys, load_operator_secrets, load_register
from anxin.formats.table_dates import DATE_ORDER_REPAIRED
from anxin.formats.table_mapping import load_mapping
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.reconcile.engine import Engine, open_engine
from anxin.reconcile.judge import Verdicts, judge
from anxin.reconcile.policy import Policy, load_policy
from anxin.trust.keyring import KeyRing

#: What an audit leaves in its folder.
RESULTS = ("summary.json", "verdicts.parquet", "findings.parquet", "rejects.csv", "report.html")
#: A register of a large city is some tens of megabytes.
MAX_REGISTER_BYTES = 512 * 1024 * 1024
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What the user asked for. Paths are as he gave them: they stand so in the report."""

    orders: tuple[Path, ...]
    records: tuple[Path, ...]
    out: Path
    register: Path | None = None
    keys: Path | None = None
    policy: Path | None = None
    mappings: tuple[Path, ...] = ()
    truth: Path | None = None
    engine: str = "duckdb"
    as_of_utc_ms: int | None = None
    zone: str = "Asia/Shanghai"
    memory_limit: str = "8GB"
    title_zh: str = "充电计量审核报告"
    title_en: str = "Charging metrology audit"
    command: tuple[str, ...] = ()


@dataclass(slots=True)
class AuditResult:
    """The outcome: `summary` as written to summary.json, and the exit code."""

    summary: dict[str, Any]
    exit_code: int


@dataclass(frozen=True, slots=True)
class Judged:
    """An audit on its engine, before anything is written: what the report and the score look at."""

    request: AuditRequest
    policy: Policy
    register: Register
    imported: Imported
    engine: Engine
    verdicts: Verdicts
    told: Told
    states: dict[str, int]

    @property
    def findings(self) -> list[tuple[Finding, int | None]]:
        """Findings with their sessions: all where the audit is scored, else the first of each cause."""
        return self.told.kept


def run_audit(request: AuditRequest, progress: Progress = lambda step, done, total: None) -> AuditResult:
    """Run an audit and leave its five files in `request.out`.

    Raises InputError where a side that was asked for gave nothing to judge, or the register, keys or policy cannot
    be read; PolicyError where one of them contradicts its format.
    """
    from anxin.flow.report_view import write_report
    from anxin.flow.score import score_audit

    policy, register, known = _prepare(request)
    _make_out(request.out)
    # 1 Import.
    imported = import_files(request.orders, request.records, known, lambda d, t: progress("import", d, t))
    write_rejects(imported, request.out / "rejects.csv")
    _refuse_nothing(request, imported)
    with tempfile.TemporaryDirectory(prefix=".anxin-", dir=request.out) as scratch:
        engine = open_engine(request.engine, Path(scratch), request.memory_limit)
        try:
            # 2 Load.
            facts = load_facts(imported, register, request.as_of_utc_ms, engine)
            # 3 Judge.
            steps = [0]

            def step(name: str) -> None:
                steps[0] += 1
                progress(f"judge {name}", steps[0], 0)

            verdicts = judge(facts, policy, engine, step)
            # 4 Write.
            progress("write", 0, 0)
            keep = KEPT_FINDINGS_PER_CAUSE if request.truth is None else None
            told = write_findings(engine, verdicts, request.out / "findings.parquet", keep)
            sessions = verdicts.sessions.select(*VERDICT_COLUMNS)
            engine.write_parquet(sessions, request.out / "verdicts.parquet", ("session_no",))
            judged = Judged(request, policy, register, imported, engine, verdicts, told, states_of(engine, verdicts))
            score = score_audit(judged) if request.truth is not None else None
            summary = summary_of(judged, score)
            write_json(summary, request.out / "summary.json")
            progress("report", 0, 0)
            write_report(judged, summary, score, request.out / "report.html")
        finally:
            engine.close()
    return AuditResult(summary, _exit_code(judged))


def _prepare(request: AuditRequest) -> tuple[Policy, Register, Known]:
    policy = load_policy(request.policy)
    register = Register()
    if request.register is not None:
        register = load_register(read_bytes(request.register, MAX_REGISTER_BYTES), str(request.register))
    keys: tuple[MeterKey, ...] = register.keys
    content_keys: tuple[ContentKey, ...] = ()
    secrets: tuple[OperatorSecrets, ...] = ()
    if request.keys is not None:
        data = read_bytes(request.keys, MAX_REGISTER_BYTES)
        more, content_keys = load_keys(data, str(request.keys))
        secrets = load_operator_secrets(data, str(request.keys))
        known_ids = {k.key_id for k in keys}
        keys = (*keys, *(k for k in more if k.key_id not in known_ids))
        register = replace(register, keys=keys)
    mappings = {}
    for path in request.mappings:
        mapping = load_mapping(path)
        if mapping.kind in mappings:
            raise PolicyError(f"mapping file {path}: a second mapping of {mapping.kind}")
        mappings[mapping.kind] = mapping
    known = Known(policy, KeyRing(keys), content_keys, secrets, mappings, request.zone)
    return policy, register, known


def _make_out(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        # What an earlier audit left here must not pass for this one's, should this one fail.
        for name in RESULTS:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}") from None


def _refuse_nothing(request: AuditRequest, imported: Imported) -> None:
    """Raise InputError where a side that was asked for gave nothing: its absence must not pass for a finding."""
    for kind, paths in (("orders", request.orders), ("records", request.records)):
        if paths and kind not in imported.parquet and kind not in imported.tables:
            reasons = [_reason(r) for r in imported.rejects[:5]]
            raise InputError(f"no {kind} could be read" + "".join(f"\n  {r}" for r in reasons))


def _reason(reject: Reject) -> str:
    """A reject as one line: file, row and field where they are known, and why."""
    place = [reject.source.file] if reject.source.file not in reject.message else []
    place += [f"row {reject.source.row}"] if reject.source.row else []
    place += [reject.field] if reject.field and reject.field not in reject.message else []
    return ": ".join((*place, reject.message))


def _exit_code(judged: Judged) -> int:
    """0 where everything agrees; 1 on an alarm, a session that does not agree, a refused row or a notice."""
    states = judged.states
    unlike = states["disagree"] + states["record_only"]
    if judged.request.records:
        unlike += states["order_only"]
    warned = any(n.rule != DATE_ORDER_REPAIRED for n in judged.imported.notices)
    return 1 if unlike or judged.told.alarms or judged.imported.rejected or warned else 0
