"""Use case: make a virtual city and write it as the files that operators, meters and the authority would hand in.

1. build the city from its options (anxin.city)
2. write orders, checks, records and truth, on the wire or as columns
3. write the register and the keys, as the authority holds them
4. write what is honest, with the options that make the same city again
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anxin.city.build import City, build
from anxin.city.meters import MeterSecret, make_secret
from anxin.city.options import CityOptions
from anxin.city.wire import Upload
from anxin.city.write_columns import COLUMN_FILES, write_columns
from anxin.city.write_wire import write_wire
from anxin.domain.batch import Side
from anxin.domain.errors import InputError
from anxin.formats import meter_envelope
from anxin.formats.meter_envelope import ContentKey, Suite
from anxin.formats.register import dump_keys, dump_register

HONEST = "honest.json"
#: Everything that a city consists of.
CITY_FILES = frozenset(
    {"orders", "checks", "records", "truth.jsonl", "register.json", "keys.json", HONEST}
    | {f"{name}.parquet" for name in COLUMN_FILES}
)
Progress = Callable[[int, int], None]


def make_city(options: CityOptions, out: Path, form: str, workers: int, progress: Progress) -> dict[str, Any]:
    """Write the city under `out` and return the document of honest.json.

    Raises PolicyError where the options cannot be met, InputError where `out` cannot be written or holds other things.
    """
    city = build(options)
    try:
        _prepare(out)
        if form == "wire":
            count = write_wire(city, out, seal_upload, workers, progress)
        else:
            count = write_columns(city, out, progress)
        _write_register(city, out, form)
        document = {"format": form, **count.as_json()}
        _write_json(out / HONEST, document)
    except OSError as error:
        raise InputError(f"cannot write the city to {out}: {error}") from None
    return document


def seal_upload(upload: Upload) -> str:
    """Return one line as a meter sends it: its signed record in the envelope AXE1."""
    secret = upload.secret
    data = meter_envelope.seal(
        upload.record.text.encode(),
        content_key(secret),
        counter=upload.counter,
        meter_id=secret.meter_id,
        transaction_id=upload.transaction_id,
        side=Side(upload.record.side),
        sent_utc_ms=upload.sent_utc_ms,
    )
    return meter_envelope.to_line(data).decode()


def content_key(secret: MeterSecret) -> ContentKey:
    """Return the key that a meter and the platform share for uploads."""
    suite = Suite.SM4_GCM if secret.sm4 else Suite.AES_256_GCM
    return ContentKey(f"{secret.meter_id}-E1", suite, secret.upload_key[: suite.key_bytes], secret.meter_id)


def _prepare(out: Path) -> None:
    """Make room. An earlier city is replaced; anything else in the directory is the user's and stops us.

    A city that was interrupted lacks honest.json, which is written last, and is left for the user to remove.
    """
    out.mkdir(parents=True, exist_ok=True)
    entries = list(out.iterdir())
    if entries and not ((out / HONEST).is_file() and all(entry.name in CITY_FILES for entry in entries)):
        raise InputError(f"{out} holds other things than a finished city: give an empty or a new directory")
    for entry in entries:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write_register(city: City, out: Path, form: str) -> None:
    """Columns carry no encrypted upload, hence no keys to open one."""
    register, seed = city.register, city.options.seed
    meters = enumerate(city.world.meter_code) if form == "wire" else ()
    content_keys = [content_key(make_secret(seed, number, meter)) for number, meter in meters]
    (out / "register.json").write_bytes(dump_register(dataclasses.replace(register, keys=())))
    (out / "keys.json").write_bytes(dump_keys(register.keys, content_keys))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
