"""The rule book: every rule, in the order of its id. A rule exists when it stands here."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from anxin.reconcile import rules
from anxin.reconcile.rule import Cause, Rule


@cache
def rule_book() -> tuple[Rule, ...]:
    """Return all rules under rules/, sorted by id. Two rules with one id, or a file without RULE, is a TypeError."""
    found: dict[str, Rule] = {}
    for module in pkgutil.iter_modules(rules.__path__):
        rule = getattr(importlib.import_module(f"{rules.__name__}.{module.name}"), "RULE", None)
        if not isinstance(rule, Rule) or rule.id in found:
            raise TypeError(f"rules/{module.name}.py must define one RULE with an id of its own")
        found[rule.id] = rule
    return tuple(found[i] for i in sorted(found))


def cause_of(rule_id: str, cause_id: str) -> Cause:
    """Return one cause of one rule. An unknown pair is a KeyError: a rule raised what it does not declare."""
    return _causes()[rule_id, cause_id]


@cache
def _causes() -> dict[tuple[str, str], Cause]:
    return {(rule.id, cause.id): cause for rule in rule_book() for cause in rule.causes}
