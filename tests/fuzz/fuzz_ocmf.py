"""Coverage-guided fuzzing of the OCMF decoder and the verifier: nothing but FormatError, and never a false "authentic".

python -m tests.fuzz.fuzz_ocmf [-max_total_time=180] [CORPUS...]
"""

from __future__ import annotations

import atheris
from tests.fuzz.formats_harness import run

with atheris.instrument_imports(include=["anxin"]):
    from anxin.domain.batch import JudgedRecord
    from anxin.domain.errors import FormatError
    from anxin.domain.meter_record import Answer
    from anxin.domain.source import Source
    from anxin.formats import ocmf
    from anxin.formats.signed_records import signed_record, split_records
    from anxin.formats.transactions import join, session_of
    from anxin.trust.signing import new_signing_key
    from anxin.trust.verify import judge_signed

KEYS = [new_signing_key(name, b"fuzz") for name in ("ECDSA-secp256r1-SHA256", "Ed25519")]
SEEDS = [
    b'OCMF|{"FV":"1.4","GI":"G","GS":"S","PG":"T1","MS":"M","IS":true,"IL":"NONE","IF":["RFID_PLAIN"],"IT":"ISO14443",'
    b'"ID":"1F2D3A4F","CT":"EVSEID","CI":"E","LC":{"LN":"x","LI":1,"LR":2,"LU":"mOhm"},"RD":[{"TM":"2026-05-01T10:00:00,'
    b'000+0200 S","TX":"B","RV":1.50,"RI":"1-0:1.8.0","RU":"kWh","RT":"DC","CL":0,"EF":"","ST":"G"},{"TX":"E",'
    b'"RV":"2"}]}'
    b'|{"SA":"ECDSA-secp256r1-SHA256","SE":"hex","SM":"application/x-der","SD":"3006020101020101"}',
    b'OCMF|{"FV":"0.1","VI":"A","VV":"1","PG":"F7","IS":"VERIFIED","RD":[{"EI":5,"RV":1e3}]}|{"SE":"base64","SD":"AAAA"}',
]


def test_one_input(data: bytes) -> None:
    """Decode, judge and join one input. Our own keys never signed what a fuzzer makes."""
    try:
        ocmf.decode(data)
    except FormatError:
        return
    signed = signed_record(data, Source("fuzz", 1))
    for key in KEYS:
        judgement = judge_signed(signed, key.public_key)
        if judgement.answer is Answer.AUTHENTIC or judgement.if_read_so is Answer.AUTHENTIC:
            raise AssertionError("authentic, and never signed")
    lines = [signed_record(raw, Source("fuzz", row)) for row, raw in split_records(data)]
    judged = [JudgedRecord(line, judge_signed(line, KEYS[0].public_key)) for line in lines]
    for transaction in join(judged):
        session_of(transaction)


if __name__ == "__main__":
    # Nothing may escape the target: it catches what its decoders declare.
    run(test_one_input, SEEDS, ["OCMF|", "RD", "TM", "TX", "RV", "RU", "EF", "ST", "SA", "SD", "kWh"], declared=())
