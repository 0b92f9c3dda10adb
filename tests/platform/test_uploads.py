"""Files of operators: a preview keeps nothing, an upload is one message, and each refused row can be put right."""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anxin.domain.errors import FormatError
from anxin.domain.message import Kind, Message
from anxin.domain.party import Party, Role
from anxin.flow.child import MAX_CHILD_BYTES, in_child
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.flow.upload_reading import Envelope, first_reading
from anxin.formats.sniff import Dialect
from anxin.formats.table_mapping import parse_mapping
from anxin.formats.upload_guard import UploadLimits, guard_mapping, guarded
from anxin.store import facts, messages, parties
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.web import Caller, operators, serving

UPLOADS, PREVIEW = "/api/uploads", "/api/uploads/preview"
LIMITS = UploadLimits(1 << 20, 1 << 22, 1_000)
MAPPING = """
kind = "orders"
[time]
zone = "Asia/Shanghai"
[fields]
order_id = { column = "订单号" }
connector_id = { column = "枪号" }
start = { column = "开始", format = "%Y-%m-%d %H:%M:%S" }
end = { column = "结束", format = "%Y-%m-%d %H:%M:%S" }
energy = { column = "电量", unit = "kWh" }
amount = { column = "金额", unit = "unit" }
operator_id = { column = "运营商" }
"""
HEAD = ["订单号", "枪号", "开始", "结束", "电量", "金额", "运营商", "备注"]


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=1, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[str]:
    with serving(platform) as url:
        yield url


@pytest.fixture
def caller(platform: Platform, server: str) -> Caller:
    owners = [c.operator_id for c in platform.directory.register.connectors]
    return Caller(platform, server, platform.directory.parties[max(owners, key=owners.count)])


def connectors(platform: Platform, owner: str, *, own: bool = True) -> list[str]:
    return [c.connector_id for c in platform.directory.register.connectors if (c.operator_id == owner) is own]


def row(number: int, connector: str, **change: str) -> list[str]:
    cells = {
        "订单号": f"U{number}", "枪号": connector, "开始": f"2026-10-01 {number % 20:02d}:00:00",
        "结束": f"2026-10-01 {number % 20:02d}:45:00", "电量": "12.34", "金额": "15.60", "运营商": "", "备注": "x",
    }  # fmt: skip
    return list((cells | change).values())


def csv_of(rows: list[list[str]], head: list[str] | None = None) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head or HEAD, *rows])
    return text.getvalue().encode()


def some_rows(platform: Platform, owner: str) -> list[list[str]]:
    """Nine rows: five good ones, and one each of a wrong time, a wrong number, another's order and connector."""
    mine, foreign = connectors(platform, owner)[0], connectors(platform, owner, own=False)[0]
    other = next(p.party_id for p in operators(platform) if p.party_id != owner)
    return [
        row(1, mine), row(2, mine), row(3, mine, 开始="yesterday"), row(4, mine), row(5, mine, 电量="much"),
        row(6, mine, 运营商=other), row(7, foreign), row(8, mine, 运营商=owner), row(9, "unknown to all"),
    ]  # fmt: skip


def form(name: str, data: bytes, mapping: str | None = MAPPING) -> dict[str, Any]:
    files: dict[str, Any] = {"file": (name, data)}
    return {"files": files | ({"mapping": ("mapping.toml", mapping.encode())} if mapping is not None else {})}


def test_a_preview_shows_what_would_be_read_and_refused_and_keeps_nothing(platform: Platform, caller: Caller) -> None:
    rows = some_rows(platform, caller.party.party_id)
    status, told = caller.post(PREVIEW, **form("订单.csv", csv_of(rows)))
    assert status == 200
    assert (told["dialect"], told["kind"], told["rows"], told["orders"]) == ("csv", "table.orders", 9, 5)
    assert [(r["row"], r["field"], r["rule"]) for r in told["rejects"]] == [
        (4, "start", "time.syntax"), (6, "energy", "number.syntax"), (7, "operator_id", "admission.tenant"),
        (8, "connector_id", "admission.tenant"),
    ]  # fmt: skip
    assert all(r["file"] == "订单.csv" and r["zh"] and r["en"] for r in told["rejects"])
    assert (told["rejected"], told["rejected_by_rule"]["admission.tenant"]) == (4, 2)
    first = told["first"][0]
    assert (first["row"], first["order_id"], first["energy_kwh"], first["amount"]) == (2, "U1", "12.340", "15.60")
    assert first["start"].startswith("2026-09-30T17:00:00")
    assert first["operator_id"] == caller.party.party_id
    assert told["columns"]["unmapped"] == ["备注"]
    assert told["columns"]["mapped"]["电量"] == "energy"
    # Nobody's names stand in the answer, and nothing is kept anywhere.
    others = [p.party_id for p in operators(platform) if p.party_id != caller.party.party_id]
    assert not any(other in json.dumps(told) for other in others)
    assert messages.size(platform.database) == 0
    assert caller.get("/api/refused")[1] == []


