"""How long the list of alarms is: a city audited, its findings grouped as the desk groups them.

python -m bench.alarms [--sessions 1000000] [--cheats-each 20] [--seed 1]

Written: alarms on honest sessions per million of them; cheats by the number of alarms that hold them; alarms by group.
A finding belongs to the cheat on its charger that is nearest in time; the audit's own score, which goes by order and
record, is written beside it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from anxin.cases.grouping import Key, Seen, grouped
from anxin.cases.policy import load_alarm_policy
from anxin.domain.finding import Severity
from anxin.flow.alarm_places import Places
from anxin.formats.register import load_register
from bench.common import BUILD, anxin, write

SESSIONS_PER_CHARGER, DAYS = 250, 90


@dataclass(frozen=True)
class Finding:
    """A finding of the audit, as much as grouping looks at."""

    rule: str
    cause: str
    severity: Severity
    connector_id: str | None
    meter_id: str | None
    operator_id: str | None
    at_utc_ms: int | None


def main() -> None:
    """Make the city, audit it, group what was found, write build/bench/alarms.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--cheats-each", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    place = BUILD / f"alarms-{args.sessions}-{args.cheats_each}-{args.seed}"
    score = audited(place, args.sessions, args.cheats_each, args.seed)
    cases = cases_of(place)
    truths = [json.loads(line) for line in (place / "truth.jsonl").read_text("utf-8").splitlines()]
    owners = {key: {owner(seen, truths) for seen in found} for key, found in cases.items()}
    held: dict[str, set[Key]] = defaultdict(set)
    for key, cheats in owners.items():
        for cheat in cheats - {None}:
            held[str(cheat)].add(key)
    honest = [key for key, cheats in owners.items() if cheats == {None}]
    counts = {t["cheat_id"]: len(held[t["cheat_id"]]) for t in truths}
    write(
        "alarms",
        {
            "sessions": args.sessions,
            "honest_sessions": score["honest_sessions"],
            "findings_on_honest_sessions": score["false_alarms"],
            "findings": sum(map(len, cases.values())),
            "alarms": len(cases),
            "alarms_by_group": dict(Counter(key.group for key in cases)),
            "alarms_on_honest_sessions": len(honest),
            "alarms_per_million_honest_sessions": round(len(honest) * 1e6 / score["honest_sessions"], 3),
            "cheats": len(truths),
            "cheats_by_number_of_alarms": dict(sorted(Counter(counts.values()).items())),
            "cheats_not_in_exactly_one": [
                [t["kind"], [f"{k.group} {k.subject}" for k in held[t["cheat_id"]]]]
                for t in truths
                if counts[t["cheat_id"]] != 1
            ][:20],
        },
    )


def audited(place: Path, sessions: int, cheats_each: int, seed: int) -> dict[str, Any]:
    """Make and audit the city; return the audit's score against its truth."""
    if not (place / "honest.json").exists():
        made = anxin("city", "make", "--out", place, "--sessions", str(sessions), "--districts", "all", "--chargers",
                     str(max(1_200, sessions // SESSIONS_PER_CHARGER)), "--days", str(DAYS), "--cheats-each",
                     str(cheats_each), "--seed", str(seed))  # fmt: skip
        if made.exit_code:
            raise SystemExit("the city could not be made")
    files = {n: sorted(place.joinpath(n).iterdir()) for n in ("orders", "checks", "records")}
    ran = anxin("audit", "--orders", *files["orders"], *files["checks"], "--records", *files["records"], "--register",
                place / "register.json", "--keys", place / "keys.json", "--truth", place / "truth.jsonl", "--out",
                place / "audit", "--json")  # fmt: skip
    score: dict[str, Any] = json.loads(ran.output)["score"]
    return score


def cases_of(place: Path) -> dict[Key, list[Seen]]:
    """Return the audit's findings, grouped; those of groups that wait for a rate as if it were passed."""
    rows = duckdb.execute(
        "select rule, cause, severity, connector_id, meter_id, operator_id, at_utc_ms, session_no::text"
        f" from '{place}/audit/findings.parquet'"
    ).fetchall()
    places = Places.of(load_register((place / "register.json").read_bytes(), "register.json"))
    findings = (places.seen(n, r[7], Finding(r[0], r[1], Severity(r[2]), *r[3:7])) for n, r in enumerate(rows))
    return grouped(findings, load_alarm_policy())


def owner(seen: Seen, truths: list[dict[str, Any]]) -> str | None:
    """Return the cheat on the finding's charger that is nearest in time, None where there was none."""
    near = [
        (abs(datetime.fromisoformat(t["from"]).timestamp() * 1_000 - (seen.at_utc_ms or 0)), str(t["cheat_id"]))
        for t in truths
        if t["charger_id"] == seen.charger_id
    ]
    return min(near)[1] if near else None


if __name__ == "__main__":
    main()
