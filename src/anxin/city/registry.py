"""The city's register as the platform's own values: what the authority knows, and no more."""

from __future__ import annotations

from anxin.city.cheats import Cheat
from anxin.city.meters import make_secret
from anxin.city.ocmf_record import FIRMWARE, gateway_of
from anxin.city.options import Kind
from anxin.city.places import CRS
from anxin.city.tariffs import DAY_S, operator_name, register_tariffs
from anxin.city.world import AC_BELOW_W, World
from anxin.domain.register import Connector, Meter, MeterKey, Operator, Register, Seal, Station, Verification

#: Period of verification in use: three years (standards: Gongshu district, 2024, after JJG 1149-2022).
VERIFICATION_S = 3 * 365 * DAY_S
INSTALLED_DAYS_BEFORE = 900
ACCURACY_CLASS = "1"


def make_register(world: World, cheats: list[Cheat]) -> Register:
    """Return the register with broken seals and ended verifications as the authority would have noted them."""
    installed = (world.start_utc_s - INSTALLED_DAYS_BEFORE * DAY_S) * 1_000
    tariffs, periods = register_tariffs(world.operators, installed)
    return Register(
        operators=tuple(Operator(o, operator_name(n), virtual=True) for n, o in enumerate(world.operators)),
        stations=_stations(world),
        connectors=_connectors(world),
        meters=tuple(
            Meter(meter, connector, installed, None, ACCURACY_CLASS, FIRMWARE, gateway_of(meter))
            for meter, connector in zip(world.meter_code, world.connector_code, strict=True)
        ),
        keys=_keys(world, installed),
        verifications=_verifications(world, cheats),
        seals=_seals(world, cheats),
        tariffs=tariffs,
        tariff_periods=periods,
    )


def station_id(world: World, station: int) -> str:
    """Return the id of a station: its district's code and a number."""
    return f"{world.district_codes[int(world.station_district[station])]}{station + 1:05d}"


def _stations(world: World) -> tuple[Station, ...]:
    stations = []
    for number, (longitude, latitude) in enumerate(world.station_place.tolist()):
        operator = int(world.station_operator[number])
        district = world.district_names[int(world.station_district[number])]
        stations.append(
            Station(
                station_id(world, number),
                world.operators[operator],
                f"{operator_name(operator)}{district}{number + 1}号站",
                district,
                f"{longitude:.6f}",
                f"{latitude:.6f}",
                CRS,
            )
        )
    return tuple(stations)


def _connectors(world: World) -> tuple[Connector, ...]:
    connectors = []
    power, operators = world.rated_power_w.tolist(), world.connector_operator.tolist()
    for number, charger in enumerate(world.connector_charger.tolist()):
        connectors.append(
            Connector(
                world.connector_code[number],
                world.charger_code[charger],
                station_id(world, int(world.charger_station[charger])),
                world.operators[operators[number]],
                power[number],
                "AC" if power[number] < AC_BELOW_W else "DC",
            )
        )
    return tuple(connectors)


def _keys(world: World, valid_from_utc_ms: int) -> tuple[MeterKey, ...]:
    keys = []
    for number, meter in enumerate(world.meter_code):
        secret = make_secret(world.options.seed, number, meter)
        keys.append(MeterKey(f"{meter}-1", meter, secret.algorithm, secret.public_key, valid_from_utc_ms))
    return tuple(keys)


def _verifications(world: World, cheats: list[Cheat]) -> tuple[Verification, ...]:
    """Every charger was verified 30 to 800 days before the city begins; where a cheat says so, three years ago."""
    ended = {
        int(world.connector_charger[c.connector]): c.from_s
        for c in cheats
        if c.kind is Kind.EXPIRED_VERIFICATION and c.from_s is not None
    }
    verifications = []
    for number, charger in enumerate(world.charger_code):
        verified = world.start_utc_s - (30 + number * 37 % 770) * DAY_S
        valid_to = verified + VERIFICATION_S
        city_end = world.start_utc_s + (world.options.days + 30) * DAY_S
        if valid_to < city_end:  # a long city: verified again in time, before it begins
            verified = world.start_utc_s - 30 * DAY_S
            valid_to = verified + VERIFICATION_S
        if number in ended:
            valid_to = world.start_utc_s + ended[number]
            verified = valid_to - VERIFICATION_S
        certificate = f"JL-{world.options.start.year}-{number + 1:06d}"
        verifications.append(Verification(charger, certificate, verified * 1_000, valid_to * 1_000))
    return tuple(verifications)


def _seals(world: World, cheats: list[Cheat]) -> tuple[Seal, ...]:
    """Two seals on every charger (双重铅封); of a broken pair the electronic one noticed it."""
    broken = {int(world.connector_charger[c.connector]): c for c in cheats if c.kind is Kind.BROKEN_SEAL}
    seals = []
    for number, charger in enumerate(world.charger_code):
        applied = (world.start_utc_s - (INSTALLED_DAYS_BEFORE - 1) * DAY_S) * 1_000
        seals.append(Seal(f"P{number + 1:07d}", charger, "physical", applied))
        cheat = broken.get(number)
        if cheat is None or cheat.from_s is None or cheat.to_s is None:
            seals.append(Seal(f"E{number + 1:07d}", charger, "electronic", applied))
            continue
        at, until = (world.start_utc_s + cheat.from_s) * 1_000, (world.start_utc_s + cheat.to_s) * 1_000
        seals.append(Seal(f"E{number + 1:07d}", charger, "electronic", applied, at, until))
    return tuple(seals)
