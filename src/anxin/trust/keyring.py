"""The public keys that a register vouches for, found by the serial that a record states."""

from __future__ import annotations

from dataclasses import dataclass, field

from anxin.domain.meter_record import MeterRecord
from anxin.domain.register import MeterKey


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by meter. Holds texts only, so that it can be sent to worker processes.

    Whoever can change what a ring is built from decides which records count as authentic: it is the register's charge.
    """

    keys: tuple[MeterKey, ...] = ()
    _by_meter: dict[str, tuple[MeterKey, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_meter: dict[str, list[MeterKey]] = {}
        for key in self.keys:
            by_meter.setdefault(key.meter_id, []).append(key)
        object.__setattr__(self, "_by_meter", {meter: tuple(keys) for meter, keys in by_meter.items()})

    def keys_of(self, record: MeterRecord, claimed_meter_id: str | None = None) -> tuple[MeterKey, ...]:
        """Return the keys registered for the record's meter, else for its gateway, likeliest first.

        OCMF 1.4.1, "Relation of Serial Numbers, Charge Point and Public Key": the meter's serial, else the gateway's.
        A meter that the envelope claims counts only where the record names none. Keys valid at the record's time come
        first; the others follow, because a signature with an expired key is an expired key's (rule R17), not forged.
        """
        for serial in (record.meter_serial, record.gateway_serial, claimed_meter_id):
            keys = self._by_meter.get(serial or "")
            if keys:
                if len(keys) == 1:
                    return keys
                return tuple(sorted(keys, key=lambda key: not _valid_at(key, _moment_of(record))))
        return ()


def _moment_of(record: MeterRecord) -> int | None:
    times = [reading.time_utc_ms for reading in record.readings if reading.time_utc_ms is not None]
    return max(times) if times else None


def _valid_at(key: MeterKey, moment_utc_ms: int | None) -> bool:
    if moment_utc_ms is None:
        return key.valid_to_utc_ms is None and key.revoked_utc_ms is None
    ends = [end for end in (key.valid_to_utc_ms, key.revoked_utc_ms) if end is not None]
    return key.valid_from_utc_ms <= moment_utc_ms and all(moment_utc_ms < end for end in ends)