def test_an_upload_is_one_message_and_its_good_rows_are_judged_and_the_others_put_right(
    platform: Platform, caller: Caller, tmp_path: Path
) -> None:
    owner = caller.party.party_id
    data = csv_of(some_rows(platform, owner))
    status, answer = caller.post(UPLOADS, **form("订单.csv", data))
    assert (status, answer["repeated"], answer["receipt"]["kind"]) == (200, False, "table.orders")
    entries = {r["row"]: r["refused_id"] for r in answer["read"]["rejects"]}
    assert len(entries) == 4
    # The same file again: the same receipt, and the ledger holds each row once.
    again = caller.post(UPLOADS, **form("订单.csv", data))[1]
    assert (again["repeated"], again["receipt"]) == (True, answer["receipt"])
    assert {r["row"]: r["refused_id"] for r in again["read"]["rejects"]} == entries
    assert len(caller.get("/api/refused")[1]) == 4
    # A row is read in the ledger with its head, put right there, and is an order like the others.
    entry = caller.get(f"/api/refused/{entries[4]}")[1]
    assert entry["payload"].splitlines()[0] == ",".join(HEAD)
    assert "yesterday" in entry["payload"]
    path = f"/api/refused/{entries[4]}/correction"
    assert caller.post(path, entry["payload"].encode())[1]["rule"] == "time.syntax"
    right = entry["payload"].replace("yesterday", "2026-10-01 03:00:00").encode()
    assert caller.post(path, gzip.compress(right))[1]["rule"] == "upload.another_kind"
    status, corrected = caller.post(path, right)
    assert (status, corrected["receipt"]["message_id"]) == (200, f"{answer['receipt']['message_id']}#4")
    assert caller.post(path, right) == (200, corrected | {"repeated": True})
    foreign = caller.get(f"/api/refused/{entries[8]}")[1]["payload"]
    assert caller.post(f"/api/refused/{entries[8]}/correction", foreign.encode())[1]["rule"] == "admission.tenant"
    assert messages.size(platform.database) == 2
    judge = Judge(platform, tmp_path / "scratch")
    try:
        judge.settle(AS_OF_UTC_MS)
        judged = orders(platform)
        assert [o[0] for o in judged] == ["U1", "U2", "U3", "U4", "U8", "U9"]
        assert {o[1] for o in judged} == {owner}
        assert verdict_ids(platform) == {"U1", "U2", "U3", "U4", "U8", "U9"}
        # The connector of the refused row becomes the sender's: a replay says what was said then.
        register = parties.load_register(platform.database)
        moved = tuple(c if c.operator_id == owner else type(c)(**{**fields(c), "operator_id": owner})
                      for c in register.connectors)  # fmt: skip
        parties.put_register(platform.database, type(register)(connectors=moved))
        facts.requeue_all(platform.database)
        judge.settle(AS_OF_UTC_MS)
        assert orders(platform) == judged
    finally:
        judge.close()


def fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def orders(platform: Platform) -> list[tuple[Any, ...]]:
    with platform.database.transaction() as connection:
        return connection.execute("select order_id, operator_id, energy_milli_wh from fact_order order by 1").fetchall()


def verdict_ids(platform: Platform) -> set[str]:
    with platform.database.transaction() as connection:
        return {r[0] for r in connection.execute("select order_id from verdict where present and order_id is not null")}


