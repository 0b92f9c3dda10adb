"""`signed_data` of an OCPI CDR -> signed records.

OCPI does not say which of its two fields holds an OCMF record (ocpi/ocpi issue 550): `signed_data` by its name, and
`plain_data` in the field. Both may be Base64 or the record itself. The first that begins as an OCMF record is taken.
"""

from __future__ import annotations

import base64
import binascii

from anxin.domain.batch import Side, SignedRecord
from anxin.domain.errors import FormatError
from anxin.domain.order import Order
from anxin.domain.source import Deviation, Source
from anxin.formats import ocmf
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.values import clean_text

CLAUSE = "OCPI 2.2.1/2.3.0 mod_cdrs SignedData class"
#: OCPI bounds the field to 5000 characters; longer ones are met, 1 MiB of record is the decoder's own limit.
MAX_FIELD_CHARS = 1_500_000
SPECIFIED_FIELD_CHARS = 5_000
#: A session has a start and an end; intermediate values once a minute for a week is the most that makes sense.
MAX_VALUES = 10_000
_SIDES = {"start": Side.BEGIN, "end": Side.END, "intermediate": Side.UNSTATED}


def signed_records(signed_data: object, order: Order, source: Source, log: DeviationLog) -> list[SignedRecord]:
    """Return the records of one CDR, begin first as listed. Raises FormatError where `signed_data` has no such shape.

    A value that holds no OCMF record becomes a SignedRecord with `malformed_rule`, never a silent loss.
    """
    if signed_data is None:
        return []
    values = signed_data.get("signed_values") if isinstance(signed_data, dict) else None
    if not isinstance(signed_data, dict) or not isinstance(values, list) or len(values) > MAX_VALUES:
        raise FormatError("ocpi.signed_data", f"signed_data needs a list of at most {MAX_VALUES} signed_values")
    method = clean_text(signed_data.get("encoding_method"), "encoding_method")
    if method is None or method.upper() != "OCMF":
        log.add(source, Deviation("ocpi.encoding_method", CLAUSE, f"{method!r} is not OCMF", "encoding_method"))
    key_text = clean_text(signed_data.get("public_key"), "public_key", 4_000)
    return [_record(value, order, source, key_text, log) for value in values]


def _record(value: object, order: Order, source: Source, key_text: str | None, log: DeviationLog) -> SignedRecord:
    if not isinstance(value, dict):
        raise FormatError("ocpi.signed_data", "a signed value is no object", "signed_values")
    nature = str(value.get("nature"))[:40]
    side = _SIDES.get(nature.lower())
    if side is None:
        log.add(source, Deviation("ocpi.nature", CLAUSE, f"{nature!r} is not Start, End or Intermediate", "nature"))
    raw = _raw(value, source, log)
    record, rule, detail = None, None, None
    try:
        record = ocmf.decode(raw)
    except FormatError as error:
        rule, detail = error.rule, str(error)
    return SignedRecord(
        source=source,
        raw=raw,
        record=record,
        malformed_rule=rule,
        malformed_detail=detail,
        transaction_id=order.transaction_id,
        side=side or Side.UNSTATED,
        key_text=key_text,
        meter_id=order.meter_id,
        connector_id=order.connector_id,
        received_utc_ms=order.received_utc_ms,
    )


def _raw(value: dict[str, object], source: Source, log: DeviationLog) -> bytes:
    """Return the record's bytes, or what stands in `signed_data` where neither field holds a record."""
    fallback = b""
    for name in ("signed_data", "plain_data"):
        text = value.get(name)
        if not isinstance(text, str):
            continue
        if len(text) > MAX_FIELD_CHARS:
            raise FormatError("ocpi.signed_data", f"{name} has more than {MAX_FIELD_CHARS} characters", name)
        if len(text) > SPECIFIED_FIELD_CHARS:
            log.add(source, Deviation("ocpi.signed_data_length", CLAUSE, f"{len(text)} characters", name))
        plain = text.encode("utf-8", "surrogatepass")
        decoded = _base64(text)
        for raw, is_base64 in ((plain, False), (decoded, True)):
            if raw is not None and ocmf.looks_like_ocmf(raw):
                if not is_base64:
                    log.add(source, Deviation("ocpi.signed_data_plain", CLAUSE, "not Base64", name))
                if name == "plain_data":
                    log.add(source, Deviation("ocpi.record_in_plain_data", CLAUSE, "the record stands here", name))
                return raw
        fallback = fallback or plain
    return fallback


def _base64(text: str) -> bytes | None:
    compact = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
