"""The worker processes give the same answers, in the same order, as one process does."""

from __future__ import annotations

from anxin.domain.batch import JudgedRecord
from anxin.domain.register import MeterKey
from anxin.domain.source import Source
from anxin.formats.ocmf import encode_frame
from anxin.trust.keyring import KeyRing
from anxin.trust.parallel import CHUNK_RECORDS, judge_in_processes
from anxin.trust.signing import new_signing_key
from anxin.trust.verify import judge_texts

SIGNER = new_signing_key("ECDSA-secp256r1-SHA256", b"parallel")
RING = KeyRing((MeterKey("K1", "MS-1", SIGNER.algorithm, SIGNER.public_key, 0),))


def records(count: int) -> list[tuple[Source, bytes]]:
    """Return signed records, each seventh of them altered after signing."""
    made = []
    for number in range(count):
        payload = f'{{"FV":"1.0","PG":"T{number}","MS":"MS-1"}}'.encode()
        signature = SIGNER.sign(payload if number % 7 else payload + b" ").hex()
        made.append((Source("f", number + 1), encode_frame(payload, {"SD": signature})))
    return made


def answers(chunk: list[JudgedRecord]) -> list[str]:
    """Return the answers alone: what a worker may send back instead of the records."""
    return [record.judgement.answer.value for record in chunk]


def test_workers_judge_as_one_process_does() -> None:
    given = records(CHUNK_RECORDS + 500)
    alone = judge_texts(given, RING)
    together = list(judge_in_processes(given, RING, workers=2))
    assert [len(chunk) for chunk in together] == [CHUNK_RECORDS, 500]
    assert [record for chunk in together for record in chunk] == alone
    reduced = [answer for chunk in judge_in_processes(given, RING, 2, answers) for answer in chunk]
    assert reduced == answers(alone)
    assert reduced.count("forged") == len([n for n in range(len(given)) if n % 7 == 0])