def test_xlsx_parquet_gzip_and_json_lines_are_read_alike(
    platform: Platform, caller: Caller, city: LiveCity, tmp_path: Path
) -> None:
    rows = some_rows(platform, caller.party.party_id)
    book = openpyxl.Workbook()
    page = book.worksheets[0]
    for cells in (HEAD, *rows):
        page.append(cells)
    workbook = io.BytesIO()
    book.save(workbook)
    columns = pa.table({name: [cells[n] for cells in rows] for n, name in enumerate(HEAD)})
    parquet = io.BytesIO()
    pq.write_table(columns, parquet)
    plain = caller.post(PREVIEW, **form("a.csv", csv_of(rows)))[1]
    for name, data in (
        ("a.xlsx", workbook.getvalue()), ("a.parquet", parquet.getvalue()), ("a.csv.gz", gzip.compress(csv_of(rows))),
    ):  # fmt: skip
        status, told = caller.post(PREVIEW, **form(name, data))
        assert status == 200, (name, told)
        assert told["first"] == plain["first"], name
        assert [(r["row"], r["rule"]) for r in told["rejects"]] == [(r["row"], r["rule"]) for r in plain["rejects"]]
    # JSON lines as a bare body: one order of the sender's, one of another's, a broken one, and the sender's totals.
    owner = caller.party.party_id
    own = next(m.payload for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender == owner)
    other = next(m.payload for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender != owner)
    totals = next(m.payload for m in city.messages if m.kind is Kind.TCEC_CHECK and m.sender == owner)
    lines = b"\n".join([own, other, own[:-1], b"", totals])
    status, answer = caller.post(f"{UPLOADS}?name=orders.jsonl", lines)
    read = answer["read"]
    assert (status, read["dialect"], read["orders"], read["totals"], read["rows"]) == (200, "tcec102", 1, 1, 4)
    assert [(r["row"], r["rule"]) for r in read["rejects"]] == [(2, "admission.tenant"), (3, "json.syntax")]
    number = read["rejects"][1]["refused_id"]
    assert caller.get(f"/api/refused/{number}")[1]["payload"].encode() == own[:-1]
    assert caller.post(f"/api/refused/{number}/correction", own)[0] == 200
    judge = Judge(platform, tmp_path / "scratch")
    try:
        judge.settle(AS_OF_UTC_MS)
    finally:
        judge.close()
    assert len({o[0] for o in orders(platform)}) == 1


def test_records_of_an_uploaded_table_are_unsigned_and_found_again_in_a_replay(
    platform: Platform, caller: Caller, tmp_path: Path
) -> None:
    owner = caller.party.party_id
    meter = next(m for m in platform.directory.register.meters if m.connector_id in connectors(platform, owner))
    foreign = next(m for m in platform.directory.register.meters if m.connector_id not in connectors(platform, owner))
    head = ["record_id", "meter_id", "begin_utc_ms", "end_utc_ms", "energy_milli_wh"]
    begin = 1_791_000_000_000
    rows = [[f"R{n}", m, str(begin + n * 3_600_000), str(begin + n * 3_600_000 + 60_000), "5000000"]
            for n, m in enumerate([meter.meter_id, meter.meter_id, foreign.meter_id])]  # fmt: skip
    status, answer = caller.post(f"{UPLOADS}?name=records.csv", csv_of(rows, head))
    assert (status, answer["receipt"]["kind"], answer["read"]["records"]) == (200, "table.records", 2)
    assert [(r["field"], r["rule"]) for r in answer["read"]["rejects"]] == [("meter_id", "admission.tenant")]
    judge = Judge(platform, tmp_path / "scratch")
    try:
        for _ in range(2):
            judge.settle(AS_OF_UTC_MS)
            with platform.database.transaction() as connection:
                found = connection.execute("select record_id, answer, reason from fact_record order by 1").fetchall()
            assert found == [("R0", "cannot_judge", "unsigned"), ("R1", "cannot_judge", "unsigned")]
            facts.requeue_all(platform.database)
    finally:
        judge.close()


def test_only_operators_upload_and_a_file_of_no_use_leaves_one_entry(platform: Platform, caller: Caller) -> None:
    inspector = Caller(platform, caller.url, Party("inspector", Role.INSPECTOR, "检查员"))
    bench = Caller(platform, caller.url, Party("bench-1", Role.BENCH, "检定装置"))
    for path in (UPLOADS, PREVIEW):
        assert [c.post(path, b"x")[0] for c in (inspector, bench)] == [404, 403]
    good = csv_of([row(1, connectors(platform, caller.party.party_id)[0])])
    for data, mapping, rule in (
        (b"", MAPPING, "upload.dialect"),
        (good, None, "table.mapping"),
        (good, MAPPING.replace("电量", "功率"), "table.columns"),
        (good, "kind = ", "upload.mapping"),
        (good, MAPPING.replace('column = "枪号"', 'column = "枪号", regex = "(a+)+$"'), "upload.mapping"),
        (csv_of([row(1, "x", 开始="?")]), MAPPING, "upload.nothing"),
        (b'[{"StartChargeSeq":"1"}]', None, "upload.lines"),
        (b"OCMF|{}|{}", None, "upload.dialect"),
    ):
        status, told = caller.post(UPLOADS, **form("x", data, mapping))
        assert (status, told["rule"]) == (422, rule), told
        assert told["zh"]
    assert caller.post(UPLOADS, files={"other": ("x", good)})[1]["rule"] == "upload.form"
    assert messages.size(platform.database) == 0
    entries = caller.get("/api/refused")[1]
    assert {e["door"] for e in entries} == {"upload"}
    told = caller.post(f"/api/refused/{entries[0]['refused_id']}/correction", good)[1]
    assert told["rule"] == "correction.kind"


