"""The OCPI door over real HTTP, with a real counterparty for the handshake: right, wrong, late, foreign."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from anxin.domain.connector_status import State
from anxin.domain.errors import StoreError
from anxin.domain.message import Kind
from anxin.domain.party import Party, Role
from anxin.domain.register import Connector, Operator, Register, Station, Tariff
from anxin.domain.source import Source
from anxin.faces.outer import create_app
from anxin.flow import enrol, ocpi_client, outbound
from anxin.flow.intake import now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.ocpi_client import UnusableError
from anxin.flow.platform import Platform
from anxin.flow.rates import Buckets
from anxin.formats.meter_envelope import decode_binary
from anxin.store import declarations, messages, ocpi_objects, parties, reading
from tests.platform.conftest import open_folder
from tests.platform.live_city import enrolled
from tests.platform.ocpi_peer import Counterparty, Peer, cdr, evse, location, served, session, tariff
from tests.platform.web import Caller

OPERATORS = ("op-one", "op-two")
REGISTER = Register(
    operators=tuple(Operator(name, name) for name in OPERATORS),
    stations=(Station("LOC1", "op-one", "福田"),),
    connectors=(
        Connector("CN*ABC*E1/1", "charger-1", "LOC1", "op-one", 120_000, "DC"),
        Connector("CN*ABC*E9/1", "charger-9", "S9", "op-two", 120_000, "DC"),
    ),
    tariffs=tuple(Tariff(n, o, "CNY", 0, None, "Asia/Shanghai", 480) for n, o in (("1", "op-two"), ("2", "op-one"))),
)


@pytest.fixture
def server(platform: Platform) -> Iterator[str]:
    platform.settings = dataclasses.replace(platform.settings, ocpi_timeout_s=1)
    enrol.enrol_register(platform.database, platform.vault, REGISTER, [])
    with served(create_app(platform)) as url:
        yield url


@pytest.fixture
def counterparty() -> Iterator[tuple[Counterparty, str]]:
    made = Counterparty()
    with served(made.app()) as url:
        yield made, url


def invited(platform: Platform, server: str, operator: str = "op-one", **of: Any) -> Peer:
    party = Party(operator, Role.OPERATOR, operator, operator)
    named = {"hosts": ["127.0.0.1"]} | {k: of.pop(k) for k in ("hosts", "parties") if k in of}
    token = enrol.new_ocpi_invitation(platform.database, platform.vault, party, **named)
    platform.refresh()
    return Peer(server, token, **of)


@pytest.fixture
def peer(platform: Platform, server: str, counterparty: tuple[Counterparty, str]) -> Peer:
    made = invited(platform, server)
    made.register(counterparty[1])
    return made


def ledger(platform: Platform, operator: str = "op-one") -> list[tuple[str, str | None]]:
    return [(r["rule"], r["field"]) for r in reading.refused(platform.database, operator, None, None, 100)]


def test_the_handshake_kills_token_a_and_a_renewal_kills_the_one_before(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str]
) -> None:
    peer = invited(platform, server)
    versions = peer.call("GET", "versions").json()["data"]
    assert [v["version"] for v in versions] == ["2.2.1", "2.3.0"]
    details = peer.call("GET", versions[0]["url"]).json()["data"]
    assert {(e["identifier"], e["role"]) for e in details["endpoints"]} == {
        ("credentials", "SENDER"), ("locations", "RECEIVER"), ("sessions", "RECEIVER"), ("cdrs", "RECEIVER"),
        ("tariffs", "RECEIVER"),
    }  # fmt: skip
    token_a = peer.token
    assert peer.object("PUT", "locations", "LOC1", location()).status_code == 401
    assert peer.call("PUT", "2.2.1/credentials", peer.credentials(counterparty[1])).status_code == 405
    assert peer.call("DELETE", "2.2.1/credentials").status_code == 405
    answer = peer.call("POST", "2.2.1/credentials", peer.credentials(counterparty[1]))
    assert [path for path, _ in counterparty[0].calls] == ["/versions", "/2.2.1"]
    given = answer.json()["data"]
    assert (given["roles"][0]["role"], given["url"]) == ("OTHER", f"{server}/ocpi/versions")
    assert peer.call("GET", "versions").status_code == 401
    token_c = peer.token = given["token"]
    assert peer.call("POST", "2.2.1/credentials", peer.credentials(counterparty[1])).status_code == 405
    assert peer.call("GET", "2.2.1/credentials").json()["data"]["token"] == token_c
    renewed = peer.call("PUT", "2.3.0/credentials", peer.credentials(counterparty[1])).json()
    assert peer.call("GET", "versions").status_code == 401
    peer.token = renewed["data"]["token"]
    assert peer.call("DELETE", "2.3.0/credentials").json()["status_code"] == 1000
    assert peer.call("GET", "versions").status_code == 401
    with platform.database.transaction() as connection:
        rows = connection.execute("select lookup, public::text, sealed from credential where kind = 'ocpi'").fetchall()
    stored = " ".join(str(row) for row in rows)
    assert not any(token in stored for token in (token_a, token_c, peer.token, "operators-own-token"))
    assert hashlib.sha256(token_a.encode()).hexdigest() in stored


def test_a_counterparty_that_cannot_be_used_leaves_token_a_alive(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str]
) -> None:
    peer = invited(platform, server)
    for mode, code in (
        ("redirect", 3001), ("large", 3001), ("no json", 3001), ("slow", 3001), ("refuses", 3001), ("old", 3002),
    ):  # fmt: skip
        counterparty[0].mode = mode
        answer = peer.call("POST", "2.2.1/credentials", peer.credentials(counterparty[1])).json()
        assert (answer["status_code"], "data" in answer) == (code, False), mode
    assert "/elsewhere" not in [path for path, _ in counterparty[0].calls]
    wrong = peer.credentials(counterparty[1])
    for changed, code in (
        ({"token": "t" * 65}, 2001), ({"token": "with space"}, 2001), ({"url": "/versions"}, 3001),
        ({"roles": []}, 2001), ({"roles": [{}]}, 2001), ({"roles": [wrong["roles"][0] | {"role": "EMSP"}]}, 2001),
    ):  # fmt: skip
        assert peer.call("POST", "2.2.1/credentials", wrong | changed).json()["status_code"] == code, changed
    counterparty[0].mode = "right"
    peer.register(counterparty[1])


def test_our_client_calls_nobody_that_the_administrator_did_not_admit(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str]
) -> None:
    nobody = invited(platform, server, hosts=["operator.example"])
    for url in (counterparty[1], "http://operator.example", "file:///etc/passwd", "https://user:pw@operator.example"):
        answer = nobody.call("POST", "2.2.1/credentials", nobody.credentials(url)).json()
        assert answer["status_code"] == 3001, url
    public = invited(platform, server, hosts=[])
    for url in (
        "https://127.0.0.1:1",
        "https://localhost",
        "https://169.254.169.254",
        "https://[::1]",
        counterparty[1],
    ):
        answer = public.call("POST", "2.2.1/credentials", public.credentials(url)).json()
        assert (answer["status_code"], "admitted" in answer["status_message"]) == (3001, True), url
    with pytest.raises(UnusableError):
        ocpi_client.check_url("https://operator.example/versions", frozenset(), named_only=True)
    assert counterparty[0].calls == []


def test_an_operator_speaks_for_no_party_that_is_another_s_or_not_admitted(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str], peer: Peer
) -> None:
    other = invited(platform, server, "op-two")
    taken = other.call("POST", "2.2.1/credentials", other.credentials(counterparty[1])).json()
    bound = invited(platform, server, "op-two", parties=["CN*XYZ"], party="QQQ")
    named = bound.call("POST", "2.2.1/credentials", bound.credentials(counterparty[1])).json()
    assert taken["status_code"] == named["status_code"] == 2001
    assert taken["status_message"] == named["status_message"]
    bound.party = "XYZ"
    bound.register(counterparty[1])
    assert ledger(platform, "op-two") == [("ocpi.party", "roles")] * 2


def test_a_location_is_put_patched_and_read_and_old_news_changes_nothing(peer: Peer, platform: Platform) -> None:
    answer = peer.object("PUT", "locations", "LOC1", location())
    assert (answer.status_code, answer.json()["status_code"], answer.json()["data"]["applied"]) == (201, 1000, True)
    assert answer.headers["x-request-id"] == "request-1"
    assert answer.headers["ocpi-to-party-id"] == "ABC"
    assert answer.headers["ocpi-from-party-id"] == "AXC"
    index = answer.json()["data"]["receipt"]["index"]
    assert answer.headers["x-anxin-receipt"].endswith(f"/api/receipts/{index}")
    again = peer.object("PUT", "locations", "LOC1", location())
    assert again.json()["data"] == answer.json()["data"] | {"repeated": True, "applied": False}
    news = {"status": "OUTOFORDER", "last_updated": "2026-10-01T09:00:00Z"}
    assert peer.object("PATCH", "locations", "LOC1/e2", news).json()["data"]["applied"] is True
    late = {"status": "AVAILABLE", "last_updated": "2026-10-01T08:30:00Z"}
    kept = peer.object("PATCH", "locations", "LOC1/E2", late).json()
    assert (kept["status_code"], kept["data"]["applied"], kept["data"]["receipt"]["index"]) == (1000, False, index + 2)
    both = [evse("E1", status=s, last_updated="2026-10-01T08:45:00Z") for s in ("RESERVED", "AVAILABLE")]
    told = [peer.object("PUT", "locations", "LOC1/E1", one).json()["data"] for one in both]
    assert [(t["applied"], "conflicts_with" in t) for t in told] == [(True, False)] * 2
    stands = peer.object("GET", "locations", "LOC1").json()["data"]
    assert [e["status"] for e in stands["evses"]] == ["AVAILABLE", "OUTOFORDER"]
    assert stands["last_updated"] == "2026-10-01T09:00:00Z"
    assert peer.object("GET", "locations", "LOC1/E2/1").json()["data"]["max_electric_power"] == 120_000
    assert peer.object("PUT", "locations", "LOC1/E3", evse("E3")).json()["data"]["applied"] is True
    assert len(peer.object("GET", "locations", "LOC1").json()["data"]["evses"]) == 3
    kept_bytes = [m.payload for _, m, _ in messages.stored(platform.database, range(10))]
    assert kept_bytes[0] == json.dumps(location()).encode()
    assert len(kept_bytes) == 6


def test_urls_are_served_in_the_spellings_that_are_met(peer: Peer) -> None:
    details = peer.call("GET", "2.2.1/").json()["data"]
    base = next(e["url"] for e in details["endpoints"] if e["identifier"] == "locations")
    slashed = location(id="A/B", evses=[])
    assert peer.call("PUT", f"{base}CN/ABC/A%2FB", slashed).status_code == 201
    for path in ("CN/ABC/A%2FB", "/CN/ABC/A%2FB", "cn/abc/a%2fb/"):
        assert peer.call("GET", base + path).json()["data"]["id"] == "A/B", path
    assert peer.call("POST", "2.2.1/cdrs/", cdr()).status_code == 201
    assert peer.call("GET", f"{base}CN/ABC/A/B").status_code == 404
    small = json.loads(json.dumps(location()).lower())
    small["evses"][1]["status"], small["last_updated"] = "AVAILABLE", "2026-10-01T08:00:00Z"
    for one in small["evses"]:
        one["status"] = one["status"].upper()
        one["last_updated"] = one["connectors"][0]["last_updated"] = "2026-10-01T08:00:00Z"
    assert peer.object("PUT", "locations", "LOC1", small).status_code == 201


def test_what_was_kept_before_a_fault_is_applied_when_it_is_sent_again(
    peer: Peer, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bool:
        raise StoreError("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(ocpi_objects, "change", fails)
        answer = peer.object("PUT", "locations", "LOC1", location())
        assert (answer.status_code, answer.json()["status_code"]) == (503, 3000)
        assert answer.headers["retry-after"]
    assert messages.size(platform.database) == 1
    assert peer.object("GET", "locations", "LOC1").status_code == 404
    again = peer.object("PUT", "locations", "LOC1", location()).json()["data"]
    assert (again["repeated"], again["applied"]) == (True, True)
    assert peer.object("GET", "locations", "LOC1").json()["data"]["id"] == "LOC1"


def test_a_sender_beyond_his_rate_is_told_when_to_come_again(peer: Peer, platform: Platform) -> None:
    platform.intake.senders = Buckets(1, 1)
    assert peer.object("PUT", "locations", "LOC1", location()).status_code == 201
    answer = peer.object("PUT", "locations", "LOC2", location(id="LOC2"))
    assert (answer.status_code, answer.json()["status_code"]) == (429, 2000)
    assert answer.headers["retry-after"]
    assert messages.size(platform.database) == 1


def test_of_two_that_register_at_once_with_one_token_one_wins(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str]
) -> None:
    peer = invited(platform, server)
    with ThreadPoolExecutor(4) as threads:
        calls = [
            threads.submit(peer.call, "POST", "2.2.1/credentials", peer.credentials(counterparty[1])) for _ in range(4)
        ]
        answers = [c.result() for c in calls]
    assert sorted(a.status_code for a in answers) == [200, 401, 401, 401]
    peer.token = next(a for a in answers if a.status_code == 200).json()["data"]["token"]
    assert peer.call("GET", "versions").status_code == 200


def test_a_refused_cdr_is_corrected_in_the_ledger(peer: Peer, platform: Platform, server: str) -> None:
    assert peer.call("POST", "2.2.1/cdrs", cdr(total_energy="much")).json()["status_code"] == 2001
    entry = reading.refused(platform.database, "op-one", None, None, 1)[0]
    caller = Caller(platform, server, platform.directory.parties["op-one"])
    path = f"/api/refused/{entry['refused_id']}/correction"
    assert caller.post(path, json.dumps(cdr(party_id="XYZ")).encode())[0] == 422
    status, told = caller.post(path, json.dumps(cdr()).encode())
    assert (status, told["receipt"]["message_id"]) == (200, "CN/ABC/CDR-1")
    assert peer.call("POST", "2.2.1/cdrs", cdr()).json()["data"]["receipt"] == told["receipt"]


def test_signed_data_of_a_cdr_become_records_that_are_judged_by_the_register(
    platform: Platform, counterparty: tuple[Counterparty, str], tmp_path: Path
) -> None:
    city = enrolled(platform, chargers=6, days=1, cheats=0)
    sealed = next(m for m in city.messages if m.kind is Kind.METER_ENVELOPE)
    keys = [key for key, _ in platform.directory.content_keys.values()]
    record = decode_binary(sealed.payload, Source("x", 1), keys)
    meter = next(m for m in platform.directory.register.meters if m.meter_id == sealed.sender)
    owner = platform.directory.connectors[meter.connector_id].operator_id
    with served(create_app(platform)) as url:
        peer = invited(platform, url, owner)
        peer.register(counterparty[1])
        values = [{"nature": "End", "plain_data": "", "signed_data": base64.b64encode(record.raw).decode()}]
        altered = [{"nature": "End", "plain_data": "", "signed_data": record.raw.replace(b"kWh", b"Wh", 1).decode()}]
        for number, signed in enumerate((values, altered)):
            body = cdr(
                id=f"CDR-{number}",
                session_id=f"session-of-a-uuid-{number}",
                meter_id=meter.meter_id,
                cdr_location={"evse_id": meter.connector_id.lower(), "connector_id": "#NA"},
                signed_data={"encoding_method": "OCMF", "signed_values": signed},
            )
            assert peer.call("POST", "2.2.1/cdrs", body).status_code == 201
    assert "ocpi.connector_unregistered" not in judged_deviations(platform, tmp_path)
    with platform.database.transaction() as connection:
        found = connection.execute("select transaction_key, answer from fact_signed_record order by 1").fetchall()
        places = connection.execute("select distinct connector_id, operator_id from fact_order").fetchall()
    assert found == [("session-of-a-uuid-0", "authentic"), ("session-of-a-uuid-1", "forged")]
    assert places == [(meter.connector_id, owner)]


def test_our_client_checks_the_name_on_the_certificate_and_the_address_that_it_looked_at(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_folder() as folder:
        certificate, key = self_signed(folder, "operator.example")
        monkeypatch.setattr("certifi.where", lambda: str(certificate))
        monkeypatch.setattr(outbound, "_trusted", outbound._trusted.__wrapped__)  # not what an earlier test kept
        with served(counterparty[0].app(), ssl_certfile=str(certificate), ssl_keyfile=str(key)) as url:
            port = url.rpartition(":")[2]
            monkeypatch.setattr(outbound, "address_of", anywhere)
            for host, code in (("operator.example", 1000), ("another.example", 3001)):
                peer = invited(platform, server, hosts=[host])
                own = peer.credentials(f"https://{host}:{port}")
                answer = peer.call("POST", "2.2.1/credentials", own).json()
                assert answer["status_code"] == code, answer


async def anywhere(_: object, *, public_only: bool) -> str:
    """Every name leads to this machine."""
    assert public_only is False
    return "127.0.0.1"


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own for a name, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_a_session_grows_by_patches_and_a_tariff_is_deleted_once(peer: Peer, platform: Platform) -> None:
    assert peer.object("PUT", "sessions", "S-101", session()).status_code == 201
    period = {"start_date_time": "2026-10-01T09:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 1.10}]}
    for minute in (10, 20):
        stamp = f"2026-10-01T09:{minute}:00Z"
        body = {"kwh": minute / 10, "charging_periods": [period], "last_updated": stamp}
        answer = peer.object("PATCH", "sessions", "S-101", body)
        assert answer.json()["status_code"] == 1000
        assert peer.object("PATCH", "sessions", "S-101", body).json()["data"]["repeated"] is True
    stands = peer.object("GET", "sessions", "S-101").json()["data"]
    assert (len(stands["charging_periods"]), stands["kwh"], stands["status"]) == (2, 2.0, "ACTIVE")
    assert peer.object("PUT", "tariffs", "T1", tariff()).status_code == 201
    gone = peer.object("DELETE", "tariffs", "T1").json()
    assert peer.object("DELETE", "tariffs", "T1").json()["data"]["receipt"] == gone["data"]["receipt"]
    assert peer.object("GET", "tariffs", "T1").status_code == 404
    assert peer.object("PUT", "tariffs", "T1", tariff()).json()["data"]["applied"] is False
    newer = tariff(last_updated="2026-10-01T00:00:00Z")
    assert peer.object("PUT", "tariffs", "T1", newer).json()["data"]["applied"] is True
    assert peer.object("DELETE", "tariffs", "T9").status_code == 404


def test_a_cdr_is_kept_once_and_other_bytes_under_its_id_are_a_conflict(peer: Peer, platform: Platform) -> None:
    answer = peer.call("POST", "2.2.1/cdrs", cdr())
    assert (answer.status_code, answer.json()["status_code"]) == (201, 1000)
    assert peer.call("GET", answer.headers["location"]).json()["data"] == cdr()
    receipt = answer.json()["data"]["receipt"]
    again = peer.call("POST", "2.2.1/cdrs", cdr())
    assert (again.status_code, again.json()["data"]["receipt"]) == (200, receipt)
    other = peer.call("POST", "2.2.1/cdrs", cdr(total_energy=99.9)).json()
    assert (other["status_code"], other["data"]["conflicts_with"]) == (2000, receipt["index"])
    assert peer.call("GET", answer.headers["location"]).json()["data"] == cdr()
    credit = cdr(
        id="CDR-1-C", credit=True, credit_reference_id="CDR-1", total_cost={"excl_vat": -10, "incl_vat": -11.3}
    )
    assert peer.call("POST", "2.3.0/cdrs", credit).status_code == 201
    del credit["credit_reference_id"]
    assert peer.call("POST", "2.3.0/cdrs", credit | {"id": "CDR-1-D"}).json()["status_code"] == 2001
    assert ledger(platform) == [("ocpi.missing", "credit_reference_id")]


WRONG: list[tuple[str, str, bytes | dict[str, Any], str, str | None]] = [
    ("PUT", "locations/CN/ABC/LOC1", b"{", "json.syntax", None),
    ("PUT", "locations/CN/ABC/LOC1", b"\xff{}", "encoding.utf8", None),
    ("PUT", "locations/CN/ABC/LOC1", b"[]", "ocpi.shape", None),
    ("PUT", "locations/CN/ABC/LOC1", b'{"a":' * 40 + b"1" + b"}" * 40, "json.depth", None),
    ("PUT", "locations/CN/ABC/LOC1", b"[" * 100_000, "json.depth", None),
    ("PUT", "locations/CN/ABC/LOC1", b'{"id":"LOC1","id":"LOC2"}', "json.duplicate_key", "id"),
    ("PUT", "locations/CN/ABC/LOC1", b'{"x":NaN}', "json.not_finite", None),
    ("PUT", "locations/CN/ABC/LOC1", b'{"x":1' + b"0" * 5_000 + b"}", "json.number", None),
    ("PUT", "locations/CN/ABC/LOC1", b'{"x":"\\ud800"}', "text.control", None),
    ("PUT", "locations/CN/ABC/LOC1", b'{"x":"\\u0000"}', "text.control", None),
    ("PUT", "locations/CN/ABC/LOC1", {"x": [0] * 10_001}, "ocpi.items", None),
    ("PUT", "locations/CN/ABC/LOC1", {"x": "y" * 4_001}, "text.length", None),
    ("PUT", "locations/CN/ABC/LOC1", b" " * 4_194_305, "ocpi.size", None),
    ("PUT", "locations/CN/ABC/LOC1", location(evses=[evse("E1"), evse("e1")]), "ocpi.twice", "uid"),
    ("PUT", "locations/CN/ABC/LOC1", location(evses={}), "ocpi.shape", "evses"),
    ("PUT", "locations/CN/ABC/LOC1", location(evses=[evse(str(n)) for n in range(2_001)]), "ocpi.items", "evses"),
    ("PUT", "locations/CN/ABC/LOC1", location(id="LOC2"), "ocpi.path", "id"),
    ("PUT", "locations/CN/ABC/LOC1", location(party_id="XYZ"), "ocpi.path", "party_id"),
    ("PUT", "locations/CN/XYZ/LOC1", location(party_id="XYZ"), "ocpi.party", "party_id"),
    ("PUT", "locations/CN/ABC/" + "L" * 37, location(id="L" * 37), "text.length", "id"),
    ("PUT", "locations/CN/ABC/LOC1", location(last_updated="yesterday"), "time.syntax", "last_updated"),
    ("PUT", "locations/CN/ABC/LOC1", location(last_updated=1), "text.type", "last_updated"),
    ("PUT", "locations/CN/ABC/LOC1", location(last_updated="2099-01-01T00:00:00Z"), "ocpi.future", "last_updated"),
    ("PUT", "locations/CN/ABC/LOC1", location(coordinates={"latitude": "91", "longitude": "0"}), "number.range", None),
    ("PATCH", "locations/CN/ABC/NONE", {"last_updated": "2026-10-01T00:00:00Z"}, "ocpi.unknown", None),
    ("PATCH", "locations/CN/ABC/LOC1", {"name": "x"}, "ocpi.missing", "last_updated"),
    ("PUT", "sessions/CN/ABC/S-101", session(status="RUNNING"), "ocpi.status", "status"),
    ("PUT", "sessions/CN/ABC/S-101", session(kwh=-1), "number.range", "kwh"),
    ("PUT", "sessions/CN/ABC/S-101", session(kwh=True), "number.syntax", "kwh"),
    ("PUT", "tariffs/CN/ABC/T1", tariff(elements=[]), "ocpi.missing", "elements"),
    ("POST", "cdrs", cdr(total_energy="much"), "number.syntax", None),
    ("POST", "cdrs", cdr(id="C" * 40), "text.length", "id"),
    ("POST", "cdrs", cdr(party_id="XYZ"), "ocpi.party", "party_id"),
    ("POST", "cdrs", {"data": [cdr()]}, "ocpi.shape", None),
]  # fmt: skip


def test_everything_wrong_is_refused_with_field_and_rule_and_nothing_is_kept(peer: Peer, platform: Platform) -> None:
    for method, path, body, rule, name in WRONG:
        answer = peer.call(method, f"2.2.1/{path}", body)
        told = answer.json()
        assert told["status_code"] in (2000, 2001, 2003), (path, told)
        assert answer.status_code in (200, 400, 404)
        newest = reading.refused(platform.database, "op-one", None, None, 1)[0]
        assert newest["rule"] == rule, (path, body if len(str(body)) < 200 else "", newest)
        assert name is None or newest["field"] == name
    assert len(ledger(platform)) == len(WRONG)
    assert messages.size(platform.database) == 0


def test_strangers_hear_401_and_nothing_tells_foreign_from_absent(
    platform: Platform, server: str, counterparty: tuple[Counterparty, str], peer: Peer
) -> None:
    peer.object("PUT", "locations", "LOC1", location())
    posted = peer.call("POST", "2.2.1/cdrs", cdr())
    two = invited(platform, server, "op-two", party="XYZ")
    two.register(counterparty[1])
    for path in ("locations/CN/ABC/LOC1", "locations/CN/ABC/NONE", "locations/CN/XYZ/LOC1", "locations/CN/ZZZ/LOC1"):
        answer = two.call("GET", f"2.2.1/{path}")
        assert (answer.status_code, answer.json()["status_message"]) == (404, "no such object"), path
    for path in (posted.headers["location"], "2.2.1/cdrs/CN/XYZ/CDR-1", "2.2.1/cdrs/CN/ABC/CDR-2"):
        assert two.call("GET", path).status_code == 404
    told = set()
    for party in ("ABC", "ZZZ"):
        body = location(party_id=party)
        told.add(two.call("PUT", f"2.2.1/locations/CN/{party}/LOC1", body).json()["status_message"])
        news = {"last_updated": "2026-10-02T00:00:00Z", "name": "x"}
        told.add(two.call("PATCH", f"2.2.1/locations/CN/{party}/LOC1", news).json()["status_message"])
    assert len(told) == 1
    for token in ("guess", peer.token[:-1], "é", "x" * 300):
        stranger = dataclasses.replace(peer, token=token)
        for method, path in (("GET", "versions"), ("POST", "2.2.1/cdrs"), ("GET", "2.2.1/locations/CN/ABC/LOC1")):
            answer = stranger.call(method, path, b"{}" if method == "POST" else None)
            assert (answer.status_code, answer.json()["status_code"]) == (401, 2000)
    assert peer.object("GET", "locations", "LOC1").json()["data"]["name"] == "福田中心站"
    found = dataclasses.replace(platform.directory.parties["op-one"], suspended=True)
    parties.put_parties(platform.database, [found], 1)
    platform.refresh()
    assert peer.object("GET", "locations", "LOC1").status_code == 401


def test_a_token_without_base64_is_served_and_seen_as_a_deviation(
    peer: Peer, platform: Platform, tmp_path: Path
) -> None:
    peer.base64 = False
    assert peer.object("PUT", "tariffs", "T1", tariff()).json()["status_code"] == 1000
    assert peer.call("GET", "2.2.1/credentials").json()["data"]["token"] == peer.token
    assert "ocpi.token_raw" in judged_deviations(platform, tmp_path)


def judged_deviations(platform: Platform, scratch: Path) -> list[str]:
    judge = Judge(platform, scratch)
    judge._ingest(now_utc_ms())  # facts, states and declarations; the rule book has its own tests
    judge.close()
    with platform.database.transaction() as connection:
        rows = connection.execute("select kind from deviation order by message_index, kind").fetchall()
    return [row[0] for row in rows]


def test_what_was_pushed_becomes_facts_states_and_declarations(peer: Peer, platform: Platform, tmp_path: Path) -> None:
    foreign = evse("E9", status="CHARGING")
    body = location(evses=[evse("E1"), evse("E2", status="CHARGING"), foreign])
    assert peer.object("PUT", "locations", "LOC1", body).json()["status_code"] == 1000
    news = {"status": "CHARGING", "last_updated": "2026-10-01T09:00:00Z"}
    late = {"status": "BLOCKED", "last_updated": "2026-10-01T08:30:00Z"}
    for patch in (news, late):
        peer.object("PATCH", "locations", "LOC1/E1", patch)
    peer.object("PATCH", "locations", "LOC1", {"name": "新名", "last_updated": "2026-10-01T08:20:00Z"})
    peer.object("PUT", "tariffs", "T1", tariff())
    peer.call("POST", "2.2.1/cdrs", cdr(tariffs=[{"id": "2"}]))
    peer.call(
        "POST",
        "2.2.1/cdrs",
        cdr(id="CDR-9", tariffs=[{"id": "1"}], cdr_location={"evse_id": "CN*ABC*E9", "connector_id": "1"}),
    )
    assert judged_deviations(platform, tmp_path) == ["ocpi.connector_unregistered"]
    with platform.database.transaction() as connection:
        states = dict(connection.execute("select connector_id, status from connector_status").fetchall())
        orders = connection.execute(
            "select order_id, operator_id, connector_id, transaction_id, energy_milli_wh, tariff_id from fact_order"
            " order by order_id"
        ).fetchall()
    # E9 is another operator's by the register: what this one says of it is said of a name of his own.
    assert states == {
        "CN*ABC*E1/1": State.CHARGING,
        "CN*ABC:CN*ABC*E2/1": State.CHARGING,
        "CN*ABC:CN*ABC*E9/1": State.CHARGING,
    }
    assert orders == [
        ("CN*ABC:CDR-1", "op-one", "CN*ABC*E1/1", "CN*ABC:S-101", 12_340_000, "2"),
        ("CN*ABC:CDR-9", "op-one", "CN*ABC:CN*ABC*E9/1", "CN*ABC:S-101", 12_340_000, "CN*ABC:1"),
    ]
    declared = declarations.declared_by(platform.database, "op-one")
    place = ("114.057900", "22.543100", "WGS-84")
    assert declared.stations == (Station("LOC1", "op-one", "新名", None, *place, "福中三路 1 号"),)
    assert {(c.connector_id, c.charger_id, c.rated_power_w, c.current_type) for c in declared.connectors} == {
        ("CN*ABC*E1/1", "charger-1", 120_000, "DC"),
        ("CN*ABC:CN*ABC*E2/1", "CN*ABC:CN*ABC*E2", 120_000, "DC"),
        ("CN*ABC:CN*ABC*E9/1", "CN*ABC:CN*ABC*E9", 120_000, "DC"),
    }
    assert [(p.minute_from, p.minute_to, p.energy_price_e4) for p in declared.tariff_periods] == [(0, 1440, 12_000)]
    assert {m.kind for _, m, _ in messages.stored(platform.database, range(20))} == {
        Kind.OCPI_LOCATION, Kind.OCPI_TARIFF, Kind.OCPI_CDR,
    }  # fmt: skip
