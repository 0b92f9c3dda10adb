"""What operators push over OCPI: kept as evidence with a receipt, then the object's present state follows.

    1  size, JSON, fields and ids are looked at; the path's ids must be those of the object
    2  the state after the push is worked out, so that a PATCH of nothing is refused before anything is kept
    3  the exact bytes become evidence (intake)
    4  the state is exchanged under the object's lock, by the push's number in the log

If the process dies between 3 and 4, nobody has the receipt and the operator sends again: the same message, the same
number, and step 4 is done then. Repeating step 4 changes nothing (formats/ocpi_tree.py).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import weakref
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from anxin.domain.errors import FormatError
from anxin.domain.message import Accepted, Kind, Message, Refused
from anxin.flow.intake import now_utc_ms
from anxin.flow.ocpi_cdrs import cdr_name, checked_cdr, require_party
from anxin.flow.ocpi_parties import Caller
from anxin.flow.platform import Platform
from anxin.formats import ocpi_objects as objects
from anxin.formats import ocpi_tree
from anxin.formats.json_document import loads
from anxin.formats.ocpi_tree import Node
from anxin.store import ocpi_objects as store
from anxin.store.ocpi_objects import ObjectKey

#: Encodes exact numbers as the numbers that they are.
ENCODER = msgspec.json.Encoder(decimal_format="number")
KINDS = {"locations": Kind.OCPI_LOCATION, "sessions": Kind.OCPI_SESSION, "tariffs": Kind.OCPI_TARIFF}
LEVELS = {"locations": "location", "sessions": "session", "tariffs": "tariff"}
_CHECKS = {
    "location": objects.check_location,
    "evse": objects.check_evse,
    "connector": objects.check_connector,
    "session": objects.check_session,
}
#: The number of a push that is not in the log yet: later than all that are.
_NEXT = 1 << 62
_LOCKS: weakref.WeakValueDictionary[ObjectKey, asyncio.Lock] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Push:
    """One request of a functional module. `path` are the ids after country and party; `line` is the request line."""

    module: str
    method: str
    country_code: str
    party_id: str
    path: tuple[str, ...]
    body: bytes
    line: str
    deviations: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a push. `created`: it was not there before; `changed`: the present state follows it."""

    accepted: Accepted
    created: bool
    changed: bool


class UnknownObjectError(FormatError):
    """There is no such object of this operator: another's and none are one and the same."""


async def push(platform: Platform, caller: Caller, request: Push) -> Outcome:
    """Keep a PUT, PATCH or DELETE and return what became of it. What is refused stands in the failed-write ledger.

    Raises UnknownObjectError, FormatError, BusyError, StoreError.
    """
    try:
        key = _key(caller, request)
        value = _checked(platform, request)
        lock = _LOCKS.setdefault(key, asyncio.Lock())
        async with lock:
            return await _pushed(platform, caller, request, key, value)
    except FormatError as error:
        await refuse(platform, caller, request, error)
        raise


async def post_cdr(platform: Platform, caller: Caller, request: Push) -> tuple[Outcome, str]:
    """Keep a CDR and return what became of it, and its path. A CDR is never changed: other bytes under its id are a
    conflict, kept beside it. Raises FormatError, BusyError, StoreError."""
    try:
        name = checked_cdr(request.body, caller.speaks_for)
    except FormatError as error:
        await refuse(platform, caller, request, error)
        raise
    noted = json.dumps({"request": request.line, "deviations": list(request.deviations)}).encode()
    accepted = await platform.intake.accept(Message(Kind.OCPI_CDR, caller.party.party_id, name, request.body, noted))
    fresh = not accepted.repeated
    return Outcome(accepted, fresh and accepted.conflicts_with is None, fresh), name


async def read(platform: Platform, caller: Caller, request: Push) -> Any:
    """Return an object of the caller's as it stands. Raises UnknownObjectError."""
    if not caller.speaks_for(request.country_code, request.party_id):
        raise UnknownObjectError("ocpi.unknown", "no such object")
    if request.module == "cdrs":
        name = cdr_name(request.country_code, request.party_id, request.path[0])
        found = await asyncio.to_thread(store.first_cdr, platform.database, caller.party.party_id, name)
        if found is None:
            raise UnknownObjectError("ocpi.unknown", "no such object")
        return loads(found)
    written = await asyncio.to_thread(store.state, platform.database, _key(caller, request))
    node = ocpi_tree.part(_loaded(written), list(request.path[1:]))
    if node is None:
        raise UnknownObjectError("ocpi.unknown", "no such object")
    return node.document()


async def refuse(platform: Platform, caller: Caller, request: Push, error: FormatError) -> None:
    """Enter a refusal into the failed-write ledger."""
    name = "/".join((request.country_code, request.party_id, *request.path)) or None
    kind = Kind.OCPI_CDR if request.module == "cdrs" else KINDS.get(request.module)
    door = f"ocpi.{request.module}" if kind is None else kind.value
    refused = Refused(door, caller.party.party_id, name, error.rule, str(error), request.body, error.field)
    await platform.intake.refuse(refused)


