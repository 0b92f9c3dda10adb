"""The city of the platform's benchmark: made once as files, enrolled, and handed out session by session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from anxin.city.build import build
from anxin.city.meters import make_secret
from anxin.city.options import CityOptions, MessRates
from anxin.domain.party import Party, Role
from anxin.flow import enrol
from anxin.flow.make_city import content_key, make_city
from anxin.flow.platform import Platform
from anxin.formats import meter_envelope


@dataclass(frozen=True)
class Session:
    """A session as it is sent: its order as JSON values, its records as lines."""

    operator: str
    order: dict[str, Any]
    lines: tuple[bytes, ...]


def options_of(chargers: int, days: int, start: date) -> CityOptions:
    """Return the options of a city in which everything comes at once and nothing is lost."""
    punctual = MessRates(late_ppm=0, again_ppm=0, power_failure_ppm=0, lost_record_ppm=0)
    return CityOptions(2, chargers, days, start=start, rates=punctual)


def made_city(folder: Path, options: CityOptions) -> Path:
    """Return the folder of the city, made once a day: its sessions must not be late."""
    out = folder / f"city-{options.chargers}-{options.start.isoformat()}"
    if not (out / "honest.json").is_file():
        make_city(options, out, "wire", 2, lambda done, of: None)
    return out


def enrolled(platform: Platform, options: CityOptions) -> tuple[dict[str, dict[str, str]], str]:
    """Enter the city's register and keys; return the operators' secrets and an inspector's token."""
    city = build(options)
    keys = [content_key(make_secret(options.seed, n, m)) for n, m in enumerate(city.world.meter_code)]
    database, vault = platform.database, platform.vault
    if len(platform.directory.connectors) < options.chargers:
        enrol.enrol_register(database, vault, city.register, keys)
    secrets = {o.operator_id: enrol.new_tcec_secrets(database, vault, o.operator_id) for o in city.register.operators}
    return secrets, enrol.new_token(database, vault, Party(enrol.INSPECTOR, Role.INSPECTOR, "bench"))


def sessions(city: Path, count: int) -> list[Session]:
    """Return the first `count` sessions of the first operators that have a record, in order of their ends."""
    found: list[Session] = []
    for path in sorted((city / "orders").iterdir()):
        lines: dict[str, list[bytes]] = {}
        for line in (city / "records" / f"{path.stem}.axe").read_bytes().splitlines():
            transaction = meter_envelope.parse(meter_envelope.from_line(line)).transaction_id
            lines.setdefault(transaction or "", []).append(line)
        for text in path.read_text("utf-8").splitlines():
            order = json.loads(text)
            if order["StartChargeSeq"] in lines:
                found.append(Session(path.stem, order, tuple(lines[order["StartChargeSeq"]])))
        if len(found) >= count:
            break
    return sorted(found[:count], key=lambda s: (s.order["EndTime"], s.order["StartChargeSeq"]))


def record_lines(city: Path, without: set[bytes], algorithm: str = "") -> Iterator[bytes]:
    """Yield the lines of all records, operator by operator from the last, less those that were handed out; of meters
    that sign with one algorithm where one is named (`SM2-sm2p256v1-SM3`)."""
    keys = json.loads((city / "keys.json").read_text("utf-8"))["keys"] if algorithm else []
    meters = {k["meter_id"] for k in keys if k.get("algorithm") == algorithm}
    for path in sorted((city / "records").iterdir(), reverse=True):
        for line in path.read_bytes().splitlines():
            if line in without:
                continue
            if not algorithm or meter_envelope.parse(meter_envelope.from_line(line)).meter_id in meters:
                yield line
