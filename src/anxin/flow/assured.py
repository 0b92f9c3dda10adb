"""Keeps the state Assured of every charger: set-wise, from register and tables; what changed is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anxin.domain.register import Register
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Directory, Platform
from anxin.store import assured as store
from anxin.store.assured import AssuredReader, AssuredRow, Standing
from anxin.verification.assured import REASONS, ChargerFacts, reasons_of

#: How often it is computed: states of alarms and seals change in minutes.
ASSURED_S = 10.0
#: A session that named other firmware counts for so long.
FIRMWARE_MS = 30 * 86_400_000


def keep_assured(platform: Platform, now: int | None = None) -> int:
    """Compute all chargers' states and write those that changed; return how many. Raises StoreError."""
    now = now_utc_ms() if now is None else now
    platform.refresh()
    directory = platform.directory
    with platform.database.transaction() as connection:
        known = {row.charger_id: row for row in store.rows(connection)}
        found = states_of(directory, store.standing(connection, now - FIRMWARE_MS), now)
        changed = [row for charger, row in found.items() if _differs(known.get(charger), row)]
        gone = [r for c, r in known.items() if c not in found and (r.assured or r.met or r.unmet or not r.unknown)]
        changed += [AssuredRow(r.charger_id, False, [], [], list(REASONS), now) for r in gone]
        store.put(connection, changed)
    return len(changed)


def states_of(directory: Directory, standing: Standing, now: int) -> dict[str, AssuredRow]:
    """Return every charger's state."""
    register = directory.register
    verifications = _by_charger(register.verifications)
    seals = _by_charger(register.seals)
    meters = _keyed(register, now)
    found = {}
    for charger, connectors in directory.connectors_of_charger.items():
        keyed = [meters.get(c.connector_id) for c in connectors]
        heard = any(c.connector_id in standing.heard for c in connectors)
        facts = ChargerFacts(
            verifications.get(charger, ()),
            seals.get(charger, ()),
            None if any(k is None for k in keyed) else all(keyed),
            any(c.connector_id in standing.firmware for c in connectors),
            charger in standing.grave,
            charger in standing.suspected,
            False if charger in standing.silent else True if heard else None,
        )
        reasons = reasons_of(facts, now)
        by = {met: [code for code, is_met in reasons.items() if is_met is met] for met in (True, False, None)}
        found[charger] = AssuredRow(charger, len(by[True]) == len(reasons), by[True], by[False], by[None], now)
    return found


def assured_document(row: AssuredRow | None) -> dict[str, Any]:
    """Return a charger's state with its reasons as anyone reads it; `assured` null where it is not known yet."""
    met = {} if row is None else dict.fromkeys(row.met, True) | dict.fromkeys(row.unmet, False)
    return {
        "assured": None if row is None else row.assured,
        "since_utc_ms": None if row is None else row.at_utc_ms,
        "reasons": [{"code": code, "met": met.get(code), "zh": zh, "en": en} for code, (zh, en) in REASONS.items()],
    }


class AssuredConnectors:
    """Which connectors are assured, for the finder: those of chargers whose state is known."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._read = AssuredReader(platform.database)

    def __call__(self) -> Mapping[str, bool]:
        """Return it by connector. Raises StoreError."""
        chargers = self._platform.directory.connectors_of_charger
        return {c.connector_id: yes for charger, yes in self._read().items() for c in chargers.get(charger, ())}


def _by_charger(entries: tuple[Any, ...]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for entry in entries:
        found.setdefault(entry.charger_id, []).append(entry)
    return found


def _keyed(register: Register, now: int) -> dict[str, bool]:
    """By connector that has a meter now: whether a key of that meter is valid now."""
    valid = {
        k.meter_id for k in register.keys
        if k.valid_from_utc_ms <= now and all(e is None or now < e for e in (k.valid_to_utc_ms, k.revoked_utc_ms))
    }  # fmt: skip
    return {
        m.connector_id: m.meter_id in valid or (m.gateway_id or "") in valid
        for m in register.meters
        if m.installed_utc_ms <= now and (m.removed_utc_ms is None or now < m.removed_utc_ms)
    }


def _differs(before: AssuredRow | None, now: AssuredRow) -> bool:
    return before is None or (before.met, before.unmet, before.unknown) != (now.met, now.unmet, now.unknown)
