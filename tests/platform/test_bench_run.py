"""A run's result reaches the register of a real platform at once, or later; sent twice it counts once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from anxin.cli.main import main
from anxin.domain.party import Party, Role
from anxin.flow import enrol
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.formats.pdf import page_text
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.web import serving


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=2, cheats=0)


@pytest.fixture
def server(platform: Platform, city: LiveCity) -> Iterator[str]:
    with serving(platform) as url:
        yield url


def test_from_start_to_the_platform_in_one_command_and_an_offline_run_counts_once(
    platform: Platform, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    charger = platform.directory.register.connectors[0].charger_id
    token = tmp_path / "token"
    token.write_text(enrol.new_token(platform.database, platform.vault, Party("bench-1", Role.BENCH, "检定装置一")))
    words = ["bench", "run", "--charger", charger, "--power", "7kW", "--current", "AC", "--class", "2", "--simulate",
             "--json"]  # fmt: skip
    there = ["--platform", server, "--token-file", str(token)]

    # At once.
    assert main([*words, "--out", str(tmp_path / "a.json"), *there]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["receipt"]["repeated"] is False

    # Offline, then sent twice: the same receipt.
    assert main([*words, "--plant", "gain=30000", "--out", str(tmp_path / "b.json")]) == 1
    capsys.readouterr()
    receipts = []
    for _ in range(2):
        assert main(["bench", "upload", str(tmp_path / "b.json"), *there, "--json"]) == 0
        receipts.append(json.loads(capsys.readouterr().out)["receipt"])
    assert [r.pop("repeated") for r in receipts] == [False, True]
    assert receipts[0] == receipts[1]

    judge = Judge(platform, tmp_path / "scratch")
    try:
        judge.settle(AS_OF_UTC_MS)
    finally:
        judge.close()
    platform.refresh()
    found = [v for v in platform.directory.register.verifications if v.certificate_no.startswith("RUN-")]
    assert sorted((v.charger_id, v.passed) for v in found) == [(charger, False), (charger, True)]


def test_a_stopped_run_and_an_unknown_charger_stay_files(
    platform: Platform, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    charger = platform.directory.register.connectors[0].charger_id
    token = tmp_path / "token"
    token.write_text(enrol.new_token(platform.database, platform.vault, Party("bench-1", Role.BENCH, "检定装置一")))
    words = ["--power", "7kW", "--current", "AC", "--class", "2", "--simulate", "--out", str(tmp_path / "c.json"),
             "--platform", server, "--token-file", str(token)]  # fmt: skip
    for named, plants in ((charger, ["--plant", "fault=wired_phase"]), ("no-such-charger", [])):
        assert main(["bench", "run", "--charger", named, *words, *plants]) == 2
        assert (tmp_path / "c.json").exists()
        told = capsys.readouterr()
        assert "无结论" in told.err if plants else "422" in told.err
    platform.refresh()
    assert not [v for v in platform.directory.register.verifications if v.certificate_no.startswith("RUN-")]


def test_one_command_ends_with_a_certificate_and_a_label(
    platform: Platform, city: LiveCity, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.settings = replace(platform.settings, public_url="https://charge.example", public_burst=200)
    charger = platform.directory.register.connectors[0].charger_id
    files = {}
    for party in (Party("bench-1", Role.BENCH, "检定装置一"), Party("officer", Role.INSPECTOR, "检定员")):
        files[party.party_id] = tmp_path / party.party_id
        files[party.party_id].write_text(enrol.new_token(platform.database, platform.vault, party))
    platform.refresh()
    with serving(platform) as url:
        words = ["bench", "run", "--charger", charger, "--power", "7kW", "--current", "AC", "--class", "2",
                 "--simulate", "--json", "--out", str(tmp_path / "run.json"), "--platform", url,
                 "--token-file", str(files["bench-1"]), "--regulator", url.regulator]  # fmt: skip
        # A bench issues nothing, and nobody issues what rests on unconfirmed limits without knowing it.
        assert main([*words, "--officer-token-file", str(files["bench-1"])]) == 2
        assert "401" in capsys.readouterr().err
        assert main([*words, "--officer-token-file", str(files["officer"])]) == 2
        assert "未出证" in capsys.readouterr().err
        assert main([*words, "--officer-token-file", str(files["officer"]), "--accept-unconfirmed"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["simulated"] is True
        assert said["certificate"].startswith("YB-ZS-")
        told = httpx.get(f"{url}/public/v1/certificates/{said['certificate']}").json()
        assert told["status"] == "valid"
        assert told["specimen"] is True
    certificate, label = (Path(name).read_bytes() for name in said["papers"])
    assert said["certificate"] in page_text(certificate)
    shown = page_text(label)
    assert charger in shown
    assert "SPECIMEN" in shown
