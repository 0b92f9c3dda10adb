"""A simulated run says so, counts for chargers of a virtual city alone, and gives no paper but a specimen."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from anxin.domain.errors import FormatError
from anxin.domain.party import Party, Role
from anxin.domain.verification import VerificationResult
from anxin.flow.certificate_view import view_of
from anxin.flow.certificates import Certificates
from anxin.flow.check_certificate import check_certificate
from anxin.flow.platform import Platform
from anxin.flow.verifying_documents import bench_document
from anxin.formats.bench_documents import bench_result
from anxin.formats.pdf import attached, page_text
from anxin.formats.verification_result import result_in, result_value
from anxin.report.certificate import RESULT_NAME
from tests.platform.live_city import enrolled, made_real
from tests.platform.test_ocpp import judged
from tests.platform.verified import body, result
from tests.platform.web import Caller, serving

INSPECTOR = Party("inspector", Role.INSPECTOR, "检查员")
BENCH = Party("BENCH-1", Role.BENCH, "检定装置")


@pytest.fixture
def charger(platform: Platform) -> str:
    platform.settings = replace(platform.settings, public_url="https://charge.example", public_burst=200)
    enrolled(platform, chargers=6, days=1, cheats=0)
    return sorted(platform.directory.connectors_of_charger)[0]


def simulated(charger: str, **more: Any) -> VerificationResult:
    return dataclasses.replace(result(charger, **more), simulated=True)


def test_what_a_file_says_has_one_form_and_files_from_before_are_read(charger: str) -> None:
    real, made = result(charger), simulated(charger)
    assert "simulated" not in result_value(real)
    assert result_in(result_value(real)) == real
    assert result_in(result_value(made)) == made
    with pytest.raises(FormatError, match="one form"):
        result_in(result_value(real) | {"simulated": False})
    assert not bench_result(bench_document(real)).simulated
    assert bench_result(bench_document(made)).simulated


def test_a_simulated_run_on_a_real_charger_is_refused_and_changes_nothing(
    platform: Platform, charger: str, tmp_path: Path
) -> None:
    made_real(platform)
    with serving(platform) as url:
        before = httpx.get(f"{url}/public/v1/chargers/{charger}").json()
        bench = Caller(platform, url, BENCH)
        status, told = bench.post("/bench/v1/results", bench_document(simulated(charger)))
        assert (status, told["title"], told["field"]) == (422, "bench.simulated", "simulated")
        judged(platform, tmp_path)
        after = httpx.get(f"{url}/public/v1/chargers/{charger}").json()
        assert after["verification"] == before["verification"]
        assert after["virtual"] is False
    with pytest.raises(FormatError, match="simulated"):
        Certificates(platform).issue(INSPECTOR, body(simulated(charger)), accept_unconfirmed=True)


def test_on_a_virtual_charger_it_counts_and_its_paper_is_a_specimen(
    platform: Platform, charger: str, tmp_path: Path
) -> None:
    desk = Certificates(platform)
    with serving(platform) as url:
        bench = Caller(platform, url, BENCH)
        run = simulated(charger, run_id="run-7")
        assert bench.post("/bench/v1/results", bench_document(run))[0] == 200
        judged(platform, tmp_path)
        page = httpx.get(f"{url}/public/v1/chargers/{charger}").json()
        assert page["virtual"] is True
        assert page["verification"]["certificate_no"] == "run-7"
        assert "虚拟城市的充电桩" in httpx.get(f"{url}/c/{charger}").text
        line = desk.issue(INSPECTOR, body(run), accept_unconfirmed=True)
        assert line["number"].startswith("YB-ZS-")
        assert line["specimen"] is True
        told = httpx.get(f"{url}/public/v1/certificates/{line['number']}").json()
        assert told["specimen"] is True
    pdf = desk.pdf(INSPECTOR, line["number"])
    assert "SPECIMEN" in page_text(pdf)
    check = check_certificate(pdf, desk.seal.certificate_pem)
    assert check.exit_code == 0
    assert "certificate.specimen" in {s.name for s in check.steps}
    # Without the word, or with another one, the document is none.
    document = json.loads(attached(pdf, RESULT_NAME, 1 << 20) or b"")
    for altered in ({k: v for k, v in document.items() if k != "specimen"}, document | {"specimen": False}):
        with pytest.raises(FormatError):
            view_of(json.dumps(altered).encode(), "0" * 64)


def test_specimens_take_no_real_numbers_and_end_with_the_virtual_city(platform: Platform, charger: str) -> None:
    desk = Certificates(platform)
    first = desk.issue(INSPECTOR, body(simulated(charger, run_id="run-1")), accept_unconfirmed=True)
    platform.refresh()
    assert first["number"] in {v.certificate_no for v in platform.directory.register.verifications}
    made_real(platform)
    assert first["number"] not in {v.certificate_no for v in platform.directory.register.verifications}
    second = desk.issue(INSPECTOR, body(result(charger, "run-2")), accept_unconfirmed=True)
    assert second["number"] == first["number"].removeprefix("YB-")
    assert second["specimen"] is False
