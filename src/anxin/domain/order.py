"""The bill: an order (订单) as the operator's platform uploads it, and its tariff periods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """One consumer order. Fields that the dialect does not carry are None; nothing is guessed.

    order_id          the operator's own id: T/CEC 102 `StartChargeSeq`, OCPI `CDR.id`
    transaction_id    the id that the meter's record may share (T/CEC: the same; OCPI: `session_id`)
    time_quantum_ms   step of the times shown: 1000 for seconds, 60000 for minutes
    energy_quantum_milli_wh   step of the energy's last digit shown
    amount_e4         total billed; energy_amount_e4 + service_amount_e4 where the dialect splits it
    meter_begin_milli_wh, meter_end_milli_wh   registers that the order claims (YKC 电表总起值/总止值), optional
    loss_ratio_ppm    计损比例 applied to the energy, 0 where stated as none, None where not stated
    received_utc_ms   when it was uploaded, None where the file does not say
    local_date        the day of the start on the site's own calendar, ISO; stored, never derived by an engine
    content_digest    SHA-256 (hex) over the meaning-bearing fields: same id + same digest is a re-send
    """

    order_id: str
    source_file: str
    source_row: int
    content_digest: str
    operator_id: str | None = None
    connector_id: str | None = None
    transaction_id: str | None = None
    meter_id: str | None = None
    start_utc_ms: int | None = None
    end_utc_ms: int | None = None
    time_quantum_ms: int = 1000
    energy_milli_wh: int | None = None
    energy_quantum_milli_wh: int = 1000
    amount_e4: int | None = None
    energy_amount_e4: int | None = None
    service_amount_e4: int | None = None
    currency: str | None = None
    tariff_id: str | None = None
    meter_begin_milli_wh: int | None = None
    meter_end_milli_wh: int | None = None
    loss_ratio_ppm: int | None = None
    requested_energy_milli_wh: int | None = None
    received_utc_ms: int | None = None
    local_date: str | None = None


@dataclass(frozen=True, slots=True)
class OrderPeriod:
    """One tariff period inside an order (T/CEC 102 `ChargeDetails[]`, OCPI `charging_periods`)."""

    order_id: str
    content_digest: str
    period_no: int
    start_utc_ms: int | None
    end_utc_ms: int | None
    energy_milli_wh: int | None
    energy_price_e4: int | None
    service_price_e4: int | None
    energy_amount_e4: int | None
    service_amount_e4: int | None


@dataclass(frozen=True, slots=True)
class OperatorTotal:
    """What an operator says he uploaded for a span (T/CEC 102 `check_charge_orders`)."""

    operator_id: str
    check_id: str
    start_utc_ms: int
    end_utc_ms: int
    order_count: int
    energy_milli_wh: int
    amount_e4: int
    source_file: str
    source_row: int
