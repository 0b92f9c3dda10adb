"""The register: who operates what, which meter sits where with which key, until when it is verified and sealed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Operator:
    """Who operates chargers. `virtual`: of a virtual city, whose chargers are not real ones."""

    operator_id: str
    name: str
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class Station:
    """A site. Longitude and latitude are decimal text; `crs` names their system (`GCJ-02`, `WGS-84`, `BD-09`).

    `opening` is `24/7` where it never closes, else what is said of its hours; None: not stated.
    """

    station_id: str
    operator_id: str
    name: str
    district: str | None = None
    longitude: str | None = None
    latitude: str | None = None
    crs: str | None = None
    address: str | None = None
    opening: str | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """A plug on a charger. `rated_power_w` bounds what it can deliver; `current_type` is `AC` or `DC`, empty
    where it is not known; a power of 0 is not known either.

    `plug` is a ConnectorType of OCPI 2.2.1 (`GBT_DC`, `CHADEMO`, ...); None: not stated.
    """

    connector_id: str
    charger_id: str
    station_id: str
    operator_id: str
    rated_power_w: int
    current_type: str = ""
    plug: str | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter's stay in a connector, from `installed_utc_ms` to `removed_utc_ms` (None: still there).

    `approved_firmware` lists the versions of its type approval, separated by a comma; None: any.
    """

    meter_id: str
    connector_id: str
    installed_utc_ms: int
    removed_utc_ms: int | None = None
    accuracy_class: str | None = None
    approved_firmware: str | None = None
    gateway_id: str | None = None


@dataclass(frozen=True, slots=True)
class MeterKey:
    """A public key, its owner and its validity. Revocation may be dated back to the theft."""

    key_id: str
    meter_id: str
    algorithm: str
    public_key: str
    valid_from_utc_ms: int
    valid_to_utc_ms: int | None = None
    revoked_utc_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification (检定) of a charger and the end of its validity."""

    charger_id: str
    certificate_no: str
    verified_utc_ms: int
    valid_to_utc_ms: int
    passed: bool = True


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal (铅封), physical or electronic; `broken_utc_ms` None while intact; `replaced_utc_ms` ends a break;
    `checked_utc_ms`: when it was last seen whole before it broke."""

    seal_id: str
    charger_id: str
    kind: str
    applied_utc_ms: int
    broken_utc_ms: int | None = None
    replaced_utc_ms: int | None = None
    checked_utc_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """A tariff's head. `rounding_e4` is the step of money (100 = 0.01); `rounding_scope` is `period` or `total`.

    `zone` is the IANA zone of its periods' wall clock; `utc_offset_minutes` that zone's fixed offset, which engines
    use (zones with daylight saving are expanded into dated tariffs when a register is read).
    """

    tariff_id: str
    operator_id: str
    currency: str
    valid_from_utc_ms: int
    valid_to_utc_ms: int | None
    zone: str
    utc_offset_minutes: int
    rounding_e4: int = 100
    rounding_scope: str = "period"


@dataclass(frozen=True, slots=True)
class TariffPeriod:
    """One span of the local day, `minute_from` <= minute < `minute_to`, with its two prices per kWh."""

    tariff_id: str
    minute_from: int
    minute_to: int
    energy_price_e4: int
    service_price_e4: int


@dataclass(frozen=True, slots=True)
class Register:
    """All of it, as read from files."""

    operators: tuple[Operator, ...] = ()
    stations: tuple[Station, ...] = ()
    connectors: tuple[Connector, ...] = ()
    meters: tuple[Meter, ...] = ()
    keys: tuple[MeterKey, ...] = ()
    verifications: tuple[Verification, ...] = ()
    seals: tuple[Seal, ...] = ()
    tariffs: tuple[Tariff, ...] = ()
    tariff_periods: tuple[TariffPeriod, ...] = ()
    sources: tuple[str, ...] = field(default=())
