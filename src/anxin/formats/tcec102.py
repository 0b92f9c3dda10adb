"""T/CEC 102 uploads: bytes -> orders, tariff periods and operator totals.

Accepted containers: one ChargeOrderInfo object, a JSON array of them, JSON lines, the request body of
`notification_charge_order_info` (plain or in the AES and HMAC envelope), and `check_charge_orders` requests.
One bad order among many is one reject; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterable

from anxin.domain.batch import Batch
from anxin.domain.errors import FormatError
from anxin.domain.source import Deviation, Reject, Source
from anxin.formats import json_document
from anxin.formats.local_time import LocalClock, zone_of
from anxin.formats.tcec102_envelope import CLAUSE_ENVELOPE, OperatorSecrets, is_envelope, oddities, open_parsed
from anxin.formats.tcec102_order import OrderReader

#: Wrappers of orders met as request bodies, besides the bare object.
_WRAPPERS = ("ChargeOrderInfo", "ChargeOrderInfos", "ChargeOrders")
#: An envelope holds a body, never a body in a body in a body.
_MAX_DEPTH = 4


def decode(
    data: bytes,
    source_file: str,
    *,
    first_row: int = 1,
    zone: str = "Asia/Shanghai",
    secrets: Iterable[OperatorSecrets] | None = None,
    operator_id: str | None = None,
) -> Batch:
    """Return all orders, periods, operator totals, rejects and deviations of one file or chunk of JSON lines.

    `first_row` numbers the first line or item; `operator_id` is whose file it is, where that is known.
    Raises FormatError where the whole is no JSON of this dialect.
    """
    reader = OrderReader(source_file, LocalClock(zone_of(zone)), operator_id=operator_id)
    decoder = _Decoder(reader, list(secrets or ()))
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise FormatError("tcec102.empty", f"{source_file}: the file is empty")
    # A chunk that does not begin the file was cut from lines, even if only one (perhaps broken off) is in it.
    if first_row > 1 or looks_like_lines(data):
        for offset, line in enumerate(data.split(b"\n")):
            if line and not line.isspace():
                decoder.line(line, first_row + offset)
    else:
        decoder.document(json_document.loads(data), first_row)
    decoder.batch.deviations += decoder.reader.log.result()
    return decoder.batch


def looks_like_lines(data: bytes) -> bool:
    """Return whether bytes are JSON lines rather than one JSON document spread over lines."""
    lines = data[: 1 << 20].lstrip().split(b"\n", 2)
    if len(lines) < 2 or not lines[0].startswith(b"{"):
        return False
    second = b"\n".join(lines[1:]).lstrip()
    return second.startswith(b"{") or (lines[0].rstrip().endswith(b"}") and bool(second))


class _Decoder:
    def __init__(self, reader: OrderReader, secrets: list[OperatorSecrets]) -> None:
        self.reader = reader
        self.secrets = secrets
        self.batch = Batch()

    def line(self, line: bytes, row: int) -> None:
        """Read one line of JSON lines; whatever is wrong with it is one reject."""
        try:
            value = json_document.loads(line)
        except FormatError as error:
            self._reject(error, row)
            return
        for item in value if isinstance(value, list) else [value]:
            self.item(item, row)

    def document(self, value: object, first_row: int) -> None:
        """Read one JSON document: a list of items, or one item."""
        items = value if isinstance(value, list) else [value]
        for row, item in enumerate(items, first_row):
            self.item(item, row)

    def item(self, value: object, row: int, depth: int = 0) -> None:
        """Read one item: an order, a total, a wrapper around them, or an envelope around one of these."""
        try:
            if not isinstance(value, dict) or depth > _MAX_DEPTH:
                raise FormatError("tcec102.shape", "not a ChargeOrderInfo, a check_charge_orders or an envelope")
            if is_envelope(value):
                self._envelope(value, row, depth)
            elif "CheckOrderSeq" in value:
                self.batch.operator_totals.append(self.reader.total(value, row))
            elif (inner := next((value[name] for name in _WRAPPERS if name in value), None)) is not None:
                self._inner(value, inner, row, depth)
            elif isinstance(value.get("Data"), dict | list):
                note = Deviation("tcec102.plain_data", CLAUSE_ENVELOPE, "Data is not encrypted", "Data")
                self.reader.log.add(Source(self.reader.source_file, row), note)
                self._inner(value, value["Data"], row, depth)
            else:
                order, periods = self.reader.order(value, row)
                self.batch.orders.append(order)
                self.batch.order_periods += periods
        except FormatError as error:
            self._reject(error, row)

    def _envelope(self, value: dict[str, object], row: int, depth: int) -> None:
        if not self.secrets:
            raise FormatError("tcec102.secrets_missing", "an encrypted envelope, and no operator secrets were given")
        opened = open_parsed(value, self.secrets)
        for note in oddities(value):
            self.reader.log.add(Source(self.reader.source_file, row), note)
        self._as_operator(opened.operator_id, json_document.loads(opened.plain), row, depth)

    def _inner(self, value: dict[str, object], inner: object, row: int, depth: int) -> None:
        operator_id = value.get("OperatorID")
        self._as_operator(operator_id if isinstance(operator_id, str) else None, inner, row, depth)

    def _as_operator(self, operator_id: str | None, inner: object, row: int, depth: int) -> None:
        before = self.reader.operator_id
        self.reader.operator_id = operator_id or before
        try:
            for item in inner if isinstance(inner, list) else [inner]:
                self.item(item, row, depth + 1)
        finally:
            self.reader.operator_id = before

    def _reject(self, error: FormatError, row: int) -> None:
        self.batch.rejects.append(Reject(Source(self.reader.source_file, row), error.rule, str(error), error.field))
