"""`anxin audit`: orders against signed meter records, from files to verdicts.

1  import    files to facts; what is refused is kept with its reason
2  load      facts, register and policy on the engine
3  judge     match, rule book, states
4  write     verdicts.parquet, findings.parquet, rejects.csv, summary.json, report.html
Nothing here reads a clock: the reference moment is given, or is the latest moment that the facts themselves name.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from anxin import __version__
from anxin.domain.errors import InputError, PolicyError
from anxin.domain.finding import Finding, SessionState, Severity
from anxin.domain.quantities import iso_of
from anxin.domain.register import MeterKey, Register
from anxin.domain.source import Notice
from anxin.flow.check import read_bytes
from anxin.flow.importing import Imported, Known, import_files
from anxin.formats.meter_envelope import ContentKey
from anxin.formats.register import load_keys, load_operator_secrets, load_register
from anxin.formats.table_dates import DATE_ORDER_REPAIRED
from anxin.formats.table_mapping import load_mapping
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.reconcile.engine import Engine, open_engine
from anxin.reconcile.facts import NUMBERS, VALUES, Facts, register_tables, table_schema
from anxin.reconcile.judge import Verdicts, judge
from anxin.reconcile.policy import Policy, load_policy
from anxin.reconcile.sentences import finding_of
from anxin.trust.keyring import KeyRing

SOFTWARE = f"anxin-charging {__version__}"
#: A register of a large city is some tens of megabytes.
MAX_REGISTER_BYTES = 512 * 1024 * 1024
#: Findings are rendered and written so many at a time.
FINDINGS_PER_GROUP = 50_000
#: Columns of facts that a canonical file may leave out, and what they then are.
DEFAULTS: dict[str, Any] = {
    "time_quantum_ms": 1000,
    "energy_quantum_milli_wh": 1000,
    "clock": "-",
    "answer": "cannot_judge",
    "reason": "unsigned",
    "closed": True,
    "content_digest": "",
    "source_file": "",
    "source_row": 0,
}
_TEXT = pa.string()
_FINDING_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("rule", _TEXT),
    ("cause", _TEXT),
    ("severity", _TEXT),
    ("disagrees", pa.bool_()),
    ("session_no", pa.int64()),
    *((n, _TEXT) for n in ("zh", "en", "expected", "found", "difference", "tolerance", "unit")),
    ("order_ids", pa.list_(_TEXT)),
    ("record_ids", pa.list_(_TEXT)),
    *((n, _TEXT) for n in ("connector_id", "meter_id", "operator_id")),
    ("at_utc_ms", pa.int64()),
]
FINDING_SCHEMA = pa.schema(_FINDING_COLUMNS)
VERDICT_COLUMNS = (
    "session_no", "state", "method", "order_id", "record_id", "orders", "records", "operator_id", "connector_id",
    "meter_id", "local_date", "order_start_utc_ms", "order_end_utc_ms", "order_energy_milli_wh", "amount_e4",
    "record_begin_utc_ms", "record_end_utc_ms", "record_energy_milli_wh", "findings",
)  # fmt: skip

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
    findings: list[tuple[Finding, int | None]] = field(repr=False)
    states: dict[str, int]


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
    _write_rejects(imported, request.out / "rejects.csv")
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
            findings = _write_findings(engine, verdicts, request.out / "findings.parquet")
            sessions = verdicts.sessions.select(*VERDICT_COLUMNS)
            engine.write_parquet(sessions, request.out / "verdicts.parquet", ("session_no",))
            judged = Judged(request, policy, register, imported, engine, verdicts, findings, _states(engine, verdicts))
            score = score_audit(judged) if request.truth is not None else None
            summary = _summary(judged, score)
            _write_json(summary, request.out / "summary.json")
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
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}") from None


def _refuse_nothing(request: AuditRequest, imported: Imported) -> None:
    """Raise InputError where a side that was asked for gave nothing: its absence must not pass for a finding."""
    for kind, paths in (("orders", request.orders), ("records", request.records)):
        there = kind in imported.parquet or kind in imported.tables
        if paths and not there and not (kind == "records" and not imported.tables and imported.parquet):
            reasons = [f"{r.source.file}: {r.message}" if r.source.file not in r.message else r.message
                       for r in imported.rejects[:5]]  # fmt: skip
            raise InputError(f"no {kind} could be read" + "".join(f"\n  {r}" for r in reasons))


def load_facts(imported: Imported, register: Register, as_of_utc_ms: int | None, engine: Engine) -> Facts:
    """Return all facts on the engine, with every column of their schemas, numbered in the order of the input."""
    tables: dict[str, Any] = {}
    present = set()
    arrow = register_tables(register)
    for name, parts in imported.tables.items():
        numbered = _numbered(name, pa.concat_tables([p.select(table_schema(name).names) for p in parts]))
        arrow[name] = pa.concat_tables([arrow[name], numbered]) if name in arrow else numbered
    if "connectors" in arrow:
        arrow["connectors"] = _one_each(arrow["connectors"])
    for name in VALUES:
        paths = imported.parquet.get(name)
        if name in arrow:
            tables[name] = engine.load_arrow(name, arrow[name])
        elif paths:
            tables[name] = _complete(name, engine.load_parquet(name, paths, NUMBERS.get(name)))
        else:
            tables[name] = engine.load_arrow(name, table_schema(name).empty_table())
        if name in arrow and paths:
            # Canonical files come after what was decoded, numbered on from it.
            more = _complete(name, engine.load_parquet(f"{name}_files", paths, NUMBERS.get(name)))
            number = NUMBERS.get(name)
            if number is not None:
                more = more.mutate(**{number: more[number] + arrow[name].num_rows})
            tables[name] = tables[name].union(more)
        if name in arrow or paths:
            present.add(name)
    as_of = _latest(tables, engine) if as_of_utc_ms is None else as_of_utc_ms
    return Facts(tables, frozenset(present), as_of)


def _one_each(connectors: pa.Table) -> pa.Table:
    """Each connector once: the register's entry, else the first that a table's rows make."""
    rows: dict[str, Any] = {}
    for row in connectors.to_pylist():
        rows.setdefault(row["connector_id"], row)
    return pa.Table.from_pylist(list(rows.values()), schema=connectors.schema)


def _numbered(name: str, table: pa.Table) -> pa.Table:
    number = NUMBERS.get(name)
    if number is None:
        return table
    position = table.schema.get_field_index(number)
    return table.set_column(position, pa.field(number, pa.int64()), pa.array(range(table.num_rows), pa.int64()))


def _complete(name: str, table: Any) -> Any:
    """A canonical file with the columns that it left out."""
    kinds = {pa.int64(): "int64", pa.string(): "string", pa.bool_(): "boolean"}
    columns = {}
    for column in table_schema(name):
        kind = kinds[column.type]
        if column.name in table.columns:
            value = table[column.name].cast(kind)
            default = DEFAULTS.get(column.name)
            columns[column.name] = value if default is None else ibis.coalesce(value, ibis.literal(default, kind))
        elif column.name in DEFAULTS:
            columns[column.name] = ibis.literal(DEFAULTS[column.name], kind)
        else:
            columns[column.name] = ibis.null(kind)
    return table.select(**columns)


def _latest(tables: dict[str, Any], engine: Engine) -> int:
    """The latest upload that the facts name; where none is named, the earlier of the two streams' last ends.

    The earlier one, so that a single clock in the future on one side does not make the other side overdue.
    """
    received, ended = [], []
    for name in ("orders", "records"):
        table = tables[name]
        row = engine.rows(table.agg(received=table.received_utc_ms.max(), ended=table.end_utc_ms.max()))
        received.append(row["received"][0].as_py())
        ended.append(row["ended"][0].as_py())
    uploads = [r for r in received if r is not None]
    if uploads:
        return int(max(uploads))
    ends = [e for e in ended if e is not None]
    return int(min(ends)) if ends else 0


def _write_rejects(imported: Imported, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "row", "field", "rule", "message"))
        for reject in imported.rejects:
            writer.writerow(
                (_cell(reject.source.file), reject.source.row, _cell(reject.field or ""), reject.rule,
                 _cell(reject.message))
            )  # fmt: skip
        more = imported.rejected - len(imported.rejects)
        if more:
            writer.writerow(("", "", "", "rejects.more", f"{more} more rows were refused and are only counted"))


def _cell(text: str) -> str:
    """Text for a table program: what would be taken for a formula is kept as text."""
    flat = " ".join(text.split())
    return f"'{flat}" if flat[:1] in ("=", "+", "-", "@") else flat


def _write_findings(engine: Engine, verdicts: Verdicts, path: Path) -> list[tuple[Finding, int | None]]:
    """Write all findings with their sentences, in an order of their own, and return them."""
    order = ("rule", "cause", "session_no", "order_no", "record_no", "at_utc_ms", "order_ids", "record_ids", "meter_id",
             "detail", "expected", "found", "connector_id", "operator_id")  # fmt: skip
    raw = engine.rows(verdicts.findings.order_by(list(order)))
    kept: list[tuple[Finding, int | None]] = []
    with pq.ParquetWriter(path, FINDING_SCHEMA, compression="zstd") as writer:
        for batch in raw.to_batches(FINDINGS_PER_GROUP):
            found = [(finding_of(row), row["session_no"]) for row in batch.to_pylist()]
            writer.write_table(_findings_table(found))
            kept += found
    return kept


def _findings_table(found: Sequence[tuple[Finding, int | None]]) -> pa.Table:
    rows = [
        {n: getattr(f, n) for n in FINDING_SCHEMA.names if n not in {"session_no", "order_ids", "record_ids"}}
        | {
            "session_no": s,
            "order_ids": list(f.order_ids),
            "record_ids": list(f.record_ids),
            "severity": f.severity.value,
        }
        for f, s in found
    ]
    return pa.Table.from_pylist(rows, schema=FINDING_SCHEMA)


def _states(engine: Engine, verdicts: Verdicts) -> dict[str, int]:
    counted = engine.rows(verdicts.sessions.group_by("state").agg(n=verdicts.sessions.count())).to_pylist()
    found = {row["state"]: row["n"] for row in counted}
    return {state.value: found.get(state.value, 0) for state in SessionState}


def _summary(judged: Judged, score: dict[str, Any] | None) -> dict[str, Any]:
    imported, engine, ground = judged.imported, judged.engine, judged.verdicts.ground
    rules: dict[str, int] = {}
    causes: dict[str, int] = {}
    alarms = 0
    for finding, _ in judged.findings:
        rules[finding.rule] = rules.get(finding.rule, 0) + 1
        name = f"{finding.rule}.{finding.cause}"
        causes[name] = causes.get(name, 0) + 1
        alarms += finding.severity is not Severity.NOTE
    copies = {
        "orders": engine.rows(ground.order_copies.agg(n=ground.order_copies.count()))["n"][0].as_py(),
        "records": engine.rows(ground.record_copies.agg(n=ground.record_copies.count()))["n"][0].as_py(),
    }
    document: dict[str, Any] = {
        "software": SOFTWARE,
        "policy_sha256": judged.policy.sha256,
        "policy": {"title": judged.policy.title, "dated": judged.policy.dated},
        "as_of": iso_of(ground.facts.as_of_utc_ms),
        "sessions": judged.states,
        "findings": dict(sorted(rules.items())),
        "findings_by_cause": dict(sorted(causes.items())),
        "alarms": alarms,
        "sent_again": copies,
        "signatures": dict(sorted(imported.answers.items())),
        "deviations": dict(sorted(imported.deviations.items())),
        "rejects": imported.rejected,
        "notices_by_rule": dict(sorted(_counted(imported.notices).items())),
        "notices": [
            {"file": n.file, "rule": n.rule, "count": n.count, "zh": n.zh, "en": n.en} for n in imported.notices
        ],
        "rules_not_run": {rule: list(missing) for rule, missing in judged.verdicts.not_run},
        "inputs": [
            {"file": f.path, "sha256": f.sha256, "dialect": f.dialect, "rows": f.rows, "rejected": f.rejected}
            for f in imported.files
        ],
    }
    if score is not None:
        document["score"] = score
    return document


def _counted(notices: Sequence[Notice]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for notice in notices:
        counts[notice.rule] = counts.get(notice.rule, 0) + notice.count
    return counts


def _write_json(document: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _exit_code(judged: Judged) -> int:
    """0 where everything agrees; 1 on an alarm, a session that does not agree, a refused row or a notice."""
    states = judged.states
    unlike = states["disagree"] + states["record_only"]
    if judged.request.records:
        unlike += states["order_only"]
    alarms = any(f.severity is not Severity.NOTE for f, _ in judged.findings)
    warned = any(n.rule != DATE_ORDER_REPAIRED for n in judged.imported.notices)
    return 1 if unlike or alarms or judged.imported.rejected or warned else 0
