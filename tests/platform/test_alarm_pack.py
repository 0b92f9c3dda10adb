"""From a cheat to one file: an alarm's pack over HTTP, its attachments, and drivers' complaints."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from anxin.domain.party import Party, Role
from anxin.evidence.pack_reader import read_pack
from anxin.flow.alarm_pack import AlarmPacks
from anxin.flow.alarm_rules import load_rules
from anxin.flow.check_pack import check_pack
from anxin.flow.complaints import compare_complaints
from anxin.flow.desk import Desk
from anxin.flow.pack_files import sealed
from anxin.flow.platform import Platform
from anxin.flow.rekey import master_key_file, rekey
from anxin.store import parties
from tests.platform.packs import PackedCity, judged_city, publish, zipped
from tests.platform.web import Caller, Served, serving

INSPECTOR = Party("inspector-1", Role.INSPECTOR, "甲")
AWAY = Party("inspector-2", Role.INSPECTOR, "乙", districts=("nowhere",))


@pytest.fixture
def city(platform: Platform, tmp_path: Path) -> Iterator[PackedCity]:
    with judged_city(platform, tmp_path / "scratch") as found:
        desk = Desk(platform)
        desk.settle()
        manager = Party("manager-1", Role.MANAGER, "丙", operator_of(found))
        foreign = Party("manager-2", Role.MANAGER, "丁", "nobody")
        parties.put_parties(platform.database, [INSPECTOR, AWAY, manager, foreign], 0)
        platform.refresh()
        yield found


def alarm_of(city: PackedCity) -> tuple[int, str]:
    with city.platform.database.transaction() as connection:
        row = connection.execute(
            "select alarm_id, operator_id from alarm where operator_id is not null"
            " order by excess_milli_wh desc limit 1"
        ).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def operator_of(city: PackedCity) -> str:
    return alarm_of(city)[1]


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def web(city: PackedCity) -> Iterator[Served]:
    with serving(city.platform) as url:
        yield url


def person(city: PackedCity, web: Served, party_id: str) -> Caller:
    return Caller(city.platform, web, city.platform.directory.parties[party_id])


def say(who: Caller, path: str, **body: Any) -> int:
    """Send JSON; return the status."""
    return httpx.post(f"{who.base}{path}", json=body, headers=who.headers, timeout=30).status_code


def send(who: Caller, alarm_id: int) -> None:
    """Send an alarm to its operator."""
    version = who.get(f"/api/alarms/{alarm_id}")[1]["version"]
    assert say(who, f"/api/alarms/{alarm_id}/send", version=version, text="请说明多计电量的原因") == 200


def attach(who: Caller, alarm_id: int, name: str, data: bytes, inner: bool = False) -> tuple[int, Any]:
    return who.post(f"/api/alarms/{alarm_id}/attachments?name={name}&inner={str(inner).lower()}", data)


def test_a_cheat_becomes_one_file_that_stands_alone(city: PackedCity, web: Served) -> None:
    alarm_id, _ = alarm_of(city)
    inspector, manager = person(city, web, "inspector-1"), person(city, web, "manager-1")
    send(inspector, alarm_id)
    assert attach(manager, alarm_id, "整改.png", png())[0] == 200
    assert attach(inspector, alarm_id, "内部.txt", "核查笔记".encode(), inner=True)[0] == 200
    publish(city.platform)
    answer = httpx.get(f"{web.regulator}/api/alarms/{alarm_id}/pack", headers=inspector.headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''AL-{alarm_id}-evidence.zip"
    check = check_pack(answer.content, city.vkey)
    assert [s.en for s in check.steps if s.outcome == "fails"] == []
    assert check.exit_code == 0
    files = read_pack(answer.content)
    manifest = json.loads(files["manifest.json"])
    assert manifest["number"] == f"AL-{alarm_id}"
    assert [a["name"] for a in manifest["attachments"]] == ["整改.png", "内部.txt"]
    assert files[manifest["attachments"][0]["file"]] == png()
    steps = json.loads(files["alarm/steps.json"])
    assert {"send", "attachment"} <= {s["act"] for s in steps}
    deeds = {e["index"] for e in manifest["evidence"] if e["kind"] == "deed.alarm"}
    assert {s["index"] for s in steps if s["index"] is not None} == deeds
    assert len(json.loads(files["judgement/findings.json"])) >= 1
    # Having it is a reading of personal data.
    with city.platform.database.transaction() as connection:
        rows = connection.execute("select sender, payload from message where kind = 'deed.reading'").fetchall()
    assert [(r[0], json.loads(bytes(r[1]))["ids"]) for r in rows] == [("inspector-1", [f"AL-{alarm_id}"])]


def test_an_exchanged_attachment_or_step_is_named(city: PackedCity, web: Served) -> None:
    alarm_id, _ = alarm_of(city)
    inspector = person(city, web, "inspector-1")
    assert attach(inspector, alarm_id, "a.txt", b"one")[0] == 200
    publish(city.platform)
    packs = AlarmPacks(city.platform, load_rules(city.platform.settings))
    files = read_pack(packs.zip_of(INSPECTOR, alarm_id)[1])
    for name, old, new in (
        (next(n for n in files if n.startswith("attachments/")), b"one", b"two"),
        ("alarm/steps.json", b'"text/plain"', b'"text/plane"'),
    ):
        # Even where the log's own key signs sums over it: the deed in the log says otherwise.
        forged = {n: d for n, d in files.items() if not n.startswith("SHA256SUMS")}
        forged[name] = forged[name].replace(old, new)
        assert forged[name] != files[name]
        sealed(forged, f"AL-{alarm_id}", packs.packer.signer)
        said = [s.en for s in check_pack(zipped(forged), city.vkey).steps if s.name == "pack.manifest"]
        assert any(name in line and "deed" in line for line in said)


def test_who_may_not_see_an_alarm_gets_neither_pack_nor_attachment(city: PackedCity, web: Served) -> None:
    alarm_id, _ = alarm_of(city)
    inspector, manager = person(city, web, "inspector-1"), person(city, web, "manager-1")
    kept = attach(inspector, alarm_id, "a.txt", b"x")[1]["attachment_id"]
    inner = attach(inspector, alarm_id, "b.txt", b"y", inner=True)[1]["attachment_id"]
    path = f"/api/alarms/{alarm_id}"
    # Not sent yet: it is not there for the operator, nor for anyone of another operator or district.
    for who in (manager, person(city, web, "manager-2"), person(city, web, "inspector-2")):
        assert who.get(f"{path}/attachments")[0] == 404
        assert who.get(f"{path}/attachments/{kept}")[0] == 404
        assert attach(who, alarm_id, "c.txt", b"z")[0] == 404
        assert who.get(f"{path}/pack")[0] == 404
    send(inspector, alarm_id)
    assert [a["attachment_id"] for a in manager.get(f"{path}/attachments")[1]] == [kept]
    assert manager.get(f"{path}/attachments/{inner}")[0] == 404
    assert person(city, web, "manager-2").get(f"{path}/attachments/{kept}")[0] == 404
    assert manager.get(f"{path}/pack")[0] == 404  # the outer app has no such route
    assert inspector.get(f"{path}/attachments/{kept + 99}")[0] == 404
    assert inspector.get("/api/alarms/99999/pack")[0] == 404


def test_an_attachment_is_given_out_as_a_file_that_cannot_run(city: PackedCity, web: Served) -> None:
    alarm_id, _ = alarm_of(city)
    inspector = person(city, web, "inspector-1")
    page = b"<script>alert(1)</script>"
    number = attach(inspector, alarm_id, "说明.txt", page)[1]["attachment_id"]
    url = f"{web.regulator}/api/alarms/{alarm_id}/attachments/{number}"
    answer = httpx.get(url, headers=inspector.headers)
    assert answer.content == page
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%E8")
    assert "sandbox" in answer.headers["content-security-policy"]


def test_what_an_attachment_must_not_be_is_told_with_its_rule(city: PackedCity, web: Served) -> None:
    alarm_id, _ = alarm_of(city)
    inspector = person(city, web, "inspector-1")
    for name, data, rule in (("a.png", b"MZ", "attachment.content"), ("a.exe", b"MZ", "attachment.type"),
                             ("a.csv", b"=1+1", "attachment.active"), ("a.txt", b"", "attachment.size")):  # fmt: skip
        status, said = attach(inspector, alarm_id, name, data)
        assert (status, said["title"]) == (422, rule)
    with city.platform.database.transaction() as connection:
        assert connection.execute("select count(*) from attachment").fetchone() == (0,)


def test_an_alarm_holds_as_many_attachments_as_it_may(city: PackedCity, web: Served) -> None:
    alarm_id, _ = alarm_of(city)
    inspector = person(city, web, "inspector-1")
    object.__setattr__(inspector_settings(city), "attachments_per_alarm", 1)
    assert attach(inspector, alarm_id, "a.txt", b"x")[0] == 200
    assert attach(inspector, alarm_id, "b.txt", b"y")[0] == 409


def inspector_settings(city: PackedCity) -> Any:
    return city.platform.settings


def bill(city: PackedCity, number: int = 0) -> dict[str, str]:
    with city.platform.database.transaction() as connection:
        rows = connection.execute(
            "select order_id, amount_e4 from fact_order where amount_e4 is not null order by order_id limit 9"
        ).fetchall()
    order_id, amount = rows[number]
    return {"order_id": order_id, "amount": f"{amount / 10_000:.4f}", "reason": "amount"}


def file(web: Served, **body: str) -> Any:
    return httpx.post(f"{web}/public/v1/complaints", json=body, timeout=30)


def joined(city: PackedCity, number: str) -> int | None:
    """Let the desk compare; return the alarm that a complaint has joined then."""
    compare_complaints(city.platform, load_rules(city.platform.settings))
    with city.platform.database.transaction() as connection:
        row = connection.execute("select alarm_id from complaint where number = %s", (number,)).fetchone()
    assert row is not None
    return None if row[0] is None else int(row[0])


def test_a_complaint_opens_or_joins_an_alarm_and_its_filer_reads_how_it_stands(city: PackedCity, web: Served) -> None:
    kept = file(web, **bill(city), text="充了 20 度收了 30 度的钱", contact="138-0000-0000")
    assert kept.status_code == 201
    said = kept.json()
    alarm_id = joined(city, said["number"])
    assert alarm_id is not None
    inspector = person(city, web, "inspector-1")
    steps = inspector.get(f"/api/alarms/{alarm_id}")[1]["steps"]
    assert [s["said"] for s in steps if s["act"] == "complaint"] == [{"complaint": said["number"]}]
    state = httpx.post(f"{web}/public/v1/complaints/state", json={"number": said["number"], "secret": said["secret"]})
    assert state.json()["state"] == "kept"
    send(inspector, alarm_id)
    assert joined(city, said["number"]) == alarm_id  # the desk tells the complaint of it
    state = httpx.post(f"{web}/public/v1/complaints/state", json={"number": said["number"], "secret": said["secret"]})
    assert state.json()["state"] == "in_hand"
    wrong = httpx.post(f"{web}/public/v1/complaints/state", json={"number": said["number"], "secret": "x" * 24})
    none = httpx.post(f"{web}/public/v1/complaints/state", json={"number": "C-0000000000", "secret": "x" * 24})
    assert (wrong.status_code, wrong.json()) == (none.status_code, none.json())
    assert wrong.status_code == 404


def test_an_unknown_order_and_a_wrong_amount_get_the_same_answer(city: PackedCity, web: Served) -> None:
    right = bill(city, 1)
    answers = [
        file(web, **right),
        file(web, **right | {"amount": "1.23"}),
        file(web, **right | {"order_id": "9" * 27}),
    ]
    assert {a.status_code for a in answers} == {201}
    assert len({tuple(sorted(a.json())) for a in answers}) == 1
    bodies = [a.text.replace(a.json()["number"], "").replace(a.json()["secret"], "") for a in answers]
    assert len(set(bodies)) == 1
    assert [joined(city, a.json()["number"]) is not None for a in answers[:1]] == [True]
    with city.platform.database.transaction() as connection:
        assert connection.execute("select count(*) from complaint where alarm_id is null").fetchone() == (2,)


def test_guessing_amounts_on_one_order_gets_nowhere(city: PackedCity, web: Served) -> None:
    right = bill(city, 2)
    for cents in range(city.platform.settings.complaints_per_order_day):
        assert file(web, **right | {"amount": f"0.{cents + 1:02d}"}).status_code == 201
    # The right amount comes too late: kept with the same answer, and not compared.
    late = file(web, **right)
    assert late.status_code == 201
    assert joined(city, late.json()["number"]) is None


def test_one_address_files_a_few_an_hour(city: PackedCity, web: Served) -> None:
    most = city.platform.settings.complaints_per_address_hour
    codes = [file(web, order_id=f"X{n}", amount="1.00", reason="other").status_code for n in range(most + 2)]
    assert codes == [201] * most + [429] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", "many"), ("amount", "-1.00"), ("amount", "1e9999"), ("order_id", "a\nb"), ("order_id", ""),
     ("text", "\0"), ("text", "x" * 2_001), ("contact", "a\u0007"), ("reason", "revenge"), ("more", "x")],
)  # fmt: skip
def test_a_complaint_of_another_form_is_refused(city: PackedCity, web: Served, field: str, value: str) -> None:
    answer = file(web, **{"order_id": "1", "amount": "1.00", "reason": "other"} | {field: value})
    assert answer.status_code == 422


def test_contact_is_sealed_read_as_a_noted_reading_and_erasable(city: PackedCity, web: Served) -> None:
    number = file(web, **bill(city, 3), text="<b>请回电</b>", contact="138-0000-0000").json()["number"]
    joined(city, number)
    inspector = person(city, web, "inspector-1")
    listed = inspector.get("/api/complaints")[1]
    assert [c["number"] for c in listed] == [number]
    assert "138" not in json.dumps(listed)
    with city.platform.database.transaction() as connection:
        row = connection.execute("select * from complaint").fetchone()
        assert row is not None
        assert b"138-0000" not in b"".join(bytes(v) for v in row if isinstance(v, bytes | memoryview))
    # An exchange of the master key seals it again.
    assert rekey(city.platform.database, master_key_file(city.platform.settings), lambda _: None) >= 2
    assert inspector.get(f"/api/complaints/{number}")[1]["contact"] == "138-0000-0000"
    assert person(city, web, "inspector-2").get(f"/api/complaints/{number}")[0] == 404
    with city.platform.database.transaction() as connection:
        row = connection.execute("select sender from message where kind = 'deed.reading'").fetchone()
    assert row == ("inspector-1",)
    assert say(inspector, f"/api/complaints/{number}/erase", reason="PIPL 47") == 200
    after = inspector.get(f"/api/complaints/{number}")[1]
    assert (after["contact"], after["text"], after["number"]) == (None, None, number)
    assert person(city, web, "manager-1").get("/api/complaints")[0] == 404  # the outer app has no such route
