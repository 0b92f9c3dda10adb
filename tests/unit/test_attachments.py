"""What may be attached: files of a few types that are what they say, and nothing that runs or hides something."""

from __future__ import annotations

import contextlib
import io
import zipfile
from typing import Any

import openpyxl
import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

from anxin.domain.errors import FormatError
from anxin.formats import attachments
from anxin.formats.attachments import CSV, JPEG, PDF, PNG, TEXT, TYPES, XLSX, checked_attachment

MOST = 4_000_000


def image(kind: str, **how: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((120, 90), 60).save(out, kind, **how)
    return out.getvalue()


def pdf(change: Any = lambda _: None, **how: Any) -> bytes:
    out = io.BytesIO()
    with pikepdf.new() as made:
        made.add_blank_page()
        change(made)
        made.save(out, **how)
    return out.getvalue()


def workbook(extra: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    book.active["A1"] = "整改"  # type: ignore[index]
    book.save(out)
    if extra:
        with zipfile.ZipFile(out, "a") as archive:
            for name, content in extra.items():
                archive.writestr(name, content)
    return out.getvalue()


def refused(name: str, data: bytes) -> str:
    with pytest.raises(FormatError) as error:
        checked_attachment(name, data, MOST)
    return error.value.rule


GOOD = [
    ("整改报告.pdf", pdf(), PDF),
    ("a.png", image("PNG"), PNG),
    ("a.jpg", image("JPEG"), JPEG),
    ("a.JPEG", image("JPEG", progressive=True, quality=30), JPEG),
    ("a.jpg", image("JPEG", restart_marker_blocks=4), JPEG),
    ("a.xlsx", workbook(), XLSX),
    ("a.csv", "订单,电量\n1,-2.5\n".encode("gb18030"), CSV),
    ("a.txt", "\ufeff说明 <script>alert(1)</script>\r\n".encode(), TEXT),
]


@pytest.mark.parametrize(("name", "data", "kind"), GOOD, ids=[f"{n}-{k}" for n, _, k in GOOD])
def test_what_is_what_it_says_is_taken(name: str, data: bytes, kind: str) -> None:
    assert checked_attachment(name, data, MOST) == kind


@pytest.mark.parametrize(("name", "data", "kind"), [g for g in GOOD if g[2] not in (CSV, TEXT)])
def test_under_any_other_name_it_is_refused(name: str, data: bytes, kind: str) -> None:
    for ending, other in TYPES.items():
        if other != kind:
            assert refused(f"a.{ending}", data) == "attachment.content"


@pytest.mark.parametrize(("name", "data", "kind"), [g for g in GOOD if g[2] not in (CSV, TEXT)])
@pytest.mark.parametrize("other", [image("PNG"), workbook(), pdf(), b"<html>", b"MZ"])
def test_two_files_in_one_are_refused(name: str, data: bytes, kind: str, other: bytes) -> None:
    assert refused(name, other + data) == "attachment.content"
    assert refused(name, data + other) == "attachment.content"


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.Root.__setitem__("/OpenAction", Dictionary(S=Name("/JavaScript"), JS="app.alert(1)")),
        lambda p: p.Root.__setitem__("/OpenAction", p.make_indirect(Dictionary(S=Name("/Launch"), F="cmd.exe"))),
        lambda p: p.Root.__setitem__("/Names", Dictionary(JavaScript=Dictionary(Names=Array()))),
        lambda p: p.Root.__setitem__("/AA", Dictionary(WC=Dictionary(S=Name("/URI")))),
        lambda p: p.Root.__setitem__("/AcroForm", Dictionary(XFA=Array())),
        lambda p: p.pages[0].obj.__setitem__("/Annots", Array([Dictionary(A=Dictionary(S=Name("/SubmitForm")))])),
        lambda p: p.Root.__setitem__("/AF", Array()),
        lambda p: p.Root.__setitem__("/X", p.make_indirect(Stream(p, b"x", Type=Name("/EmbeddedFile")))),
    ],
)
@pytest.mark.parametrize("packed", [pikepdf.ObjectStreamMode.disable, pikepdf.ObjectStreamMode.generate])
def test_a_pdf_that_does_something_is_refused_wherever_it_hides_it(change: Any, packed: Any) -> None:
    assert refused("a.pdf", pdf(change, object_stream_mode=packed)) == "attachment.active"


