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

from anxin.city.build import build
from anxin.city.options import CityOptions
from anxin.city.wire import Upload
from anxin.city.write_columns import COLUMN_FILES, write_columns
from anxin.city.write_wire import write_wire
from anxin.domain.errors import InputError
from anxin.domain.register import Register

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
        _write_register(city.register, out)
        document = {"format": form, **count.as_json()}
        _write_json(out / HONEST, document)
    except OSError as error:
        raise InputError(f"cannot write the city to {out}: {error}") from None
    return document


def seal_upload(upload: Upload) -> str:
    """Return one line as a meter's gateway sends it."""
    return upload.record.text


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


def _write_register(register: Register, out: Path) -> None:
    document = dataclasses.asdict(register)
    keys = document.pop("keys")
    _write_json(out / "register.json", document)
    _write_json(out / "keys.json", {"keys": keys})


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
