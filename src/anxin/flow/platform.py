"""What every face works with: settings, database, intake, and the directory of parties and register.

The directory is a snapshot, exchanged as a whole when the database says that something changed; keys are rotated and
revoked while the platform runs, and no handler ever sees half of a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from anxin.domain.party import Credential, Party
from anxin.domain.register import Connector, Register, Station, Verification
from anxin.domain.seal_event import SealEvent, seals_of
from anxin.flow.intake import Intake, now_utc_ms
from anxin.flow.measures import Measures
from anxin.flow.rates import Buckets
from anxin.formats.meter_envelope import SUITE_NAMES, ContentKey
from anxin.formats.tcec102_envelope import OperatorSecrets
from anxin.settings import Settings
from anxin.store import parties as store
from anxin.store.database import Database
from anxin.store.parties import Version
from anxin.store.reports import load_reports
from anxin.trust.keyring import KeyRing
from anxin.trust.vault import Vault

REFRESH_S = 0.5


@dataclass(frozen=True, slots=True)
class TcecSecrets:
    """The T/CEC secrets of one operator: `operator_secret` buys a token, the others seal and sign envelopes."""

    operator_secret: str
    secrets: OperatorSecrets
    credential: Credential


@dataclass(frozen=True, slots=True)
class Directory:
    """Who is who, at one moment."""

    version: Version = field(default_factory=Version)
    parties: dict[str, Party] = field(default_factory=dict)
    register: Register = field(default_factory=Register)
    ring: KeyRing = field(default_factory=KeyRing)
    content_keys: dict[str, tuple[ContentKey, Credential]] = field(default_factory=dict)
    tcec: dict[str, tuple[TcecSecrets, ...]] = field(default_factory=dict)
    by_lookup: dict[tuple[str, str], Credential] = field(default_factory=dict)
    credentials_of: dict[tuple[str, str], tuple[Credential, ...]] = field(default_factory=dict)
    connectors: dict[str, Connector] = field(default_factory=dict)
    stations: dict[str, Station] = field(default_factory=dict)
    connectors_of_charger: dict[str, tuple[Connector, ...]] = field(default_factory=dict)

    def party_of_token(self, token: str, kind: str = "bearer") -> Party | None:
        """Return the party whose valid token this is, None for a stranger, a revoked token or a suspended party."""
        found = self.holder_of_token(token, kind)
        return None if found is None else found[0]

    def holder_of_token(self, token: str, kind: str = "bearer") -> tuple[Party, Credential] | None:
        """Return the same party with the credential that the token is, None as above."""
        credential = self.by_lookup.get((kind, store.token_lookup(token)))
        if credential is None or not credential.valid_at(now_utc_ms()):
            return None
        party = self.parties.get(credential.party_id)
        return None if party is None or party.suspended else (party, credential)

    def valid_tcec(self, operator_id: str) -> tuple[TcecSecrets, ...]:
        """Return the T/CEC secrets of an operator that are valid now, newest first; none for one that is suspended."""
        party = self.parties.get(operator_id)
        if party is None or party.suspended:
            return ()
        now = now_utc_ms()
        valid = [s for s in self.tcec.get(operator_id, ()) if s.credential.valid_at(now)]
        return tuple(sorted(valid, key=lambda s: -s.credential.valid_from_utc_ms))

    def valid_content_key(self, key_id: str) -> ContentKey | None:
        """Return a meter's content key that is valid now."""
        found = self.content_keys.get(key_id)
        if found is None or not found[1].valid_at(now_utc_ms()):
            return None
        return found[0]

    def operator_of_connector(self, connector_id: str) -> str | None:
        """Return whose connector this is by the register."""
        connector = self.connectors.get(connector_id)
        return None if connector is None else connector.operator_id

    def is_virtual(self, charger_id: str) -> bool:
        """Return whether a charger is of a virtual city by the register; of one that it does not know: no."""
        owners = {c.operator_id for c in self.connectors_of_charger.get(charger_id, ())}
        return bool(owners) and all(o.virtual for o in self.register.operators if o.operator_id in owners)

    def district_of_connector(self, connector_id: str | None) -> str | None:
        """Return in which district a connector is by the register."""
        connector = self.connectors.get(connector_id or "")
        station = None if connector is None else self.stations.get(connector.station_id)
        return None if station is None else station.district

    def entries_in(self, districts: Collection[str]) -> set[str]:
        """Return the stations and connectors of the register in some districts."""
        inside = {s.station_id for s in self.stations.values() if s.district in districts}
        return inside | {c.connector_id for c in self.connectors.values() if c.station_id in inside}

    def senders_in(self, districts: Collection[str]) -> set[str]:
        """Return who sends from these districts alone: chargers, meters, operators with all their stations there."""
        inside = self.entries_in(districts)
        meters = {m.meter_id for m in self.register.meters if m.connector_id in inside}
        elsewhere = {m.meter_id for m in self.register.meters if m.connector_id not in inside}
        found = meters - elsewhere
        for name, owned in self.connectors_of_charger.items():
            if all(c.connector_id in inside for c in owned):
                found.add(name)
        owners = {s.operator_id for s in self.stations.values()}
        return found | (owners - {s.operator_id for s in self.stations.values() if s.station_id not in inside})