def test_a_locked_pdf_is_refused() -> None:
    assert refused("a.pdf", pdf(encryption=pikepdf.Encryption(owner="a", user=""))) == "attachment.active"


@pytest.mark.parametrize(
    "member", ["xl/vbaProject.bin", "xl/embeddings/oleObject1.xlsx", "xl/externalLinks/externalLink1.xml",
               "xl/activeX/activeX1.xml", "xl/macrosheets/sheet1.xml", "customUI/customUI.xml"],
)  # fmt: skip
def test_a_workbook_that_does_something_is_refused(member: str) -> None:
    assert refused("a.xlsx", workbook({member: b"x"})) == "attachment.active"


def test_a_workbook_that_links_outside_is_refused() -> None:
    link = b'<Relationships><Relationship Target="http://x/" TargetMode="External"/></Relationships>'
    assert refused("a.xlsx", workbook({"xl/worksheets/_rels/sheet1.xml.rels": link})) == "attachment.active"


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    out = io.BytesIO(workbook())
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", b" " * (attachments.MAX_XLSX_BYTES + 1))
    assert refused("a.xlsx", out.getvalue()) == "attachment.content"


def test_an_image_of_too_many_pixels_or_frames_is_refused() -> None:
    out = io.BytesIO()
    Image.new("1", (8_000, 6_000)).save(out, "PNG")
    assert refused("a.png", out.getvalue()) == "attachment.pixels"
    frames = io.BytesIO()
    Image.new("L", (9, 9)).save(frames, "PNG", save_all=True, append_images=[Image.new("L", (9, 9), 9)])
    assert refused("a.png", frames.getvalue()) == "attachment.content"
    assert refused("a.png", image("PNG")[:-20]) == "attachment.content"


@pytest.mark.parametrize("text", ["a,=1+1", "=cmd|' /C calc'!A0", "1\n@SUM(1)", 'a;"=HYPERLINK(1)"'])
def test_a_cell_that_a_spreadsheet_would_run_is_refused(text: str) -> None:
    assert refused("a.csv", text.encode()) == "attachment.active"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a.exe", "attachment.type"), ("pdf", "attachment.type"), ("a.pdf.html", "attachment.type"),
        ("../a.txt", "attachment.name"), ("a\\b.txt", "attachment.name"), ("a\u202etxt.exe.txt", "attachment.name"),
        ("a\n.txt", "attachment.name"), (" a.txt", "attachment.name"), ("x" * 130 + ".txt", "attachment.name"),
    ],
)  # fmt: skip
def test_names_and_types_that_are_not_taken(name: str, rule: str) -> None:
    assert refused(name, b"x") == rule


def test_sizes() -> None:
    assert refused("a.txt", b"") == "attachment.size"
    assert refused("a.txt", b"x" * (MOST + 1)) == "attachment.size"
    assert refused("a.txt", b"\0") == "attachment.content"
    assert refused("a.txt", b"\x81\xff\xff") == "attachment.content"


HEADS = [b"", b"%PDF-1.7\n", b"PK\3\4", b"\x89PNG\r\n\x1a\n", b"\xff\xd8"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(TYPES)), st.sampled_from(HEADS), st.binary(max_size=400), st.sampled_from(HEADS))
def test_any_bytes_are_taken_or_refused_and_nothing_else_is_raised(
    ending: str, head: bytes, body: bytes, tail: bytes
) -> None:
    with contextlib.suppress(FormatError):
        assert checked_attachment(f"a.{ending}", head + body + tail, MOST) == TYPES[ending]
