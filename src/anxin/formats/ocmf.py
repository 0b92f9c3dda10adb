"""OCMF 0.1 to 1.4: one signed meter record, `OCMF|payload|signature`, from bytes to a MeterRecord.

Source: SAFE-eV/OCMF-Open-Charge-Metering-Format, OCMF-en.md, revision 1.4.1. Written from it, not copied.

MUST   hand on the signed bytes as the slice of the input that they are, never serialised again
MUST   split the sections by JSON grammar: a '|' inside a string separates nothing
MUST   report every departure that is read all the same as a Deviation (`ocmf_deviations.CLAUSES`)
MUST NOT   raise anything but FormatError, on any input
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re
from typing import Any

from anxin.domain.errors import FormatError
from anxin.domain.meter_record import MeterRecord
from anxin.domain.source import Deviation
from anxin.formats import ocmf_fields as fields
from anxin.formats.ocmf_deviations import deviation
from anxin.formats.ocmf_readings import read_readings
from anxin.formats.strict_json import read_json, skip_space

#: Longest record decoded. Real ones end below 6 kB (a day of tariff changes); 1 MiB leaves room for 5,000 readings.
MAX_RECORD_BYTES = 1024 * 1024
#: Longest signature text. The largest signature of the format's table has 104 bytes; ML-DSA-87 would have 4,627.
MAX_SIGNATURE_CHARS = 16_384

HEADER = "OCMF|"
DIALECT = "ocmf"
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"

#: Table 22, and the two that this project adds (docs/formats/ocmf.md, "Algorithms").
ALGORITHMS_OF_TABLE_22 = frozenset(
    f"ECDSA-{curve}-SHA256"
    for curve in ("secp192k1", "secp256k1", "secp192r1", "secp256r1", "brainpool256r1", "secp384r1", "brainpool384r1")
)
ALGORITHMS_OF_THIS_PROJECT = frozenset({"SM2-sm2p256v1-SM3", "Ed25519"})
_SPELLINGS = {
    **{name.lower(): name for name in ALGORITHMS_OF_TABLE_22 | ALGORITHMS_OF_THIS_PROJECT},
    "ecdsa-brainpoolp256r1-sha256": "ECDSA-brainpool256r1-SHA256",
    "ecdsa-brainpoolp384r1-sha256": "ECDSA-brainpool384r1-SHA256",
    "ecdsa-prime256v1-sha256": "ECDSA-secp256r1-SHA256",
    "ecdsa-prime192v1-sha256": "ECDSA-secp192r1-SHA256",
    "eddsa-ed25519": "Ed25519",
    "sm2-sm3": "SM2-sm2p256v1-SM3",
}
_SIGNATURE_KEYS = frozenset({"SA", "SE", "SM", "SD"})
_SIGNATURE_EXTENSIONS = frozenset("ABCDEFUVWXYZ")
_HEX = re.compile(r"[0-9A-Fa-f]*")
_SPACES = re.compile(r"\s+")


def decode(raw: bytes) -> MeterRecord:
    """Return the record that `raw` is. Raises FormatError (`ocmf.*`, `json.*`, `number.*`) where it is none.

    Energies are in mWh, times in UTC ms; the user's id becomes a pseudonym (`ocmf_fields.pseudonym`).
    """
    # 1. bytes to text, within the limit
    text = _text_of(raw)
    deviations: list[Deviation] = []
    # 2. the two sections, split by JSON grammar; the signed bytes stay a slice of what came
    payload, signed_text, signature_section = _sections(text, deviations)
    signed_bytes = signed_text.encode()
    # 3. who signed how
    algorithm, signature = _signature(signature_section, deviations)
    # 4. what it says
    head = fields.read_head(payload, deviations)
    readings = read_readings(payload.get("RD"), deviations)
    page_context, page_number = fields.read_page(payload.get("PG"), deviations)
    fields.check_user(payload, head, page_context, deviations)
    return MeterRecord(
        dialect=DIALECT,
        format_version=head.version,
        payload_digest=hashlib.sha256(signed_bytes).hexdigest(),
        signed_bytes=signed_bytes,
        gateway_id=head.text("GI", "VI"),
        gateway_serial=head.text("GS"),
        gateway_firmware=head.text("GV", "VV"),
        meter_vendor=head.text("MV"),
        meter_model=head.text("MM"),
        meter_serial=head.text("MS"),
        meter_firmware=head.text("MF"),
        controller_firmware=head.text("CF"),
        page_context=page_context,
        page_number=page_number,
        user_assigned=head.user_assigned,
        user_level=head.user_level,
        user_flags=head.user_flags,
        user_type=head.text("IT"),
        user_ref=fields.pseudonym(head.text("ID")),
        place_type=head.text("CT"),
        place_id=head.text("CI"),
        tariff_text=head.text("TT"),
        readings=readings,
        algorithm=algorithm,
        signature=signature,
        deviations=tuple(deviations),
    )


#: A record of which nothing is known.
_NOTHING: dict[str, Any] = {f.name: None for f in dataclasses.fields(MeterRecord)}


def decode_signature(raw: bytes) -> MeterRecord:
    """Return who signed what and how, and nothing of what it says: enough to verify, a third of the work of `decode`.

    Serials are there as texts, readings are not. Raises FormatError as `decode` does, less often: what departs from
    the format further inside goes unseen.
    """
    payload, signed_text, signature_section = _sections(_text_of(raw), [])
    algorithm, signature = _signature(signature_section, [])
    signed_bytes = signed_text.encode()
    serials = {name: text if isinstance(text := payload.get(name), str) else None for name in ("MS", "GS")}
    known: dict[str, Any] = {
        "dialect": DIALECT,
        "payload_digest": hashlib.sha256(signed_bytes).hexdigest(),
        "signed_bytes": signed_bytes,
        "meter_serial": serials["MS"],
        "gateway_serial": serials["GS"],
        "user_flags": (),
        "readings": (),
        "algorithm": algorithm,
        "signature": signature,
        "deviations": (),
    }
    return MeterRecord(**(_NOTHING | known))


def encode_frame(payload: bytes, signature_section: dict[str, str]) -> bytes:
    """Return `OCMF|payload|{...}` with the payload's bytes as they are (for those who make records)."""
    pairs = ",".join(f"{_quoted(name)}:{_quoted(value)}" for name, value in signature_section.items())
    return b"OCMF|" + payload + b"|{" + pairs.encode() + b"}"