def with_reports(register: Register, verified: Sequence[Verification], events: Sequence[SealEvent]) -> Register:
    """Return the register with what benches and inspectors reported. The authority's own entries stand.

    Of two results of one charger under one certificate number the first one kept counts; the other is a finding.
    """
    known = {(v.charger_id, v.certificate_no): v for v in (*reversed(verified), *register.verifications)}
    return replace(register, verifications=tuple(known.values()), seals=seals_of(register.seals, events))


def load_directory(
    database: Database, open_: Callable[[bytes, str], bytes] | None, old: Directory | None = None
) -> Directory:
    """Return the directory as the database has it now; what has not changed since `old` is not read again.

    `open_` opens secrets; without it the directory holds no credentials.
    """
    with database.transaction() as connection:
        # Read first: a change during the reading is noticed at the next look.
        version = store.version(connection)
    old = old or Directory()
    new = replace(old, version=version)
    if version.register != old.version.register:
        new = replace(new, **_registered(with_reports(store.load_register(database), *load_reports(database))))
    if version.parties != old.version.parties:
        parties = {p.party_id: p for p in store.load_parties(database)}
        new = replace(new, parties=parties)
        if open_ is not None:
            new = replace(new, **_credentials(store.load_credentials(database, open_)))
    return new


def _registered(register: Register) -> dict[str, Any]:
    of_charger: dict[str, list[Connector]] = {}
    for connector in register.connectors:
        of_charger.setdefault(connector.charger_id, []).append(connector)
    return {
        "register": register,
        "ring": KeyRing(register.keys),
        "connectors": {c.connector_id: c for c in register.connectors},
        "stations": {s.station_id: s for s in register.stations},
        "connectors_of_charger": {k: tuple(v) for k, v in of_charger.items()},
    }


def _credentials(credentials: Iterable[Credential]) -> dict[str, Any]:
    content_keys: dict[str, tuple[ContentKey, Credential]] = {}
    tcec: dict[str, list[TcecSecrets]] = {}
    by_lookup: dict[tuple[str, str], Credential] = {}
    of_party: dict[tuple[str, str], list[Credential]] = {}
    for c in credentials:
        of_party.setdefault((c.party_id, c.kind), []).append(c)
        if c.lookup is not None:
            by_lookup[c.kind, c.lookup] = c
        if c.kind == "content_key" and c.lookup is not None and c.secret is not None:
            suite = SUITE_NAMES[c.public["suite"]]
            content_keys[c.lookup] = (ContentKey(c.lookup, suite, c.secret, c.public.get("meter_id")), c)
        elif c.kind == "tcec102" and c.secret is not None:
            body = json.loads(c.secret)
            values = OperatorSecrets(
                c.party_id, body["data_secret"].encode(), body["data_secret_iv"].encode(), body["sig_secret"].encode()
            )
            tcec.setdefault(c.party_id, []).append(TcecSecrets(body["operator_secret"], values, c))
    return {
        "content_keys": content_keys,
        "tcec": {k: tuple(v) for k, v in tcec.items()},
        "by_lookup": by_lookup,
        "credentials_of": {k: tuple(v) for k, v in of_party.items()},
    }


def set_aside() -> None:
    """Let Python's collector pass over what is here now: a register of a city is a million objects that stay, and each
    full round over them stops the process for most of a second. What was set aside before and is gone is let go."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Platform:
    """The running platform of one process. `credentials`: whether it needs those of the parties at all. Who needs none
    holds no secret of anybody's. `owns_process`: nothing else lives in the process, so its memory may be arranged."""

    owns_process = False

    def __init__(self, settings: Settings, database: Database, vault: Vault, *, credentials: bool = True) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self._open = vault.open if credentials else None
        self.measures = Measures()
        self.intake = Intake(database, settings, self.measures)
        self.directory = Directory()
        self.people = Buckets(settings.party_rate_per_s, settings.party_burst)
        self._watch: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Exchange the directory where the database has a newer one."""
        with self.database.transaction() as connection:
            version = store.version(connection)
        if version != (old := self.directory.version):
            self.directory = load_directory(self.database, self._open, self.directory)
            if self.owns_process and self.directory.version.register != old.register:
                set_aside()

    async def start(self) -> None:
        """Load the directory and begin to commit. Called inside the running event loop."""
        await asyncio.to_thread(self.refresh)
        self.intake.start()
        self._watch = asyncio.create_task(self._watch_for_ever(), name="directory")

    async def stop(self) -> None:
        """Stop; what waits is committed first."""
        await self.intake.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _watch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            # A database that is away for a moment leaves the directory as it was; the doors fail closed by themselves.
            with contextlib.suppress(Exception):
                await asyncio.to_thread(self.refresh)
