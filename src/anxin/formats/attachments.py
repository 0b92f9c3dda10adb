"""What may be attached to an alarm: a few types, each looked at for what it claims to be, by its content.

pdf    the whole file is one PDF: it begins and ends as one; nothing in it runs, opens another file, or is encrypted
png, jpeg   the whole file is one image, decoded in full, one frame, within a number of pixels
xlsx   the whole file is one ZIP that is a workbook without macros, embedded objects, links to other files
csv, txt    UTF-8 or GB 18030 without control characters; no cell that a spreadsheet would run

The name's ending must be the type's. Bytes are kept as they came: they are evidence; so what hides behind an image's
end is refused and not cut off. Meant to run in a process of its own (flow/child.py).
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from typing import Any

from anxin.domain.errors import FormatError
from anxin.formats.upload_guard import UploadLimits, guarded

#: Pixels of an image: a scanned page at 600 dots an inch has 35 million.
MAX_PIXELS = 40_000_000
#: Objects of a PDF that are looked through.
MAX_PDF_OBJECTS = 100_000
#: Levels of one object of a PDF.
MAX_PDF_DEPTH = 60
#: Bytes that a workbook unpacks to, and its rows.
MAX_XLSX_BYTES, MAX_XLSX_ROWS = 64 * 1024 * 1024, 100_000
#: Characters of a name.
MAX_ATTACHMENT_NAME_CHARS = 120

PDF, PNG, JPEG = "application/pdf", "image/png", "image/jpeg"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV, TEXT = "text/csv", "text/plain"
#: Types by the ending of a name.
TYPES = {"pdf": PDF, "png": PNG, "jpg": JPEG, "jpeg": JPEG, "xlsx": XLSX, "csv": CSV, "txt": TEXT}
#: What a page or document of a PDF must not have: keys and kinds of action.
_ACTIVE = frozenset({
    "/JavaScript", "/JS", "/Launch", "/EmbeddedFile", "/EmbeddedFiles", "/RichMedia", "/Movie", "/Sound", "/GoToR",
    "/GoToE", "/SubmitForm", "/ImportData", "/Rendition", "/XFA", "/AA", "/3D", "/Filespec", "/AF",
})  # fmt: skip
_XLSX_BAD = re.compile(
    r"(?i)vbaproject|/activex/|/embeddings/|/externallinks/|/ctrlprops/|/macrosheets/|customui|/connections\.xml|\.bin$"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_FORMULA = re.compile(r"(?m)(?:^|[,;\t])\s*\"?\s*[=@]")
#: Bytes behind 0xFF inside a JPEG's scan: a stuffed 0xFF, restarts.
_IN_SCAN = frozenset({0x00, 0xFF, *range(0xD0, 0xD8)})
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\<>:\"|?*\u202a-\u202e\u2066-\u2069]+")


def checked_attachment(name: str, data: bytes, max_bytes: int) -> str:
    """Return the media type of an attachment that may be kept. Raises FormatError `attachment.*`."""
    if not data:
        raise FormatError("attachment.size", "附件为空 · an empty file", "file")
    if len(data) > max_bytes:
        raise FormatError("attachment.size", f"附件至多 {max_bytes} 字节 · at most {max_bytes} bytes", "file")
    if not _NAME.fullmatch(name) or len(name) > MAX_ATTACHMENT_NAME_CHARS or name.strip(" .") != name:
        raise FormatError("attachment.name", "文件名不可用 · a name that cannot be kept", "name")
    ending = name.rpartition(".")[2].lower()
    claimed = TYPES.get(ending) if "." in name else None
    if claimed is None:
        raise FormatError(
            "attachment.type", f"只接受 {'、'.join(TYPES)} · only {', '.join(TYPES)} are taken", "name"
        )  # fmt: skip
    look = {PDF: _pdf, PNG: _image, JPEG: _image, XLSX: _xlsx, CSV: _text, TEXT: _text}[claimed]
    look(data, claimed)
    return claimed


def _not_it(claimed: str, why: str) -> FormatError:
    return FormatError("attachment.content", f"内容不是所称的类型 · not {claimed}: {why}", "file")


def _active(what: str) -> FormatError:
    return FormatError(
        "attachment.active", f"含有可执行或外联内容，不予接收 · holds what runs or links to others: {what}", "file"
    )


def _pdf(data: bytes, claimed: str) -> None:
    import pikepdf

    if not data.startswith(b"%PDF-") or not data.rstrip(b"\r\n \t").endswith(b"%%EOF"):
        raise _not_it(claimed, "it does not begin and end as a PDF does")
    if data.count(b"%PDF-") != 1:
        raise _not_it(claimed, "two PDFs in one")
    try:
        with pikepdf.open(io.BytesIO(data)) as pdf:
            if pdf.is_encrypted:
                raise _active("encryption")
            if len(pdf.objects) > MAX_PDF_OBJECTS:
                raise _not_it(claimed, f"more than {MAX_PDF_OBJECTS} objects")
            if len(pdf.pages) == 0:
                raise _not_it(claimed, "no page")
            for thing in [pdf.trailer, *pdf.objects]:
                _look_through(thing, 0)
    except FormatError:
        raise
    except Exception as error:  # a parser of hostile files: whatever it says, the file is refused
        raise _not_it(claimed, type(error).__name__) from None


def _look_through(thing: Any, depth: int) -> None:
    """Raise FormatError where an object holds a name of what runs; objects that it points at are looked at by
    themselves."""
    import pikepdf

    if depth > MAX_PDF_DEPTH:
        raise FormatError("attachment.content", "结构过深 · nested too deep", "file")
    if isinstance(thing, pikepdf.Dictionary | pikepdf.Stream):
        # The list of keys is of this object; a value that is an object of its own comes by itself.
        for key, value in thing.items():
            if key in _ACTIVE:
                raise _active(key)
            if not getattr(value, "is_indirect", False):
                _look_through(value, depth + 1)
    elif isinstance(thing, pikepdf.Array):
        for value in thing:
            if not getattr(value, "is_indirect", False):
                _look_through(value, depth + 1)
    elif isinstance(thing, pikepdf.Name) and str(thing) in _ACTIVE:
        raise _active(str(thing))


def _image(data: bytes, claimed: str) -> None:
    from PIL import Image

    wanted = {PNG: "PNG", JPEG: "JPEG"}[claimed]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=(wanted,)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise FormatError(
                        "attachment.pixels", f"至多 {MAX_PIXELS} 像素 · at most {MAX_PIXELS} pixels", "file"
                    )
                if getattr(image, "n_frames", 1) != 1:
                    raise _not_it(claimed, "several frames")
                image.load()
    except FormatError:
        raise
    except Exception as error:
        raise _not_it(claimed, type(error).__name__) from None
    end = _end_of_png(data) if claimed == PNG else _end_of_jpeg(data)
    if end != len(data):
        raise _not_it(claimed, "something stands behind the image")


def _end_of_png(data: bytes) -> int:
    """Return where the chunk that ends a PNG ends, 0 where there is none."""
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return at
    return 0


def _end_of_jpeg(data: bytes) -> int:
    """Return where the marker that ends a JPEG ends, 0 where there is none: segments have lengths, a scan runs to the
    next marker that is none of its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            while at + 2 <= len(data) and not (data[at] == 0xFF and data[at + 1] not in _IN_SCAN):
                at = data.find(b"\xff", at + 1)
                if at < 0:
                    return 0
        if data[at : at + 2] == b"\xff\xd9":
            return at + 2
    return 0


