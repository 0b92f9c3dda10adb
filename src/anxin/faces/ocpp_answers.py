"""What the platform answers a charger, by the `ocpp` library: it listens, and steers nothing.

Calls that are kept are answered whatever their details (`skip_schema_validation`): the evidence is there, and a charger
that is refused would send it for ever. All others go through the library's schemas. The reasons for each answer stand
in docs/decisions/0011-ocpp-door.md.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from ocpp import routing
from ocpp.messages import unpack
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v201 import ChargePoint as ChargePoint201

from anxin.domain.message import Accepted
from anxin.evidence.note import Signer
from anxin.flow.receipts import accepted_document
from anxin.settings import Settings

PROTOCOL_16, PROTOCOL_201 = "ocpp1.6", "ocpp2.0.1"
#: Receipts of a connection that its charger may still ask for.
MAX_RECEIPTS = 100
#: OCPP 1.6 transaction ids are read into 32 signed bits by many chargers.
_TRANSACTION_IDS = 2**31 - 1
_RECEIPT = "receipt"
#: The library writes every frame into its log at level info, with the ids of drivers: it gets a log that keeps nothing.
_SILENT = logging.Logger("ocpp of charger", logging.CRITICAL + 1)

_EMPTY_16 = (
    "DiagnosticsStatusNotification", "FirmwareStatusNotification", "LogStatusNotification",
    "SecurityEventNotification", "SignedFirmwareStatusNotification",
)  # fmt: skip
_EMPTY_201 = (
    "ClearedChargingLimit", "FirmwareStatusNotification", "LogStatusNotification", "NotifyChargingLimit",
    "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport",
    "PublishFirmwareStatusNotification", "ReportChargingProfiles", "ReservationStatusUpdate",
    "SecurityEventNotification",
)  # fmt: skip
#: What the platform does for no charger: certificates, vehicle contracts, charging needs.
_DECLINED_16 = {"SignCertificate": {"status": "Rejected"}}
_DECLINED_201 = {
    "SignCertificate": {"status": "Rejected"},
    "Get15118EVCertificate": {"status": "Failed", "exi_response": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "NotifyEVChargingNeeds": {"status": "Rejected"},
    "NotifyEVChargingSchedule": {"status": "Rejected"},
}
_KEPT_16, _KEPT_201 = ("MeterValues", "StatusNotification", "StopTransaction"), ("MeterValues", "StatusNotification")

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def on(action: str, *, keep: bool = False) -> Callable[[_Handler], _Handler]:
    """Let a method answer an action; `keep` for one that is kept, whatever its details."""
    decorated: Callable[[_Handler], _Handler] = routing.on(action, skip_schema_validation=keep)
    return decorated


class Line(Protocol):
    """Where answers go."""

    async def send(self, text: str) -> None: ...


class Answers:
    """What both versions share; mixed into the library's classes."""

    _call_result: Any

    def __init__(self, charger_id: str, line: Line, settings: Settings, signer: Signer) -> None:
        super().__init__(charger_id, line, logger=_SILENT)  # type: ignore[call-arg]
        self.settings = settings
        self.signer = signer
        self.accepted: Accepted | None = None
        self._receipts: OrderedDict[str, Accepted] = OrderedDict()

    def kept(self, call_id: str, accepted: Accepted) -> None:
        """Remember what became of the call that is answered next."""
        self.accepted = accepted
        self._receipts[call_id] = accepted
        while len(self._receipts) > MAX_RECEIPTS:
            self._receipts.popitem(last=False)

    @on("BootNotification")
    def on_boot(self, **_: Any) -> Any:
        """Every charger that got this far is known."""
        interval = self.settings.ocpp_heartbeat_s
        return self._call_result.BootNotification(current_time=_now(), interval=interval, status="Accepted")

    @on("Heartbeat")
    def on_heartbeat(self, **_: Any) -> Any:
        """The platform's clock."""
        return self._call_result.Heartbeat(current_time=_now())

    @on("DataTransfer")
    def on_data_transfer(self, vendor_id: str = "", message_id: str | None = None, data: Any = None, **_: Any) -> Any:
        """The receipt of an earlier call of this connection, by that call's id; no other vendor is known."""
        if vendor_id != self.settings.ocpp_vendor_id:
            return self._call_result.DataTransfer(status="UnknownVendorId")
        if message_id != _RECEIPT:
            return self._call_result.DataTransfer(status="UnknownMessageId")
        accepted = self._receipts.get(data) if isinstance(data, str) else None
        if accepted is None:
            return self._call_result.DataTransfer(status="Rejected")
        document = json.dumps(accepted_document(self.signer, accepted), separators=(",", ":"))
        return self._call_result.DataTransfer(status="Accepted", data=document)


