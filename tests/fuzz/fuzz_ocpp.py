"""Fuzz the chargers' door from a frame's bytes to what is kept and what it says: grammar, name, contents, places."""

from __future__ import annotations

import base64
import json

import atheris

with atheris.instrument_imports(include=["anxin"]):
    from tests.fuzz.formats_harness import run

    from anxin.domain.register import Connector
    from anxin.flow.ocpp_messages import contents_of, evidence_of
    from anxin.flow.platform import Directory
    from anxin.formats import ocpp_frame

RECORD = 'OCMF|{"FV":"1.0","PG":"T1","RD":[]}|{"SD":"3006020101020101"}'
NOTE = {"signedMeterData": base64.b64encode(RECORD.encode()).decode(), "encodingMethod": "OCMF", "publicKey": "04"}
AT = "2026-03-10T10:03:49Z"
VALUES = [{"timestamp": AT, "sampledValue": [
    {"value": json.dumps(NOTE), "format": "SignedData", "context": "Transaction.Begin"},
    {"value": RECORD, "format": "SignedData", "context": "Transaction.End"},
    {"value": 1.5, "signedMeterValue": NOTE},
    {"value": "7", "measurand": "Energy.Active.Import.Register"}]}]  # fmt: skip
CALLS: dict[str, dict[str, object]] = {
    "StopTransaction": {"transactionId": 7, "meterStop": 1, "timestamp": AT, "transactionData": VALUES},
    "StartTransaction": {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": AT},
    "MeterValues": {"connectorId": 1, "transactionId": 7, "meterValue": VALUES},
    "TransactionEvent": {"eventType": "Ended", "timestamp": AT, "seqNo": 0, "transactionInfo": {"transactionId": "t"},
                         "evse": {"id": 1, "connectorId": 2}, "meterValue": VALUES},
    "StatusNotification": {"connectorId": 0, "errorCode": "NoError", "status": "Faulted", "timestamp": AT},
    "BootNotification": {"chargePointVendor": "v", "chargePointModel": "m"},
}  # fmt: skip
OWN = (Connector("C-1", "CH", "S", "O", 1, "AC"), Connector("C-2", "CH", "S", "O", 1, "AC"))
DIRECTORY = Directory(connectors_of_charger={"CH": OWN})
NOW = 1_790_000_000_000


def target(data: bytes) -> None:
    call_id = ocpp_frame.id_of(data)
    frame = ocpp_frame.parse(data)
    if frame.kind is ocpp_frame.FrameType.CALL and call_id not in (ocpp_frame.NO_ID, frame.call_id):
        raise AssertionError("an answer under another id than the call's")
    if frame.payload_bytes not in data:
        raise AssertionError("the payload is no slice of the frame")
    message = evidence_of(frame, data, "CH", NOW)
    if message is None:
        return
    if not message.message_id.isascii() or not message.message_id.isprintable() or len(message.message_id) > 500:
        raise AssertionError("a name that the database cannot hold")
    batch, statuses = contents_of(message, "m", NOW, DIRECTORY)
    if any(s.connector_id not in ("C-1", "C-2") for s in statuses):
        raise AssertionError("a state of another charger's connector")
    if any(r.transaction_id is not None and not r.transaction_id.startswith("CH/") for r in batch.signed_records):
        raise AssertionError("a transaction of another charger")


if __name__ == "__main__":
    frames = [json.dumps([2, "i", action, payload]).encode() for action, payload in CALLS.items()]
    names = {name for payload in CALLS.values() for name in payload}
    run(target, [*frames, b'[3,"i",{}]', b'[4,"i","GenericError","",{}]'], [*CALLS, *sorted(names), "OCMF|"])