async def _pushed(
    platform: Platform, caller: Caller, request: Push, key: ObjectKey, value: dict[str, Any] | None
) -> Outcome:
    root = _loaded(await asyncio.to_thread(store.state, platform.database, key))
    after, changed = _after(root, request, value, _NEXT)
    if value is None:
        updated, payload = str(after.fields.get("last_updated")), request.line.encode()
    else:
        updated, payload = str(value["last_updated"]), request.body
    target = "/".join((key.country_code, key.party_id, *request.path)).upper()
    # Two states of one second are no contradiction, unlike two CDRs of one id: the bytes are part of the name.
    name = f"{request.method} {target}@{updated}#{hashlib.sha256(payload).hexdigest()[:16]}"
    envelope = _noted(request, after, changed)
    accepted = await platform.intake.accept(
        Message(KINDS[request.module], caller.party.party_id, name, payload, envelope)
    )
    index = accepted.receipt.index

    def exchanged(written: str | None) -> str | None:
        new, differs = _after(_loaded(written), request, value, index)
        return ENCODER.encode(ocpi_tree.dump(new)).decode() if differs else None

    changed = await asyncio.to_thread(store.change, platform.database, key, index, exchanged)
    created = changed and ocpi_tree.part(root, list(request.path[1:])) is None
    return Outcome(accepted, created, changed)


def _after(root: Node | None, request: Push, value: dict[str, Any] | None, index: int) -> tuple[Node, bool]:
    """The state after a push, and whether it changes. Raises UnknownObjectError, FormatError."""
    path = list(request.path[1:])
    try:
        if value is None:
            # What was deleted stays deleted: a DELETE that is sent again has the same message and the same receipt.
            known = root if root is not None and root.deleted else ocpi_tree.part(root, path)
            if known is None:
                raise FormatError("ocpi.unknown", "no such object")
            stamp = (known.stamp[0], index)
            return Node(known.level, stamp, known.fields, {}, deleted=True), not known.deleted
        if request.method == "PATCH":
            return ocpi_tree.patch(root, path, value, index)
        return ocpi_tree.put(root, LEVELS[request.module], path, value, index)
    except FormatError as error:
        if error.rule == "ocpi.unknown":
            raise UnknownObjectError(error.rule, str(error), error.field) from None
        raise


def _noted(request: Push, after: Node, changed: bool) -> bytes:
    """What decoding needs beside the bytes (flow/ocpi_decoding.py)."""
    noted: dict[str, Any] = {
        "request": request.line,
        "party": f"{request.country_code}*{request.party_id}".upper(),
        "path": list(request.path[1:]),
        "deviations": list(request.deviations),
    }
    if not changed:
        noted["stale"] = True
    if request.method == "DELETE":
        noted["deleted"] = True
    if request.module == "locations" and (request.method == "PATCH" or len(request.path) > 1):
        noted["state"] = _around(after, list(request.path[1:])).document()
    elif request.method == "DELETE":
        noted["state"] = after.document()
    return bytes(ENCODER.encode(noted))


def _around(root: Node, path: list[str]) -> Node:
    """A location with the one EVSE that a push is about; the whole of it where it is about the location."""
    if not path:
        return root
    return functools.reduce(
        lambda found, key: Node(found.level, found.stamp, found.fields, {key: found.children[key]}),
        [path[0].upper()],
        root,
    )


def _key(caller: Caller, request: Push) -> ObjectKey:
    for name, text, most in (
        ("country_code", request.country_code, 2),
        ("party_id", request.party_id, 3),
        *(("id", text, objects.MAX_OBJECT_ID_CHARS) for text in request.path),
    ):
        objects.id_field({name: text}, name, most)
    require_party(caller.speaks_for, request.country_code, request.party_id)
    return ObjectKey(
        caller.party.party_id,
        request.module,
        request.country_code.upper(),
        request.party_id.upper(),
        request.path[0].upper(),
    )


def _checked(platform: Platform, request: Push) -> dict[str, Any] | None:
    """The object that a body is, checked; None for DELETE. Raises FormatError."""
    if request.method == "DELETE":
        return None
    value = objects.read_object(request.body)
    level = LEVELS[request.module]
    for _ in request.path[1:]:
        level = ocpi_tree.BELOW[level]
    partial = request.method == "PATCH"
    if level == "tariff":
        objects.check_tariff(value)
    else:
        _CHECKS[level](value, partial=partial)
    _require_ids(value, request, level)
    _require_past(platform, objects.time_field(value))
    return value


def _require_ids(value: dict[str, Any], request: Push, level: str) -> None:
    stated = {"uid" if level == "evse" else "id": request.path[-1]}
    if level in LEVELS.values():
        stated |= {"country_code": request.country_code, "party_id": request.party_id}
    for name, expected in stated.items():
        found = value.get(name)
        if found is None and request.method == "PATCH":
            continue
        if found is None and name in ("country_code", "party_id"):
            raise FormatError("ocpi.missing", f"{name} is missing", name)
        if str(found).upper() != expected.upper():
            raise FormatError("ocpi.path", f"{name} is not the one in the URL", name)


def _require_past(platform: Platform, at_utc_ms: int) -> None:
    """A time in the future would make everything that comes until then look old."""
    if at_utc_ms > now_utc_ms() + platform.settings.max_skew_s * 1_000:
        raise FormatError("ocpi.future", "last_updated lies in the future", "last_updated")


def _loaded(written: str | None) -> Node | None:
    return None if written is None else ocpi_tree.load(json.loads(written, parse_float=Decimal))