def sheet(refs: list[str], texts: int = 0, name: str = "xl/workbook.xml") -> bytes:
    """An XLSX, as little of it as the guard looks at."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "<workbook/>")
        cells = "".join(f'<c r="{ref}"><v>1</v></c>' for ref in refs)
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet>{cells}{' ' * texts}</worksheet>")
    return packed.getvalue()


def lying(data: bytes) -> bytes:
    """The same ZIP, whose heads state a size of ten bytes for its last member."""
    altered = bytearray(data)
    central = altered.rfind(b"PK\x01\x02")
    struct.pack_into("<I", altered, central + 24, 10)
    return bytes(altered)


def many_pointers() -> bytes:
    """A Parquet file whose rows all point at one long text."""
    table = pa.table({"order_id": pa.array(["x" * 100_000] * 900).dictionary_encode()})
    packed = io.BytesIO()
    pq.write_table(table, packed, compression="zstd")
    return packed.getvalue()


def test_what_would_exhaust_the_machine_is_refused_before_it_is_unpacked() -> None:
    too_many = b"".join(b"%d\n" % n for n in range(1_003))
    wide = io.BytesIO()
    pq.write_table(pa.table({"order_id": ["a"] * 1_001}), wide)
    for data, rule in (
        (b"x" * (LIMITS.max_bytes + 1), "upload.size"),
        (too_many, "upload.rows"),
        (gzip.compress(b" " * (LIMITS.max_unpacked_bytes + 1)), "upload.unpacked"),
        (gzip.compress(b"a,b\n")[:-6], "table.gzip"),
        (gzip.compress(b"a,b\n") * 2, "table.gzip"),
        (sheet(["A1"], LIMITS.max_unpacked_bytes), "upload.unpacked"),
        (lying(sheet(["A1"], LIMITS.max_unpacked_bytes)), "upload.unpacked"),
        (sheet(["A1", "A1002"]), "upload.rows"),
        (sheet(["A1", "XFD900"]), "upload.rows"),
        (sheet(["A1"], name="content.xml"), "table.xlsx"),
        (b"PK\x03\x04" + b"x" * 100, "table.xlsx"),
        (wide.getvalue(), "upload.rows"),
        (many_pointers(), "table.parquet"),
        (b"PAR1" + b"x" * 100 + b"PAR1", "table.parquet"),
    ):
        with pytest.raises(FormatError) as refused:
            guarded(data, LIMITS)
        assert refused.value.rule == rule, data[:20]
    fine = csv_of([["x"] * 8] * 900)
    assert guarded(gzip.compress(fine), LIMITS) == fine
    assert guarded(sheet(["A1", "XFD400"]), LIMITS)
    for harmful in ("idna", "punycode"):
        mapping = MAPPING.replace("[time]", f'[file]\nencoding = "{harmful}"\n[time]').encode()
        with pytest.raises(FormatError, match="encoding"):
            guard_mapping(parse_mapping(mapping, "m"))


def test_an_envelope_comes_back_as_it_was_kept(platform: Platform) -> None:
    envelope = Envelope("订单.csv", Dialect.CSV, MAPPING, (3, 9))
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope
    reading = first_reading(
        "a.csv", csv_of([row(1, "x"), row(2, "y", 电量="?")]), MAPPING.encode(), "me", platform.directory, "UTC", LIMITS
    )
    assert (reading.envelope.excluded, [o.order_id for o in reading.batch.orders]) == ((3,), ["U1"])


def test_a_reader_that_takes_too_much_dies_alone() -> None:
    with pytest.raises(FormatError) as refused:
        in_child(bytearray, 2 * MAX_CHILD_BYTES)
    assert refused.value.rule == "upload.resources"
    with pytest.raises(FormatError) as refused:
        in_child(guarded, b"PK\x03\x04", LIMITS)
    assert refused.value.rule == "table.xlsx"
    assert in_child(bytes, 3) == b"\0\0\0"


def test_the_judge_takes_no_more_bytes_at_once_than_it_may(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [Message(Kind.TABLE_ORDERS, "123456789", str(n), b"x" * 400) for n in range(5)]
    messages.append(platform.database, sent, 1, committed_entry)
    assert facts.next_messages(platform.database, 4)[0] == [0, 1, 2, 3]
    monkeypatch.setattr(facts, "MAX_TAKEN_BYTES", 401)
    assert facts.next_messages(platform.database, 4) == ([0, 1], [])
    monkeypatch.setattr(facts, "MAX_TAKEN_BYTES", 1)
    assert facts.requeue_all(platform.database) == 5
    assert facts.next_messages(platform.database, 4) == ([0], [0])
