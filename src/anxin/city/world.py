"""What stands still: operators, stations, chargers, connectors, meters with their clocks and counters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from anxin.city.arrays import Floats, Ints, Stream, generator
from anxin.city.options import CityOptions
from anxin.city.places import chosen_names, districts, points_inside
from anxin.city.tariffs import UTC_OFFSET_S, operator_ids

# Station sizes follow the public stations of Shenzhen (UrbanEV, CC0): 1,587 stations, 14.8 chargers on the average,
# median 10, nine tenths up to 35. A lognormal of that median and this spread has quartiles 5 and 19, ninth tenth 33.
CHARGERS_PER_STATION = 15
MEDIAN_STATION_SIZE, STATION_SIZE_SPREAD = 10, 0.92
#: Above this many chargers there are sixteen operators instead of four.
MANY_CHARGERS = 2_000

# The mix of chargers: rated power in W, number of connectors, share, sessions a connector and day on the average.
# The mix and the use are assumptions; sizes are the common ones of GB/T 20234 plugs.
TYPES = (
    (7_000, 1, 0.45, 1.0),
    (60_000, 1, 0.20, 3.0),
    (120_000, 2, 0.22, 4.0),
    (180_000, 1, 0.09, 5.0),
    (360_000, 2, 0.04, 6.0),
)
AC_BELOW_W = 22_000


@dataclass(frozen=True, slots=True)
class World:
    """Arrays by number: stations, chargers, connectors. Each connector holds one meter of the same number.

    The last `len(operators)` chargers are spares, one for each operator: registered, with a meter and a key, and
    out of service. A swapped meter comes from there.
    """

    options: CityOptions
    start_utc_s: int
    operators: tuple[str, ...]
    station_operator: Ints
    station_district: Ints
    station_place: Floats
    district_codes: tuple[str, ...]
    district_names: tuple[str, ...]
    charger_station: Ints
    charger_type: Ints
    charger_code: tuple[str, ...]
    connector_charger: Ints
    connector_code: tuple[str, ...]
    use: Floats
    meter_code: tuple[str, ...]
    clock_offset_s: Ints
    clock_drift_s_per_100_days: Ints
    register_wh: Ints
    page: Ints

    @property
    def connector_operator(self) -> Ints:
        """Operator number of each connector."""
        result: Ints = self.station_operator[self.charger_station[self.connector_charger]]
        return result

    @property
    def rated_power_w(self) -> Ints:
        """Rated power of each connector."""
        result: Ints = np.array([t[0] for t in TYPES], dtype=np.int64)[self.charger_type[self.connector_charger]]
        return result

    @property
    def spare_connectors(self) -> Ints:
        """Connector number of each operator's spare."""
        count = len(self.connector_charger)
        return np.arange(count - len(self.operators), count, dtype=np.int64)

    def clock_error_s(self, meter: Ints, second: Ints) -> Ints:
        """Return what the meter's clock shows too much at a true second; slow enough that its times stay ordered."""
        error: Ints = self.clock_offset_s[meter] + self.clock_drift_s_per_100_days[meter] * second // (100 * 86_400)
        limit = self.options.rates.clock_max_s
        return np.clip(error, -limit, limit)


def make_world(options: CityOptions) -> World:
    """Return the standing city of these options. Raises PolicyError for an unknown district."""
    rng = generator(options.seed, Stream.WORLD)
    areas = districts(chosen_names(options.districts))
    operators = operator_ids(4 if options.chargers < MANY_CHARGERS else 16)

    station_count = max(len(operators), -(-options.chargers // CHARGERS_PER_STATION))
    weights = np.array([area.weight for area in areas], dtype=np.float64)
    district = np.sort(rng.choice(len(areas), station_count, p=weights / weights.sum())).astype(np.int64)
    counts = np.bincount(district, minlength=len(areas))
    places = np.concatenate([points_inside(area, int(n), rng) for area, n in zip(areas, counts, strict=True) if n])
    station_operator = rng.permutation(np.arange(station_count, dtype=np.int64) % len(operators))

    sizes = rng.lognormal(np.log(MEDIAN_STATION_SIZE), STATION_SIZE_SPREAD, station_count)
    charger_station = np.sort(rng.choice(station_count, options.chargers, p=sizes / sizes.sum())).astype(np.int64)
    charger_type = rng.choice(len(TYPES), options.chargers, p=[t[2] for t in TYPES]).astype(np.int64)
    spares = np.array([np.flatnonzero(station_operator == o)[0] for o in range(len(operators))], dtype=np.int64)
    charger_station = np.concatenate([charger_station, spares])
    charger_type = np.concatenate([charger_type, np.ones(len(operators), dtype=np.int64)])

    plugs = np.array([t[1] for t in TYPES], dtype=np.int64)[charger_type]
    connector_charger = np.repeat(np.arange(len(charger_station), dtype=np.int64), plugs)
    gun = np.arange(len(connector_charger)) - np.repeat(np.cumsum(plugs) - plugs, plugs)
    charger_code = tuple(
        f"{areas[district[s]].code}{s + 1:05d}{number + 1:06d}" for number, s in enumerate(charger_station.tolist())
    )
    count = len(connector_charger)
    use = np.array([t[3] for t in TYPES])[charger_type[connector_charger]]
    use = use * np.clip(rng.lognormal(-0.08, 0.4, count), 0.3, 2.5)
    use[count - len(operators) :] = 0.0

    wide = rng.random(count) < options.rates.clock_wide_ppm / 1e6
    most = options.rates.clock_max_s
    offset = np.where(wide, rng.integers(-most, most + 1, count), rng.integers(-min(5, most), min(5, most) + 1, count))
    return World(
        options=options,
        start_utc_s=int(datetime.combine(options.start, datetime.min.time(), UTC).timestamp()) - UTC_OFFSET_S,
        operators=operators,
        station_operator=station_operator,
        station_district=district,
        station_place=places,
        district_codes=tuple(area.code for area in areas),
        district_names=tuple(area.name for area in areas),
        charger_station=charger_station,
        charger_type=charger_type,
        charger_code=charger_code,
        connector_charger=connector_charger,
        connector_code=tuple(f"{charger_code[c]}{g + 1:02d}" for c, g in zip(connector_charger, gun, strict=True)),
        use=use,
        meter_code=tuple(f"3301{number + 1:08d}" for number in range(count)),
        clock_offset_s=offset.astype(np.int64),
        clock_drift_s_per_100_days=rng.integers(-40, 41, count),
        register_wh=rng.integers(10_000_000, 200_000_000, count),
        page=rng.integers(1, 50_000, count),
    )
