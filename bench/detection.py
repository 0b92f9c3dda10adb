"""Detection on a city that really signs and encrypts: recall of every cheat, and false alarms, in one run.

python -m bench.detection [--sessions 1000000] [--cheats-each 100] [--seed 1]
"""

from __future__ import annotations

import argparse
import json

from bench.common import BUILD, SESSIONS_PER_CHARGER, anxin, write


def main() -> None:
    """Make the city, audit it, write build/bench/detection.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--cheats-each", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    place = BUILD / f"wire-{args.sessions}-{args.cheats_each}-{args.seed}"
    made = None
    if not (place / "honest.json").exists():
        chargers = max(120, args.sessions // SESSIONS_PER_CHARGER * 4)
        made = anxin("city", "make", "--out", place, "--sessions", str(args.sessions), "--chargers", str(chargers),
                     "--days", str(max(30, args.sessions // chargers // 3)), "--districts", "all", "--cheats-each",
                     str(args.cheats_each), "--seed", str(args.seed))  # fmt: skip
        if made.exit_code:
            raise SystemExit("the city could not be made")
    files = {n: sorted(place.joinpath(n).iterdir()) for n in ("orders", "checks", "records")}
    ran = anxin("audit", "--orders", *files["orders"], *files["checks"], "--records", *files["records"], "--register",
                place / "register.json", "--keys", place / "keys.json", "--truth", place / "truth.jsonl", "--out",
                place / "audit", "--json")  # fmt: skip
    summary = json.loads(ran.output)
    score = summary["score"]
    keep = ("recall_contradicting", "honest_sessions", "false_alarms", "honest_sessions_alarmed",
            "false_alarms_per_million", "cheats", "missed", "false_alarm_examples")  # fmt: skip
    write(
        "detection",
        {
            "sessions": args.sessions,
            "city_seconds": made.seconds if made else None,
            "audit_seconds": ran.seconds,
            "peak_gb": ran.peak_bytes / 1e9,
            "signatures": summary["signatures"],
            "states": summary["sessions"],
            **{name: score[name] for name in keep},
        },
    )


if __name__ == "__main__":
    main()