def _xlsx(data: bytes, claimed: str) -> None:
    if not data.startswith(b"PK\3\4"):
        raise _not_it(claimed, "it does not begin as a ZIP does")
    try:
        guarded(data, UploadLimits(len(data), MAX_XLSX_BYTES, MAX_XLSX_ROWS))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [m.filename for m in members]
            # zipfile looks for the directory from the end: bytes before the first member would be another file.
            if min(m.header_offset for m in members) != 0 or archive.comment or len(set(names)) != len(names):
                raise _not_it(claimed, "something stands around the workbook")
            types = archive.read("[Content_Types].xml").lower()
            links = [archive.read(n).lower() for n in names if n.endswith(".rels")]
    except FormatError as error:
        raise FormatError("attachment.content", str(error), "file") from None
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, NotImplementedError) as error:
        raise _not_it(claimed, type(error).__name__) from None
    if data.rfind(b"PK\5\6") != len(data) - 22:
        raise _not_it(claimed, "something stands behind the workbook")
    bad = next((n for n in names if _XLSX_BAD.search(f"/{n}")), None)
    if bad is not None or b"macroenabled" in types or b"vnd.ms-office" in types:
        raise _active((bad or "macros")[:60])
    if any(b'targetmode="external"' in text or b"targetmode='external'" in text for text in links):
        raise _active("external links")


def _text(data: bytes, claimed: str) -> None:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise _not_it(claimed, "neither UTF-8 nor GB 18030")
    if text.startswith("%PDF-") or _CONTROLS.search(text):
        raise _not_it(claimed, "control characters, or a PDF")
    if claimed == CSV and _FORMULA.search(text):
        raise _active("a cell that a spreadsheet runs")
