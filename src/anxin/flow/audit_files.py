"""The files that an audit leaves beside its report: verdicts, findings, rejects, summary."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from anxin import __version__
from anxin.domain.finding import Finding, SessionState, Severity
from anxin.domain.quantities import iso_of
from anxin.domain.source import Notice
from anxin.flow.importing import Imported
from anxin.reconcile.engine import Engine
from anxin.reconcile.judge import Verdicts
from anxin.reconcile.sentences import finding_of

if TYPE_CHECKING:
    from anxin.flow.audit import Judged

SOFTWARE = f"anxin-charging {__version__}"
#: Findings are rendered and written so many at a time.
FINDINGS_PER_GROUP = 50_000
#: Findings of one cause that stay in memory for the report page; the page shows the worst 2,000 sessions.
KEPT_FINDINGS_PER_CAUSE = 100_000
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
    "local_date", "order_start_utc_ms", "order_end_utc_ms", "order_energy_milli_wh", "amount_e4",
    "record_begin_utc_ms", "record_end_utc_ms", "record_energy_milli_wh", "findings",
)  # fmt: skip


def write_rejects(imported: Imported, path: Path) -> None:
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


@dataclass(slots=True)
class Told:
    """What was found: every finding counted; kept in memory (with its session) as far as a page can use them."""

    kept: list[tuple[Finding, int | None]] = field(default_factory=list, repr=False)
    causes: Counter[tuple[str, str, Severity]] = field(default_factory=Counter)

    @property
    def alarms(self) -> int:
        """How many findings are more than a note."""
        return sum(n for (_, _, severity), n in self.causes.items() if severity is not Severity.NOTE)


def write_findings(engine: Engine, verdicts: Verdicts, path: Path, keep: int | None) -> Told:
    """Write all findings with their sentences, in an order of their own; keep at most `keep` of each cause.

    A stream that lacks its counterpart may raise one finding for each of its millions of rows: they are written cause
    by cause, in groups, and only counted beyond `keep` (None: keep all).
    """
    order = ("session_no", "order_no", "record_no", "at_utc_ms", "order_ids", "record_ids", "meter_id",
             "detail", "expected", "found", "connector_id", "operator_id")  # fmt: skip
    told = Told()
    findings = verdicts.findings
    causes = engine.rows(findings.select("rule", "cause").distinct().order_by(["rule", "cause"])).to_pylist()
    with pq.ParquetWriter(path, FINDING_SCHEMA, compression="zstd") as writer:
        for row in causes:
            of_cause = findings.filter((findings.rule == row["rule"]) & (findings.cause == row["cause"]))
            kept = 0
            for batch in engine.rows(of_cause.order_by(list(order))).to_batches(FINDINGS_PER_GROUP):
                found = [(finding_of(raw), raw["session_no"]) for raw in batch.to_pylist()]
                writer.write_table(_findings_table(found))
                told.causes[row["rule"], row["cause"], found[0][0].severity] += len(found)
                room = len(found) if keep is None else max(0, keep - kept)
                told.kept += found[:room]
                kept += len(found[:room])
    return told


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


def states_of(engine: Engine, verdicts: Verdicts) -> dict[str, int]:
    counted = engine.rows(verdicts.sessions.group_by("state").agg(n=verdicts.sessions.count())).to_pylist()
    found = {row["state"]: row["n"] for row in counted}
    return {state.value: found.get(state.value, 0) for state in SessionState}


def summary_of(judged: Judged, score: dict[str, Any] | None) -> dict[str, Any]:
    imported, engine, ground = judged.imported, judged.engine, judged.verdicts.ground
    rules: dict[str, int] = {}
    causes: dict[str, int] = {}
    for (rule, cause, _), count in judged.told.causes.items():
        rules[rule] = rules.get(rule, 0) + count
        causes[f"{rule}.{cause}"] = count
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
        "alarms": judged.told.alarms,
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


def write_json(document: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