def looks_like_ocmf(raw: bytes) -> bool:
    """Return whether `raw` begins as an OCMF record does."""
    return raw[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"OCMF|")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text_of(raw: bytes) -> str:
    if len(raw) > MAX_RECORD_BYTES:
        raise FormatError("ocmf.size", f"a record of {len(raw)} bytes; no more than {MAX_RECORD_BYTES} are read")
    try:
        return raw.decode("utf-8").strip("\ufeff \t\r\n")
    except UnicodeDecodeError as error:
        raise FormatError("ocmf.encoding", f"not UTF-8 at byte {error.start}") from None


def _sections(text: str, deviations: list[Deviation]) -> tuple[dict[str, object], str, dict[str, object]]:
    """Return payload object, its text as received, and the signature object."""
    if not text.startswith(HEADER):
        raise FormatError("ocmf.header", f"a record begins with 'OCMF|', not with {text[:5]!a}", "header")
    payload, end = read_json(text, len(HEADER))
    separator = skip_space(text, end)
    if not text.startswith("|", separator):
        raise FormatError("ocmf.sections", "no '|' behind the payload section", "payload")
    signature, end = read_json(text, separator + 1)
    rest = skip_space(text, end)
    if rest != len(text):
        raise FormatError("ocmf.trailing", f"text behind the signature section, at character {rest}", "signature")
    if not isinstance(payload, dict) or not isinstance(signature, dict):
        raise FormatError("ocmf.sections", "each section must be a JSON object")
    if "|" in text[len(HEADER) : separator] or "|" in text[separator + 1 :]:
        deviations.append(deviation("ocmf.pipe_in_section", "a '|' stands inside a JSON string"))
    return payload, text[len(HEADER) : separator], signature


def _signature(section: dict[str, object], deviations: list[Deviation]) -> tuple[str, bytes]:
    """Return the algorithm's name (as in table 22 where it is one) and the signature's bytes."""
    for name in section:
        if name not in _SIGNATURE_KEYS and name[:1] not in _SIGNATURE_EXTENSIONS:
            deviations.append(deviation("ocmf.signature_key_unknown", f"{name[:20]!a} is not defined", name[:20]))
    algorithm = _algorithm(section.get("SA"), deviations)
    mime = section.get("SM")
    if mime is not None and mime != "application/x-der":
        deviations.append(deviation("ocmf.sm_unknown", f"SM is {str(mime)[:40]!a}", "SM"))
    data = section.get("SD")
    if not isinstance(data, str) or not data.strip():
        raise FormatError("ocmf.sd", "no signature data (SD) as text", "SD")
    if len(data) > MAX_SIGNATURE_CHARS:
        raise FormatError("ocmf.sd", f"signature data of more than {MAX_SIGNATURE_CHARS} characters", "SD")
    bare = _SPACES.sub("", data)
    if bare != data:
        deviations.append(deviation("ocmf.sd_spaces", "white space inside SD", "SD"))
    return algorithm, _signature_bytes(bare, section.get("SE"), deviations)


def _algorithm(stated: object, deviations: list[Deviation]) -> str:
    if stated is None:
        return DEFAULT_ALGORITHM
    if not isinstance(stated, str) or len(stated) > 80:
        raise FormatError("ocmf.sa", "the signature algorithm (SA) is no short text", "SA")
    known = _SPELLINGS.get(stated.lower())
    if known is None:
        deviations.append(deviation("ocmf.sa_not_in_table", f"SA is {stated!a}", "SA"))
        return stated
    if known != stated:
        deviations.append(deviation("ocmf.sa_spelling", f"SA is {stated!a}, read as {known}", "SA"))
    return known


def _signature_bytes(data: str, encoding: object, deviations: list[Deviation]) -> bytes:
    """Return SD decoded. Base64 that is declared hex is not guessed, hex that is declared base64 neither."""
    if encoding is None or encoding == "hex":
        name = "hex"
    elif encoding == "base64":
        name = "base64"
    elif isinstance(encoding, str) and encoding.lower() in ("hex", "base64"):
        name = encoding.lower()
        deviations.append(deviation("ocmf.se_spelling", f"SE is {encoding!a}", "SE"))
    else:
        raise FormatError("ocmf.se", "the signature encoding (SE) is neither hex nor base64", "SE")
    if name == "hex":
        if len(data) % 2 or not _HEX.fullmatch(data):
            raise FormatError("ocmf.sd", "signature data are not hexadecimal", "SD")
        return bytes.fromhex(data)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("ocmf.sd", "signature data are not base64", "SD") from None