class Answers16(Answers, ChargePoint16):  # type: ignore[misc]
    """OCPP 1.6."""

    @on("Authorize")
    def on_authorize(self, **_: Any) -> Any:
        """No objection. Whether a driver may charge is the operator's to say; no id tag is looked up or kept."""
        return self._call_result.Authorize(id_tag_info={"status": "Accepted"})

    @on("StartTransaction", keep=True)
    def on_start(self, **_: Any) -> Any:
        """A transaction id from the number of the evidence: the same start sent again gets the same id, for ever."""
        index = self.accepted.receipt.index if self.accepted is not None else 0
        return self._call_result.StartTransaction(
            transaction_id=index % _TRANSACTION_IDS + 1, id_tag_info={"status": "Accepted"}
        )


class Answers201(Answers, ChargePoint201):  # type: ignore[misc]
    """OCPP 2.0.1."""

    @on("Authorize")
    def on_authorize(self, **_: Any) -> Any:
        """No objection, as in 1.6."""
        return self._call_result.Authorize(id_token_info={"status": "Accepted"})

    @on("TransactionEvent", keep=True)
    def on_transaction(self, id_token: Any = None, **_: Any) -> Any:
        """Where a token was shown the standard wants a word on it (E05): no objection."""
        info = None if id_token is None else {"status": "Accepted"}
        return self._call_result.TransactionEvent(id_token_info=info)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(kind: type[Answers], action: str, values: dict[str, Any], *, keep: bool = False) -> None:
    """Let a class answer an action with these values."""

    def handler(self: Answers, **_: Any) -> Any:
        return getattr(self._call_result, action)(**values)

    handler.__name__ = f"on_{action}"
    setattr(kind, handler.__name__, on(action, keep=keep)(handler))


for _kind, _empty, _kept, _declined in (
    (Answers16, _EMPTY_16, _KEPT_16, _DECLINED_16),
    (Answers201, _EMPTY_201, _KEPT_201, _DECLINED_201),
):
    for _name in _empty:
        _answer(_kind, _name, {})
    for _name in _kept:
        _answer(_kind, _name, {}, keep=True)
    for _name, _values in _declined.items():
        _answer(_kind, _name, _values)

VERSIONS: dict[str, type[Answers]] = {PROTOCOL_201: Answers201, PROTOCOL_16: Answers16}
_CODES_16 = {"FormatViolation": "FormationViolation", "OccurrenceConstraintViolation": "OccurenceConstraintViolation"}
_OTHER_CODES_16 = {"RpcFrameworkError": "FormationViolation"}


def error_frame(protocol: str, call_id: str, code: str, description: str) -> str:
    """Return a CALLERROR with the code as the protocol's version spells it."""
    spelled = (_CODES_16 | _OTHER_CODES_16).get(code, code) if protocol == PROTOCOL_16 else code
    return json.dumps([4, call_id, spelled, description[:255], {}], ensure_ascii=False, separators=(",", ":"))


def spelled(protocol: str, text: str) -> str:
    """Return an answer of the library as it goes out. Its errors repeat the whole call as details; the cause stays."""
    if not text.startswith("[4,"):
        return text
    error = unpack(text)
    cause = error.error_details.get("cause") if isinstance(error.error_details, dict) else None
    told = f"{error.error_description or ''} {cause or ''}".strip()
    return error_frame(protocol, error.unique_id, error.error_code, told)


def known_actions(protocol: str) -> frozenset[str]:
    """Return every action that the version has, in either direction."""
    from ocpp.v16.enums import Action as Action16
    from ocpp.v201.enums import Action as Action201

    return frozenset(a.value for a in (Action16 if protocol == PROTOCOL_16 else Action201))
