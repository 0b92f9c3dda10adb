"""Policy and rules in full, as they were when something was judged: kept once for each pair of policy and software."""

from __future__ import annotations

from typing import Any

from anxin.reconcile.book import rule_book
from anxin.reconcile.policy import Policy
from anxin.store import packs
from anxin.store.database import Database


def keep_standing(database: Database, policy: Policy, software: str) -> None:
    """Keep what is judged under from now on, so that a later reader sees the texts that were in force."""
    with database.transaction() as connection:
        packs.keep_standing(connection, policy.sha256, software, policy_document(policy), rule_documents())


def policy_document(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values; its SHA-256 is over the canonical JSON of `title`, `dated`, `values`."""
    return {
        "title": policy.title,
        "dated": policy.dated,
        "values": {
            name: {"value": v.value, "unit": v.unit, "source": v.source, "status": v.status}
            for name, v in sorted(policy.values.items())
        },
    }


def rule_documents() -> list[dict[str, Any]]:
    """Return the rule book as JSON values: what each rule says in both languages, its basis, its causes."""
    return [
        {
            "id": rule.id, "name": rule.name,
            "title_zh": rule.title_zh, "title_en": rule.title_en,
            "explain_zh": rule.explain_zh, "explain_en": rule.explain_en,
            "basis": [{"source": b.source, "status": b.status} for b in rule.basis],
            "causes": [
                {"id": c.id, "severity": c.severity.value, "disagrees": c.disagrees, "zh": c.zh, "en": c.en}
                for c in rule.causes
            ],
        }
        for rule in rule_book()
    ]  # fmt: skip
