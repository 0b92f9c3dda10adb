"""Signatures against `openssl speed`, and a file of a million OCMF records read, verified and made sessions.

python -m bench.signatures [--records 1000000]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from anxin.domain.register import MeterKey
from anxin.domain.source import Source
from anxin.formats.ocmf import decode, encode_frame
from anxin.formats.register import dump_keys
from anxin.formats.signed_records import signed_record
from anxin.trust.signing import new_signing_key
from anxin.trust.verify import judge_signed
from bench.common import BUILD, write

#: Records verified in the single-process measurement: a few seconds of work.
SAMPLE = 20_000
METERS = 200
ALGORITHMS = {"P-256": "ECDSA-secp256r1-SHA256", "SM2": "SM2-sm2p256v1-SM3"}


def openssl_per_second(name: str) -> float:
    """Verifications per CPU-second that `openssl speed` reports for one core."""
    done = subprocess.run(["openssl", "speed", "-seconds", "3", name], capture_output=True, text=True, check=True)
    last = [line for line in done.stdout.splitlines() if re.search(r"\(nistp256\)|SM2", line)][-1]
    return float(last.split()[-1])


def payload(number: int, meter: str) -> bytes:
    """A session's payload as a meter would write it, two readings."""
    hour = number % 22
    document = {
        "FV": "1.4", "GI": "BENCH", "GS": f"G{meter}", "GV": "1.0", "PG": f"T{number + 1}", "MV": "BENCH", "MM": "M",
        "MS": meter, "MF": "1.0", "IS": True, "IL": "VERIFIED", "IF": ["RFID_PLAIN"], "IT": "ISO14443",
        "ID": "1F2D3A4F5506C7", "CT": "EVSEID", "CI": f"C{meter}",
        "RD": [_reading("B", hour, number), _reading("E", hour + 1, number + 20_000)],
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":")).encode()


def _reading(context: str, hour: int, register_wh: int) -> dict[str, object]:
    moment = f"2026-05-01T{hour:02d}:00:00,000+0800 S"
    return {"TM": moment, "TX": context, "RV": register_wh / 1000, "RI": "01-00:B2.08.00*FF", "RU": "kWh", "RT": "DC",
            "EF": "", "ST": "G"}  # fmt: skip


def records(algorithm: str, count: int, out: Path) -> Path:
    """Write `count` signed records, one a line, and their keys; return the keys file."""
    keys = [new_signing_key(algorithm, f"bench-{n}".encode()) for n in range(METERS)]
    meters = [f"M{n:06d}" for n in range(METERS)]
    with out.open("wb") as file:
        for number in range(count):
            which = number % METERS
            signed = payload(number, meters[which])
            section = {"SA": algorithm, "SD": keys[which].sign(signed).hex()}
            file.write(encode_frame(signed, section) + b"\n")
    entries = [MeterKey(f"K{m}", m, algorithm, k.public_key, 0) for m, k in zip(meters, keys, strict=True)]
    place = out.with_suffix(".keys.json")
    place.write_bytes(dump_keys(entries))
    return place


def verify_rate(algorithm: str) -> dict[str, float]:
    """Verifications per CPU-second of the path `judge_signed`, and of decoding and judging together."""
    key = new_signing_key(algorithm, b"bench")
    raws = []
    for number in range(SAMPLE if algorithm == ALGORITHMS["P-256"] else SAMPLE // 4):
        signed = payload(number, "M1")
        raws.append(encode_frame(signed, {"SA": algorithm, "SD": key.sign(signed).hex()}))
    began = time.process_time()
    decoded = [signed_record(raw, Source("bench", n), key_text=key.public_key) for n, raw in enumerate(raws, 1)]
    decoding = time.process_time() - began
    began = time.process_time()
    answers = {judge_signed(record, None).answer.value for record in decoded}
    judging = time.process_time() - began
    if answers != {"authentic"}:
        raise SystemExit(f"unexpected answers: {answers}")
    decode(raws[0])
    return {"judge_per_cpu_s": len(raws) / judging, "decode_and_judge_per_cpu_s": len(raws) / (decoding + judging)}


def main() -> None:
    """Measure and write build/bench/signatures.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    args = parser.parse_args()
    document: dict[str, Any] = {}
    for name, algorithm, speed in (("P-256", ALGORITHMS["P-256"], "ecdsap256"), ("SM2", ALGORITHMS["SM2"], "sm2")):
        limit = openssl_per_second(speed)
        ours = verify_rate(algorithm)
        document[name] = {"openssl_per_s": limit, **ours, "share_of_openssl": ours["judge_per_cpu_s"] / limit}
    BUILD.mkdir(parents=True, exist_ok=True)
    lines = BUILD / f"ocmf-{args.records}.txt"
    keys = lines.with_suffix(".keys.json")
    if not keys.exists():
        keys = records(ALGORITHMS["P-256"], args.records, lines)
    done = subprocess.run(
        [sys.executable, "-m", "bench.import_records", str(lines), str(keys)],
        capture_output=True,
        text=True,
        check=True,
    )
    document["file"] = {"records": args.records, **json.loads(done.stdout.splitlines()[-1])}
    write("signatures", document)


if __name__ == "__main__":
    main()
