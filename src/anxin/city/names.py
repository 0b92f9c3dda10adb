"""Identifiers and wall-clock text as the wire carries them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from anxin.city.tariffs import DAY_S, UTC_OFFSET_S
from anxin.city.world import World


@lru_cache(maxsize=4_096)
def day_text(midnight_utc_s: int, day: int) -> str:
    """Return the local date, ISO, of a day counted from the city's first midnight."""
    return (datetime.fromtimestamp(midnight_utc_s + UTC_OFFSET_S, UTC) + timedelta(days=day)).date().isoformat()


class Names:
    """Text for one world's arrays."""

    def __init__(self, world: World) -> None:
        self.midnight = world.start_utc_s
        self.operators = world.operators

    def date(self, second: int) -> str:
        """Local date, ISO."""
        return day_text(self.midnight, second // DAY_S)

    def clock(self, second: int) -> str:
        """Local time of the day, HH:MM:SS."""
        minutes, seconds = divmod(second % DAY_S, 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"

    def wall(self, second: int) -> str:
        """Local time as T/CEC 102 writes it, `yyyy-MM-dd HH:mm:ss`."""
        return f"{self.date(second)} {self.clock(second)}"

    def iso(self, second: int) -> str:
        """Local time with its offset, ISO 8601."""
        return f"{self.date(second)}T{self.clock(second)}+08:00"

    def ocmf(self, second: int, letter: str) -> str:
        """Local time as OCMF writes it, with the letter of its synchronisation status."""
        return f"{self.date(second)}T{self.clock(second)},000+0800 {letter}"

    def order_id(self, operator: int, second: int, serial: int) -> str:
        """T/CEC 102 `StartChargeSeq`: the operator's nine characters and eighteen digits (yyMMddHHmm, serial)."""
        date, clock = self.date(second), self.clock(second)
        return f"{self.operators[operator]}{date[2:4]}{date[5:7]}{date[8:10]}{clock[:2]}{clock[3:5]}{serial:08d}"


def kwh(energy_wh: int, decimals: int = 3) -> str:
    """Return watt-hours as kWh text with 3 decimals, or with 2 where the last digit is nought by habit."""
    text = f"{energy_wh // 1_000}.{energy_wh % 1_000:03d}"
    return text if decimals == 3 else text[:-1]


def yuan(amount_cents: int) -> str:
    """Return cents as yuan text."""
    return f"{amount_cents // 100}.{amount_cents % 100:02d}"


def price(price_e4: int) -> str:
    """Return a price in ten-thousandths as text with four decimals."""
    return f"{price_e4 // 10_000}.{price_e4 % 10_000:04d}"


def pseudonym(seed: int, driver: int) -> str:
    """Return a driver's pseudonym, sixteen hex characters; no driver of the city is a person."""
    return hashlib.sha256(f"driver/{seed}/{driver}".encode()).hexdigest()[:16].upper()
