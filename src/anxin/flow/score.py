"""The audit against the truth of a virtual city: recall per kind and size, and false alarms, always together.

A cheat counts as found where an alarm (severity warning and above) rests on one of its orders or records. An alarm
that rests on nothing of any cheat is a false alarm; each honest session that false alarms touch counts once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anxin.domain.errors import InputError
from anxin.domain.finding import Severity
from anxin.flow.check import read_bytes

if TYPE_CHECKING:
    from anxin.flow.audit import Judged

MAX_TRUTH_BYTES = 1024 * 1024 * 1024
#: Upper edges of the size classes of cheats whose size is an energy (kWh) or an amount, in the truth's own words.
_CLASSES = ((Decimal("0.1"), "<= 0.1"), (Decimal(1), "<= 1"), (Decimal(10), "<= 10"))


def score_audit(judged: Judged) -> dict[str, Any]:
    """Return recall per kind and size class, the cheats missed, and false alarms per million honest sessions.

    Raises InputError where the truth file cannot be read.
    """
    assert judged.request.truth is not None
    cheats = _read(judged.request.truth)
    owner: dict[str, set[str]] = defaultdict(set)
    for cheat in cheats:
        for name in (*cheat["order_ids"], *cheat["record_ids"]):
            owner[name].add(cheat["cheat_id"])
    transactions = _transactions(judged)
    found: dict[str, set[str]] = defaultdict(set)
    false: list[dict[str, Any]] = []
    touched: set[str] = set()
    for finding, session in judged.findings:
        if finding.severity is Severity.NOTE:
            continue
        names = {*finding.order_ids, *(transactions.get(r, r) for r in finding.record_ids)}
        hit = set().union(*(owner[n] for n in names if n in owner))
        for cheat_id in hit:
            found[cheat_id].add(f"{finding.rule}.{finding.cause}")
        if not hit:
            false.append({"rule": finding.rule, "cause": finding.cause, "en": finding.en, "session_no": session})
            touched |= names or {finding.en}
    honest = sum(judged.states.values()) - len(_cheated(judged, owner))
    return {
        "cheats": _recall(cheats, found),
        "missed": [
            {"cheat_id": c["cheat_id"], "kind": c["kind"], "size": c["size"],
             "contradicts_record": c["contradicts_record"]}
            for c in cheats if c["cheat_id"] not in found
        ],
        "recall_contradicting": _share(
            [c for c in cheats if c["contradicts_record"]], found
        ),
        "honest_sessions": honest,
        "false_alarms": len(false),
        "honest_sessions_alarmed": len(touched),
        "false_alarms_per_million": f"{Decimal(len(false)) * 1_000_000 / max(honest, 1):.3f}",
        "false_alarm_examples": false[:50],
    }  # fmt: skip


def size_class(size: dict[str, Any]) -> str:
    """Return the class of a cheat's size: by its energy, its amount, or plain."""
    for name in ("energy_kwh", "amount"):
        if name in size:
            try:
                value = abs(Decimal(str(size[name])))
            except InvalidOperation:
                break
            unit = "kWh" if name == "energy_kwh" else "CNY"
            return next((f"{text} {unit}" for edge, text in _CLASSES if value <= edge), f"> 10 {unit}")
    return "–"


def _read(path: Path) -> list[dict[str, Any]]:
    cheats = []
    for row, line in enumerate(read_bytes(path, MAX_TRUTH_BYTES).splitlines(), 1):
        if not line.strip():
            continue
        try:
            cheat = json.loads(line)
            cheats.append({n: cheat[n] for n in ("cheat_id", "kind", "size", "order_ids", "record_ids",
                                                 "contradicts_record")})  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: row {row}: no line of truth ({error})") from None
    return cheats


def _transactions(judged: Judged) -> dict[str, str]:
    """record id -> transaction id, of the records that findings rest on."""
    import pyarrow as pa

    named = sorted({r for f, _ in judged.findings for r in f.record_ids})
    wanted = judged.engine.load_arrow("named_records", pa.table({"record_id": pa.array(named, pa.string())}))
    records = judged.verdicts.ground.records
    rows = judged.engine.rows(records.semi_join(wanted, "record_id").select("record_id", "transaction_id"))
    return {r["record_id"]: r["transaction_id"] for r in rows.to_pylist() if r["transaction_id"]}


def _cheated(judged: Judged, owner: dict[str, set[str]]) -> set[int]:
    """Sessions of which an order or a record belongs to a cheat."""
    import pyarrow as pa

    names = judged.engine.load_arrow("cheated_names", pa.table({"name": pa.array(sorted(owner), pa.string())}))
    ground = judged.verdicts.ground
    orders = ground.orders.join(names, ground.orders.order_id == names.name).select("order_no")
    records = ground.records.join(names, ground.records.transaction_id == names.name).select("record_no")
    sessions = ground.sessions
    numbers = sessions.semi_join(orders, "order_no").select("session_no").union(
        sessions.semi_join(records, "record_no").select("session_no"), distinct=True
    )  # fmt: skip
    return {row["session_no"] for row in judged.engine.rows(numbers).to_pylist()}


def _recall(cheats: list[dict[str, Any]], found: dict[str, set[str]]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for cheat in cheats:
        rows[cheat["kind"], size_class(cheat["size"])].append(cheat)
    return [
        {"kind": kind, "size": size, **_share(members, found),
         "by": sorted(set().union(*(found[c["cheat_id"]] for c in members if c["cheat_id"] in found)))}
        for (kind, size), members in sorted(rows.items())
    ]  # fmt: skip


def _share(cheats: list[dict[str, Any]], found: dict[str, set[str]]) -> dict[str, int]:
    return {"planted": len(cheats), "found": sum(c["cheat_id"] in found for c in cheats)}
