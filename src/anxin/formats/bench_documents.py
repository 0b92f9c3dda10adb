"""Verification results of test benches and events of seals: JSON documents of our own (docs/formats/bench-door.md).

An unknown member is refused: a document that is half understood is a wrong document. Figures are decimal text, times
carry their zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from anxin.domain.errors import FormatError
from anxin.domain.quantities import utc_ms
from anxin.domain.register import Verification
from anxin.domain.seal_event import SealAct, SealEvent
from anxin.formats import json_document
from anxin.formats.values import clean_text

#: Points of one verification: JJG 1148 asks for some ten loads; a sweep has some hundreds.
MAX_POINTS = 1_000
#: People named in one document: who verified, who checked, who witnessed.
MAX_PEOPLE = 20
#: Years of validity: in-use periods are three years; ten is a slip of the pen.
MAX_VALID_YEARS = 10
#: Counters of a meter have six digits (DL/T 645-2007); ten are enough for anyone's.
MAX_COUNT = 10**10
_YEAR_MS = 366 * 86_400_000

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Decimal = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,9})?\Z")]
_Unsigned = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?\Z")]
_Time = Annotated[str, msgspec.Meta(min_length=20, max_length=40)]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_PATH = re.compile(r" - at `\$\.?([^`]*)`")


class _Exact(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Point(_Exact):
    load_kw: _Unsigned
    error_percent: _Decimal
    limit_percent: _Unsigned


class _Device(_Exact):
    name: _Text
    serial_no: _Text
    certificate_no: _Text


class _Result(_Exact):
    charger_id: _Text
    certificate_no: _Text
    verified_at: _Time
    conclusion: Literal["passed", "failed"]
    points: Annotated[list[_Point], msgspec.Meta(min_length=1, max_length=MAX_POINTS)]
    device: _Device
    people: Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=MAX_PEOPLE)]
    valid_to: _Time | None = None
    simulated: bool = False


class _Event(_Exact):
    seal_id: _Text
    charger_id: _Text
    kind: Literal["physical", "electronic"]
    event: Literal["applied", "checked", "broken", "removed", "replaced"]
    at: _Time
    people: Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=MAX_PEOPLE)]
    photo_sha256: _Digest | None = None
    #: Where on the charger it sits, and what it reads: what an inspector looks for.
    place: _Text | None = None
    order_no: _Text | None = None
    #: Of an electronic seal: digest of firmware and parameters, programming and clock-set counters.
    digest_sha256: _Digest | None = None
    programmed: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None = None
    clock_set: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None = None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What a verification result says. `points` counts those measured; `simulated`: by no real instruments."""

    verification: Verification
    points: int
    simulated: bool = False


_Document = TypeVar("_Document", _Result, _Event)


def bench_result(data: bytes) -> BenchResult:
    """Return a verification result. Raises FormatError `bench.*`, `json.*`, `text.*`, `time.*`, `encoding.*`."""
    said = _read(data, _Result, "bench.shape")
    verified = _moment(said.verified_at, "verified_at")
    passed = said.conclusion == "passed"
    beyond = [n for n, p in enumerate(said.points) if abs(Decimal(p.error_percent)) > Decimal(p.limit_percent)]
    if passed and beyond:
        point = said.points[beyond[0]]
        detail = f"passed, with an error of {point.error_percent} % where {point.limit_percent} % is the limit"
        raise FormatError("bench.conclusion", detail, f"points[{beyond[0]}].error_percent")
    if passed == (said.valid_to is None):
        raise FormatError("bench.dates", "a passed result has valid_to, a failed one has none", "valid_to")
    valid_to = verified if said.valid_to is None else _moment(said.valid_to, "valid_to")
    if passed and not verified < valid_to <= verified + MAX_VALID_YEARS * _YEAR_MS:
        raise FormatError("bench.dates", f"valid for no time, or for more than {MAX_VALID_YEARS} years", "valid_to")
    charger = _clean(said.charger_id, "charger_id", "bench.shape")
    number = _clean(said.certificate_no, "certificate_no", "bench.shape")
    return BenchResult(Verification(charger, number, verified, valid_to, passed), len(said.points), said.simulated)


def seal_event(data: bytes) -> SealEvent:
    """Return an event of a seal. Raises FormatError `seal.shape`, `json.*`, `text.*`, `time.*`, `encoding.*`."""
    said = _read(data, _Event, "seal.shape")
    charger = _clean(said.charger_id, "charger_id", "seal.shape")
    seal = _clean(said.seal_id, "seal_id", "seal.shape")
    if (said.order_no is not None) != (said.event == "removed"):
        raise FormatError("seal.order", "a seal is removed by an order, and nothing else names one", "order_no")
    if said.kind != "electronic" and (said.digest_sha256, said.programmed, said.clock_set) != (None, None, None):
        raise FormatError("seal.electronic", "digest and counters are an electronic seal's", "digest_sha256")
    return SealEvent(charger, seal, said.kind, SealAct(said.event), _moment(said.at, "at"))


def _read(data: bytes, kind: type[_Document], rule: str) -> _Document:
    value: Any = json_document.loads(data)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        path = _PATH.search(str(error))
        raise FormatError(rule, str(error)[:300], (path[1] or None) if path else None) from None


def _clean(text: str, name: str, rule: str) -> str:
    cleaned = clean_text(text, name)
    if cleaned is None:
        raise FormatError(rule, "an empty text", name)
    return cleaned


def _moment(text: str, name: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise FormatError("time.zone", f"{text!r} has no zone", name)
        return utc_ms(moment)
    except (ValueError, OverflowError):
        raise FormatError("time.syntax", f"not an RFC 3339 time: {text[:40]!r}", name) from None
