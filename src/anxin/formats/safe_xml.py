"""The XML container of the S.A.F.E. transparency software: signed records with their keys, joined by transaction.

    <values><value transactionId="7" context="Transaction.Begin">
      <signedData format="OCMF" encoding="plain">OCMF|{...}|{...}</signedData>
      <publicKey encoding="hex">30...</publicKey>
    </value> ... </values>

Source: SAFE-eV/transparenzsoftware v1.4.1, its sample files. Written from them, not copied (docs/formats/safe-xml.md).
MUST NOT   resolve an entity, read another file, or raise anything but FormatError, on any input
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from lxml import etree

from anxin.domain.batch import Batch, Side, SignedRecord
from anxin.domain.errors import FormatError
from anxin.domain.source import Deviation, Source
from anxin.formats.ocmf import looks_like_ocmf
from anxin.formats.signed_records import signed_record

#: Largest container read. The largest sample (a hundred records) has 80 kB; 32 MiB hold about 40,000 records.
MAX_CONTAINER_BYTES = 32 * 1024 * 1024
#: Most values read from one container, for the same reason.
MAX_VALUES = 50_000
#: Longest id or context kept; OCPP ids have 36 characters.
MAX_ATTRIBUTE_CHARS = 255

ROOTS = frozenset({"values", "current"})

#: kind -> (clause, what is read and how)
CLAUSES = {
    "safe_xml.encoding_unknown": ("signedData/@encoding", "an encoding that is not plain, hex, base64 or base32"),
    "safe_xml.encoding_differs": ("signedData/@encoding", "the data are encoded otherwise than stated"),
    "safe_xml.format_missing": ("signedData/@format", "no format; recognised by the data"),
    "safe_xml.data_missing": ("value", "a value without signed data; it is passed over"),
    "safe_xml.several_data": ("value", "a value with several signed data; each is read"),
}


def decode(data: bytes, file: str = "container.xml") -> Batch:
    """Return the container's signed records; `row` counts its values from 1.

    Data of a format other than OCMF come out with `cannot_open` set: they cannot be judged here.
    Raises FormatError `safe_xml.size`, `safe_xml.syntax`, `safe_xml.doctype`, `safe_xml.root`, `safe_xml.values`.
    """
    root = _parse(data)
    values = [child for child in root if isinstance(child.tag, str) and _name(child) == "value"]
    if not values:
        raise FormatError("safe_xml.values", "the container holds no value")
    if len(values) > MAX_VALUES:
        raise FormatError("safe_xml.values", f"{len(values)} values; no more than {MAX_VALUES} are read")
    batch = Batch()
    for row, value in enumerate(values, start=1):
        _read_value(value, root, Source(file, row), batch)
    return batch


def looks_like_xml(data: bytes) -> bool:
    """Return whether the bytes begin as an XML document does."""
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _parse(data: bytes) -> etree._Element:
    if len(data) > MAX_CONTAINER_BYTES:
        raise FormatError("safe_xml.size", f"a container of more than {MAX_CONTAINER_BYTES} bytes")
    # huge_tree stays off: libxml2 then refuses nesting beyond 256 levels and entity bombs by itself.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False)
    try:
        root = etree.fromstring(data.lstrip(b"\xef\xbb\xbf \t\r\n"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise FormatError("safe_xml.syntax", f"not well-formed XML: {str(error)[:200]}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise FormatError("safe_xml.doctype", "a document type declaration is refused: it may define entities")
    if not isinstance(root.tag, str) or _name(root) not in ROOTS:
        raise FormatError("safe_xml.root", f"the root is {str(root.tag)[:40]!a}, not 'values'")
    return root


def _read_value(value: etree._Element, root: etree._Element, source: Source, batch: Batch) -> None:
    data = [child for child in value if isinstance(child.tag, str) and _name(child) in ("signedData", "encodedData")]
    if not data:
        batch.deviations.append((source, _deviation("safe_xml.data_missing", "no signedData")))
    if len(data) > 1:
        batch.deviations.append((source, _deviation("safe_xml.several_data", f"{len(data)} signedData")))
    key_text = _key_text(value) or _key_text(root)
    transaction_id = _attribute(value, "transactionId") or _attribute(root, "transactionId")
    side = _side(_attribute(value, "context") or _attribute(root, "context") or "")
    for element in data:
        batch.signed_records.append(_read_data(element, source, batch, transaction_id, side, key_text))


def _read_data(
    element: etree._Element,
    source: Source,
    batch: Batch,
    transaction_id: str | None,
    side: Side,
    key_text: str | None,
) -> SignedRecord:
    stated = (element.get("format") or "").strip()
    text = _text(element)
    raw, oddity = _decoded(text, (element.get("encoding") or "plain").strip().lower())
    if oddity is not None:
        batch.deviations.append((source, oddity))
    if _name(element) == "encodedData":
        refusal = "the data are sealed with RSA (SAFESealing), which is not supported"
    elif stated.upper() not in ("", "OCMF"):
        refusal = f"the format {stated[:40]!a} is not supported"
    elif not stated and not looks_like_ocmf(raw):
        refusal = "the format is not stated, and the data are no OCMF"
    else:
        if not stated:
            batch.deviations.append((source, _deviation("safe_xml.format_missing", "read as OCMF")))
        return signed_record(raw, source, transaction_id=transaction_id, side=side, key_text=key_text)
    return SignedRecord(
        source, raw, None, transaction_id=transaction_id, side=side, key_text=key_text, cannot_open=refusal
    )


def _decoded(text: str, encoding: str) -> tuple[bytes, Deviation | None]:
    """Return the data's bytes. Data that already are OCMF are taken as they are, whatever the encoding says."""
    plain = text.encode("utf-8", "replace")
    if encoding == "plain" or looks_like_ocmf(plain):
        if encoding == "plain" and not looks_like_ocmf(plain):
            guessed = next((raw for name in _DECODERS if (raw := _try(name, text)) and looks_like_ocmf(raw)), None)
            if guessed is not None:
                return guessed, _deviation("safe_xml.encoding_differs", "stated plain, and they are not")
        if encoding in _DECODERS:
            return plain, _deviation("safe_xml.encoding_differs", f"stated {encoding}, and they are plain")
        if encoding != "plain":
            return plain, _deviation("safe_xml.encoding_unknown", f"{encoding[:40]!a}, read as plain")
        return plain, None
    raw = _try(encoding, text) if encoding in _DECODERS else None
    if raw is not None:
        return raw, None
    return plain, _deviation("safe_xml.encoding_unknown", f"{encoding[:40]!a} does not fit the data")


