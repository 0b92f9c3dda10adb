"""A meter's record in OCMF 1.4 as its firmware writes it, signed."""

from __future__ import annotations

from dataclasses import dataclass

from anxin.city.meters import MeterSecret
from anxin.city.names import Names, kwh, pseudonym
from anxin.city.tables import Records
from anxin.city.world import AC_BELOW_W, World

FIRMWARE = "2.1.0"
MAKER, MODEL = "Anxin City", "DCM-1"
#: OCMF 1.4 unified OBIS: active energy, import, total register at the device.
OBIS = "01-00:B1.08.00*FF"


@dataclass(frozen=True, slots=True)
class MeterText:
    """One record as a meter sends it. `side` is begin, end or whole; `upload` counts a row's uploads from its page."""

    side: str
    upload: int
    text: str


def gateway_of(meter_id: str) -> str:
    """Return the serial of the gateway that a meter sits behind."""
    return f"GW{meter_id}"


def clock_letter(world: World, meter: int) -> str:
    """S (synchronised) where the clock keeps the three minutes of JJG 1148/1149-2022, as every honest one does."""
    return "S" if abs(int(world.clock_offset_s[meter])) <= 180 else "I"


def meter_texts(world: World, names: Names, records: Records, row: int, secret: MeterSecret) -> list[MeterText]:
    """Return what the meter sends for one row: one record, or a begin and an end record."""
    letter = clock_letter(world, int(records.meter[row]))
    begin, page = int(records.begin[row]), int(records.page_first[row])
    low, high = int(records.register_begin_wh[row]), int(records.register_end_wh[row])
    direct = world.rated_power_w[int(records.connector[row])] >= AC_BELOW_W
    kind = f'"RI":"{OBIS}","RU":"kWh","RT":"{"DC" if direct else "AC"}","EF":"","ST":"G"'
    first = f'{{"TM":"{names.ocmf(begin, letter)}","TX":"B","RV":{kwh(low)},{kind}}}'
    if records.pair[row]:
        tail = int(records.tail[row])
        end, close = int(records.end[tail]), kwh(int(records.register_end_wh[tail]))
        last = f'{{"TM":"{names.ocmf(end, letter)}","TX":"E","RV":{close},{kind}}}'
        return [
            MeterText("begin", page, _signed(world, records, row, secret, page, first)),
            MeterText("end", page + 1, _signed(world, records, tail, secret, int(records.page_last[tail]), last)),
        ]
    readings = [first]
    span = range(int(records.first[row]), int(records.first[row + 1]))
    for piece in span:
        reason = "T" if piece < span.stop - 1 else ("P" if records.cut_off[row] else "E")
        moment, register = int(records.p_time[piece]), int(records.p_register_wh[piece])
        readings.append(f'{{"TM":"{names.ocmf(moment, letter)}","TX":"{reason}","RV":{kwh(register)}}}')
    text = _signed(world, records, row, secret, page, ",".join(readings))
    forged = int(records.forged_wh[row])
    if forged:  # behind the meter's back
        text = _last_register(text, kwh(high - forged), kwh(high))
    return [MeterText("whole", page, text)]


def _signed(world: World, records: Records, row: int, secret: MeterSecret, page: int, readings: str) -> str:
    """Return the framed record. Where a reading is to be forged afterwards, the meter still signs the true one."""
    forged = int(records.forged_wh[row])
    if forged:
        high = int(records.register_end_wh[row])
        readings = _last_register(readings, kwh(high), kwh(high - forged))
    payload = (
        f'{{"FV":"1.4","GI":"{MODEL} GATEWAY","GS":"{gateway_of(secret.meter_id)}","GV":"{FIRMWARE}","PG":"T{page}",'
        f'"MV":"{MAKER}","MM":"{MODEL}","MS":"{secret.meter_id}","MF":"{FIRMWARE}",'
        f'"IS":true,"IL":"TRUSTED","IF":["RFID_NONE","OCPP_AUTH_TLS"],"IT":"CENTRAL",'
        f'"ID":"{pseudonym(world.options.seed, int(records.driver[row]))}",'
        f'"CT":"EVSEID","CI":"{world.connector_code[int(records.connector[row])]}","RD":[{readings}]}}'
    )
    signature = secret.sign(payload.encode()).hex()
    return f'OCMF|{payload}|{{"SA":"{secret.algorithm}","SD":"{signature}"}}'


def _last_register(text: str, old: str, new: str) -> str:
    before, found, after = text.rpartition(f'"RV":{old}')
    return f'{before}"RV":{new}{after}' if found else text
