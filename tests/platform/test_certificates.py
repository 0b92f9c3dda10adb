"""Certificates of verification: numbered, signed, revocable, checked by anyone, honest about their limits."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pikepdf
import pytest

from anxin.cli.main import main
from anxin.domain.errors import AnxinError, CaseError, FormatError, StoreError
from anxin.domain.party import Party, Role
from anxin.flow.certificates import Certificates
from anxin.flow.check_certificate import CertificateCheck, check_certificate
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import certificates as store
from anxin.store import messages
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled, made_real
from tests.platform.verified import body, result
from tests.platform.web import Caller, Served, serving

INSPECTOR = Party("inspector", Role.INSPECTOR, "检查员")
ROUTE = "/api/certificates"


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    platform.settings = replace(platform.settings, public_url="https://charge.example", public_burst=200)
    city = enrolled(platform, chargers=6, days=1, cheats=0)
    made_real(platform)
    return city


@pytest.fixture
def desk(platform: Platform, city: LiveCity) -> Certificates:
    return Certificates(platform)


@pytest.fixture
def web(platform: Platform, city: LiveCity) -> Iterator[Served]:
    with serving(platform) as url:
        yield url


def charger(platform: Platform, n: int = 0) -> str:
    return sorted(platform.directory.connectors_of_charger)[n]


def issue(desk: Certificates, run_id: str = "run-1", n: int = 0, **more: Any) -> tuple[dict[str, Any], bytes]:
    payload = body(result(charger(desk.platform, n), run_id, **more))
    line = desk.issue(INSPECTOR, payload, accept_unconfirmed=True)
    return line, desk.pdf(INSPECTOR, line["number"])


def fails(check: CertificateCheck) -> list[str]:
    return [s.name for s in check.steps if s.outcome == "fails"]


def test_a_certificate_holds_offline_and_says_who_signed_and_what_is_not_confirmed(
    desk: Certificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, pdf = issue(desk)
    assert (line["kind"], line["status"], line["number"][:3]) == ("certificate", "valid", "ZS-")
    assert line["unconfirmed"] > 0, "the limits of 2022 are not confirmed"
    check = check_certificate(pdf, desk.seal.certificate_pem)
    assert (fails(check), check.exit_code, check.number) == ([], 0, line["number"])
    assert check.pdf_sha256 == line["pdf_sha256"]
    assert {"certificate.unconfirmed", "certificate.revoked"} <= {s.name for s in check.steps}
    from anxin.formats.pdf import page_text

    assert "不作为法定检定结论" in page_text(pdf).replace("\r\n", "")
    # On the command line; without the platform's certificate nobody has vouched for the signer, and that is said.
    path, cert = tmp_path / "c.pdf", tmp_path / "platform.pem"
    path.write_bytes(pdf)
    cert.write_bytes(desk.seal.certificate_pem)
    assert main(["check", str(path), "--cert", str(cert)]) == 0
    assert main(["check", str(path), "--json"]) == 2
    said = json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))
    assert {s["step"]: s["outcome"] for s in said["steps"]}["certificate.signer"] == "not_checked"


def test_every_flipped_bit_is_found(desk: Certificates) -> None:
    _, pdf = issue(desk)
    pem = desk.seal.certificate_pem
    step = len(pdf) // 60
    for at in range(0, len(pdf), step):
        altered = bytearray(pdf)
        altered[at] ^= 1 << (at % 8)
        assert fails(check_certificate(bytes(altered), pem)), f"bit {at % 8} of byte {at}"
        assert check_certificate(bytes(altered), None).exit_code != 0
    assert fails(check_certificate(pdf + b"\n", pem)) == ["certificate.signature"]
    assert fails(check_certificate(pdf[:-200], pem)) == ["certificate.signature"]


def test_a_paper_of_another_signer_and_one_whose_page_says_more_are_found(desk: Certificates, tmp_path: Path) -> None:
    from anxin.trust.pdf_seal import pdf_signer

    line, pdf = issue(desk)
    forger = pdf_signer(tmp_path, "anxin.example/log evidence packs")
    # The forger takes the true result, and gives its page another number; he signs it himself.
    from anxin.flow.certificate_view import view_of
    from anxin.formats.pdf import attached
    from anxin.report.certificate import certificate_pdf

    document = attached(pdf, "result.json", 1 << 21)
    assert document is not None
    view = view_of(document, line["document_sha256"])
    forged = forger.sign(certificate_pdf(replace(view, number="ZS-2026-999999")), "forged")
    assert fails(check_certificate(forged, desk.seal.certificate_pem)) == ["certificate.signature"]
    alone = check_certificate(forged, None)
    assert "certificate.page" in fails(alone), "the printed number is not the attached one"
    assert "certificate.conclusion" in fails(alone), "the result names another signer"
    # A true paper with another result inside, signed by the platform's own key: the digest does not fit.
    opened = pikepdf.open(io.BytesIO(certificate_pdf(view)))
    spec = pikepdf.AttachedFileSpec(opened, document.replace(b"REF-17", b"REF-18"), filename="result.json")
    del opened.attachments["result.json"]
    opened.attachments["result.json"] = spec
    out = io.BytesIO()
    opened.save(out)
    assert "certificate.result" in fails(check_certificate(desk.seal.sign(out.getvalue(), "x"), None))


def test_numbers_have_no_gap_though_some_fail_and_many_come_at_once(
    desk: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: issue(desk, f"run-{n}", n % 4)[0]["number"], range(6)))
    assert sorted(int(n[-6:]) for n in found) == [1, 2, 3, 4, 5, 6]
    with monkeypatch.context() as patch:
        patch.setattr(store, "put", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full")))
        with pytest.raises(StoreError):
            issue(desk, "run-lost")
    assert issue(desk, "run-7")[0]["number"].endswith("-000007"), "what was rolled back was never given"
    with pytest.raises(CaseError, match="has its paper"):
        issue(desk, "run-7")
    assert issue(desk, "run-8")[0]["number"].endswith("-000008")
    line, _ = issue(desk, "run-bad", error_ppm=14_000)
    assert line["number"].startswith("TZ-"), "a notice of failure counts by itself"
    assert line["number"].endswith("-000001")


def test_unconfirmed_limits_never_become_a_certificate_silently(desk: Certificates, platform: Platform) -> None:
    payload = body(result(charger(platform)))
    with pytest.raises(CaseError) as refused:
        desk.issue(INSPECTOR, payload)
    assert refused.value.rule == "certificate.unconfirmed"
    assert refused.value.more["unconfirmed"], "each number with its source is told"
    platform.settings = replace(platform.settings, certificates_unconfirmed="refuse")
    with pytest.raises(CaseError):
        desk.issue(INSPECTOR, payload, accept_unconfirmed=True)
    assert desk.listed(INSPECTOR, None, None, 10) == []


@pytest.mark.parametrize(
    ("member", "value", "rule"),
    [
        ("outcome", "fail", "result.outcome"),
        ("procedure_sha256", "cd" * 32, "result.procedure"),
        ("procedure", "jjg-9999", "result.procedure"),
        ("valid_to_utc_ms", None, "result.valid_to"),
        ("valid_to_utc_ms", 4_000_000_000_000, "result.valid_to"),
        ("stopped", "the standard fell silent", "result.stopped"),
        ("ended_utc_ms", 4_000_000_000_000, "result.time"),
        ("extra", 1, "result.shape"),
        ("verified_by", "甲\n乙", "result.text"),
        ("verified_by", "甲" * 501, "result.text"),
        ("items", [], "result.outcome"),
    ],
)
def test_a_result_that_does_not_follow_from_its_readings_is_refused(
    desk: Certificates, member: str, value: Any, rule: str
) -> None:
    said = json.loads(body(result(charger(desk.platform)))) | {member: value}
    with pytest.raises(FormatError) as refused:
        desk.issue(INSPECTOR, json.dumps(said).encode(), accept_unconfirmed=True)
    assert refused.value.rule == rule


def test_a_point_beyond_its_limit_that_is_called_good_is_refused(desk: Certificates) -> None:
    said = json.loads(body(result(charger(desk.platform))))
    bad = json.loads(body(result(charger(desk.platform), error_ppm=14_000)))
    for name in ("readings", "readings_ppm", "error_ppm"):
        said["points"][0][name] = bad["points"][0][name]
    with pytest.raises(FormatError, match="do not follow"):
        desk.issue(INSPECTOR, json.dumps(said).encode(), accept_unconfirmed=True)
    said["points"][0] |= {"limit_ppm": 20_000}
    with pytest.raises(AnxinError, match="no limit of this class"):
        desk.issue(INSPECTOR, json.dumps(said).encode(), accept_unconfirmed=True)


def test_issued_listed_revoked_over_http_and_told_to_anyone(platform: Platform, web: Served) -> None:
    officer, auditor = Caller(platform, web, INSPECTOR), Caller(platform, web, Party("auditor", Role.AUDITOR, "审计员"))
    one, two = charger(platform), charger(platform, 1)
    assert officer.post(ROUTE, body(result(one)))[0] == 409, "limits are not confirmed"
    status, line = officer.post(f"{ROUTE}?accept_unconfirmed=true", body(result(one)))
    assert status == 201
    number = line["number"]
    assert auditor.post(f"{ROUTE}?accept_unconfirmed=true", body(result(two, "run-2")))[0] == 403
    assert [c["number"] for c in auditor.get(ROUTE)[1]] == [number]
    assert httpx.get(f"{web.regulator}{ROUTE}").status_code == 401
    assert httpx.get(f"{web}{ROUTE}").status_code == 404, "the outer app has no such route"
    pdf = httpx.get(f"{web.regulator}{ROUTE}/{number}/pdf", headers=officer.headers).content
    assert check_certificate(pdf, None).number == number
    # Anyone.
    platform.refresh()
    told = httpx.get(f"{web}/public/v1/chargers/{one}").json()
    assert (told["verification"]["state"], told["verification"]["certificate_no"]) == ("verified", number)
    assert told["verification"]["confirmed"] is False
    assert "检定员甲" not in json.dumps(told, ensure_ascii=False), "no person is told of"
    checked = httpx.get(f"{web}/public/v1/certificates/{number}").json()
    assert (checked["status"], checked["pdf_sha256"], checked["confirmed"]) == ("valid", line["pdf_sha256"], False)
    page = httpx.get(f"{web}/c/{one}")
    assert page.status_code == 200
    assert number in page.text
    assert "限值未确认" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in (
        "/public/v1/chargers/nobody",
        "/public/v1/certificates/ZS-2026-999999",
        "/c/nobody",
        "/c/%3Cscript%3E",
    ):
        answer = httpx.get(f"{web}{path}")
        assert answer.status_code == 404
        assert "<script" not in answer.text
    assert httpx.get(f"{web}/public/v1/certificates/ZS-2026-999999").json()["status"] == "unknown"
    # Revoked: told so at once, and the register no longer counts it.
    assert officer.post(f"{ROUTE}/{number}/revoke", json={"reason": " "})[0] == 422
    assert auditor.post(f"{ROUTE}/{number}/revoke", json={"reason": "标准器失准"})[0] == 403
    status, line = officer.post(f"{ROUTE}/{number}/revoke", json={"reason": "标准器失准"})
    assert (status, line["status"], line["revoked_reason"]) == (200, "revoked", "标准器失准")
    assert officer.post(f"{ROUTE}/{number}/revoke", json={"reason": "again"})[0] == 409
    assert httpx.get(f"{web}/public/v1/certificates/{number}").json()["status"] == "revoked"
    platform.refresh()
    after = httpx.get(f"{web}/public/v1/chargers/{one}").json()
    assert after["verification"]["certificate_no"] != number
    assert after["certificates"][0]["status"] == "revoked"
    with platform.database.transaction() as connection:
        rows = connection.execute(
            "select message_id, sender from message where kind = 'deed.certificate' order by index"
        ).fetchall()
    assert rows == [(f"{number}/issued", "inspector"), (f"{number}/revoked", "inspector")]


def test_a_failed_charger_is_told_as_stopped_and_judged_so(platform: Platform, web: Served) -> None:
    officer, one = Caller(platform, web, INSPECTOR), charger(platform)
    status, line = officer.post(f"{ROUTE}?accept_unconfirmed=true", body(result(one, error_ppm=14_000)))
    assert (status, line["kind"], line["valid_to_utc_ms"]) == (201, "notice", None)
    platform.refresh()
    last = [v for v in platform.directory.register.verifications if v.certificate_no == line["number"]]
    assert [v.passed for v in last] == [False]
    assert httpx.get(f"{web}/public/v1/chargers/{one}").json()["verification"]["state"] == "failed"
    assert "停止使用" in httpx.get(f"{web}/c/{one}").text


def test_sessions_since_a_failed_verification_are_findings_until_the_notice_is_revoked(
    platform: Platform, city: LiveCity, desk: Certificates, tmp_path: Path
) -> None:
    judge = Judge(platform, tmp_path / "scratch")

    def failed() -> int:
        judge.settle(AS_OF_UTC_MS)
        with platform.database.transaction() as connection:
            row = connection.execute(
                "select count(*) from finding where present and cause = 'verification_failed'"
            ).fetchone()
        return 0 if row is None else int(row[0])

    try:
        messages.append(platform.database, city.messages, AS_OF_UTC_MS - 1_000, committed_entry)
        assert failed() == 0
        with platform.database.transaction() as connection:
            rows = connection.execute("select place, start_utc_ms from verdict where present order by 2").fetchall()
        place, start = next(r for r in rows if r[0] in platform.directory.connectors)
        one, ended = platform.directory.connectors[place].charger_id, start - 600_000
        since = sum(p in platform.directory.connectors and platform.directory.connectors[p].charger_id == one
                    for p, _ in rows)  # fmt: skip
        bad = result(one, error_ppm=14_000, begun_utc_ms=ended - 420_000, ended_utc_ms=ended)
        line = desk.issue(INSPECTOR, body(bad), accept_unconfirmed=True)
        assert failed() == since > 0
        desk.revoke(INSPECTOR, line["number"], "标准器失准")
        assert failed() == 0
    finally:
        judge.close()


def test_an_officer_of_another_district_finds_nothing(platform: Platform, web: Served) -> None:
    officer, one = Caller(platform, web, INSPECTOR), charger(platform)
    other = Caller(platform, web, replace(INSPECTOR, party_id="elsewhere", districts=("无此区",)))
    number = officer.post(f"{ROUTE}?accept_unconfirmed=true", body(result(one)))[1]["number"]
    absent = other.post(f"{ROUTE}/ZS-2026-999999/revoke", json={"reason": "x"})
    assert absent[0] == 404
    assert other.post(f"{ROUTE}/{number}/revoke", json={"reason": "x"}) == absent
    assert other.get(f"{ROUTE}/{number}/pdf") == absent
    assert other.get(ROUTE) == (200, [])
    assert other.post(f"{ROUTE}?accept_unconfirmed=true", body(result(one, "run-2")))[0] == 422
    assert officer.get(ROUTE)[1][0]["status"] == "valid"


def test_whoever_asks_too_often_waits(platform: Platform) -> None:
    platform.settings = replace(platform.settings, public_burst=3)
    with serving(platform) as url:
        answers = [httpx.get(f"{url}/public/v1/certificates/ZS-2026-{n:06d}").status_code for n in range(8)]
    assert answers[:3] == [404] * 3
    assert 429 in answers[3:]
