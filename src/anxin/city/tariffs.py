"""Operators with their habits, and their time-of-use tariffs (尖峰平谷)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from anxin.city.arrays import Ints
from anxin.domain.register import Tariff, TariffPeriod

DAY_S = 86_400
ZONE = "Asia/Shanghai"
UTC_OFFSET_S = 8 * 3_600

# Energy prices in ten-thousandths of a yuan per kWh: sharp peak, peak, flat, valley. The steps follow the kind of
# grid tariff a commercial user pays; they are the city's own figures, not any grid company's list.
SHARP, PEAK, FLAT, VALLEY = 12_638, 10_431, 7_192, 3_127


@dataclass(frozen=True, slots=True)
class Habit:
    """How an operator's platform writes its orders; every habit is honest.

    energy_step_wh    last digit shown: 1 (0.001 kWh) or 10 (0.01 kWh)
    time_step_s       1, or 60 where it writes minutes
    split_midnight    whether it starts a new order at midnight
    meter_numbers     whether it states the meter's registers (MeterNumStart, MeterNumEnd)
    loss_ratio        whether it states the loss ratio (LossRatio 0 where none is applied)
    """

    energy_step_wh: int
    time_step_s: int
    split_midnight: bool
    meter_numbers: bool
    loss_ratio: bool


HABITS = (
    Habit(1, 1, False, True, True),
    Habit(10, 1, False, False, False),
    Habit(1, 60, False, False, True),
    Habit(1, 1, True, True, False),
)
NAMES = ("安行充电", "江南电桩", "西子能源", "钱塘快充")
SERVICE_PRICES = (4_500, 5_200, 3_800, 6_000)
#: Per operator: hour from which a price holds, on every day. The valley begins at 23:00 (one operator: 22:00).
SCHEDULES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0, VALLEY), (7, FLAT), (9, PEAK), (11, VALLEY), (13, PEAK), (15, SHARP), (17, PEAK), (21, FLAT), (23, VALLEY)),
    ((0, VALLEY), (8, PEAK), (11, VALLEY), (13, PEAK), (19, SHARP), (21, PEAK), (22, VALLEY)),
    ((0, VALLEY), (7, FLAT), (10, PEAK), (12, FLAT), (17, PEAK), (19, SHARP), (20, PEAK), (23, VALLEY)),
    ((0, VALLEY), (8, FLAT), (14, PEAK), (18, SHARP), (20, PEAK), (22, FLAT), (23, VALLEY)),
)


@dataclass(frozen=True, slots=True)
class Clockwork:
    """Every tariff's boundaries of the whole span as one sorted array, for one search over all sessions.

    key       operator * stride + second since the city's first midnight
    energy_price, service_price   prices from that boundary on, in ten-thousandths per kWh
    """

    stride: int
    key: Ints
    energy_price: Ints
    service_price: Ints


def operator_ids(count: int) -> tuple[str, ...]:
    """Return nine-character operator ids in the shape of an organisation code (T/CEC 102 `OperatorID`)."""
    return tuple(f"MA33CT{number:03d}" for number in range(1, count + 1))


def operator_name(number: int) -> str:
    """Return an invented name; beyond the first few with a number."""
    base = NAMES[number % len(NAMES)]
    return base if number < len(NAMES) else f"{base}{number // len(NAMES) + 1}"


def service_price_e4(number: int) -> int:
    """Return the service price per kWh of one operator."""
    return SERVICE_PRICES[number % len(SERVICE_PRICES)] + 100 * (number // len(SERVICE_PRICES))


def register_tariffs(
    ids: tuple[str, ...], valid_from_utc_ms: int
) -> tuple[tuple[Tariff, ...], tuple[TariffPeriod, ...]]:
    """Return the tariffs and their periods as the register holds them."""
    heads, periods = [], []
    for number, operator in enumerate(ids):
        name = f"{operator}-TOU-1"
        heads.append(Tariff(name, operator, "CNY", valid_from_utc_ms, None, ZONE, UTC_OFFSET_S // 60))
        hours = (*SCHEDULES[number % len(SCHEDULES)], (24, 0))
        for (hour, price), (until, _) in pairwise(hours):
            periods.append(TariffPeriod(name, hour * 60, until * 60, price, service_price_e4(number)))
    return tuple(heads), tuple(periods)


def clockwork(operators: int, days: int) -> Clockwork:
    """Return the boundaries of `days` days for every operator. Midnight is a boundary of each day."""
    stride = (days + 1) * DAY_S
    keys, energy, service = [], [], []
    for number in range(operators):
        schedule = SCHEDULES[number % len(SCHEDULES)]
        seconds = np.array([hour * 3_600 for hour, _ in schedule], dtype=np.int64)
        day = np.arange(days, dtype=np.int64)[:, None] * DAY_S
        keys.append((day + seconds).ravel() + number * stride)
        energy.append(np.tile(np.array([price for _, price in schedule], dtype=np.int64), days))
        service.append(np.full(days * len(schedule), service_price_e4(number), dtype=np.int64))
    return Clockwork(stride, np.concatenate(keys), np.concatenate(energy), np.concatenate(service))
