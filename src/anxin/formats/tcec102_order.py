"""One T/CEC 102 order or operator total: decoded JSON object -> domain values, every departure noted.

The standard leaves the time zone unsaid (China has one); times are read on the wall clock given, +08:00 by default.
Energies are kWh although the fields are named Power. A JSON number drops trailing zeros, so an energy never counts as
coarser than 0.01 kWh, the two decimals that the standard asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from anxin.domain.errors import FormatError
from anxin.domain.order import OperatorTotal, Order, OrderPeriod
from anxin.domain.quantities import (
    MAX_AMOUNT_E4,
    MILLI_WH_PER_KWH,
    amount_e4,
    energy_milli_wh,
    energy_quantum_milli_wh,
    utc_ms,
)
from anxin.domain.source import Deviation, Source
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.digest import digest_of_values
from anxin.formats.local_time import LocalClock
from anxin.formats.tcec102_fields import (
    CHECK_FIELDS,
    CLAUSE_CHECK,
    CLAUSE_ORDER,
    DETAIL_FIELDS,
    ORDER_FIELDS,
    by_standard_names,
)
from anxin.formats.tcec102_time import iso_time, other_time
from anxin.formats.values import clean_text, exact

#: T/CEC 102 allows 32 tariff periods a day; a session of weeks has more, a list of thousands is a defect.
MAX_DETAILS = 1000
COARSEST_ENERGY_QUANTUM_MILLI_WH = 10_000
CURRENCY = "CNY"
MINUTE_MS = 60_000
SECOND_MS = 1_000
OPERATOR_ID_CHARS = 9
SEQ_CHARS = 27
_PPM = 1_000_000
#: A loss ratio beyond tenfold is no ratio: it was written in per cent or is a defect.
_MAX_LOSS_RATIO = 10
#: Times kept for the next period or order of the same text.
KEPT_TIMES = 1_000


#: A period's values in the order of digest.PERIOD_FIELDS, which is OrderPeriod's behind its two ids.
_Period = tuple[int, int | None, int | None, int | None, int | None, int | None, int | None, int | None]


@dataclass(slots=True)
class _Time:
    utc_ms: int
    local_date: str
    whole_minute: bool


@dataclass(slots=True)
class OrderReader:
    """Reads orders of one file. `operator_id` is what an envelope around them says, None without one."""

    source_file: str
    clock: LocalClock
    log: DeviationLog = field(default_factory=DeviationLog)
    operator_id: str | None = None
    _plain_times: dict[str, _Time] = field(default_factory=dict)

    def order(self, raw: dict[str, object], row: int) -> tuple[Order, list[OrderPeriod]]:
        """Return one ChargeOrderInfo as an order with its periods. Raises FormatError naming the field."""
        source = Source(self.source_file, row)
        named, deviations = by_standard_names(raw, ORDER_FIELDS, CLAUSE_ORDER)
        for deviation in deviations:
            self.log.add(source, deviation)
        order_id = clean_text(named.get("StartChargeSeq"), "StartChargeSeq")
        if order_id is None:
            raise FormatError("tcec102.missing", "an order without StartChargeSeq", "StartChargeSeq")
        start = self._time(named, "StartTime", source)
        end = self._time(named, "EndTime", source)
        received = self._time(named, "UploadTime", source, optional=True)
        total = self._number(named, "TotalPower", source)
        begin, finish = self._registers(named, total, source)
        coarse = start is not None and end is not None and start.whole_minute and end.whole_minute
        periods = self._periods(named, source)
        operator_id = self._operator(named, order_id, source)
        connector_id = self._text(named, "ConnectorID", source)
        meter_id = clean_text(named.get("MeterID"), "MeterID")
        tariff_id = clean_text(named.get("TariffID"), "TariffID")
        start_ms, end_ms = start.utc_ms if start else None, end.utc_ms if end else None
        energy = _energy(total, "TotalPower")
        amount = _money(self._number(named, "TotalMoney", source), "TotalMoney")
        energy_amount = _money(self._number(named, "TotalElecMoney", source), "TotalElecMoney")
        service_amount = _money(self._number(named, "TotalSeviceMoney", source), "TotalSeviceMoney")
        loss_ratio = self._loss_ratio(named, total, source)
        # The values in the order of digest.ORDER_FIELDS: taken before the order exists, which saves a copy of each.
        said = (order_id, operator_id, connector_id, order_id, meter_id, start_ms, end_ms, energy, amount,
                energy_amount, service_amount, CURRENCY, tariff_id, begin, finish, loss_ratio, None)  # fmt: skip
        digest = digest_of_values(said, periods)
        order = Order(
            order_id=order_id,
            source_file=self.source_file,
            source_row=row,
            content_digest=digest,
            operator_id=operator_id,
            connector_id=connector_id,
            transaction_id=order_id,
            meter_id=meter_id,
            start_utc_ms=start_ms,
            end_utc_ms=end_ms,
            time_quantum_ms=MINUTE_MS if coarse else SECOND_MS,
            energy_milli_wh=energy,
            energy_quantum_milli_wh=_quantum(total),
            amount_e4=amount,
            energy_amount_e4=energy_amount,
            service_amount_e4=service_amount,
            currency=CURRENCY,
            tariff_id=tariff_id,
            meter_begin_milli_wh=begin,
            meter_end_milli_wh=finish,
            loss_ratio_ppm=loss_ratio,
            received_utc_ms=received.utc_ms if received else None,
            local_date=start.local_date if start else None,
        )
        return order, [OrderPeriod(order_id, digest, *period) for period in periods]

    def total(self, raw: dict[str, object], row: int) -> OperatorTotal:
        """Return one check_charge_orders request as an operator's total. Raises FormatError naming the field."""
        source = Source(self.source_file, row)
        named, deviations = by_standard_names(raw, CHECK_FIELDS, CLAUSE_CHECK)
        for deviation in deviations:
            self.log.add(source, deviation)
        check_id = clean_text(named.get("CheckOrderSeq"), "CheckOrderSeq")
        start, end = self._time(named, "StartTime", source), self._time(named, "EndTime", source)
        count = exact(named.get("OrderCount"), "OrderCount")
        energy = _energy(exact(named.get("TotalOrderPower"), "TotalOrderPower"), "TotalOrderPower")
        money = _money(exact(named.get("TotalOrderMoney"), "TotalOrderMoney"), "TotalOrderMoney")
        if check_id is None or start is None or end is None or count is None or energy is None or money is None:
            raise FormatError("tcec102.missing", "check_charge_orders lacks its id, span, count, energy or money")
        if count < 0 or count != count.to_integral_value() or count > MAX_AMOUNT_E4:
            raise FormatError("number.range", f"OrderCount is no count: {count}", "OrderCount")
        items = named.get("ChargeOrders")
        if isinstance(items, list) and len(items) != count:
            detail = f"OrderCount {count}, but ChargeOrders lists {len(items)}"
            self._note("tcec102.check_list_length", detail, "ChargeOrders", source, CLAUSE_CHECK)
        operator_id = self._operator(named, check_id, source)
        if operator_id is None:
            raise FormatError("tcec102.missing", "check_charge_orders does not say which operator", "OperatorID")
        return OperatorTotal(
            operator_id, check_id, start.utc_ms, end.utc_ms, int(count), energy, money, self.source_file, row
        )

    def _periods(self, named: dict[str, object], source: Source) -> list[_Period]:
        details = named.get("ChargeDetails")
        if details is None:
            details = []
        if isinstance(details, dict):
            self._note("tcec102.details_object", "one object instead of a list", "ChargeDetails", source)
            details = [details]
        if not isinstance(details, list):
            raise FormatError("tcec102.details", "ChargeDetails is no list", "ChargeDetails")
        if len(details) > MAX_DETAILS:
            raise FormatError("tcec102.details", f"more than {MAX_DETAILS} ChargeDetails", "ChargeDetails")
        stated = named.get("SumPeriod")
        if stated is not None and exact(stated, "SumPeriod") != len(details):
            self._note("tcec102.sum_period", f"SumPeriod is not the {len(details)} details", "SumPeriod", source)
        return [self._period(detail, number, source) for number, detail in enumerate(details, 1)]

    def _period(self, raw: object, number: int, source: Source) -> _Period:
        if not isinstance(raw, dict):
            raise FormatError("tcec102.details", f"ChargeDetails[{number}] is no object", "ChargeDetails")
        named, deviations = by_standard_names(raw, DETAIL_FIELDS, CLAUSE_ORDER)
        for deviation in deviations:
            self.log.add(source, deviation)
        start = self._time(named, "DetailStartTime", source)
        end = self._time(named, "DetailEndTime", source)
        return (
            number,
            start.utc_ms if start else None,
            end.utc_ms if end else None,
            _energy(self._number(named, "DetailPower", source), "DetailPower"),
            _money(self._number(named, "ElecPrice", source), "ElecPrice"),
            _money(self._number(named, "SevicePrice", source), "SevicePrice"),
            _money(self._number(named, "DetailElecMoney", source), "DetailElecMoney"),
            _money(self._number(named, "DetailSeviceMoney", source), "DetailSeviceMoney"),
        )

    def _operator(self, named: dict[str, object], sequence: str, source: Source) -> str | None:
        stated = clean_text(named.get("OperatorID"), "OperatorID") or self.operator_id
        if len(sequence) != SEQ_CHARS:
            self._note("tcec102.sequence_length", f"{len(sequence)} characters, not {SEQ_CHARS}", None, source)
            return stated
        prefix = sequence[:OPERATOR_ID_CHARS]
        if stated is not None and stated != prefix:
            self._note("tcec102.operator_prefix", f"sent by {stated}, id begins {prefix}", "OperatorID", source)
            return stated
        return prefix

    def _registers(
        self, named: dict[str, object], total: Decimal | None, source: Source
    ) -> tuple[int | None, int | None]:
        begin = _energy(exact(named.get("MeterNumStart"), "MeterNumStart"), "MeterNumStart")
        end = _energy(exact(named.get("MeterNumEnd"), "MeterNumEnd"), "MeterNumEnd")
        if begin == 0 and end == 0 and total:
            self._note("tcec102.registers_zero", "both registers 0: read as not stated", "MeterNumStart", source)
            return None, None
        return begin, end

    def _loss_ratio(self, named: dict[str, object], total: Decimal | None, source: Source) -> int | None:
        ratio = exact(named.get("LossRatio"), "LossRatio")
        original = exact(named.get("OriginalPower"), "OriginalPower")
        derived = total / original - 1 if original and total is not None else None
        for value, name in ((ratio, "LossRatio"), (derived, "OriginalPower")):
            if value is not None and abs(value) > _MAX_LOSS_RATIO:
                raise FormatError("number.range", f"a loss ratio beyond {_MAX_LOSS_RATIO}: {value:.6g}", name)
        if ratio is None:
            ratio = derived
        elif total is not None and original is not None:
            gap = abs(original * (1 + ratio) - total) * MILLI_WH_PER_KWH
            if gap > COARSEST_ENERGY_QUANTUM_MILLI_WH:
                detail = "OriginalPower and LossRatio do not give TotalPower"
                self._note("tcec102.loss_ratio", detail, "LossRatio", source)
        return None if ratio is None else int((ratio * _PPM).to_integral_value())

    def _number(self, named: dict[str, object], name: str, source: Source) -> Decimal | None:
        value = named.get(name)
        if value is None or value == "":
            self._note("tcec102.missing", f"{name} is missing", name, source)
            return None
        if isinstance(value, str):
            self._note("tcec102.number_as_text", f"{name} is a text", name, source)
        return exact(value, name)

    def _text(self, named: dict[str, object], name: str, source: Source) -> str | None:
        value = named.get(name)
        text = clean_text(value, name)
        if text is None:
            self._note("tcec102.missing", f"{name} is missing", name, source)
        elif not isinstance(value, str):
            self._note("tcec102.text_as_number", f"{name} is a number", name, source)
        return text

    def _time(self, named: dict[str, object], name: str, source: Source, *, optional: bool = False) -> _Time | None:
        value = named.get(name)
        # A period begins where the order or the period before it does: the same text comes two or three times.
        if isinstance(value, str) and (known := self._plain_times.get(value)) is not None:
            return known
        if value is None or value == "":
            if not optional:
                self._note("tcec102.missing", f"{name} is missing", name, source)
            return None
        # yyyy-MM-dd HH:mm:ss, told from the other 19-character ISO forms by its separators.
        standard = isinstance(value, str) and len(value) == 19 and value[4] + value[7] + value[10] + value[13] == "-- :"
        if isinstance(value, str) and standard:
            moment = iso_time(value, name)
        else:
            moment = other_time(value, name)
            self._note("tcec102.time_form", f"{str(value)[:32]!r} is not yyyy-MM-dd HH:mm:ss", name, source)
        if moment.tzinfo is not None:
            at = utc_ms(moment)  # first, because it refuses the years that astimezone() cannot shift
            return _Time(at, moment.astimezone(self.clock.zone).date().isoformat(), moment.second == 0)
        at, doubt = self.clock.to_utc_ms(moment)
        found = _Time(at, moment.date().isoformat(), moment.second == 0)
        if doubt is not None:
            detail = f"{moment.isoformat(' ')} is in the {doubt.value} of a clock change"
            self._note(f"time.local_{doubt.value}", detail, name, source)
        elif isinstance(value, str) and standard:
            if len(self._plain_times) >= KEPT_TIMES:
                self._plain_times.clear()
            self._plain_times[value] = found
        return found

    def _note(self, kind: str, detail: str, name: str | None, source: Source, clause: str = CLAUSE_ORDER) -> None:
        self.log.add(source, Deviation(kind, clause, detail, name))


def _energy(value: Decimal | None, name: str) -> int | None:
    return None if value is None else energy_milli_wh(value, "kWh", name)


def _money(value: Decimal | None, name: str) -> int | None:
    return None if value is None else amount_e4(value, name)


def _quantum(value: Decimal | None) -> int:
    if value is None:
        return COARSEST_ENERGY_QUANTUM_MILLI_WH
    return min(energy_quantum_milli_wh(value), COARSEST_ENERGY_QUANTUM_MILLI_WH)
