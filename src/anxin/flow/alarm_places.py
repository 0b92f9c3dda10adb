"""Whom a finding is about, by the register: its charger, operator and district."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from anxin.cases.grouping import Seen
from anxin.domain.finding import Severity
from anxin.domain.register import Connector, Register


class Found(Protocol):
    """What is asked of a finding, be it a live one or an audit's."""

    @property
    def rule(self) -> str: ...
    @property
    def cause(self) -> str: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def connector_id(self) -> str | None: ...
    @property
    def meter_id(self) -> str | None: ...
    @property
    def operator_id(self) -> str | None: ...
    @property
    def at_utc_ms(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Places:
    """The register as the desk needs it: connectors, whose meter sits where, and the district of a station."""

    connectors: dict[str, Connector] = field(default_factory=dict)
    connector_of_meter: dict[str, str] = field(default_factory=dict)
    districts: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, register: Register) -> Places:
        """Return the places of a register."""
        return cls(
            {c.connector_id: c for c in register.connectors},
            {m.meter_id: m.connector_id for m in register.meters},
            {s.station_id: s.district for s in register.stations},
        )

    def seen(self, number: int, session: str | None, found: Found, operator_of_session: str | None = None) -> Seen:
        """Return a finding with what the register says; its own words go first, then the register's, the verdict's."""
        name = found.connector_id or self.connector_of_meter.get(found.meter_id or "")
        connector = self.connectors.get(name or "")
        registered = None if connector is None else connector.operator_id
        return Seen(
            number=number,
            rule=found.rule,
            cause=found.cause,
            severity=found.severity,
            session=session,
            charger_id=None if connector is None else connector.charger_id,
            connector_id=name,
            meter_id=found.meter_id,
            operator_id=found.operator_id or registered or operator_of_session,
            district=None if connector is None else self.districts.get(connector.station_id),
            at_utc_ms=found.at_utc_ms,
        )
