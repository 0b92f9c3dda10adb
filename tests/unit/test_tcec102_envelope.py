"""The T/CEC 102.4 envelope against published vectors, and against forgers."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from anxin.domain.errors import FormatError
from anxin.formats import tcec102
from anxin.formats.tcec102_envelope import OperatorSecrets, open_envelope, seal_envelope, sign

PUBLISHED = OperatorSecrets("123456789", b"1234567890abcdef", b"1234567890abcdef", b"1234567890abcdef")

#: T/CEC 102.4-2016 appendix C.3. Its plain text is no strict JSON (trailing comma): a vector for the cipher alone.
V1 = {
    "OperatorID": "123456789",
    "Data": "il7B0BSEjFdzpyKzfOFpvg/Se1CP802RItKYFPfSLRxJ3jf0bVl9hvYOEktPAYW2nd7S8MBcyHYyacHKbISq5iTmDzG+ivnR+SZJv3USN"
    "TYVMz9rCQVSxd0cLlqsJauko79NnwQJbzDTyLooYoIwz75qBOH2/xOMirpeEqRJrF/EQjWekJmGk9RtboXePu2rka+Xm51syBPhiXJAq0GfbfaFu9tN"
    "qs/e2Vjja/ltE1M0lqvxfXQ6da6HrThsm5id4ClZFIi0acRfrsPLRixS/IQYtksxghvJwbqOsbIsITail9Ayy4tKcogeEZiOO+4Ed264NSKmk7l3"
    "wKwJLAFjCFogBx8GE3OBz4pqcAn/ydA=",
    "TimeStamp": "20160729142400",
    "Seq": "0001",
    "Sig": "745166E8C43C84D37FFEC0F529C4136F",
}
#: A published request and response of an open platform of the trade (documentation of `query_token`).
V2 = {
    "OperatorID": "123456789",
    "Data": "mYvffpNoFf4E/ZTC1tOw41TC5OlkEobfAYCm5N8hEusaLUaUIqOrXtdbMrSck0DSmfM7mRuOGMoCQzH0nWPGuw==",
    "TimeStamp": "20180120165755",
    "Seq": "0001",
    "Sig": "D2D584A14F3F284445DF85D0E8C0697C",
}
V3 = {
    "Ret": 0,
    "Msg": "",
    "Data": "uxeKP0ezR5yL8xSg4/ZCDh/N91/u86NXFxd2DrwZVW8zCPYcpl59Twz/yQZ3RaO4rDDrGmkvQignmNEJ+k4PGxdmIC+4fpJ8rU6osSobY"
    "+AeA0uueuQ5+eQiWBL6p6v5XMMm91brtK8yfFELYUWQzVcxABnAwK/+dyxtUhqLIxUpkwTEU/4ktN40df9IzzlLO5uvUknPGYu9yL0pp5w9vdRxmA1R"
    "iiTDNCysz6klr9bunGV3VJa2qpLcgeZMf/oG",
    "Sig": "58E52010C7DEE87FE183B0AFA5B2BE30",
}


def opened(envelope: Mapping[str, object], secrets: OperatorSecrets = PUBLISHED) -> bytes:
    return open_envelope(json.dumps(envelope).encode(), [secrets])


def test_the_standards_own_vector_opens() -> None:
    plain = opened(V1)
    assert plain.startswith(b'{"total":1,"stationStatusInfo":{"operationID":"123456789"')
    assert plain.endswith(b'"soc":10,}}}')


def test_the_published_request_and_response_open() -> None:
    assert opened(V2) == b'{"OperatorID":"123456789",\n"OperatorSecret":"1234567890abcdef"}'
    assert json.loads(opened(V3))["TokenAvailableTime"] == 7200


def test_sealing_gives_the_published_bytes_back() -> None:
    sealed = seal_envelope(opened(V2), PUBLISHED, V2["TimeStamp"], V2["Seq"])
    assert json.loads(sealed) == V2


@pytest.mark.parametrize("field", ["Data", "TimeStamp", "Seq", "Sig"])
def test_an_envelope_altered_in_one_character_does_not_open(field: str) -> None:
    value = V2[field]
    altered = {**V2, field: value[:5] + ("0" if value[5:6] != "0" else "1") + value[6:]}
    with pytest.raises(FormatError) as caught:
        opened(altered)
    assert caught.value.rule == "tcec102.signature"


@pytest.mark.parametrize(
    ("envelope", "rule"),
    [
        ({**V2, "OperatorID": "987654321"}, "tcec102.operator_unknown"),
        ({**V2, "TimeStamp": None}, "tcec102.envelope"),
        ({"Data": "x", "Sig": "y"}, "tcec102.envelope"),
        ({"Sig": "y"}, "tcec102.envelope"),
        ({**V2, "Sig": "é"}, "tcec102.signature"),
        ({**V2, "Sig": 5}, "tcec102.signature"),
        ({**V2, "Data": "\ud800"}, "tcec102.signature"),
    ],
)
def test_what_is_no_envelope_of_a_known_operator_is_refused(envelope: dict[str, object], rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        opened(envelope)
    assert caught.value.rule == rule


@pytest.mark.parametrize("data", ["", "AAAA", "not base64!", "A" * 64])
def test_signed_nonsense_is_a_cipher_error(data: str) -> None:
    signed = {**V2, "Data": data, "Sig": sign("123456789" + data + V2["TimeStamp"] + V2["Seq"], PUBLISHED)}
    with pytest.raises(FormatError) as caught:
        opened(signed)
    assert caught.value.rule == "tcec102.cipher"


def test_without_secrets_an_envelope_is_a_reject() -> None:
    batch = tcec102.decode(json.dumps(V2).encode(), "x.json")
    assert [r.rule for r in batch.rejects] == ["tcec102.secrets_missing"]


def test_an_envelope_in_lower_case_hex_with_a_short_time_opens_with_deviations() -> None:
    order = b'{"StartChargeSeq": "123456789000000000000000001"}'
    sealed = json.loads(seal_envelope(order, PUBLISHED, "201607291424"))
    sealed["Sig"] = sealed["Sig"].lower()
    batch = tcec102.decode(json.dumps(sealed).encode(), "x.json", secrets=[PUBLISHED])
    assert [o.operator_id for o in batch.orders] == ["123456789"]
    assert {"tcec102.time_stamp", "tcec102.signature_case"} <= {d.kind for _, d in batch.deviations}


def test_secrets_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(FormatError):
        OperatorSecrets("1", b"short", b"1234567890abcdef", b"x")
