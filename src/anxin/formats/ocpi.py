"""OCPI 2.2.1 and 2.3.0 CDRs -> orders, periods and the signed records that they carry.

Accepted containers: one CDR, a list of CDRs, the response envelope {"data": ...}, and JSON lines of CDRs.
The two versions differ here in one place: a price is {"excl_vat", "incl_vat"} in 2.2.1 and {"before_taxes", "taxes"}
in 2.3.0. What the driver pays, taxes included, is the amount of the order.

OCPI times without a zone are UTC (types, DateTime). Energies are kWh; a JSON number drops trailing zeros, so an energy
never counts as coarser than 0.01 kWh.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from anxin.domain.batch import Batch
from anxin.domain.errors import FormatError
from anxin.domain.order import Order, OrderPeriod
from anxin.domain.quantities import amount_e4, energy_milli_wh, energy_quantum_milli_wh, utc_ms
from anxin.domain.source import Deviation, Reject, Source
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.digest import with_digest
from anxin.formats.json_document import loads
from anxin.formats.ocpi_signed import signed_records
from anxin.formats.tcec102 import looks_like_lines
from anxin.formats.text_encoding import BOM_UTF8
from anxin.formats.values import clean_text, exact

CLAUSE = "OCPI 2.2.1/2.3.0 mod_cdrs CDR object"
COARSEST_ENERGY_QUANTUM_MILLI_WH = 10_000
#: A session of a week at one period a minute; more is a defect.
MAX_PERIODS = 10_000
NOT_AVAILABLE = "#NA"
MINUTE_MS, SECOND_MS = 60_000, 1_000


def decode(data: bytes, source_file: str, *, first_row: int = 1) -> Batch:
    """Return orders, periods, signed records, rejects and deviations of one file.

    Raises FormatError where the whole is no JSON of this dialect; a bad CDR among many is one reject.
    """
    data = data.removeprefix(BOM_UTF8)
    if not data.strip():
        raise FormatError("ocpi.empty", f"{source_file}: the file is empty")
    reader = _Reader(source_file)
    # A chunk that does not begin the file was cut from lines, even if only one (perhaps broken off) is in it.
    if first_row > 1 or looks_like_lines(data):
        for row, line in enumerate(data.split(b"\n"), first_row):
            if line and not line.isspace():
                reader.line(line, row)
    else:
        reader.document(loads(data), first_row)
    reader.batch.deviations += reader.log.result()
    return reader.batch


class _Reader:
    def __init__(self, source_file: str) -> None:
        self.file = source_file
        self.batch = Batch()
        self.log = DeviationLog()

    def line(self, line: bytes, row: int) -> None:
        """Read one line of JSON lines."""
        try:
            value = loads(line)
        except FormatError as error:
            self._reject(error, row)
        else:
            self.cdr(value, row)

    def document(self, value: object, first_row: int) -> None:
        """Read one CDR, a list of them, or either inside a response envelope."""
        if isinstance(value, dict) and "data" in value and "start_date_time" not in value:
            value = value["data"]
        for row, item in enumerate(value if isinstance(value, list) else [value], first_row):
            self.cdr(item, row)

    def cdr(self, value: object, row: int) -> None:
        """Read one CDR; whatever is wrong with it is one reject."""
        try:
            if not isinstance(value, dict):
                raise FormatError("ocpi.shape", "a CDR is a JSON object")
            order, periods = self._order(value, row)
            records = signed_records(value.get("signed_data"), order, Source(self.file, row), self.log)
        except FormatError as error:
            self._reject(error, row)
            return
        self.batch.orders.append(order)
        self.batch.order_periods += periods
        self.batch.signed_records += records

    def _order(self, cdr: dict[str, object], row: int) -> tuple[Order, list[OrderPeriod]]:
        source = Source(self.file, row)
        order_id = clean_text(cdr.get("id"), "id")
        if order_id is None:
            raise FormatError("ocpi.missing", "a CDR without id", "id")
        start = self._time(cdr, "start_date_time", source)
        end = self._time(cdr, "end_date_time", source)
        energy = exact(cdr.get("total_energy"), "total_energy")
        if energy is None:
            self._note("ocpi.missing", "total_energy is missing", "total_energy", source)
        location = cdr.get("cdr_location")
        if not isinstance(location, dict):
            self._note("ocpi.missing", "cdr_location is missing", "cdr_location", source)
            location = {}
        if cdr.get("credit") is True:
            self._note("ocpi.credit", "a credit CDR takes back another one", "credit", source)
        transaction_id = clean_text(cdr.get("session_id"), "session_id")
        received = self._time(cdr, "last_updated", source)
        periods = self._periods(cdr, order_id, end.at if end else None, source)
        order = Order(
            order_id=order_id,
            source_file=self.file,
            source_row=row,
            content_digest="",
            operator_id=_operator(cdr),
            connector_id=_connector(location),
            transaction_id=transaction_id,
            meter_id=clean_text(cdr.get("meter_id"), "meter_id"),
            start_utc_ms=start.at if start else None,
            end_utc_ms=end.at if end else None,
            time_quantum_ms=MINUTE_MS if start and end and start.whole_minute and end.whole_minute else SECOND_MS,
            energy_milli_wh=None if energy is None else energy_milli_wh(energy, "kWh", "total_energy"),
            energy_quantum_milli_wh=_quantum(energy),
            amount_e4=self._price(cdr, "total_cost", source),
            energy_amount_e4=self._price(cdr, "total_energy_cost", source, optional=True),
            currency=clean_text(cdr.get("currency"), "currency", 3),
            tariff_id=_tariff(cdr),
            received_utc_ms=received.at if received else None,
            local_date=start.date if start else None,
        )
        return with_digest(order, periods)

    def _periods(
        self, cdr: dict[str, object], order_id: str, end_utc_ms: int | None, source: Source
    ) -> list[OrderPeriod]:
        periods = cdr.get("charging_periods")
        if not isinstance(periods, list):
            self._note("ocpi.missing", "charging_periods is missing", "charging_periods", source)
            return []
        if len(periods) > MAX_PERIODS:
            raise FormatError("ocpi.periods", f"more than {MAX_PERIODS} charging_periods", "charging_periods")
        starts, energies = [], []
        for period in periods:
            if not isinstance(period, dict):
                raise FormatError("ocpi.periods", "a charging period is no object", "charging_periods")
            begin = self._time(period, "start_date_time", source)
            starts.append(begin.at if begin else None)
            energies.append(_dimension(period, "ENERGY"))
        # A period has no end of its own: it lasts until the next one begins, the last one until the CDR ends.
        return [
            OrderPeriod(order_id, "", number, start, end, energy, None, None, None, None)
            for number, (start, end, energy) in enumerate(
                zip(starts, [*starts, end_utc_ms][1:], energies, strict=True), 1
            )
        ]

    def _price(self, cdr: dict[str, object], name: str, source: Source, *, optional: bool = False) -> int | None:
        value = cdr.get(name)
        if value is None:
            if not optional:
                self._note("ocpi.missing", f"{name} is missing", name, source)
            return None
        if not isinstance(value, dict):
            self._note("ocpi.price_number", f"{name} is a bare number (OCPI 2.1.1), read as the price", name, source)
            return _amount(exact(value, name), name)
        if value.get("incl_vat") is not None:
            return _amount(exact(value["incl_vat"], name), name)
        net = exact(value.get("before_taxes", value.get("excl_vat")), name)
        if net is None:
            raise FormatError("ocpi.price", f"{name} is no price", name)
        if "before_taxes" not in value:
            self._note("ocpi.price_net", f"{name} states no price with VAT: the net price was taken", name, source)
        taxes = value.get("taxes") or []
        if not isinstance(taxes, list) or not all(isinstance(tax, dict) for tax in taxes):
            raise FormatError("ocpi.price", f"the taxes of {name} are no list of objects", name)
        return _amount(sum((exact(tax.get("amount"), name) or Decimal(0) for tax in taxes), net), name)

    def _time(self, holder: dict[str, object], name: str, source: Source) -> _Time | None:
        value = holder.get(name)
        if value is None:
            self._note("ocpi.missing", f"{name} is missing", name, source)
            return None
        # The specification itself writes "1970-1-1T00:00:00Z" for a time that is not known.
        if isinstance(value, str) and value.startswith("1970-1-1T"):
            value = value.replace("1970-1-1T", "1970-01-01T")
        try:
            if not isinstance(value, str) or not 19 <= len(value) <= 40:
                raise ValueError
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            elif moment.utcoffset():
                self._note("ocpi.time_offset", f"{value} is not in UTC", name, source)
            return _Time(utc_ms(moment), moment.date().isoformat(), moment.second == 0)
        except (ValueError, OverflowError):
            raise FormatError("time.syntax", f"not an RFC 3339 time: {str(value)[:40]!r}", name) from None

    def _note(self, kind: str, detail: str, name: str, source: Source) -> None:
        self.log.add(source, Deviation(kind, CLAUSE, detail, name))

    def _reject(self, error: FormatError, row: int) -> None:
        self.batch.rejects.append(Reject(Source(self.file, row), error.rule, str(error), error.field))


class _Time:
    """A time as UTC ms; `date` is the UTC day, because a CDR does not state the zone of its site."""

    __slots__ = ("at", "date", "whole_minute")

    def __init__(self, at: int, date: str, whole_minute: bool) -> None:
        self.at, self.date, self.whole_minute = at, date, whole_minute


def _operator(cdr: dict[str, object]) -> str | None:
    """Return country and party as `BE*BEC`, the form in which OCPI operators name themselves."""
    country, party = clean_text(cdr.get("country_code"), "country_code"), clean_text(cdr.get("party_id"), "party_id")
    return f"{country}*{party}" if country and party else party


def _connector(location: dict[str, object]) -> str | None:
    """Return `EVSE id/connector id`: a connector's own id is only unique inside its EVSE."""
    evse = clean_text(location.get("evse_id"), "evse_id")
    if evse is None or evse == NOT_AVAILABLE:
        evse = clean_text(location.get("evse_uid"), "evse_uid")
    connector = clean_text(location.get("connector_id"), "connector_id")
    if evse is None or NOT_AVAILABLE in (evse, connector):
        return None
    return f"{evse}/{connector}" if connector else evse


def _tariff(cdr: dict[str, object]) -> str | None:
    """Return the id of the only tariff, None where there are several: then no single one explains the total."""
    tariffs = cdr.get("tariffs")
    if isinstance(tariffs, list) and len(tariffs) == 1 and isinstance(tariffs[0], dict):
        return clean_text(tariffs[0].get("id"), "tariffs.id")
    return None


def _dimension(period: dict[str, object], kind: str) -> int | None:
    dimensions = period.get("dimensions")
    if not isinstance(dimensions, list):
        return None
    for dimension in dimensions:
        if isinstance(dimension, dict) and dimension.get("type") == kind:
            volume = exact(dimension.get("volume"), "volume")
            return None if volume is None else energy_milli_wh(volume, "kWh", "volume")
    return None


def _quantum(energy: Decimal | None) -> int:
    if energy is None:
        return COARSEST_ENERGY_QUANTUM_MILLI_WH
    return min(energy_quantum_milli_wh(energy), COARSEST_ENERGY_QUANTUM_MILLI_WH)


def _amount(value: Decimal | None, name: str) -> int | None:
    return None if value is None else amount_e4(value, name)
