"""Coverage-guided fuzzing of the SAFE container and of public key texts: nothing but the declared errors.

python -m tests.fuzz.fuzz_safe_xml [-max_total_time=180] [CORPUS...]
"""

from __future__ import annotations

import contextlib

import atheris
from tests.fuzz.formats_harness import run

with atheris.instrument_imports(include=["anxin"]):
    from anxin.domain.batch import JudgedRecord
    from anxin.domain.errors import FormatError, KeyTextError
    from anxin.formats import safe_xml
    from anxin.formats.transactions import join, session_of
    from anxin.trust.algorithms import ALGORITHM_OF_CURVE
    from anxin.trust.keys import read_key
    from anxin.trust.verify import judge_signed

CURVES = [None, *ALGORITHM_OF_CURVE]
SEED = (
    b'<values><value transactionId="1" context="Transaction.Begin"><signedData format="OCMF" encoding="plain">'
    b'OCMF|{"FV":"1.0","PG":"T1"}|{"SD":"00"}</signedData><publicKey encoding="hex">3059</publicKey></value></values>'
)


def test_one_input(data: bytes) -> None:
    """Read one input as a key and as a container, then judge and join what came out."""
    with contextlib.suppress(KeyTextError):
        read_key.__wrapped__(data.decode("latin-1"), CURVES[len(data) % len(CURVES)])
    try:
        batch = safe_xml.decode(data)
    except FormatError:
        return
    judged = [JudgedRecord(signed, judge_signed(signed, None)) for signed in batch.signed_records]
    for transaction in join(judged):
        session_of(transaction)


if __name__ == "__main__":
    # Nothing may escape the target: it catches what its decoders declare.
    run(
        test_one_input, [SEED], ["<value", "signedData", "publicKey", "encoding", "transactionId", "OCMF|"], declared=()
    )
