"""The operators' door in T/CEC 102: query_token, orders, checks, stations, status of connectors.

Order of the checks: size, envelope, operator and signature, token, time, decryption, business. What a caller learns of
a failed one is the standard's return code; a business error names field and rule and goes to the failed-write ledger.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from anxin.domain.errors import AnxinError, BusyError, FormatError
from anxin.domain.message import Kind, Message
from anxin.evidence.note import Signer
from anxin.flow import rates, tcec102_checking, tcec102_tokens
from anxin.flow.admission import Admitted, Grounds, admit, refusal
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform, TcecSecrets
from anxin.flow.receipts import accepted_document
from anxin.formats import json_document, tcec102_envelope
from anxin.formats.local_time import LocalClock, zone_of
from anxin.formats.tcec102_time import stamp_utc_ms

BUSY, OK, BAD_SIGNATURE, BAD_TOKEN, BAD_ENVELOPE, BAD_BUSINESS, INTERNAL = -1, 0, 4001, 4002, 4003, 4004, 500
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {
    "type": "object", "required": ["OperatorID", "Data", "TimeStamp", "Seq", "Sig"], "properties": {
        name: {"type": "string"} for name in ("OperatorID", "Data", "TimeStamp", "Seq", "Sig")}}}}}}  # fmt: skip
#: A payload of this length is checked in a thread, so that others need not wait for it.
LONG_BYTES = 65_536
_EXACT = msgspec.json.Encoder(decimal_format="number")
Handler = Callable[["_Call"], Awaitable[dict[str, Any]]]


class _RefusalError(AnxinError):
    """A call that ends with a return code."""

    def __init__(self, code: int, zh: str, en: str) -> None:
        super().__init__(f"{zh} {en}")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Call:
    """A call whose envelope is authentic, in time, and decrypted. `number` is its TimeStamp and Seq as signed."""

    operator_id: str
    secrets: TcecSecrets
    plain: bytes
    body: bytes
    number: str


def router(platform: Platform, signer: Signer, token_key: bytes) -> APIRouter:
    """Return the routes. `token_key` signs AccessTokens."""
    door = _Door(platform, signer, token_key)
    routes = APIRouter(prefix="/evcs", tags=["T/CEC 102"])
    for name, handler in (
        ("query_token", door.query_token),
        ("notification_charge_order_info", door.order),
        ("check_charge_orders", door.check),
        ("notification_stationInfo", door.station),
        ("notification_stationStatus", door.status),
    ):
        routes.add_api_route(
            f"/{{version}}/{name}", door.endpoint(name, handler), methods=["POST"], openapi_extra=_BODY, name=name
        )
    return routes


class _Door:
    def __init__(self, platform: Platform, signer: Signer, token_key: bytes) -> None:
        self.platform = platform
        self.signer = signer
        self.token_key = token_key

    def endpoint(self, name: str, handler: Handler) -> Callable[[Request, str], Awaitable[Response]]:
        async def call(request: Request, version: str) -> Response:
            body = await request.body()
            secrets: TcecSecrets | None = None
            try:
                operator_id, secrets, signed = self._authentic(body)
                if name != "query_token":
                    self._require_token(request.headers.get("authorization", ""), operator_id)
                self._require_time(signed)
                plain = _decrypted(signed)
                number = f"{signed.time_stamp}{signed.seq}"
                return _answer(OK, "", await handler(_Call(operator_id, secrets, plain, body, number)), secrets)
            except _RefusalError as refusal:
                return _answer(refusal.code, str(refusal), {}, secrets)
            except BusyError:
                return _answer(BUSY, "系统繁忙，请稍后重发 busy, send again", {}, secrets)
            except AnxinError:
                return _answer(INTERNAL, "系统错误，未保存，请重发 nothing was kept, send again", {}, secrets)

        return call

    def _authentic(self, body: bytes) -> tuple[str, TcecSecrets, tcec102_envelope.Signed]:
        try:
            value = json_document.loads(body)
            operator_id = value.get("OperatorID") if isinstance(value, dict) else None
            if not isinstance(value, dict) or not isinstance(operator_id, str):
                raise FormatError("tcec102.envelope", "OperatorID is missing")
            for field in ("Data", "TimeStamp", "Seq", "Sig"):
                if field not in value:
                    raise FormatError("tcec102.envelope", f"{field} is missing")
        except FormatError as error:
            raise _RefusalError(BAD_ENVELOPE, "参数不合法", str(error)) from None
        # Several secrets are valid while an operator changes to new ones. A stranger hears what a bad signature hears.
        for secrets in self.platform.directory.valid_tcec(operator_id):
            try:
                return operator_id, secrets, tcec102_envelope.authenticate(value, (secrets.secrets,))
            except FormatError as error:
                if error.rule != "tcec102.signature":
                    raise _RefusalError(BAD_ENVELOPE, "参数不合法", str(error)) from None
        rates.guessed()
        raise _RefusalError(BAD_SIGNATURE, "签名错误", "the signature does not hold")

    def _require_time(self, signed: tcec102_envelope.Signed) -> None:
        # The signature runs over OperatorID, Data, TimeStamp and Seq without separators: digits could wander from one
        # to the next, and a captured TimeStamp be read as another moment. With Seq held to its length none can.
        seq = signed.seq or ""
        if not (seq.isascii() and seq.isdigit() and len(seq) <= tcec102_envelope.SEQ_DIGITS):
            raise _RefusalError(BAD_ENVELOPE, "Seq 不合法", "Seq is not four digits")
        try:
            sent_utc_ms = stamp_utc_ms(signed.time_stamp or "", LocalClock(zone_of(self.platform.settings.zone)))
        except FormatError as error:
            raise _RefusalError(BAD_ENVELOPE, "TimeStamp 不合法", str(error)) from None
        skew_s = abs(sent_utc_ms - now_utc_ms()) // 1_000
        if skew_s > self.platform.settings.max_skew_s:
            raise _RefusalError(BAD_ENVELOPE, "TimeStamp 偏差过大", f"TimeStamp is {skew_s} s off our clock")

    def _require_token(self, header: str, operator_id: str) -> None:
        kind, _, token = header.partition(" ")
        fits = kind.lower() == "bearer" and tcec102_tokens.check(
            self.token_key, token, operator_id, self.platform.directory, int(time.time())
        )
        if not fits:
            raise _RefusalError(BAD_TOKEN, "Token 错误", "the token is not valid")

    async def query_token(self, call: _Call) -> dict[str, Any]:
        """Sell a token for the OperatorSecret."""
        value = _object(call.plain)
        stated = value.get("OperatorSecret")
        fits = isinstance(stated, str) and hmac.compare_digest(
            stated.encode("utf-8", "replace"), call.secrets.operator_secret.encode()
        )
        if not fits:
            rates.guessed()
        valid_s = self.platform.settings.token_valid_s
        token = tcec102_tokens.issue(self.token_key, call.secrets, int(time.time()) + valid_s) if fits else ""
        return {
            "OperatorID": call.operator_id,
            "SuccStat": 0 if fits else 1,
            "AccessToken": token,
            "TokenAvailableTime": valid_s if fits else 0,
            "FailReason": 0 if fits else 2,
        }

    async def order(self, call: _Call) -> dict[str, Any]:
        """Keep one order. The same bytes again have the same receipt; other bytes under its id are a dispute."""
        admitted = await self._admitted(Kind.TCEC_ORDER, call)
        return await self._keep(Kind.TCEC_ORDER, call, admitted.message_id) | {
            "StartChargeSeq": admitted.message_id,
            "ConnectorID": admitted.batch.orders[0].connector_id or "",
        }

    async def check(self, call: _Call) -> dict[str, Any]:
        """Keep an operator's totals; answer which of the orders that he lists are not kept as he states them."""
        admitted = await self._admitted(Kind.TCEC_CHECK, call)
        kept = await self._keep(Kind.TCEC_CHECK, call, admitted.message_id)
        found = await asyncio.to_thread(tcec102_checking.disputes, self.platform, call.operator_id, call.plain)
        return kept | {"CheckOrderSeq": admitted.message_id} | tcec102_checking.answer(found)

    async def station(self, call: _Call) -> dict[str, Any]:
        """Keep what an operator declares of stations; every sending is a version of its own."""
        stations = (await self._admitted(Kind.TCEC_STATION, call)).message_id
        return await self._keep(Kind.TCEC_STATION, call, f"{stations}@{call.number}") | {"Status": 0}

    async def status(self, call: _Call) -> dict[str, Any]:
        """Keep the status of connectors."""
        connectors = (await self._admitted(Kind.TCEC_STATUS, call)).message_id
        return await self._keep(Kind.TCEC_STATUS, call, f"{connectors}@{call.number}") | {"Status": 0}

    async def _admitted(self, kind: Kind, call: _Call) -> Admitted:
        """What a message says, checked once here so that its sender hears at once what is wrong with it."""
        grounds = Grounds(call.operator_id, self.platform.directory, self.platform.settings.zone)
        try:
            if len(call.plain) < LONG_BYTES:
                return admit(kind, call.plain, grounds)
            return await asyncio.to_thread(admit, kind, call.plain, grounds)
        except FormatError as error:
            await self._refuse(kind, call, error)

    async def _keep(self, kind: Kind, call: _Call, message_id: str) -> dict[str, Any]:
        message = Message(kind, call.operator_id, message_id, call.plain, call.body)
        accepted = await self.platform.intake.accept(message)
        dispute = accepted.conflicts_with is not None
        return {"ConfirmResult": 1 if dispute else 0, "Receipt": accepted_document(self.signer, accepted)}

    async def _refuse(self, kind: Kind, call: _Call, error: FormatError) -> NoReturn:
        number = await self.platform.intake.refuse(refusal(kind, call.operator_id, call.plain, error))
        where = f"{error.field}: " if error.field else ""
        raise _RefusalError(BAD_BUSINESS, f"业务参数不合法（失败记录 {number}）", f"{where}{error} [{error.rule}]")


def _decrypted(signed: tcec102_envelope.Signed) -> bytes:
    try:
        return tcec102_envelope.decrypt(signed.data, signed.secrets)
    except FormatError as error:
        raise _RefusalError(BAD_BUSINESS, "业务参数不合法", str(error)) from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json_document.loads(data)
    except FormatError as error:
        raise _RefusalError(BAD_BUSINESS, "业务参数不合法", str(error)) from None
    if not isinstance(value, dict):
        raise _RefusalError(BAD_BUSINESS, "业务参数不合法", "not a JSON object")
    return value


def _answer(code: int, message: str, data: dict[str, Any], secrets: TcecSecrets | None) -> Response:
    """The answer envelope; to a stranger without secrets it goes unsigned and empty."""
    sealed = signature = ""
    if secrets is not None:
        sealed = tcec102_envelope.encrypt(_EXACT.encode(data), secrets.secrets)
        signature = tcec102_envelope.sign(f"{code}{message}{sealed}", secrets.secrets)
    body = {"Ret": code, "Msg": message, "Data": sealed, "Sig": signature}
    return Response(json.dumps(body, ensure_ascii=False).encode(), media_type="application/json;charset=utf-8")