def _try(encoding: str, text: str) -> bytes | None:
    try:
        return _DECODERS[encoding]("".join(text.split()))
    except (ValueError, binascii.Error):
        return None


_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text, validate=True),
    "base32": lambda text: base64.b32decode(text, casefold=True),
}


def _key_text(element: etree._Element) -> str | None:
    """Return the public key's text. Hexadecimal and base64 are told apart where keys are read; base32 only here."""
    key = next((child for child in element if isinstance(child.tag, str) and _name(child) == "publicKey"), None)
    if key is None:
        return None
    text = _text(key)
    if (key.get("encoding") or "").strip().lower() == "base32":
        raw = _try("base32", text)
        return raw.hex() if raw is not None else text
    return text or None


def _text(element: etree._Element) -> str:
    return "".join(str(part) for part in element.itertext()).strip()


def _attribute(element: etree._Element, name: str) -> str | None:
    return (element.get(name) or "").strip()[:MAX_ATTRIBUTE_CHARS] or None


def _side(context: str) -> Side:
    if context.startswith("Transaction.Begin"):
        return Side.BEGIN
    return Side.END if context.startswith("Transaction.End") else Side.UNSTATED


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _deviation(kind: str, detail: str) -> Deviation:
    return Deviation(kind, f"S.A.F.E. container, {CLAUSES[kind][0]}", detail, "value")
